"""Each check of the infrastructure finds what it is for: faults are put, one by one, into a copy of what it reads."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[3]
PYTHON = ROOT / ".venv-infra" / "bin" / "python"
HELM = "infrastructure/helm/fraud"
IMAGES = "infrastructure/images"

pytestmark = pytest.mark.skipif(not PYTHON.exists(), reason="no .venv-infra: `make infra-check` sets it up")


class Fault(NamedTuple):
    """A change that a check has to find.

    Attributes:
        check: its name.
        file: what is changed.
        sound: text that is there once.
        broken: what takes its place.
        said: part of the problem that is named.
    """

    check: str
    file: str
    sound: str
    broken: str
    said: str


WORKFLOW = ".github/workflows/deliver-environment.yml"
RELEASE = ".github/workflows/release.yml"
NOTHING = f"actions/cache@{'0' * 40}"
DEV = "infrastructure/terraform/environments/dev"

FAULTS = (
    Fault("delivery", WORKFLOW, "apply -input=false change.plan", "apply -input=false -auto-approve", "looked at"),
    Fault("delivery", WORKFLOW, "init -input=false -lockfile=readonly", "init -input=false", "whichever is newest"),
    Fault("delivery", WORKFLOW, 'TF_IN_AUTOMATION: "1"', "TF_VAR_region: eu", "belong in its terraform.tfvars"),
    Fault("delivery", WORKFLOW, "          sbom-path: sbom.json\n", "", "without signing what it holds"),
    Fault("delivery", WORKFLOW, "imageDetails[0].imageDigest", "imageTags", "which can be moved"),
    Fault(
        "delivery", RELEASE, "actions/attest@1e69f48acb82d1966a394da916b4c1698aa569d6", NOTHING, "files of a release"
    ),
    Fault("delivery", RELEASE, "gh release create", "gh release view", "without a step that makes a release"),
    Fault("delivery", RELEASE, "{contents: write}", "{packages: write}", "which no job here needs"),
    Fault("chart", f"{HELM}/templates/_helpers.tpl", "@{{ . }}", ":{{ $images.tag }}", "is taken by its tag"),
    Fault("values", f"{DEV}/terraform.tfvars", "consumers            = []\n", "", "gives no consumers"),
    Fault("values", f"{DEV}/variables.tf", "list(string)\n", "list(string)\n  default = []\n", "may be left out"),
    Fault(
        "yaml",
        f"{HELM}/values.yaml",
        "  policy: {path: /opt/fraud/config/policy.yaml}\n",
        "  policy: {path: /opt/fraud/config/policy.yaml}\n  console: {folder: /tmp/console}\n",
        "console is given twice",
    ),
    Fault("yaml", "docker-compose.yml", "  setup:\n", "  setup: {image: a}\n  setup:\n", "setup is given twice"),
    Fault("images", f"{IMAGES}/job.Dockerfile", " /opt/decom.sh /opt/\n", " /opt/\n", "/opt/decom.sh"),
    Fault("images", f"{IMAGES}/job.Dockerfile", ', "/opt/fraud/infrastructure/images/job.sh"]', "]", "start by job.sh"),
    Fault("images", f"{IMAGES}/job.Dockerfile", 'compile_kernels()"\n', '"\n', "compiles the kernels for itself"),
    Fault("images", f"{IMAGES}/console.Dockerfile", "COPY decision_service decision_service\n", "", "decision_service"),
    Fault(
        "images", f"{IMAGES}/producer.Dockerfile", '"/opt/fraud/infrastructure/images/start.sh", ', "", "by start.sh"
    ),
    Fault(
        "images", f"{IMAGES}/jars.xml", "<artifactId>bundle</artifactId>", "<artifactId>s3</artifactId>", "jar bundle"
    ),
    Fault("images", f"{IMAGES}/jars.sh", ' "$folder"/hadoop-aws-*.jar', "", "jar hadoop-aws"),
    Fault("images", f"{IMAGES}/job.Dockerfile", "RUN /build/jars.sh /jars\n", "", "does not resolve its jars"),
    Fault("images", ".dockerignore", "!cli\n", "", ".dockerignore does not let cli through"),
    Fault("images", ".dockerignore", "\n*\n", "\n.venv\n", "sent the whole checkout"),
    Fault("compose", "docker-compose.yml", '"/tmp:exec,mode=1777"', '"/tmp:mode=1777"', "/tmp is mounted noexec"),
    Fault("compose", "docker-compose.yml", '"/tmp:exec,mode=1777", ', "", "nothing can be written to /tmp"),
    Fault("chart", f"{HELM}/templates/_helpers.tpl", "(add $job.startS 60)", "300", "the operator gives up a start"),
    Fault("chart", f"{HELM}/values.yaml", "takeover_wait_s: 180", "takeover_wait_s: 60", "a driver waits 60 s"),
    Fault("chart", f"{HELM}/values.yaml", "startS: 600", "startS: 300", "it has to leave"),
    Fault("chart", f"{HELM}/templates/job.yaml", "-job-{{ $spec | sha256sum | trunc 8 }}", "-job", "ignores a change"),
    Fault(
        "chart",
        f"{HELM}/templates/_helpers.tpl",
        "terminationGracePeriodSeconds: {{ add $root.Values.settings.job.stop_timeout_s 60 }}",
        "terminationGracePeriodSeconds: 60",
        "a pod is killed after 60 s",
    ),
    Fault(
        "chart",
        f"{HELM}/templates/_helpers.tpl",
        "forceTerminationGracePeriodMillis: {{ mul 1000 (add $root.Values.settings.job.stop_timeout_s 120) }}",
        "forceTerminationGracePeriodMillis: 60000",
        "deletes by force after 60 s",
    ),
    Fault(
        "chart",
        f"{HELM}/templates/console.yaml",
        '  "alb.ingress.kubernetes.io/certificate-arn" $console.ingress.certificateArn\n',
        "",
        "without TLS",
    ),
    Fault(
        "chart",
        f"{HELM}/templates/console.yaml",
        '  "alb.ingress.kubernetes.io/target-type" "ip"\n',
        "",
        "which the service has not",
    ),
    Fault("chart", f"{HELM}/templates/console.yaml", "FRAUD_CONSOLE__TRUSTED_PROXIES", "OTHER", "look like one"),
    Fault(
        "chart",
        f"{HELM}/templates/console.yaml",
        "{{- if not $console.ingress.certificateArn }}",
        "{{- if false }}",
        "are accepted",
    ),
    Fault("chart", f"{HELM}/values.yaml", "{fraud/pool: drivers}", "{}", "driver chooses no pool"),
    Fault("chart", f"{HELM}/values.yaml", "{fraud/pool: executors}", "{fraud/pool: workers}", "does not make"),
    Fault("chart", f"{HELM}/values.yaml", "requestCores: 3600m", 'requestCores: "4"', "do not fit the 2 nodes"),
    Fault("chart", f"{HELM}/values.yaml", "localStorage: 50Gi", "localStorage: 180Gi", "more than a node of its pool"),
    Fault("chart", f"{HELM}/values.yaml", "memoryOverhead: 6g", "memoryOverhead: 20g", "most stay idle"),
    Fault(
        "chart",
        "infrastructure/terraform/environments/prod/main.tf",
        '["m7i.xlarge"], capacity = "ON_DEMAND"',
        '["m7i.xlarge"], capacity = "SPOT"',
        "may be taken away",
    ),
    Fault("chart", f"{DEV}/main.tf", '"1.34"', '"1.36"', "the cluster has Kubernetes 1.36"),
    Fault(
        "values",
        "infrastructure/terraform/environments/prod/main.tf",
        "archive_retention_days = 730",
        "archive_retention_days = 365",
        "for 365 days, the tables for 730",
    ),
    Fault("values", f"{HELM}/values.yaml", "settled_days: 8", "settled_days: 7", "keep records for 168 h"),
)

_RUN = """
import importlib, json, sys
from pathlib import Path
from infrastructure.checks import chart, delivery, images, strict_yaml, terraform, yaml_files
compose = lambda: list(delivery.compose_problems(strict_yaml.load(delivery.COMPOSE.read_text())["services"]))
workflows = lambda: [each for file in delivery.WORKFLOWS for each in delivery.workflow_problems(file.read_text())]
values = lambda: list(terraform.check_values())
checks = {"yaml": yaml_files.run, "images": images.run, "compose": compose, "chart": chart.run}
checks |= {"delivery": workflows, "values": values}
assert images.ROOT == Path.cwd(), images.ROOT
found = [[name, check()] for name, check in checks.items()]
for check, file, sound, broken, _ in json.load(sys.stdin):
    path = Path(file)
    text = path.read_text()
    path.write_text(text.replace(sound, broken))
    try:
        found.append([check, checks[check]()])
    finally:
        path.write_text(text)
print(json.dumps(found))
"""


def test_every_fault_is_found_and_none_where_there_is_none(tmp_path: Path) -> None:
    copy = tmp_path / "checkout"
    ignored = shutil.ignore_patterns(".terraform", "__pycache__")
    for name in ("infrastructure", ".github", "config"):
        shutil.copytree(ROOT / name, copy / name, ignore=ignored)
    for name in (".dockerignore", "docker-compose.yml", "pyproject.toml", "requirements.txt"):
        shutil.copy(ROOT / name, copy / name)
    for entry in ROOT.iterdir():  # what images copy has to be there
        if not (copy / entry.name).exists() and entry.name not in (".git", ".local"):
            (copy / entry.name).symlink_to(entry)
    for fault in FAULTS:
        assert (copy / fault.file).read_text().count(fault.sound) >= 1, fault
    run = subprocess.run(
        [str(PYTHON), "-c", _RUN], cwd=copy, input=json.dumps(FAULTS), capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    sound, broken = found[: -len(FAULTS)], found[-len(FAULTS) :]
    assert [problems for _, problems in sound] == [[]] * len(sound)
    for fault, (_, problems) in zip(FAULTS, broken, strict=True):
        assert any(fault.said in problem for problem in problems), (fault, problems)
