"""Policies of tests, as files."""

from __future__ import annotations

from pathlib import Path

import yaml

from fraud.settings import Policy


def write_policy(file: Path, limit_minor: int) -> Policy:
    """Writes a policy that asks for review above an amount."""
    rule = {
        "id": "large",
        "description": "A large amount.",
        "when": f"amount_minor > {limit_minor}",
        "outcome": "review",
        "severity": 10,
        "reason": "LARGE",
        "text": "a large amount",
        "owner": "tests",
    }
    file.write_text(yaml.safe_dump({"thresholds": {}, "rules": [rule]}))
    return Policy(path=str(file))
