"""Refused records in the archive: listed, shown and replayed by command, and marked once they are done."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml
from typer.testing import CliRunner

from adapters.archive.archive import open_archive
from adapters.archive.layout import ArchiveKind
from cli.dead_letters import app
from embedded.chaos.oracle import read_stream
from fraud.errors import MisconfiguredError
from fraud.records import decode
from fraud.records.intake import decode_records
from fraud.settings import Archive as ArchiveSettings
from fraud.settings import Settings
from operations.dead_letters import DeadLetterStore
from tests.support.emulators import provisioned
from tests.support.records import stream_records, transaction, wire

NOON_MS = 1_768_478_400_000
NEWER = json.dumps({"schema_version": 2}).encode()


@pytest.fixture(scope="module")
def emulator() -> Iterator[Settings]:
    with provisioned() as located:
        yield located


@pytest.fixture
def settings(emulator: Settings, request: pytest.FixtureRequest) -> Settings:
    """An archive of the test's own with five dead letters: two of noon, three of the next day."""
    ours = emulator.model_copy(update={"archive": ArchiveSettings(prefix=f"{request.node.name}/")})
    card_number = wire(transaction(card_token="4111111111111111"))
    for batch, data in enumerate([[b"not json", card_number], [NEWER, NEWER + b" ", b"[1"]]):
        records = stream_records(data, shard=f"shard-{batch}")
        _, refused = decode_records(decode.TRANSACTIONS, records)
        key = ArchiveKind.DEAD_LETTERS.key("fraud", batch, 0, NOON_MS + 86_400_000 * batch)
        open_archive(ours.archive, ours.aws).put_table_once(key, pa.Table.from_batches([refused]))
    return ours


class Command:
    """The command on an archive."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._file = folder / "settings.yaml"
        self._file.write_text(yaml.safe_dump(settings.model_dump()))
        self._json = folder / "figures.json"

    def __call__(self, *arguments: str) -> str:
        done = CliRunner().invoke(app, [*arguments, "--config", str(self._file)], catch_exceptions=False)
        assert done.exit_code == 0
        return done.output

    def figures(self, *arguments: str) -> dict[str, Any]:
        self(*arguments, "--json", str(self._json))
        found: dict[str, Any] = json.loads(self._json.read_text())
        return found


@pytest.fixture
def command(settings: Settings, tmp_path: Path) -> Command:
    return Command(settings, tmp_path)


def put_since(settings: Settings, before: int) -> list[bytes]:
    found: list[bytes] = read_stream(settings, settings.streams.transactions)["data"].to_pylist()
    return sorted(found[before:])


def test_letters_are_listed_counted_and_chosen_by_reason_and_day(command: Command) -> None:
    listed = command("list", "--limit", "2")
    assert listed.count("\nfraud-transactions/") + listed.startswith("fraud-transactions/") == 2
    assert "... and 3 more (--limit)" in listed
    counts = "5 dead letters, card_number 1, undecodable 2, unsupported_version 2; 0 of them replayed"
    assert counts in listed
    assert command.figures("list", "--since", "2026-01-16")["dead_letters"] == 3
    assert command.figures("list", "--since", "2026-01-17")["dead_letters"] == 0
    assert command.figures("list", "--reason", "undecodable", "--since", "2026-01-15")["dead_letters"] == 2


def test_a_letter_is_shown_with_its_place_reason_and_bytes_but_no_card_number(
    command: Command, settings: Settings
) -> None:
    dead_letter = next(DeadLetterStore(open_archive(settings.archive, settings.aws), settings.aws).find("card_number"))
    shown = command("show", dead_letter.id)
    assert shown.startswith(f"{dead_letter.id}  card_number card_token: ")
    assert "arrived: 2026-" in shown
    assert "replayable: no, a card number was redacted" in shown
    assert "[card:" in shown
    assert "4111111111111111" not in shown
    with pytest.raises(MisconfiguredError, match="no such dead letter"):
        DeadLetterStore(open_archive(settings.archive, settings.aws), settings.aws).get(
            "fraud-transactions/shard-0/1/0"
        )


def test_a_replay_puts_the_bytes_back_once_and_marks_them_done(command: Command, settings: Settings) -> None:
    before = read_stream(settings, settings.streams.transactions).num_rows
    assert command.figures("replay", "--reason", "unsupported_version") == {"replayed": 2, "left_alone": 0}
    assert put_since(settings, before) == [NEWER, NEWER + b" "]
    assert command.figures("replay", "--reason", "unsupported_version") == {"replayed": 0, "left_alone": 2}
    assert "(replayed)" in command("list", "--reason", "unsupported_version")
    assert command.figures("list")["replayed"] == 2
    ids = [
        dead_letter.id
        for dead_letter in DeadLetterStore(open_archive(settings.archive, settings.aws), settings.aws).find(
            since=dt.date(2026, 1, 15)
        )
    ]
    assert command.figures("replay", *ids) == {"replayed": 2, "left_alone": 3}
    assert len(put_since(settings, before)) == 4


def test_a_replay_without_a_choice_replays_nothing(command: Command) -> None:
    with pytest.raises(MisconfiguredError, match="name ids, or give --reason"):
        command("replay")
