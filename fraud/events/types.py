"""The types of events; apart from their shapes, so that settings are read without Arrow."""

from __future__ import annotations

from typing import Literal

EventType = Literal[
    "fraud.decision.made",
    "fraud.alert.opened",
    "fraud.alert.changed",
    "fraud.disposition.given",
    "fraud.list.changed",
    "fraud.policy.changed",
    "fraud.receiver.tested",
]
"""Every type of event."""
