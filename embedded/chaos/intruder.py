"""Mixes hostile inputs into a run, and says afterwards whether each became what its row says."""

from __future__ import annotations

import contextlib
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from pathlib import Path
from typing import Any

import pyarrow as pa

from adapters.archive.layout import ArchiveKind
from adapters.aws.stream_writer import KinesisWriter, StreamRecord
from adapters.policy.source import policy_files, read_bundle
from embedded.chaos.comparison import Difference
from embedded.chaos.hostile import POLICIES, RECORDS, HostileRecord
from embedded.chaos.oracle import RecordId, record_ids
from fraud.decision.policy.bundle import ROOT
from fraud.errors import FatalError
from fraud.settings import Settings

_MARK = "hostile-"


class Intruder:
    """Sends every hostile record and label, each with a card of its own, and edits the policy in the background.

    Args:
        settings: of the run; streams and policy are its own.
        note: takes each step in words.
        stands_s: how long an edit of the policy stands: longer than the job waits between two looks.

    Attributes:
        counts: inputs mixed in so far, by name.
        policies: versions of the policy that were in force.
    """

    def __init__(self, settings: Settings, note: Callable[[str], None], stands_s: float = 4.0) -> None:
        self._settings = settings
        self._note = note
        self._stands_s = stands_s
        self._transactions = KinesisWriter(settings.streams.transactions, settings.aws)
        self._labels = KinesisWriter(settings.streams.labels, settings.aws)
        self._sent: dict[bytes, HostileRecord] = {}
        self._number = 0
        self.policies: set[str] = set()
        self.counts: Counter[str] = Counter()

    def send(self, seen: Iterable[bytes]) -> None:
        """Sends one of each.

        Args:
            seen: records on the stream of transactions; the last good one lends its times and all that is not changed.
        """
        template = _last_good(seen)
        records: dict[bool, list[StreamRecord]] = {False: [], True: []}
        for row in RECORDS:
            self._number += 1
            data = row.make(template | dict.fromkeys(("transaction_id", "card_token"), f"{_MARK}{self._number}"))
            self._sent[data] = row
            self.counts[row.name] += 1
            records[row.is_label].append(StreamRecord(str(self._number), data))
        self._transactions.write(records[False])
        self._labels.write(records[True])
        self._note(f"sent {len(RECORDS)} hostile records and labels")

    @contextlib.contextmanager
    def editing(self) -> Iterator[None]:
        """Edits the policy, again and again, for as long as the context lasts; afterwards it is as before.

        Raises:
            FatalError: an edit failed, so that nothing was proven.
        """
        stopping, failures = threading.Event(), list[Exception]()
        file = Path(self._settings.policy.path)
        before = {ROOT: file.read_text()}
        self.policies.add(self._version())

        def edit() -> None:
            try:
                while not stopping.is_set():
                    self._edit_once(file.parent, before, stopping)
            except Exception as error:
                failures.append(error)

        thread = threading.Thread(target=edit, name="policy-editor", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stopping.set()
            thread.join()
            _write(file, before[ROOT].encode())
        if failures:
            raise FatalError(f"the policy could not be edited: {failures[0]}")

    def _edit_once(self, folder: Path, before: Mapping[str, str], stopping: threading.Event) -> None:
        for row in POLICIES:
            for name, data in row.edit(before).items():
                _write(folder / name, data)
            if row.accepted:
                self.policies.add(self._version())
            self.counts[f"policy: {row.name}"] += 1
            if stopping.wait(self._stands_s):
                return

    def _version(self) -> str:
        return read_bundle(policy_files(self._settings.policy.path, self._settings.aws)).version

    def compare(self, records: pa.Table, stored: Mapping[ArchiveKind, pa.Table]) -> Difference:
        """See `compare_hostile`."""
        return compare_hostile(self._sent, self.policies, records, stored)


def compare_hostile(
    sent: Mapping[bytes, HostileRecord], policies: Set[str], records: pa.Table, stored: Mapping[ArchiveKind, pa.Table]
) -> Difference:
    """Whether each input became what its row says.

    Args:
        sent: hostile records and labels by their bytes.
        policies: versions that were in force.
        records: everything on the streams.
        stored: everything in the archive.
    """
    found: dict[RecordId, ArchiveKind] = {}
    for kind, table in stored.items():
        found |= dict.fromkeys(record_ids(table), kind)
    difference = Difference()
    for place, data in zip(record_ids(records), records["data"].to_pylist(), strict=True):
        row = sent.get(data)
        if row is None:
            continue
        difference.expected += 1
        kind_of = found.get(place)
        if kind_of is None:
            difference.lost += 1
            difference.note(f"{row.name}: lost")
        elif kind_of is not row.ends_in:
            difference.different += 1
            difference.note(f"{row.name}: in {kind_of.value}, expected in {row.ends_in.value}")
    for version in set(stored[ArchiveKind.DECISIONS]["policy_version"].to_pylist()) - policies:
        difference.different += 1
        difference.note(f"policy {version} decided, and no edit made it")
    return difference


def _last_good(seen: Iterable[bytes]) -> dict[str, Any]:
    for data in reversed(list(seen)):
        with contextlib.suppress(ValueError):
            fields = json.loads(data)
            if isinstance(fields, dict) and "event_time" in fields and not str(fields["card_token"]).startswith(_MARK):
                return fields
    raise FatalError("no good transaction is on the stream yet")


def _write(file: Path, data: bytes | None) -> None:
    """Replaces a file at once, so that nobody reads half of it; None deletes it."""
    if data is None:
        file.unlink(missing_ok=True)
        return
    new = file.with_name(f"{file.name}.new")
    new.write_bytes(data)
    new.replace(file)
