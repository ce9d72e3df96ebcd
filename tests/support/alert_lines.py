"""Another receiver of alerts, whole: one file of JSON lines in a folder (docs/extend.md)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from adapters.alerts.alert import Item
from fraud.errors import MisconfiguredError


class AlertLines:
    """See `adapters.alerts.receiver.AlertReceiver`. For one writer at a time.

    Args:
        folder: where `alerts.jsonl` is written.
    """

    name = "lines"

    def __init__(self, folder: Path) -> None:
        self._file = folder / "alerts.jsonl"

    def require_writable(self) -> None:
        try:
            self._file.open("a").close()
        except OSError as error:
            raise MisconfiguredError("alerts.folder", f"{self._file}: {error.strerror}") from None

    def put_new(self, items: Sequence[Item]) -> list[bool]:
        known, new = {item["alert_id"] for item in self.read()}, []
        with self._file.open("a") as out:
            for item in items:
                new.append(item["alert_id"] not in known)
                if new[-1]:
                    known.add(item["alert_id"])
                    out.write(json.dumps(item) + "\n")
        return new

    def take_retries(self) -> int:
        return 0

    def read(self) -> list[Item]:
        """What was written."""
        return [json.loads(line) for line in self._file.read_text().splitlines()] if self._file.exists() else []
