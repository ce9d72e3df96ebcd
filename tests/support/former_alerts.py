"""Alerts as versions wrote them whose `alert_id` was not yet the decision key."""

from __future__ import annotations

import json
from pathlib import Path

from adapters.alerts.alert import Item, former_id, shard_of, subject_of

RECORDED: Item = json.loads((Path(__file__).parents[1] / "fixtures" / "former_alert.json").read_text())
"""One that such a version made, of the plain transaction and verdict of `tests.support.records`."""


def former(item: Item) -> Item:
    """The same alert in its former form: the id differs, and what the indexes spread by it."""
    identifier = former_id(subject_of(item))
    shards = {name: f"{item[name].rsplit('#', 1)[0]}#{shard_of(identifier)}" for name in ("status_shard", "day_shard")}
    return item | {"alert_id": identifier} | shards
