"""The chart, rendered for each environment, against the code that it deploys."""

from __future__ import annotations

import json
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from adapters.program.configuration import load_settings
from adapters.program.metrics import REGISTRY
from cli.main import build_app
from fraud.decision.record import ScoredBy

ROOT = Path(__file__).parents[3]
CHART = ROOT / "infrastructure" / "helm" / "fraud"
PYTHON = ROOT / ".venv-infra" / "bin" / "python"
ENVIRONMENTS = ("dev", "prod")
EVERYTHING = {
    "decide": {"enabled": True, "detectorConfigMap": "fraud-detector"},
    "events": {"enabled": True, "secretsSecret": "fraud-events"},
    "producer": {"enabled": True},
    "console": {
        "enabled": True,
        "ingress": {
            "enabled": True,
            "host": "fraud.example.com",
            "certificateArn": "arn:aws:acm:eu-central-1:123456789012:certificate/0123",
        },
    },
    "settings": {
        "answers": {"keys": {"k1": "file:/etc/fraud-answers/k1"}},
        "frauddetector": {"folder": "/etc/fraud-detector", "secrets": "secretsmanager:fraud-dev-decide-access-keys"},
        "events": {"receivers": {"chat": {"kind": "slack", "address": "file:/etc/fraud-events/chat"}}},
        "model": {"registry": "s3://fraud-archive/models"},
        "drift": {"pushgateway": "http://prometheus-pushgateway.monitoring:9091"},
    },
    "schedules": {"retraining": {"enabled": True}},
}

pytestmark = pytest.mark.skipif(not PYTHON.exists(), reason="no .venv-infra: `make infra-check` sets it up")


@cache
def rendered(environment: str, extra: str = "{}") -> tuple[dict[str, Any], ...]:
    command = [str(PYTHON), "-m", "infrastructure.checks.render_chart", environment, extra]
    result = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return tuple(json.loads(result.stdout))


def everything(environment: str) -> tuple[dict[str, Any], ...]:
    return rendered(environment, json.dumps(EVERYTHING))


def pods(environment: str) -> dict[str, dict[str, Any]]:
    """Every pod specification by the name of its owner."""
    return pods_of(everything(environment))


def pods_of(objects: tuple[dict[str, Any], ...]) -> dict[str, dict[str, Any]]:
    found = {}
    for each in objects:
        name, spec = each["metadata"]["name"], each.get("spec", {})
        if each["kind"] in ("Deployment", "Job"):
            found[name] = spec["template"]["spec"]
        elif each["kind"] == "StatefulSet":
            claimed = [{"name": claim["metadata"]["name"]} for claim in spec["volumeClaimTemplates"]]
            pod = spec["template"]["spec"]
            found[name] = pod | {"volumes": [*pod["volumes"], *claimed]}
        elif each["kind"] == "CronJob":
            found[name] = spec["jobTemplate"]["spec"]["template"]["spec"]
        elif each["kind"] == "SparkApplication":
            for part in ("driverSpec", "executorSpec"):
                found[f"job {part}"] = spec[part]["podTemplateSpec"]["spec"]
    return found


def of_kind(environment: str, kind: str) -> list[dict[str, Any]]:
    return [each for each in everything(environment) if each["kind"] == kind]


def expressions(environment: str) -> list[str]:
    rules = [
        rule["expr"]
        for each in of_kind(environment, "PrometheusRule")
        for group in each["spec"]["groups"]
        for rule in group["rules"]
    ]
    dashboard = json.loads((CHART / "dashboards" / "fraud.json").read_text())
    return rules + [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_what_is_rendered_is_what_kubernetes_accepts(environment: str) -> None:
    code = (
        "import sys; from infrastructure.checks.chart import check_environment as c; print(*c(sys.argv[1]), sep='\\n')"
    )
    result = subprocess.run(
        [str(PYTHON), "-c", code, environment], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert result.stdout.strip() == ""


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_settings_are_settings_of_the_programs(environment: str, tmp_path: Path) -> None:
    (held,) = [each for each in of_kind(environment, "ConfigMap") if each["metadata"]["name"] == "fraud-settings"]
    file = tmp_path / "config.yaml"
    file.write_text(held["data"]["config.yaml"])
    settings = load_settings(file, {})
    assert settings.job.checkpoint.startswith("s3a://")
    assert settings.archive.bucket


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_container_is_confined(environment: str) -> None:
    for name, pod in pods(environment).items():
        assert pod["securityContext"]["runAsNonRoot"], name
        assert pod["securityContext"]["runAsUser"] > 0, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for container in pod["containers"]:
            security = container["securityContext"]
            assert security["readOnlyRootFilesystem"], name
            assert security["allowPrivilegeEscalation"] is False, name
            assert security["capabilities"] == {"drop": ["ALL"]}, name


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_no_service_of_the_namespace_becomes_a_setting(environment: str) -> None:
    # Kubernetes would give pods FRAUD_CONSOLE_SERVICE_HOST and the like, which no program starts with.
    assert all(pod["enableServiceLinks"] is False for pod in pods(environment).values())


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_container_has_bounded_resources(environment: str) -> None:
    for name, pod in pods(environment).items():
        if "Spec" in name:
            continue  # Spark writes cores and memory into its pods from its own settings, looked at below.
        for container in pod["containers"]:
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys(), name
            assert container["resources"]["limits"]["memory"] == container["resources"]["requests"]["memory"], name
    (job,) = of_kind(environment, "SparkApplication")
    for part in ("driver", "executor"):
        for what in ("cores", "memory", "memoryOverhead"):
            assert job["spec"]["sparkConf"][f"spark.{part}.{what}"]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_volume_that_is_mounted_exists(environment: str) -> None:
    for name, pod in pods(environment).items():
        volumes = {volume["name"] for volume in pod["volumes"]}
        mounted = {mount["name"] for container in pod["containers"] for mount in container["volumeMounts"]}
        assert mounted == volumes, name


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_alarms_and_dashboard_name_metrics_that_the_job_has(environment: str) -> None:
    series: dict[str, set[str]] = {}
    for metric in REGISTRY:
        labels = {*metric.labels, "namespace", "service", "instance", "job", "pod"}
        names = [metric.name]
        if metric.kind == "histogram":
            names = [f"{metric.name}_{part}" for part in ("bucket", "sum", "count")]
        series |= {name: labels | ({"le"} if name.endswith("_bucket") else set()) for name in names}
    for expression in expressions(environment):
        named = re.findall(r"\b(fraud_\w+)\s*\{([^}]*)\}", expression)
        assert named, expression
        assert len(named) == len(re.findall(r"\bfraud_\w+", expression)), expression
        for name, matchers in named:
            assert name in series, expression
            assert set(re.findall(r"(\w+)\s*(?:=~|!=|!~|=)", matchers)) <= series[name], expression


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_alarms_name_what_scores(environment: str) -> None:
    named = {value for each in expressions(environment) for value in re.findall(r'scored_by!?="(\w+)"', each)}
    assert named
    assert named <= {kind.value for kind in ScoredBy}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_page_has_a_runbook(environment: str) -> None:
    for each in of_kind(environment, "PrometheusRule"):
        for group in each["spec"]["groups"]:
            for rule in group["rules"]:
                assert (ROOT / "docs" / "runbooks" / Path(rule["annotations"]["runbook_url"]).name).exists(), rule


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_account_of_a_pod_exists(environment: str) -> None:
    accounts = {each["metadata"]["name"] for each in of_kind(environment, "ServiceAccount")}
    for name, pod in pods(environment).items():
        assert "Spec" in name or pod["serviceAccountName"] in accounts, name
    (job,) = of_kind(environment, "SparkApplication")
    assert job["spec"]["sparkConf"]["spark.kubernetes.authenticate.driver.serviceAccountName"] in accounts


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_endless_job_is_protected(environment: str) -> None:
    (job,) = of_kind(environment, "SparkApplication")
    restart = job["spec"]["applicationTolerations"]["restartConfig"]
    assert restart["restartPolicy"] == "Always"
    assert restart["restartCounterResetMillis"] > restart["restartBackoffMillis"]
    driver = job["spec"]["driverSpec"]["podTemplateSpec"]
    assert driver["metadata"]["annotations"]["karpenter.sh/do-not-disrupt"] == "true"
    assert driver["spec"]["terminationGracePeriodSeconds"] > load_settings(None, {}).job.stop_timeout_s


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_command_that_an_environment_runs_exists(environment: str) -> None:
    commands = typer.main.get_command(build_app()).commands  # type: ignore[attr-defined]
    for pod in pods(environment).values():
        for container in pod["containers"]:
            if "args" in container:
                name, *arguments = [word for word in container["args"] if word != "fraud"]
                commands[name].make_context(name, arguments)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_drift_and_retraining_run_on_schedules_of_their_own(environment: str) -> None:
    args = {
        name: pod["containers"][0]["args"] for name, pod in pods(environment).items() if "args" in pod["containers"][0]
    }
    assert args["fraud-drift"] == ["drift", "--config", "/etc/fraud/config.yaml"]
    assert args["fraud-retraining"] == ["models", "retrain", "--config", "/etc/fraud/config.yaml"]
    group = typer.main.get_command(build_app()).commands["models"]  # type: ignore[attr-defined]
    group.commands["retrain"].make_context("retrain", args["fraud-retraining"][2:])


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_drift_reaches_the_gateway_that_its_alarm_reads_from(environment: str) -> None:
    (policy,) = [
        each for each in of_kind(environment, "NetworkPolicy") if each["metadata"]["name"] == "fraud-pushgateway"
    ]
    assert policy["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "drift"
    assert policy["spec"]["egress"][0]["ports"] == [{"protocol": "TCP", "port": 9091}]
    assert any("fraud_drift_stability_index" in expression for expression in expressions(environment))


def test_retraining_without_a_registry_on_s3_is_refused() -> None:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        rendered("dev", json.dumps({"schedules": {"retraining": {"enabled": True}}}))
    assert "settings.model.registry: s3://BUCKET/PREFIX" in caught.value.stderr


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_no_program_writes_to_the_read_only_root(environment: str, tmp_path: Path) -> None:
    (held,) = [each for each in of_kind(environment, "ConfigMap") if each["metadata"]["name"] == "fraud-settings"]
    file = tmp_path / "config.yaml"
    file.write_text(held["data"]["config.yaml"])
    settings = load_settings(file, {})
    mounts = {
        name: {mount["mountPath"] for container in pod["containers"] for mount in container["volumeMounts"]}
        for name, pod in pods(environment).items()
    }
    assert any(settings.decide.folder.startswith(f"{mount}/") for mount in mounts["fraud-decide"])
    assert any(settings.decide.api_keys.startswith(f"{mount}/") for mount in mounts["fraud-decide"])
    assert settings.frauddetector.folder in mounts["fraud-decide"]
    assert any(settings.frauddetector.access_keys.startswith(f"{mount}/") for mount in mounts["fraud-decide"])
    for name in ("fraud-decide", "job driverSpec", "job executorSpec"):
        assert "/etc/fraud-answers" in mounts[name]
    assert any(settings.console.folder.startswith(f"{mount}/") for mount in mounts["fraud-console"])
    for part in ("driverSpec", "executorSpec"):
        assert any(settings.job.state_folder.startswith(f"{mount}/") for mount in mounts[f"job {part}"])
    assert settings.job.checkpoint.startswith("s3a://")


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_nothing_is_reached_that_no_policy_names(environment: str) -> None:
    (deny,) = [each for each in of_kind(environment, "NetworkPolicy") if each["metadata"]["name"] == "fraud-deny"]
    assert deny["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for each in of_kind(environment, "NetworkPolicy"):
        for rule in [*each["spec"].get("ingress", []), *each["spec"].get("egress", [])]:
            assert rule.get("from") or rule.get("to"), each["metadata"]["name"]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_what_serves_or_computes_has_a_budget_of_disruptions(environment: str) -> None:
    chosen = [
        each["spec"]["selector"]["matchLabels"]["app.kubernetes.io/component"]
        for each in of_kind(environment, "PodDisruptionBudget")
    ]
    assert sorted(chosen) == ["console", "decide", "driver", "executor"]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_monitor_finds_the_jobs_service_and_its_port(environment: str) -> None:
    (monitor,) = [each for each in of_kind(environment, "ServiceMonitor") if each["metadata"]["name"] == "fraud-job"]
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    (service,) = [each for each in of_kind(environment, "Service") if wanted <= each["metadata"]["labels"].items()]
    ports = {port["name"]: port["targetPort"] for port in service["spec"]["ports"]}
    (endpoint,) = monitor["spec"]["endpoints"]
    (job,) = of_kind(environment, "SparkApplication")
    (driver,) = job["spec"]["driverSpec"]["podTemplateSpec"]["spec"]["containers"]
    assert ports[endpoint["port"]] in {port["name"] for port in driver["ports"]}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_an_instance_of_the_decision_service_keeps_its_journal_and_follows_one_after_another(environment: str) -> None:
    (instances,) = of_kind(environment, "StatefulSet")
    spec = instances["spec"]
    assert spec["podManagementPolicy"] == "OrderedReady"
    assert spec["updateStrategy"] == {"type": "RollingUpdate"}
    assert spec["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Retain"}
    (container,) = spec["template"]["spec"]["containers"]
    assert container["readinessProbe"]["httpGet"]["path"] == "/ready"
    (monitor,) = [each for each in of_kind(environment, "ServiceMonitor") if each["metadata"]["name"] == "fraud-decide"]
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    (service,) = [each for each in of_kind(environment, "Service") if wanted <= each["metadata"]["labels"].items()]
    assert service["metadata"]["name"] == spec["serviceName"]


def test_a_decision_service_without_keys_for_its_answers_is_refused() -> None:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        rendered("dev", json.dumps({"decide": {"enabled": True}}))
    assert "settings.answers.keys: what answers are authenticated with" in caught.value.stderr


def decide_with(source: dict[str, Any], decide: dict[str, Any], **values: Any) -> str:
    settings = {"answers": {"keys": {"k1": "file:/etc/fraud-answers/k1"}}, "source": source, "decide": decide}
    return json.dumps({"decide": {"enabled": True} | values, "settings": settings})


GROWING = {"autoscaling": {"enabled": True, "maxReplicas": 4, "cpuPercent": 60}}


@pytest.mark.parametrize(
    "values",
    [
        decide_with({"poll_ms": 200}, {}),  # the job alone takes all five
        decide_with({}, {}, replicas=3),
        decide_with({}, {}, **GROWING),
        decide_with({"reader": "fan_out"}, {"poll_ms": 200}),
    ],
)
def test_readers_that_take_more_of_a_shard_than_there_is_are_refused(values: str) -> None:
    with pytest.raises(subprocess.CalledProcessError) as refused:
        rendered("dev", values)
    assert "Kinesis allows 5" in refused.value.stderr


@pytest.mark.parametrize(
    "values",
    [
        decide_with({}, {}),
        decide_with({"poll_ms": 200}, {"reader": "fan_out"}, replicas=9),
        decide_with({}, {"poll_ms": 2000}, **GROWING),
    ],
)
def test_readers_within_their_shares_pass(values: str) -> None:
    assert of_kind_in(rendered("dev", values), "StatefulSet")


def test_instances_are_added_one_after_another_and_never_taken_below_the_least() -> None:
    objects = rendered("dev", decide_with({}, {"reader": "fan_out"}, **GROWING))
    (scaler,) = of_kind_in(objects, "HorizontalPodAutoscaler")
    (instances,) = of_kind_in(objects, "StatefulSet")
    assert scaler["spec"]["scaleTargetRef"]["name"] == instances["metadata"]["name"]
    assert (scaler["spec"]["minReplicas"], scaler["spec"]["maxReplicas"]) == (2, 4)
    assert scaler["spec"]["behavior"]["scaleUp"]["policies"][0]["value"] == 1
    assert "replicas" not in instances["spec"]  # or each release would undo what the scaler did
    assert instances["spec"]["podManagementPolicy"] == "OrderedReady"


def of_kind_in(objects: tuple[dict[str, Any], ...], kind: str) -> list[dict[str, Any]]:
    return [each for each in objects if each["kind"] == kind]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_one_pod_sends_events_and_reads_the_secrets_that_receivers_name(environment: str) -> None:
    (sender,) = [each for each in of_kind(environment, "Deployment") if each["metadata"]["name"] == "fraud-events"]
    assert (sender["spec"]["replicas"], sender["spec"]["strategy"]) == (1, {"type": "Recreate"})
    (container,) = sender["spec"]["template"]["spec"]["containers"]
    assert "/etc/fraud-events" in [mount["mountPath"] for mount in container["volumeMounts"]]
    (monitor,) = [each for each in of_kind(environment, "ServiceMonitor") if each["metadata"]["name"] == "fraud-events"]
    assert monitor["spec"]["endpoints"][0]["port"] in [port["name"] for port in container["ports"]]


def test_events_without_a_receiver_are_refused() -> None:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        rendered("dev", json.dumps({"events": {"enabled": True}}))
    assert "settings.events.receivers: who gets events" in caught.value.stderr
