"""What must hold of a schedule: an oracle that shares no code with the path, and a plain model of everything else."""

from __future__ import annotations

import datetime as dt
import io
import json
import math
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any, NamedTuple

import polars as pl

from embedded.simulation.dynamodb import plain
from embedded.simulation.feature_oracle import Oracle, place_of
from embedded.simulation.schedule import POLICIES, Schedule
from embedded.simulation.verify_upkeep import names, upkeep_problems
from embedded.simulation.workload import Sent
from fraud.decision.policy.bundle import ROOT
from fraud.entities import measured
from fraud.records.notes import Note

DECISIONS, LABELS, DEAD_LETTERS = "decisions", "labels", "dead-letters"
Place = tuple[str, str, int, int]

_AHEAD_MS = 3_600_000
"""The limit of all starts for times ahead of their arrival."""

_DAY_MS = 86_400_000
_SEALED, _ANSWER = b'{"schema_version":2,"transaction":', b',"answer":'
_REPLAYED = "dead-letters-replayed/"
_VERDICTS = {"confirm_fraud": "fraud", "false_positive": "legitimate"}

_RANK = ("approve", "review", "decline")


class Arrived(NamedTuple):
    """A record on a stream."""

    place: Place
    arrival_ms: int
    batch: int
    sent: Sent
    key: str

    @property
    def columns(self) -> dict[str, Any]:
        """Its arrival, as decisions have it."""
        stream, shard, number, sub_sequence = self.place
        return {
            "stream": stream,
            "shard": shard,
            "sequence_number": str(number),
            "sub_sequence": sub_sequence,
            "arrival_ms": self.arrival_ms,
        }

    @property
    def order(self) -> tuple[int, int, str, str, int, int]:
        """Where it comes: by batch, then as it arrived."""
        return (self.batch, self.arrival_ms, *self.place)


class Stored(NamedTuple):
    """A row of an archived object."""

    key: str
    batch: int
    row: dict[str, Any]


def problems_of(schedule: Schedule) -> list[str]:
    """What is wrong, in words; a schedule that did not end has only that."""
    if schedule.problems:
        return schedule.problems
    return list(_Check(schedule).problems())


class _Check:
    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._services = schedule.services
        self._archive = schedule.left.objects
        self._erased = ""
        if schedule.upkeep is not None and schedule.upkeep.erased_early:
            self._erased = schedule.upkeep.card
        self._answers: dict[bytes, dict[str, Any]] = {}
        self._arrived = sorted(self._all_arrived(), key=lambda record: record.order)
        self._stored = dict(self._all_stored())
        self._alert_items = list(plain(schedule.left.alerts.values(), but="features"))
        self._pins = {
            int(key.rsplit("/", 1)[1].removesuffix(".json")): json.loads(data)
            for key, data in self._archive.items()
            if key.startswith("pins/")
        }

    def problems(self) -> Iterator[str]:
        yield from self._fates()
        yield from self._values()
        yield from self._alerts()
        yield from self._order_of_effects()
        yield from self._notes()
        yield from self._order_of_reading()
        yield from self._replays()
        yield from self._dispositions()
        yield from self._given_answers()
        if self._schedule.upkeep is not None:
            yield from upkeep_problems(self._schedule.upkeep, self._services)

    # What there is

    def _offsets(self) -> list[Mapping[str, Any]]:
        checkpoint = self._services.checkpoint
        batches = sorted(checkpoint.numbers("commits"))
        assert batches == list(range(len(batches))), "a batch's commit is missing"
        return [json.loads(checkpoint.offsets(batch)) for batch in batches]

    def _all_arrived(self) -> Iterator[Arrived]:
        offsets = self._offsets()
        for stream in ("transactions", "labels"):
            for shard in self._services.kinesis.shards(stream):
                ends = [_sequence(until, stream, shard.id) for until in offsets]
                for record in shard.records:
                    number = int(record["SequenceNumber"])
                    batch = next(batch for batch, end in enumerate(ends) if end >= number)
                    arrival_ms = round(record["ApproximateArrivalTimestamp"].timestamp() * 1000)
                    sent = self._sent(record["Data"], record["PartitionKey"])
                    yield Arrived((stream, shard.id, number, 0), arrival_ms, batch, sent, record["PartitionKey"])

    def _sent(self, data: bytes, key: str) -> Sent:
        """What is known of a record; one with an answer has the time at which it was received."""
        if data in self._schedule.sent:
            return self._schedule.sent[data]
        assert self._schedule.decisions is not None, f"nobody sent {data[:60]!r}"
        asked = self._schedule.decisions.asked[data[len(_SEALED) : data.index(_ANSWER)]]
        answer = self._answers[data] = json.loads(data)["answer"]
        assert asked.fields is not None, f"{data[:60]!r} has an answer and was to be refused"
        received = dt.datetime.fromtimestamp(answer["received_ms"] / 1000, dt.UTC)
        return Sent(asked.stream, key, data, asked.fields | {"recorded_arrival": received})

    def _all_stored(self) -> Iterator[tuple[str, list[Stored]]]:
        # By another reader than the writer's library, which also takes a quarter of the time; all objects at once, as
        # each of its runs costs more than the few rows of an object.
        kinds = DECISIONS, LABELS, DEAD_LETTERS
        keys = [key for key in self._archive if key.partition("/")[0] in kinds]
        tables = pl.collect_all([pl.scan_parquet(io.BytesIO(self._archive[key])) for key in keys])
        for kind in kinds:
            rows = []
            for key, table in zip(keys, tables, strict=True):
                if key.startswith(f"{kind}/"):
                    batch = int(key.rsplit("-", 2)[1])
                    rows += [Stored(key, batch, row) for row in table.to_dicts()]
            yield kind, rows

    def _is_erased(self, record: Arrived) -> bool:
        """Whether a record bears the card that was erased while the job went on with others of it."""
        return bool(self._erased) and names(record.sent.data, self._erased)

    # What must hold

    def _fates(self) -> Iterator[str]:
        """Every record has one fate, in the batch that read it."""
        batch_of = {record.place: record.batch for record in self._arrived}
        erased = {record.place for record in self._arrived if self._is_erased(record)}
        for data in sorted(self._schedule.sent.keys() - {record.sent.data for record in self._arrived}):
            # A label that waits at its alert is erased with it.
            if not (self._erased and names(data, self._erased) and b'"disposition"' in data):
                yield f"{data[:60]!r} was sent and is not on its stream"
        found: dict[Place, list[str]] = defaultdict(list)
        for kind, rows in self._stored.items():
            for stored in rows:
                place = _place(stored.row)
                found[place].append(kind)
                if place not in batch_of:
                    yield f"{kind} {_named(place)} is on no stream"
                elif stored.batch != batch_of[place]:
                    yield f"{kind} {_named(place)} stored by batch {stored.batch}, read by {batch_of[place]}"
        for place in batch_of:
            kinds = found.get(place, [])
            if len(kinds) != 1 and not (not kinds and place in erased):
                yield f"{_named(place)} has the fates {kinds}" if kinds else f"{_named(place)} is lost"

    def _values(self) -> Iterator[str]:
        """Every fate and value is what the oracle computes."""
        stored = {kind: {_place(one.row): one for one in rows} for kind, rows in self._stored.items()}
        groups = self._schedule.settings.job.key_groups
        oracle = Oracle(
            measured(self._schedule.settings.job), group_of=lambda row: zlib.crc32(row["merchant_id"].encode()) % groups
        )
        self.alerted: dict[tuple[str, str, int], dict[str, Any]] = {}
        labels = _Labels(oracle)
        for batch, records in groupby(self._arrived, key=lambda record: record.batch):
            for record in records:
                yield from self._value(record, oracle, stored)
            wanted, said = labels.of_batch(), self._services.noticed[batch]
            found = {"wait": said[Note.LABEL_UNMATCHED], "settled": said[Note.LABEL_MATCHED] + said[Note.LABEL_PAST]}
            if found != wanted:
                yield f"batch {batch} reports of labels {found}, expected {wanted}"

    def _value(self, record: Arrived, oracle: Oracle, stored: Mapping[str, Mapping[Place, Stored]]) -> Iterator[str]:
        fields, reason = record.sent.fields, record.sent.reason
        row = None if fields is None else fields | record.columns
        values = None
        if row is not None and record.place[0] == "labels":
            oracle.label(row)
            yield from _compare_fate(LABELS, record, stored)
            return
        if row is not None:
            reason = self._untimely(record, row)
            if not reason:
                values = oracle.transaction(row)
                reason = "" if values is not None else self._repeats(record, stored)
        if reason:
            yield from _compare_fate(DEAD_LETTERS, record, stored)
            dead = stored[DEAD_LETTERS].get(record.place)
            if dead is not None and dead.row["reason"] != reason:
                yield f"{_named(record.place)} refused as {dead.row['reason']}, expected {reason}"
            return
        assert row is not None
        assert values is not None
        yield from _compare_fate(DECISIONS, record, stored)
        if record.place in stored[DECISIONS]:
            yield from self._compare_decision(record, row, values, stored[DECISIONS][record.place].row)

    def _untimely(self, record: Arrived, row: dict[str, Any]) -> str:
        """Whether a transaction is refused by the limits that its batch is pinned to; an answer, that it comes late."""
        if (answer := self._answers.get(record.sent.data)) is not None:
            return "untimely_answer" if abs(record.arrival_ms - answer["received_ms"]) > _DAY_MS else ""
        pin = self._pins.get(record.batch)
        limit_ms = 1000 * (pin["settings"]["job.max_age_s"] if pin else 0)
        age_ms = record.arrival_ms - _ms(row["event_time"])
        if age_ms > limit_ms:
            return "too_old"
        return "in_future" if -age_ms > _AHEAD_MS else ""

    def _repeats(self, record: Arrived, stored: Mapping[str, Mapping[Place, Stored]]) -> str:
        """Why a duplicate is refused: an answer that is not the one that counts has a reason of its own."""
        dead = stored[DEAD_LETTERS].get(record.place)
        answered = record.sent.data in self._answers
        return "conflicting_answer" if answered and dead and dead.row["reason"] != "duplicate" else "duplicate"

    def _compare_decision(
        self, record: Arrived, row: dict[str, Any], values: Mapping[str, Any], found: dict[str, Any]
    ) -> Iterator[str]:
        named = _named(record.place)
        for name, wanted in values.items():
            if found[name] != wanted and not _same(found[name], wanted):
                yield f"{named} {name}: {found[name]!r}, expected {wanted!r}"
        for name, wanted in row.items():
            if found[name] != wanted:
                yield f"{named} {name}: {found[name]!r}, expected {wanted!r}"
        pin = self._pins.get(record.batch)
        if pin is None:
            yield f"{named} was decided by a batch without a pin"
            return
        kept = self._archive.get(f"policies/{pin['policy_version']}.json")
        if kept is None:
            yield f"{named} was decided by policy {pin['policy_version']}, which is not kept"
            return
        policy = json.loads(kept)[ROOT]
        above, payments = POLICIES[self._schedule.policies.index(policy)]
        fired = [
            name
            for name, holds in (
                ("large", row["amount_minor"] > above),
                ("fast", (values["card_count_1h"] or 0) >= payments),
                ("risky", (values["merchant_fraud_rate_30d"] or 0) > 0),
            )
            if holds
        ]
        outcome = max((_OUTCOMES[name] for name in fired), key=_RANK.index, default="approve")
        decided = {"outcome": outcome, "policy_version": pin["policy_version"]}
        if (answer := self._answers.get(record.sent.data)) is not None:
            outcome, fired = answer["outcome"], answer.get("rules", [])
            decided = {name: answer[name] for name in ("outcome", "policy_version")}
            decided |= {"answered_by": answer["instance"]}
            if _ms(found["decided_at"]) != answer["decided_ms"]:
                yield f"{named} decided at {_ms(found['decided_at'])}, answered at {answer['decided_ms']}"
        if sorted(found["rules"]) != sorted(fired):
            yield f"{named} rules: {found['rules']!r}, expected {fired!r}"
        decided |= {"batch_id": record.batch, "raw": record.sent.data}
        for name, wanted in decided.items():
            if found[name] != wanted:
                yield f"{named} {name}: {found[name]!r}, expected {wanted!r}"
        if outcome != "approve":
            # A record that comes again after its card has forgotten it is decided again; its first alert stays.
            self.alerted.setdefault((row["card_token"], row["transaction_id"], _ms(row["event_time"])), found)

    def _alerts(self) -> Iterator[str]:
        """An alert for each decision above approve, as it was decided; none for anything else."""
        subjects = Counter((item["card_token"], item["transaction_id"], item["event_ms"]) for item in self._alert_items)
        for subject, count in subjects.items():
            if count > 1:
                yield f"{count} alerts on {subject}"
            elif subject not in self.alerted and subject[0] != self._erased:
                yield f"alert on {subject}, which was not to be alerted"
        for subject in self.alerted.keys() - subjects.keys():
            if subject[0] != self._erased:
                yield f"alert on {subject} is lost"
        for item in self._alert_items:
            if item["card_token"] == self._erased:
                continue
            decision = self.alerted.get((item["card_token"], item["transaction_id"], item["event_ms"]))
            if decision is not None:
                wanted = {name: decision[name] for name in ("outcome", "rules", "policy_version", "amount_minor")}
                wanted["decided_ms"] = _ms(decision["decided_at"])
                for name, value in wanted.items():
                    if item[name] != value:
                        yield f"alert {item['alert_id']} {name}: {item[name]!r}, decided {value!r}"

    def _order_of_effects(self) -> Iterator[str]:
        """Pins before what they decide, decisions before their alerts, everything before its batch's commit."""
        since = self._services.since
        decided: dict[tuple[str, str, int], Stored] = {}
        for kind, rows in self._stored.items():
            for stored in rows:
                pinned = since.get(f"pins/fraud/{stored.batch:012d}.json")
                if pinned is None or pinned > since[stored.key]:
                    yield f"{stored.key} was stored before its pin"
                if since[stored.key] > self._committed(stored.batch):
                    yield f"{stored.key} was stored after the commit of its batch"
                if kind == DECISIONS:
                    row = stored.row
                    subject = row["card_token"], row["transaction_id"], _ms(row["event_time"])
                    if subject not in decided or stored.batch < decided[subject].batch:
                        decided[subject] = stored
        for item in self._alert_items:
            stored_decision = decided.get((item["card_token"], item["transaction_id"], item["event_ms"]))
            if stored_decision is None or item["card_token"] == self._erased:
                continue
            at = since[f"alert {item['alert_id']}"]
            if at < since[stored_decision.key]:
                yield f"alert {item['alert_id']} was put before its decision was stored"
            if at > self._committed(stored_decision.batch):
                yield f"alert {item['alert_id']} was put after the commit of its batch"

    def _committed(self, batch: int) -> int:
        return int(self._services.since.get(f"commits/{batch}", 1 << 60))

    def _order_of_reading(self) -> Iterator[str]:
        """Records of a key are read in the order in which they came, also where their shard was split or merged."""
        latest: dict[tuple[str, str], Arrived] = {}
        for record in sorted(self._arrived, key=lambda record: record.place[2]):
            key = record.place[0], record.key
            before = latest.setdefault(key, record)
            if record.batch < before.batch:
                yield f"{_named(record.place)} was read by batch {record.batch}, {_named(before.place)} after it"
            latest[key] = record

    def _replays(self) -> Iterator[str]:
        """A dead letter that is marked as replayed is on its stream again."""
        refused = {_place(stored.row): stored.row for stored in self._stored[DEAD_LETTERS]}
        last: dict[tuple[str, bytes], int] = {}
        for record in self._arrived:
            of = record.place[0], record.sent.data
            last[of] = max(last.get(of, 0), record.place[2])
        erased = {record.place for record in self._arrived if self._is_erased(record)}
        for key in self._archive:
            if key.startswith(_REPLAYED):
                stream, shard, number, sub_sequence = key.removeprefix(_REPLAYED).removesuffix(".json").split("/")
                place = stream, shard, int(number), int(sub_sequence)
                row = refused.get(place)
                if row is None:
                    if place not in erased:
                        yield f"{key} marks what was not refused"
                elif last[(stream, row["data"])] <= int(number):
                    yield f"{key} is marked, and its record is not on its stream again"

    def _given_answers(self) -> Iterator[str]:
        """An answer that was given is on the stream as it was given, and given again to who asks again."""
        if self._schedule.decisions is None:
            return
        on_stream = {answer["decision_key"]: answer for answer in self._answers.values()}
        last: dict[str, dict[str, Any]] = {}
        for reply in self._schedule.decisions.replies:
            if reply.answer is None:
                if reply.again:
                    yield f"{reply.sent.data[:60]!r} was answered, and refused when it was asked again"
                continue
            key = reply.answer["decision_key"]
            if reply.again and last[key] != reply.answer:
                yield f"answer {key} was given as {last[key]}, then as {reply.answer}"
            last[key] = reply.answer
        for key, given in last.items():
            kept = on_stream.get(key)
            if kept is None:
                yield f"answer {key} was given and is not on the stream"
                continue
            for name in ("outcome", "policy_version", "received_ms", "decided_ms", "instance"):
                if kept[name] != given[name]:
                    yield f"answer {key} {name}: given {given[name]!r}, on the stream {kept[name]!r}"

    def _dispositions(self) -> Iterator[str]:
        """Each change of an alert that was answered is in its history, once; each closed alert has its label, once."""
        labels: dict[tuple[str, str, int], set[str]] = defaultdict(set)
        for record in self._arrived:
            label = record.sent.fields
            if label is not None and label.get("source") == "disposition":
                subject = label["card_token"], label["transaction_id"], _ms(label["transaction_time"])
                labels[subject].add(f"{label['verdict']} {_ms(label['label_time'])}")
        made: Counter[tuple[str, str, str]] = Counter()
        for item in self._alert_items:
            if item["card_token"] == self._erased:
                continue
            history = item.get("history", [])
            made.update((entry["by"], item["alert_id"], entry["change"]) for entry in history)
            if len(history) != item["version"] - 1:
                yield f"alert {item['alert_id']} has version {item['version']} and {len(history)} entries"
            closed = [entry for entry in history if entry["change"] in _VERDICTS]
            wanted = {f"{_VERDICTS[entry['change']]} {entry['at_ms']}" for entry in closed[:1]}
            found = labels.pop((item["card_token"], item["transaction_id"], item["event_ms"]), set())
            if len(closed) > 1:
                yield f"alert {item['alert_id']} was closed {len(closed)} times"
            elif found != wanted:
                yield f"alert {item['alert_id']} has the labels {sorted(found)}, expected {sorted(wanted)}"
            if "label_pending" in item:
                yield f"alert {item['alert_id']} still waits for its label"
        for subject in labels:
            if subject[0] != self._erased:
                yield f"label on {subject}, which has no alert"
        people = self._schedule.people
        for user, change in people.changes.items():
            if people.cards[change[0]] != self._erased and made[(user, *change)] != 1:
                yield f"{user} was answered {change[1]} of {change[0]}, which has it {made[(user, *change)]} times"

    def _notes(self) -> Iterator[str]:
        """A note of what was read never says more than is stored of those batches, and in the end all of it."""
        rows: Counter[int] = Counter()
        for stored in (one for rows_of_kind in self._stored.values() for one in rows_of_kind):
            rows[stored.batch] += 1
        for key, data in self._archive.items():
            if key.startswith("erased/"):
                note = json.loads(data)
                rows[int(note["object"].rsplit("-", 2)[1])] += note["rows"]
        for key, data in self._archive.items():
            if key.startswith("offsets/"):
                note = json.loads(data)
                held = sum(count for batch, count in rows.items() if batch < note["batches"])
                if sum(note["records"].values()) != held:
                    yield f"{key} notes {sum(note['records'].values())} records, {held} are stored"
                if note["batches"] and self._services.since[key] < self._committed(note["batches"] - 1):
                    yield f"{key} was noted before its last batch was committed"


class _Labels:
    """Counts, batch by batch, the labels that begin to wait for their transactions, and those that wait no more."""

    def __init__(self, oracle: Oracle) -> None:
        self._oracle = oracle
        self._waited: set[Any] = set()
        self._settled = 0

    def of_batch(self) -> dict[str, int]:
        """Of what the oracle has read since this was last asked."""
        oracle = self._oracle
        waiting = {label.place for label in oracle.labels if label.waits} | {place_of(row) for row in oracle.ended}
        settled = oracle.read_labels - len(oracle.labels) - len(oracle.ended)
        found = {"wait": len(waiting - self._waited), "settled": settled - self._settled}
        self._waited |= waiting
        self._settled = settled
        return found


_OUTCOMES = {"large": "review", "fast": "decline", "risky": "review"}


def _compare_fate(kind: str, record: Arrived, stored: Mapping[str, Mapping[Place, Stored]]) -> Iterator[str]:
    if record.place in stored[kind]:
        if kind != DECISIONS and stored[kind][record.place].row["data" if kind == DEAD_LETTERS else "raw"] != (
            record.sent.data
        ):
            yield f"{_named(record.place)} was stored with other bytes"
        return
    others = [other for other in stored if record.place in stored[other]]
    if others:
        yield f"{_named(record.place)} is among {', '.join(others)}, expected {kind}"


def _same(found: Any, wanted: Any) -> bool:
    if found == wanted or found is None or wanted is None or isinstance(wanted, bool):
        return bool(found == wanted)
    return math.isclose(found, wanted, rel_tol=1e-9, abs_tol=1e-9)


def _sequence(offsets: Mapping[str, Any], stream: str, shard: str) -> int:
    position = offsets.get(stream, {}).get(shard)
    if position is None or not position["after"].isdigit():
        return -1
    return int(position["after"])


def _place(row: Mapping[str, Any]) -> Place:
    return row["stream"], row["shard"], int(row["sequence_number"]), row["sub_sequence"]


def _named(place: Place) -> str:
    return "/".join(map(str, place[:3]))


def _ms(time: dt.datetime) -> int:
    return round(time.timestamp() * 1000)
