"""A policy with some of its rules replaced: the candidate of a backtest."""

from __future__ import annotations

from typing import Any

import yaml

from fraud.policy.bundle import ROOT, PolicyBundle
from fraud.policy.compiler import PolicyError

_TRIED = ("draft", "shadow")


def amend(bundle: PolicyBundle, rules: str) -> PolicyBundle:
    """Adds a file of rules to a policy; a rule or velocity limit replaces the one of the same id.

    Drafts and shadow rules of the file come in as live: that is what is being tried. Retired ones stay retired, so a
    file can also try what leaving a rule out would do.

    Args:
        bundle: a policy that compiles.
        rules: YAML of the file, as a rule file of a policy.

    Raises:
        PolicyError: the file is not YAML of that shape.
    """
    try:
        added = yaml.safe_load(rules) or {}
    except yaml.YAMLError as error:
        raise PolicyError([f"not YAML: {' '.join(str(error).split())}"]) from None
    if not isinstance(added, dict) or set(added) - {"rules", "velocity"}:
        raise PolicyError(["a rule file has the keys rules and velocity only"])
    replaced = {entry.get("id") for entry in _entries(added) if isinstance(entry, dict)}
    files = {name: yaml.safe_load(text) for name, text in bundle.files.items() if name.endswith((".yaml", ".yml"))}
    amended = {name: yaml.safe_dump(_without(document, replaced), sort_keys=False) for name, document in files.items()}
    root = yaml.safe_load(amended[ROOT])
    for kind in ("rules", "velocity"):
        root[kind] = [*(root.get(kind) or []), *(_as_live(entry) for entry in added.get(kind) or [])]
    return PolicyBundle({**bundle.files, **amended, ROOT: yaml.safe_dump(root, sort_keys=False)})


def _entries(document: dict[str, Any]) -> list[Any]:
    return [*(document.get("rules") or []), *(document.get("velocity") or [])]


def _without(document: dict[str, Any], ids: set[Any]) -> dict[str, Any]:
    kept = dict(document or {})
    for kind in ("rules", "velocity"):
        if kind in kept:
            kept[kind] = [entry for entry in kept[kind] or [] if entry["id"] not in ids]
    return kept


def _as_live(entry: Any) -> Any:
    if isinstance(entry, dict) and entry.get("state") in _TRIED:
        return entry | {"state": "live"}
    return entry
