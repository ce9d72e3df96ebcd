"""Checks the chart: it renders for each environment, and what it renders is what Kubernetes accepts, strictly.

The schemas of the custom kinds in `custom_kinds.json` are our own and cover the fields that the chart uses, after the
definitions that Apache's Spark operator and the Prometheus operator publish; no validator at hand brings them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import helm_python as helm
import jsonschema
import kubernetes_validate

from infrastructure.checks import nodes, strict_yaml
from infrastructure.checks.render_chart import render

KUBERNETES = "1.34"
ENVIRONMENTS = ("dev", "prod")
_FIRST_BATCH_S = 240
"""What a start takes at most without waiting for another driver: images, executors, a rebuild of the state's copy."""
_OPERATOR_MS = 300_000
"""What each of the operator's times is where an application does not say."""
IMAGES = ("job", "producer", "console", "endpoint")
DIGEST = f"sha256:{'0' * 64}"
CUSTOM_KINDS = Path(__file__).with_name("custom_kinds.json")


def run() -> list[str]:
    """Problems found, each with its environment and object; empty when the chart is sound."""
    problems = [problem for environment in ENVIRONMENTS for problem in check_environment(environment)]
    return problems + check_refusals()


EVERYTHING: dict[str, Any] = {
    "decide": {
        "enabled": True,
        "detectorConfigMap": "fraud-detector",
        "autoscaling": {"enabled": True, "maxReplicas": 2, "cpuPercent": 60},
    },
    "events": {"enabled": True, "secretsSecret": "fraud-events"},
    "settings": {
        "answers": {"keys": {"k1": "file:/etc/fraud-answers/k1"}},
        "frauddetector": {"folder": "/etc/fraud-detector", "secrets": "secretsmanager:fraud-dev-decide-access-keys"},
        "events": {"receivers": {"chat": {"kind": "slack", "address": "file:/etc/fraud-events/chat"}}},
    },
    "producer": {"enabled": True},
    "console": {
        "enabled": True,
        "ingress": {
            "enabled": True,
            "host": "fraud.example.com",
            "certificateArn": "arn:aws:acm:eu-central-1:123456789012:certificate/0123",
        },
    },
}
"""What an environment may switch on, so that it is looked at as well."""


def check_environment(environment: str) -> list[str]:
    """Problems of one environment."""
    try:
        objects = render(environment, EVERYTHING)
    except helm.HelmError as error:
        return [f"chart {environment}: {error}"]
    custom = CUSTOM_KINDS.read_text()
    found = []
    for each in objects:
        problem = _problem(json.dumps(each), custom)
        if problem:
            found.append(f"chart {environment}: {each['kind']} {each['metadata']['name']}: {problem}")
    changed = render(environment, {**EVERYTHING, "images": {"digests": dict.fromkeys(IMAGES, DIGEST)}})
    known = [*_times(objects), *_ways_in(objects), *_deaf(objects, changed), *_by_tag(changed)]
    if (version := nodes.kubernetes_of(environment)) != KUBERNETES:
        known.append(f"the cluster has Kubernetes {version}, the chart is validated against {KUBERNETES}")
    found += [f"chart {environment}: {problem}" for problem in known]
    return found + list(nodes.problems(environment, objects, nodes.pools_of(environment)))


def _times(objects: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Where one gives up on the job while another still waits for it."""
    settings = _settings(objects)
    for each in objects:
        if each["kind"] != "SparkApplication":
            continue
        (driver,) = each["spec"]["driverSpec"]["podTemplateSpec"]["spec"]["containers"]
        pod = each["spec"]["driverSpec"]["podTemplateSpec"]["spec"]
        given = each["spec"]["applicationTolerations"].get("applicationTimeoutConfig", {})
        ready_s = given.get("driverReadyTimeoutMillis", _OPERATOR_MS) / 1000
        forced_s = given.get("forceTerminationGracePeriodMillis", _OPERATOR_MS) / 1000
        start_s = driver["startupProbe"]["periodSeconds"] * driver["startupProbe"]["failureThreshold"]
        grace_s, stop_s = pod["terminationGracePeriodSeconds"], settings["job"]["stop_timeout_s"]
        if ready_s <= start_s:
            yield f"the operator gives up a start after {ready_s:g} s, its probe allows {start_s} s"
        if grace_s <= stop_s:
            yield f"a pod is killed after {grace_s} s, a micro-batch has {stop_s} s to end (job.stop_timeout_s)"
        takeover_s = settings["job"].get("takeover_wait_s", 0)
        if takeover_s <= grace_s or takeover_s + _FIRST_BATCH_S > start_s:
            yield (
                f"a driver waits {takeover_s} s for the one before it (job.takeover_wait_s), which may take {grace_s} "
                f"s; of {start_s} s for a start it has to leave {_FIRST_BATCH_S}"
            )
        if forced_s <= grace_s:
            yield f"the operator deletes by force after {forced_s:g} s, the driver's pod has {grace_s} s to end"


def _deaf(objects: Sequence[dict[str, Any]], changed: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Applications that another image would not reach: the operator compares no specifications, only names."""
    names = {each["metadata"]["name"] for each in objects if each["kind"] == "SparkApplication"}
    for each in changed:
        if each["kind"] == "SparkApplication" and each["metadata"]["name"] in names:
            yield f"{each['metadata']['name']} keeps its name with another image: the operator ignores a change"


def _by_tag(pinned: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Images that are named by a tag although their digests are given."""
    for each in pinned:
        for image in sorted(set(_images(each))):
            if not image.endswith(f"@{DIGEST}"):
                yield f"{each['metadata']['name']}: {image} is taken by its tag, and images.digests says which it is"


def _images(place: object) -> Iterator[str]:
    """Names of images anywhere in an object."""
    if isinstance(place, Mapping):
        for name, value in place.items():
            if name in ("image", "spark.kubernetes.container.image") and isinstance(value, str):
                yield value
            yield from _images(value)
    elif isinstance(place, Sequence) and not isinstance(place, str):
        for value in place:
            yield from _images(value)


def _ways_in(objects: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Where what analysts sign in to is reached without TLS, or not at all, or everybody looks like one caller."""
    services = {each["metadata"]["name"]: each for each in objects if each["kind"] == "Service"}
    for each in objects:
        if each["kind"] != "Ingress":
            continue
        said = each["metadata"].get("annotations", {})
        alb = each["spec"]["ingressClassName"] == "alb"
        if not each["spec"].get("tls") and not said.get("alb.ingress.kubernetes.io/certificate-arn"):
            yield f"{each['metadata']['name']} is reached without TLS"
        for rule in each["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                service = services[path["backend"]["service"]["name"]]
                internal = service["spec"].get("type", "ClusterIP") == "ClusterIP"
                if alb and internal and said.get("alb.ingress.kubernetes.io/target-type") != "ip":
                    yield f"{each['metadata']['name']}: the balancer calls ports of nodes, which the service has not"
        console = [
            container
            for owner in objects
            if owner["kind"] == "Deployment" and owner["metadata"]["name"] == each["metadata"]["name"]
            for container in owner["spec"]["template"]["spec"]["containers"]
        ]
        names = {variable["name"] for container in console for variable in container.get("env", [])}
        for lacking in sorted({"FRAUD_CONSOLE__ALLOWED_HOSTS", "FRAUD_CONSOLE__TRUSTED_PROXIES"} - names):
            yield f"{each['metadata']['name']}: {lacking} is not set: behind the balancer all callers look like one"


def _settings(objects: Sequence[dict[str, Any]]) -> dict[str, Any]:
    (held,) = [each for each in objects if each["kind"] == "ConfigMap" and "config.yaml" in each["data"]]
    loaded: dict[str, Any] = strict_yaml.load(held["data"]["config.yaml"])
    return loaded


def check_refusals() -> list[str]:
    """Values that must not pass: a schema that lets them through protects nobody."""
    wrong: tuple[dict[str, Any], ...] = (
        {"settings": {"job": {"checkpoint": "/tmp/checkpoint"}}},
        {"producer": {"kind": "DaemonSet"}},
        {"network": {"awsCidr": []}},
        {"console": {"enabled": True, "ingress": {"enabled": True, "host": "fraud.example.com"}}},
        {"decide": {"enabled": True}},
        {"events": {"enabled": True}},
        EVERYTHING | {"decide": {"enabled": True}},
        EVERYTHING | {"settings": EVERYTHING["settings"] | {"source": {"poll_ms": 200}}},
        EVERYTHING | {"settings": EVERYTHING["settings"] | {"frauddetector": {"folder": "/etc/fraud-detector"}}},
    )
    passed = []
    for values in wrong:
        try:
            render("dev", values)
        except helm.HelmError:
            continue
        passed.append(f"chart: values {json.dumps(values)} are accepted")
    return passed


@cache  # the validator reads its schemas again for each object, and most objects are as they were before a fault
def _problem(text: str, custom_kinds: str) -> str | None:
    document, custom = json.loads(text), json.loads(custom_kinds)
    try:
        kind = f"{document['apiVersion']}/{document['kind']}"
        if kind in custom["kinds"]:
            schema = {"$ref": f"#/kinds/{kind.replace('/', '~1')}", **custom}
            jsonschema.Draft202012Validator(schema).validate(document)
            for pod in _pod_templates(document):
                kubernetes_validate.validate(pod, KUBERNETES, strict=True)
        else:
            kubernetes_validate.validate(document, KUBERNETES, strict=True)
    except (jsonschema.ValidationError, kubernetes_validate.ValidationError) as error:
        place = "/".join(str(part) for part in getattr(error, "absolute_path", ()))
        return f"{place}: {str(error).splitlines()[0]}"
    except kubernetes_validate.SchemaNotFoundError:
        return "no schema knows this kind"
    return None


def _pod_templates(document: dict[str, Any]) -> list[dict[str, Any]]:
    """A custom kind's pod templates as pods, which the validator knows."""
    specs = (document["spec"].get(name) for name in ("driverSpec", "executorSpec"))
    templates = [spec["podTemplateSpec"] for spec in specs if spec]
    return [
        {"apiVersion": "v1", "kind": "Pod", "metadata": each["metadata"], "spec": each["spec"]} for each in templates
    ]
