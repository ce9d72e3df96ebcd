"""What a cluster needs before the chart is installed, as `kubectl` sees it: `fraud doctor --cluster`."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from embedded.checks import Finding

Kubectl = Callable[[Sequence[str]], Any]
"""Runs `kubectl` with arguments and gives what it prints as JSON; None where there is no such thing."""

TUTORIAL = "docs/tutorial-aws.md#5-the-cluster"

_EXTRAS = "install it as infrastructure/README.md#what-the-chart-needs says"


class _Needed(NamedTuple):
    name: str
    arguments: tuple[str, ...]
    missing: str


_ALWAYS = (
    _Needed(
        "Spark operator",
        ("get", "crd", "sparkapplications.spark.apache.org"),
        f"install Apache's Spark Kubernetes operator, which runs the job ({TUTORIAL})",
    ),
    _Needed(
        "Metrics server",
        ("get", "apiservice", "v1beta1.metrics.k8s.io"),
        f"{_EXTRAS}, or metrics-server: `kubectl top` and autoscaling read it",
    ),
    _Needed(
        "EBS volumes",
        ("get", "storageclass", "gp3"),
        f"{_EXTRAS}, or the add-on aws-ebs-csi-driver and a class gp3; or do without executors.storageClass and decide",
    ),
    _Needed(
        "Balancers",
        ("get", "ingressclass", "alb"),
        f"{_EXTRAS}, or the AWS Load Balancer Controller; or leave console.ingress.enabled false",
    ),
    _Needed(
        "Prometheus operator",
        ("get", "crd", "servicemonitors.monitoring.coreos.com"),
        f"{_EXTRAS}, or set monitoring.enabled=false: then nothing alarms",
    ),
    _Needed(
        "Node autoscaler",
        ("get", "crd", "nodepools.karpenter.sh"),
        f"{_EXTRAS}, or the cluster autoscaler; without one, node groups stay at their least number of nodes",
    ),
)
POOLS = ("drivers", "executors")


def run_kubectl(arguments: Sequence[str]) -> Any:
    """See `Kubectl`.

    Raises:
        OSError: there is no `kubectl`, or it reaches no cluster.
    """
    done = subprocess.run(
        ["kubectl", "--request-timeout=10s", *arguments, "-o", "json"], capture_output=True, text=True, check=False
    )
    if done.returncode == 0:
        return json.loads(done.stdout)
    said = done.stderr.strip().splitlines()
    if any(line.startswith("Error from server (NotFound)") or "doesn't have a resource type" in line for line in said):
        return None
    raise OSError(said[-1] if said else f"kubectl {' '.join(arguments)} ended with {done.returncode}")


def check_cluster(namespace: str, kubectl: Kubectl = run_kubectl) -> Iterator[Finding]:
    """What of a cluster is there and what is not, each with what to do.

    Args:
        namespace: of the release.
        kubectl: runs it.
    """
    try:
        for needed in _ALWAYS:
            found = kubectl(needed.arguments)
            yield Finding(needed.name, found is not None, "there" if found else "not there", needed.missing)
        yield _watched(namespace, kubectl)
        yield _restricted(namespace, kubectl)
        for pool in POOLS:
            nodes = kubectl(("get", "nodes", "-l", f"fraud/pool={pool}"))
            count = len(nodes["items"]) if nodes else 0
            remedy = f"label nodes fraud/pool={pool}, as the node groups of infrastructure/terraform do"
            yield Finding(f"Nodes of the pool {pool}", count > 0, f"{count} nodes", remedy)
    except OSError as error:
        yield Finding("Cluster", False, str(error), "run `aws eks update-kubeconfig --name CLUSTER`")


def _watched(namespace: str, kubectl: Kubectl) -> Finding:
    """The operator watches the namespace of the release: its chart's own value is its own namespace alone."""
    maps = kubectl(("get", "configmaps", "--all-namespaces"))
    key = "spark.kubernetes.operator.watchedNamespaces="
    watched = {
        name.strip()
        for each in (maps or {}).get("items", [])
        for text in each.get("data", {}).values()
        for line in text.splitlines()
        if line.startswith(key)
        for name in line.removeprefix(key).split(",")
    }
    remedy = f"install it with workloadResources.namespaces.data={{{namespace}}} ({TUTORIAL})"
    detail = ", ".join(sorted(watched)) or "no namespace is named in its settings"
    return Finding("Namespaces that the operator watches", namespace in watched, detail, remedy)


def _restricted(namespace: str, kubectl: Kubectl) -> Finding:
    found = kubectl(("get", "namespace", namespace))
    labels = {} if found is None else found["metadata"].get("labels", {})
    level = labels.get("pod-security.kubernetes.io/enforce")
    remedy = f"kubectl create namespace {namespace}; label it pod-security.kubernetes.io/enforce=restricted"
    detail = "not there" if found is None else f"pod security {level or 'not enforced'}"
    return Finding(f"Namespace {namespace}", level == "restricted", detail, remedy)
