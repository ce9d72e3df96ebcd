"""Writes the generated reference pages from the code they describe: `python -m scripts.write_reference`.

A test fails when a page is not current.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from adapters.policy.source import policy_files, read_bundle
from adapters.program.metrics import REGISTRY
from fraud.decision.policy.compiled import CompiledPolicy
from fraud.decision.policy.compiler import compile_policy
from fraud.decision.rules.fields import fields_of
from fraud.events.event import EVENT_JSON_SCHEMA
from fraud.features import CATALOGUE
from fraud.records.label import LABEL_JSON_SCHEMA
from fraud.records.transaction import TRANSACTION_JSON_SCHEMA
from fraud.settings import Aws, Settings
from scripts.reference.command_line import command_line_page
from scripts.reference.features import features_page
from scripts.reference.rules import rules_page

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
        default = "" if field.default is PydanticUndefined else f"`{json.dumps(field.default, default=_plain)}`"
        meaning = (field.description or "").replace("\n", " ").replace("|", "\\|")
        yield f"| `{prefix}.{key}` | {_type(properties[key])} | {default} | {meaning} |"
        for each in get_args(field.annotation):
            if isinstance(each, type) and issubclass(each, BaseModel):
                yield from _rows(each, f"{prefix}.{key}.NAME")


def _plain(value: Any) -> Any:
    return value.model_dump(exclude_none=True) if isinstance(value, BaseModel) else str(value)


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
    lines = [
        "# Metrics",
        "",
        "Generated from `adapters/program/metrics.py`.",
        "",
        "| metric | kind | labels | meaning |",
    ]
    lines.append("|---|---|---|---|")
    for metric in REGISTRY:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        lines.append(f"| `{metric.name}` | {metric.kind} | {labels} | {metric.meaning} |")
    return "\n".join(lines) + "\n"


def shipped_policy() -> CompiledPolicy:
    """The policy in `config/`."""
    bundle = read_bundle(policy_files(str(DOCS.parent / "config" / "policy.yaml"), Aws()))
    return compile_policy(bundle, fields_of(CATALOGUE))


def pages() -> dict[Path, str]:
    """Every generated page and its content."""
    return {
        DOCS / "reference" / "cli.md": command_line_page(),
        DOCS / "reference" / "settings.md": settings_page(),
        DOCS / "reference" / "metrics.md": metrics_page(),
        DOCS / "reference" / "features.md": features_page(),
        DOCS / "reference" / "rules.md": rules_page(shipped_policy()),
        DOCS / "schemas" / "transaction-1.json": json.dumps(TRANSACTION_JSON_SCHEMA, indent=2) + "\n",
        DOCS / "schemas" / "label-1.json": json.dumps(LABEL_JSON_SCHEMA, indent=2) + "\n",
        DOCS / "schemas" / "event-1.json": json.dumps(EVENT_JSON_SCHEMA, indent=2) + "\n",
    }


def main() -> None:
    """Writes the pages, or with `--check` names those that are not current and exits with 1."""
    stale = [page for page, content in pages().items() if not page.exists() or page.read_text() != content]
    if "--check" in sys.argv[1:]:
        for page in stale:
            print(f"{page} is not current: run python -m scripts.write_reference", file=sys.stderr)
        sys.exit(bool(stale))
    for page in stale:
        page.write_text(pages()[page])
        print(f"wrote {page}")


if __name__ == "__main__":
    main()
