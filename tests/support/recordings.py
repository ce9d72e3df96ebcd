"""Recordings in tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from adapters.recordings.mapping import load_mapping
from adapters.recordings.reading import Recorded, RecordingReader


def read_recording(
    file: Path, mapping: str | Path, rows: int | None = None, batch_rows: int = 50_000
) -> list[Recorded]:
    """All stretches of a recording, amounts billed in EUR."""
    return list(RecordingReader(file, load_mapping(str(mapping)), "EUR").read(rows, batch_rows))


CONSTANTS = {
    "transaction_type": "purchase",
    "authorisation_result": "approved",
    "response_code": "00",
    "bin": "411111",
    "issuer_country": "BE",
    "mcc": "5999",
    "merchant_country": "BE",
    "currency": "EUR",
    "channel": "pos",
    "entry_mode": "chip",
    "initiation": "cardholder",
}
"""What a short recording does not have."""


def mapping_of(folder: Path, mapping: dict[str, Any]) -> Path:
    """A mapping's file; `CONSTANTS` unless it has constants of its own."""
    file = folder / "mapping.yaml"
    file.write_text(yaml.safe_dump({"constants": CONSTANTS} | mapping))
    return file
