"""Checks the chart: it renders for each environment, and what it renders is what Kubernetes accepts, strictly.

The schemas of the custom kinds in `custom_kinds.json` are our own and cover the fields that the chart uses, after the
definitions that Apache's Spark operator and the Prometheus operator publish; no validator at hand brings them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import helm_python as helm
import jsonschema
import kubernetes_validate

from infrastructure.checks.render_chart import render

KUBERNETES = "1.34"
ENVIRONMENTS = ("dev", "prod")
CUSTOM_KINDS = Path(__file__).with_name("custom_kinds.json")


def run() -> list[str]:
    """Problems found, each with its environment and object; empty when the chart is sound."""
    problems = [problem for environment in ENVIRONMENTS for problem in check_environment(environment)]
    return problems + check_refusals()


def check_environment(environment: str) -> list[str]:
    """Problems of one environment."""
    try:
        objects = render(environment)
    except helm.HelmError as error:
        return [f"chart {environment}: {error}"]
    custom = json.loads(CUSTOM_KINDS.read_text())
    found = []
    for each in objects:
        problem = _problem(each, custom)
        if problem:
            found.append(f"chart {environment}: {each['kind']} {each['metadata']['name']}: {problem}")
    return found


def check_refusals() -> list[str]:
    """Values that must not pass: a schema that lets them through protects nobody."""
    wrong: tuple[dict[str, Any], ...] = (
        {"settings": {"job": {"checkpoint": "/tmp/checkpoint"}}},
        {"producer": {"kind": "DaemonSet"}},
        {"network": {"awsCidr": []}},
    )
    passed = []
    for values in wrong:
        try:
            render("dev", values)
        except helm.HelmError:
            continue
        passed.append(f"chart: values {json.dumps(values)} are accepted")
    return passed


def _problem(document: dict[str, Any], custom: dict[str, Any]) -> str | None:
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
