"""Puts cards and devices on lists by labels that other programs wrote, as the job stores them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from itertools import islice

import msgspec
import structlog

from adapters.archive.archive import Archive
from adapters.archive.layout import ArchiveKind, query_of_key
from adapters.objects.store import ObjectStore
from fraud.decision.key import Subject
from fraud.records.label import Label, parse_label
from fraud.records.schema import milliseconds_of
from operations.confirmed import ConfirmedFraud

log = structlog.get_logger()

_LOOK_BACK = 256
"""Partitions of a batch finish in any order; so keys are listed again from this many before the last one seen."""

_AT_ONCE = 200
"""Tables of one turn."""


class _Place(msgspec.Struct):
    """How far a query's labels were taken: where the first look began, and the last tables that were seen."""

    begin: str
    seen: list[str] = []


class LabelFollower:
    """Takes each label that the job stores. Labels that were taken before, by whoever wrote them, change nothing again.

    Args:
        archive: is followed, from the hour of the first turn on.
        query: the job's, whose labels count.
        confirmed: takes them.
        device_of: device of a payment, by its decision key; None where it is not known.
        store: keeps how far it is, so that a start goes on from there.
        clock: aware UTC time.
    """

    def __init__(
        self,
        archive: Archive,
        query: str,
        confirmed: ConfirmedFraud,
        device_of: Callable[[str], str | None],
        store: ObjectStore,
        clock: Callable[[], dt.datetime],
    ) -> None:
        self._archive = archive
        self._query = query
        self._confirmed = confirmed
        self._device_of = device_of
        self._store = store
        self._clock = clock
        self._note = f"confirmed-fraud/{query}.json"

    def turn(self) -> int:
        """Takes what is new; gives how many payments had a label. A turn that is repeated changes no more than once.

        Raises:
            FraudError: a store cannot be read or written.
        """
        if not self._confirmed.wanted:
            return 0
        place = self._place()
        new = self._new(place)
        if not new:
            return 0
        last: dict[str, tuple[int, Label]] = {}
        for key in new:
            rows = self._archive.read_table(key, ("arrival_ms", "raw")).to_pylist()
            for row in rows:
                label = _read(row["raw"], key)
                if label is not None:
                    last[_key_of(label)] = (row["arrival_ms"], label)
        for key, (arrival_ms, label) in last.items():
            self._confirmed.take(label, self._device_of(key), arrival_ms)
        place.seen = sorted([*place.seen, *new])[-_LOOK_BACK:]
        self._store.put(self._note, msgspec.json.encode(place))
        return len(last)

    def _new(self, place: _Place) -> list[str]:
        after = place.seen[0] if len(place.seen) >= _LOOK_BACK else place.begin
        known = set(place.seen)
        keys = self._archive.keys(ArchiveKind.LABELS.prefix, after)
        return list(islice((key for key in keys if key not in known and query_of_key(key) == self._query), _AT_ONCE))

    def _place(self) -> _Place:
        stored = self._store.get(self._note)
        if stored is not None:
            return msgspec.json.decode(stored.data, type=_Place)
        place = _Place(f"{ArchiveKind.LABELS.prefix}date={self._clock():%Y-%m-%d}/hour={self._clock():%H}/")
        self._store.put_new(self._note, msgspec.json.encode(place))
        return place


def _key_of(label: Label) -> str:
    return Subject(label.card_token, label.transaction_id, milliseconds_of(label.transaction_time)).key


def _read(raw: bytes, key: str) -> Label | None:
    try:
        return parse_label(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        log.warning("label_changes_no_list", table=key, problem=str(error))
        return None
