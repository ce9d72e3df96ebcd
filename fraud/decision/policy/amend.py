"""A policy with some of its rules replaced: the candidate of a backtest."""

from __future__ import annotations

from typing import Any

import yaml

from fraud.decision.policy.bundle import ROOT, PolicyBundle
from fraud.decision.policy.compiled import PolicyError
from fraud.documents import DocumentError, parse_yaml

_TRIED = ("draft", "shadow")
_KINDS = ("rules", "velocity")


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
        added = parse_yaml("rules", rules) or {}
    except DocumentError as error:
        raise PolicyError(error.faults) from None
    if not isinstance(added, dict) or set(added) - set(_KINDS):
        raise PolicyError(["a rule file has the keys rules and velocity only"])
    if not all(isinstance(added.get(kind) or [], list) for kind in _KINDS):
        raise PolicyError(["rules and velocity are lists"])
    replaced = [entry.get("id") for entry in _entries(added) if isinstance(entry, dict)]
    files = {name: parse_yaml(name, text) for name, text in bundle.files.items() if name.endswith((".yaml", ".yml"))}
    kept = {name: _without(document, replaced) for name, document in files.items()}
    root = kept[ROOT]
    for kind in _KINDS:
        root[kind] = [*(root.get(kind) or []), *(_as_live(entry) for entry in added.get(kind) or [])]
    amended = {name: yaml.safe_dump(document, sort_keys=False) for name, document in kept.items()}
    return bundle.with_files(amended)


def _entries(document: dict[str, Any]) -> list[Any]:
    return [*(document.get("rules") or []), *(document.get("velocity") or [])]


def _without(document: dict[str, Any], ids: list[Any]) -> dict[str, Any]:
    kept = dict(document or {})
    for kind in _KINDS:
        if kind in kept:
            kept[kind] = [entry for entry in kept[kind] or [] if entry["id"] not in ids]
    return kept


def _as_live(entry: Any) -> Any:
    if isinstance(entry, dict) and entry.get("state") in _TRIED:
        return entry | {"state": "live"}
    return entry
