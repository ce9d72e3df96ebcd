"""Renders the chart to JSON on standard output: `python -m infrastructure.checks.render_chart dev`.

A program of its own, because Helm's library lives in the environment of the checks (`.venv-infra`), not in the
product's.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import helm_python as helm

from infrastructure.checks import strict_yaml

CHART = Path(__file__).parents[1] / "helm" / "fraud"
IMAGES = {"images": {"registry": "123456789012.dkr.ecr.eu-central-1.amazonaws.com/fraud-dev", "tag": "0123abc"}}


def render(environment: str, extra: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """Every object that an installation of an environment creates.

    Args:
        environment: of `values-ENVIRONMENT.yaml`.
        extra: values that win over the environment's.
    """
    values = strict_yaml.load((CHART / f"values-{environment}.yaml").read_text()) | IMAGES
    for section, content in (extra or {}).items():
        values[section] = values.get(section, {}) | content
    with helm.Chart.load(str(CHART)) as chart:
        chart.validate_schema(values)
        rendered = chart.render(values, name="fraud", namespace="fraud")
    documents = (document for text in rendered.values() for document in strict_yaml.load_all(text))
    return [document for document in documents if document]


if __name__ == "__main__":
    json.dump(render(sys.argv[1], json.loads(sys.argv[2]) if len(sys.argv) > 2 else None), sys.stdout)
