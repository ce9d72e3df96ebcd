"""Checks that what the chart asks for fits the nodes that Terraform makes: pools by name, cores, memory and disk.

A node has less for pods than its type says. What EKS keeps back is its documented arithmetic; what the hypervisor takes
of the memory is the share that Karpenter reckons with.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

TERRAFORM = Path(__file__).parents[1] / "terraform"

_TYPES = {
    "m6i.xlarge": (4, 16, 58),
    "m7i.large": (2, 8, 29),
    "m7i.xlarge": (4, 16, 58),
    "m7i.2xlarge": (8, 32, 58),
}
"""Cores, GiB and most pods of the instance types in use."""

_HYPERVISOR = 0.075
_EVICTION_MB = 100
_RESERVED_SHARES = ((1, 0.06), (1, 0.01), (2, 0.005), (10_000, 0.0025))
"""Of how many cores, one after another, EKS keeps which share."""
_SYSTEM_CORES = 0.2
_SYSTEM_MB = 300
"""What the pods of network, proxy, volumes and identity ask for on each node."""
_DISK_SHARE = 0.85
"""Below this kubelet begins to throw pods out; images lie on the same disk."""
_USED = 0.75
"""Share of a node's cores that executors must be able to use."""

_GROUP = re.compile(
    r'^\s*(?P<pool>\w+)\s*=\s*\{\s*instance_types = \[(?P<types>[^\]]*)\], capacity = "(?P<capacity>\w+)", '
    r"min = (?P<min>\d+), max = (?P<max>\d+), disk_gb = (?P<disk>\d+) \}",
    re.MULTILINE,
)
_UNITS = {"m": 1, "g": 1024, "Mi": 1, "Gi": 1024}


class Room(NamedTuple):
    """What pods ask for, or what a node has for them.

    Attributes:
        cores: of CPU.
        memory_mb: of memory.
        disk_mb: of the node's disk.
    """

    cores: float
    memory_mb: float
    disk_mb: float

    def holds(self, asked: Room) -> int:
        """How many pods that ask for this fit."""
        return int(min((have + 1e-9) / want for have, want in zip(self, asked, strict=True) if want))


class Pool(NamedTuple):
    """A node group.

    Attributes:
        types: its instance types.
        capacity: ON_DEMAND or SPOT.
        min: nodes that are always there: all that there are, without an autoscaler.
        disk_gb: of each node.
    """

    types: tuple[str, ...]
    capacity: str
    min: int
    disk_gb: int


def allocatable(kind: str, disk_gb: int) -> Room:
    """What a node has for our pods.

    >>> [round(each, 2) for each in allocatable("m7i.2xlarge", 200)]
    [7.71, 29017.4, 174080.0]
    """
    cores, gib, pods = _TYPES[kind]
    left, reserved = cores, 0.0
    for share_of, share in _RESERVED_SHARES:
        reserved += min(left, share_of) * share
        left -= min(left, share_of)
    memory = gib * 1024 * (1 - _HYPERVISOR) - (255 + 11 * pods) - _EVICTION_MB - _SYSTEM_MB
    return Room(cores - reserved - _SYSTEM_CORES, memory, disk_gb * 1024 * _DISK_SHARE)


def pools_of(environment: str) -> dict[str, Pool]:
    """The node groups of an environment, as its Terraform names them."""
    text = (TERRAFORM / "environments" / environment / "main.tf").read_text()
    return {
        found["pool"]: Pool(
            tuple(re.findall(r'"([^"]+)"', found["types"])), found["capacity"], int(found["min"]), int(found["disk"])
        )
        for found in _GROUP.finditer(text)
    }


def kubernetes_of(environment: str) -> str:
    """The minor version of Kubernetes of an environment's cluster."""
    text = (TERRAFORM / "environments" / environment / "main.tf").read_text()
    (found,) = re.findall(r'^\s*kubernetes_version\s*=\s*"([\d.]+)"$', text, re.MULTILINE)
    return str(found)


def problems(environment: str, objects: Sequence[Mapping[str, Any]], pools: Mapping[str, Pool]) -> Iterator[str]:
    """Where the chart's pods have no node to run on, or waste what they are given."""
    unknown = {kind for pool in pools.values() for kind in pool.types} - _TYPES.keys()
    if unknown or not pools:
        lacking = ", ".join(sorted(unknown)) or "any pool"
        yield f"nodes {environment}: infrastructure/checks/nodes.py does not know {lacking}"
        return
    for name, selector, asked, count in _pods(objects):
        named = selector.get("fraud/pool")
        if name in ("driver", "executor") and named is None:
            yield f"nodes {environment}: {name} chooses no pool by fraud/pool"
            continue
        if named is not None and named not in pools:
            yield f"nodes {environment}: {name} chooses the pool {named}, which Terraform does not make"
            continue
        chosen = [pools[named]] if named is not None else list(pools.values())
        fits = [min(allocatable(kind, pool.disk_gb).holds(asked) for kind in pool.types) for pool in chosen]
        if not max(fits):
            yield f"nodes {environment}: {name} asks for {_said(asked)}, more than a node of its pool has"
        elif named is not None and fits[0] * chosen[0].min < count:
            yield (
                f"nodes {environment}: {count} of {name} do not fit the {chosen[0].min} nodes that {named} has at "
                f"least; one holds {fits[0]}"
            )
        if name == "driver" and named is not None and chosen[0].capacity != "ON_DEMAND":
            yield f"nodes {environment}: the driver's pool {named} may be taken away at any time"
        if name == "executor" and max(fits):
            cores = min(_TYPES[kind][0] for kind in chosen[0].types)
            if fits[0] * round(asked.cores + 0.4) < _USED * cores:
                yield f"nodes {environment}: {fits[0]} executors fit a node of {cores} cores, of which most stay idle"


def _pods(objects: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Mapping[str, str], Room, int]]:
    for each in objects:
        spec = each.get("spec", {})
        if each["kind"] == "SparkApplication":
            conf = spec["sparkConf"]
            for part, count in (("driver", 1), ("executor", int(conf["spark.executor.instances"]))):
                pod = spec[f"{part}Spec"]["podTemplateSpec"]["spec"]
                cores = conf.get(f"spark.kubernetes.{part}.request.cores", conf[f"spark.{part}.cores"])
                memory = sum(megabytes(conf[f"spark.{part}.{name}"]) for name in ("memory", "memoryOverhead"))
                asked = pod["containers"][0].get("resources", {}).get("requests", {})
                disk = megabytes(asked["ephemeral-storage"]) if asked else 0
                yield part, pod.get("nodeSelector", {}), Room(_cores(cores), memory, disk), count
            continue
        template = spec.get("jobTemplate", {}).get("spec", spec).get("template", {})
        for container in template.get("spec", {}).get("containers", []):
            asked = container["resources"]["requests"]
            room = Room(_cores(asked["cpu"]), megabytes(asked["memory"]), megabytes(asked["ephemeral-storage"]))
            yield each["metadata"]["name"], template["spec"].get("nodeSelector", {}), room, int(spec.get("replicas", 1))


def megabytes(size: str) -> float:
    """A size as Spark or Kubernetes writes it, in MiB.

    >>> megabytes("2g"), megabytes("512m"), megabytes("10Gi")
    (2048.0, 512.0, 10240.0)
    """
    found = re.fullmatch(r"(\d+)([A-Za-z]+)", size)
    if found is None or found[2] not in _UNITS:
        raise ValueError(f"{size} is no size such as 2g or 10Gi")
    return float(found[1]) * _UNITS[found[2]]


def _cores(given: str) -> float:
    return float(given.removesuffix("m")) / 1000 if given.endswith("m") else float(given)


def _said(asked: Room) -> str:
    return f"{asked.cores:g} cores, {asked.memory_mb / 1024:g} GiB and {asked.disk_mb / 1024:g} GiB of disk"
