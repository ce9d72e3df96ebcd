"""`fraud doctor --cluster` names what a cluster lacks, and nothing of one that has all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from embedded.cluster_checks import check_cluster

OPERATOR = {"data": {"spark-operator.properties": "a=b\nspark.kubernetes.operator.watchedNamespaces=other,fraud\n"}}
WHOLE: dict[str, Any] = {
    "crd sparkapplications.spark.apache.org": {},
    "apiservice v1beta1.metrics.k8s.io": {},
    "storageclass gp3": {},
    "ingressclass alb": {},
    "crd servicemonitors.monitoring.coreos.com": {},
    "crd nodepools.karpenter.sh": {},
    "configmaps --all-namespaces": {"items": [{"metadata": {}}, OPERATOR]},
    "namespace fraud": {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}},
    "nodes -l fraud/pool=drivers": {"items": [{}]},
    "nodes -l fraud/pool=executors": {"items": [{}, {}]},
}


def lacking(cluster: dict[str, Any]) -> list[str]:
    def kubectl(arguments: Sequence[str]) -> Any:
        found = cluster.get(" ".join(arguments[1:]))
        return {"there": True} if found == {} else found

    return [finding.name for finding in check_cluster("fraud", kubectl) if not finding.ok]


def test_a_cluster_that_has_all_lacks_nothing() -> None:
    assert lacking(WHOLE) == []


def test_each_thing_that_is_not_there_is_named_alone() -> None:
    names = [lacking({name: each for name, each in WHOLE.items() if name != absent}) for absent in WHOLE]
    assert [len(each) for each in names] == [1] * len(WHOLE)
    assert len({each[0] for each in names}) == len(WHOLE)


def test_an_operator_that_watches_its_own_namespace_alone_runs_nothing_of_ours() -> None:
    alone = {"items": [{"data": {"x": "spark.kubernetes.operator.watchedNamespaces=spark-operator"}}]}
    assert lacking(WHOLE | {"configmaps --all-namespaces": alone}) == ["Namespaces that the operator watches"]


def test_a_namespace_without_pod_security_and_a_pool_without_nodes_are_named() -> None:
    assert lacking(WHOLE | {"namespace fraud": {"metadata": {}}}) == ["Namespace fraud"]
    assert lacking(WHOLE | {"nodes -l fraud/pool=executors": {"items": []}}) == ["Nodes of the pool executors"]


def test_a_cluster_that_is_not_reached_is_said_in_one_line() -> None:
    def kubectl(arguments: Sequence[str]) -> Any:
        raise OSError("The connection to the server localhost:8080 was refused")

    (finding,) = check_cluster("fraud", kubectl)
    assert (finding.name, finding.ok) == ("Cluster", False)
    assert "refused" in finding.detail
