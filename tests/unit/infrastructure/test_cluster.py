"""What is installed into a cluster beside the chart: pinned, and named as the chart names it."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
CLUSTER = ROOT / "infrastructure" / "cluster"
VALUES: dict[str, Any] = yaml.safe_load((ROOT / "infrastructure" / "helm" / "fraud" / "values.yaml").read_text())
LISTED = [line.split() for line in (CLUSTER / "charts").read_text().splitlines() if not line.startswith("#")]
MADE: list[dict[str, Any]] = list(yaml.safe_load_all((CLUSTER / "auto-mode.yaml").read_text()))


def installed(folder: Path, *arguments: str) -> tuple[int, list[list[str]]]:
    """What a cluster's helm would be asked for."""
    asked = folder / "asked"
    helm = folder / "helm"
    helm.write_text(
        f'#!/bin/sh\nfor word in "$@"; do printf "%s\\t" "$word"; done >>{asked}\necho >>{asked}\ncat >/dev/null\n'
    )
    helm.chmod(0o755)
    given = os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"}
    done = subprocess.run([str(CLUSTER / "install.sh"), *arguments], env=given, capture_output=True, check=False)
    lines = asked.read_text().splitlines() if asked.exists() else []
    return done.returncode, [line.strip("\t").split("\t") for line in lines]


def test_every_chart_is_installed_at_the_version_that_is_listed(tmp_path: Path) -> None:
    code, asked = installed(tmp_path, "fraud")
    assert (code, len(asked)) == (0, len(LISTED))
    for (release, where, repository, chart, version), words in zip(LISTED, asked, strict=True):
        assert re.fullmatch(r"\d+\.\d+\.\d+", version), release
        assert words[:4] == ["upgrade", "--install", release, chart]
        for option, value in {"--repo": repository, "--version": version, "--namespace": where}.items():
            assert words[words.index(option) + 1] == value


def test_the_operator_watches_the_namespace_of_the_job_and_makes_none(tmp_path: Path) -> None:
    code, asked = installed(tmp_path, "payments", "spark-operator")
    assert (code, len(asked)) == (0, 1)
    assert "workloadResources.namespaces.data={payments}" in asked[0]
    assert "workloadResources.namespaces.create=false" in asked[0]


@pytest.mark.parametrize("arguments", [(), ("fraud", "spark-operater")], ids=["no namespace", "no such release"])
def test_what_it_does_not_know_installs_nothing(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    code, asked = installed(tmp_path, *arguments)
    assert (code != 0, asked) == (True, [])


def test_names_are_those_that_the_chart_waits_for() -> None:
    places = {release: where for release, where, *_ in LISTED}
    assert places[VALUES["monitoring"]["labels"]["release"]] == VALUES["network"]["monitoringNamespace"]
    gateway = "prometheus-pushgateway"
    prod = (ROOT / "infrastructure" / "helm" / "fraud" / "values-prod.yaml").read_text()
    assert f"http://{gateway}.{places[gateway]}:9091" in prod
    tutorial = (ROOT / "docs" / "tutorial-aws.md").read_text()
    (operator,) = [each for each in LISTED if each[0] == "spark-operator"]
    assert f"--version {operator[4]} --namespace {operator[1]}" in tutorial


def test_auto_mode_makes_the_pools_volumes_and_load_balancers_that_the_chart_asks_for() -> None:
    named = {(each["kind"], each["metadata"]["name"]) for each in MADE}
    assert ("StorageClass", VALUES["decide"]["storageClass"]) in named
    assert ("IngressClass", VALUES["console"]["ingress"]["className"]) in named
    pools = {each["metadata"]["name"]: each["spec"]["template"] for each in MADE if each["kind"] == "NodePool"}
    asked = {VALUES["job"][part]["nodeSelector"]["fraud/pool"] for part in ("driver", "executors")}
    assert {pool: spec["metadata"]["labels"] for pool, spec in pools.items()} == {
        pool: {"fraud/pool": pool} for pool in asked
    }
    kept = [each for each in pools["drivers"]["spec"]["requirements"] if each["key"] == "karpenter.sh/capacity-type"]
    assert kept[0]["values"] == ["on-demand"]
