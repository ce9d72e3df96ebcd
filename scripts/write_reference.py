"""Writes the generated reference pages from the code they describe: `python scripts/write_reference.py`.

A test fails when a page is not current.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from adapters.policy_source import LocalFiles, read_bundle
from fraud.features import FEATURE_FIELDS
from fraud.features.reference import features_page
from fraud.label import LABEL_JSON_SCHEMA
from fraud.metrics import REGISTRY
from fraud.policy.compiled import CompiledPolicy
from fraud.policy.compiler import compile_policy
from fraud.policy.reference import rules_page
from fraud.rules.fields import fields_of
from fraud.settings import Settings
from fraud.transaction import TRANSACTION_JSON_SCHEMA

DOCS = Path(__file__).parent.parent / "docs"


def settings_page() -> str:
    """Every setting with type, default and meaning."""
    lines = [
        "# Settings",
        "",
        "Generated from `fraud/settings.py`. A value comes from `config/config.yaml` (or `--config FILE`), then the",
        "environment (`FRAUD_JOB__TRIGGER_MS=200`), then a flag (`--set job.trigger_ms=200`); the later wins. Unknown",
        "keys are refused. `fraud settings` prints what is in force.",
    ]
    for name, section in Settings.model_fields.items():
        group = section.annotation
        assert isinstance(group, type)
        assert issubclass(group, BaseModel)
        lines += ["", f"## {name}", "", (group.__doc__ or "").strip(), "", "| setting | type | default | meaning |"]
        lines += ["|---|---|---|---|", *_rows(group, name)]
    return "\n".join(lines) + "\n"


def _rows(group: type[BaseModel], prefix: str) -> Iterator[str]:
    properties: dict[str, Any] = group.model_json_schema()["properties"]
    for key, field in group.model_fields.items():
        default = "" if field.default is PydanticUndefined else f"`{json.dumps(field.default, default=str)}`"
        meaning = (field.description or "").replace("\n", " ").replace("|", "\\|")
        yield f"| `{prefix}.{key}` | {_type(properties[key])} | {default} | {meaning} |"


def _type(schema: dict[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_type(option) for option in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    bounds = [
        f"{sign} {schema[word]}"
        for word, sign in (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"), ("exclusiveMaximum", "<"))
        if word in schema
    ]
    return " ".join([str(schema.get("type", "object")), *bounds])


def metrics_page() -> str:
    """Every metric with kind, labels and meaning."""
    lines = ["# Metrics", "", "Generated from `fraud/metrics.py`.", "", "| metric | kind | labels | meaning |"]
    lines.append("|---|---|---|---|")
    for metric in REGISTRY:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        lines.append(f"| `{metric.name}` | {metric.kind} | {labels} | {metric.meaning} |")
    return "\n".join(lines) + "\n"


def shipped_policy() -> CompiledPolicy:
    """The policy in `config/`."""
    bundle = read_bundle(LocalFiles(str(DOCS.parent / "config" / "policy.yaml")))
    return compile_policy(bundle, fields_of(FEATURE_FIELDS))


def pages() -> dict[Path, str]:
    """Every generated page and its content."""
    return {
        DOCS / "reference" / "settings.md": settings_page(),
        DOCS / "reference" / "metrics.md": metrics_page(),
        DOCS / "reference" / "features.md": features_page(),
        DOCS / "reference" / "rules.md": rules_page(shipped_policy()),
        DOCS / "schemas" / "transaction-1.json": json.dumps(TRANSACTION_JSON_SCHEMA, indent=2) + "\n",
        DOCS / "schemas" / "label-1.json": json.dumps(LABEL_JSON_SCHEMA, indent=2) + "\n",
    }


def main() -> None:
    """Writes the pages, or with `--check` names those that are not current and exits with 1."""
    stale = [page for page, content in pages().items() if not page.exists() or page.read_text() != content]
    if "--check" in sys.argv[1:]:
        for page in stale:
            print(f"{page} is not current: run python scripts/write_reference.py", file=sys.stderr)
        sys.exit(bool(stale))
    for page in stale:
        page.write_text(pages()[page])
        print(f"wrote {page}")


if __name__ == "__main__":
    main()
