"""Calls on events and on the predictions that were made: send, label, give back, delete."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from adapters.aws.stream_writer import StreamRecord
from decision_service.afd import requests
from decision_service.afd.detector import Served
from decision_service.afd.errors import conflict, invalid, not_found, unavailable
from decision_service.afd.events import EventReader, written
from decision_service.afd.predictions import Predictions
from decision_service.afd.refusals import reader_of, refused
from decision_service.afd.store import KeptEvent, KeptPrediction, Store
from decision_service.engine import Answer, Refusal
from decision_service.service import Service
from decision_service.streams import Put
from fraud.errors import FraudError
from fraud.records.label import Label
from fraud.records.schema import milliseconds_of, time_of
from fraud.records.transaction import Transaction
from operations.confirmed import ConfirmedFraud

_COMPLETE = "COMPLETE"
_ALL_MS = (0, 1 << 62)
_DEFAULT_PAGE = 100
_encode = msgspec.json.Encoder().encode
_read_transaction = msgspec.json.Decoder(Transaction).decode
_NOTHING: dict[str, Any] = {}


class _Said(msgspec.Struct):
    """What an event said, beside its transaction."""

    event_type: str
    entity_type: str
    entity_id: str
    variables: dict[str, str]


class _Record(msgspec.Struct):
    event: _Said
    event_time: str


_read_said = msgspec.json.Decoder(_Record).decode


class PredictionKeeper:
    """Has predictions written in a thread: those that come while some are written follow in one transaction.

    Args:
        write: writes them, all or none.
    """

    def __init__(self, write: Callable[[Sequence[KeptPrediction]], None]) -> None:
        self._write = write
        self._waiting: list[tuple[KeptPrediction, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def keep(self, made: KeptPrediction) -> None:
        """Returns once it is written; raises what kept it from that."""
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((made, done))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_all())
        await done

    async def _write_all(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting, []
            failure: Exception | None = None
            try:
                await asyncio.to_thread(self._write, [made for made, _ in group])
            except Exception as error:
                failure = error
            for _, done in group:
                if done.done():  # its caller is gone
                    continue
                if failure is None:
                    done.set_result(None)
                else:
                    done.set_exception(failure)
        self._writing = None


class EventCalls:
    """Answers the calls on events.

    Args:
        served: the detector.
        service: whose decoder and clock they are checked with.
        store: of events and predictions.
        put_transactions: puts records on the stream of transactions.
        put_labels: puts labels on theirs.
        now: aware time.
        confirmed: takes labels once they are on their stream.

    Attributes:
        calls: by operation, the type of its request and what answers it.
    """

    def __init__(
        self,
        served: Served,
        service: Service,
        store: Store,
        put_transactions: Put,
        put_labels: Put,
        now: Callable[[], dt.datetime],
        confirmed: ConfirmedFraud,
    ) -> None:
        self._served = served
        self._service = service
        self._store = store
        self._put_transactions, self._put_labels = put_transactions, put_labels
        self._now = now
        self._confirmed = confirmed
        self._version = served.detector.version
        self._keeper = PredictionKeeper(lambda made: store.keep_predictions(made, service.now_ms()))
        self.calls: dict[str, tuple[type[Any], Callable[[Any], Awaitable[dict[str, Any]]]]] = {
            "SendEvent": (requests.SendEvent, self._send),
            "GetEvent": (requests.OfEvent, self._get),
            "UpdateEventLabel": (requests.UpdateEventLabel, self._update_label),
            "DeleteEvent": (requests.DeleteEvent, self._delete),
            "DeleteEventsByEventType": (requests.OfEventType, self._delete_all),
            "GetDeleteEventsByEventTypeStatus": (requests.OfEventType, self._deletion),
            "ListEventPredictions": (requests.ListEventPredictions, self._list),
            "GetEventPredictionMetadata": (requests.GetEventPredictionMetadata, self._metadata),
        }

    async def keep(
        self, record: bytes, event_type: str, event_id: str, verdict: Answer, answer: dict[str, Any]
    ) -> None:
        """Keeps a prediction with its event."""
        made = KeptPrediction(event_type, event_id, verdict.decided_ms, record, _encode(answer))
        await self._keeper.keep(made)

    # Events

    async def _send(self, asked: requests.SendEvent) -> dict[str, Any]:
        reader = reader_of(self._served, asked.event_type_name)
        record = reader.record(requests.event_of(asked), self._now())
        label = self._label_of(reader, record, asked.assigned_label, asked.label_timestamp)
        known = await asyncio.to_thread(self._store.event, asked.event_type_name, asked.event_id)
        if known is not None and not _same(known.record, record):
            raise conflict("eventId: another event of this id is known")
        if known is None:
            row = self._service.engine.read(record, self._service.now_ms())
            if isinstance(row, Refusal):
                raise refused(row, reader)
            await self._put(self._put_transactions, row["card_token"], record)
            now_ms = self._service.now_ms()
            await asyncio.to_thread(self._store.keep_event, asked.event_type_name, asked.event_id, record, now_ms)
        if label is not None:
            await self._send_label(asked.event_type_name, asked.event_id, asked.assigned_label or "", label, record)
        return _NOTHING

    async def _update_label(self, asked: requests.UpdateEventLabel) -> dict[str, Any]:
        reader = reader_of(self._served, asked.event_type_name)
        known = await self._known(asked.event_type_name, asked.event_id)
        label = self._label_of(reader, known.record, asked.assigned_label, asked.label_timestamp)
        assert label is not None
        await self._send_label(asked.event_type_name, asked.event_id, asked.assigned_label, label, known.record)
        return _NOTHING

    def _label_of(self, reader: EventReader, record: bytes, name: str | None, time: str | None) -> Label | None:
        """What a label of theirs says of a transaction."""
        if name is None:
            return None
        if name not in reader.event_type.labels:
            raise invalid(
                f"assignedLabel: labels of {reader.event_type.name} are {', '.join(reader.event_type.labels)}"
            )
        verdict = self._served.names.labels.get(name)
        if verdict is None:
            raise invalid(f"assignedLabel: {name} means nothing here; say what under labels in mapping.yaml")
        if time is None:
            raise invalid("labelTimestamp: is missing")
        transaction = _read_transaction(record)
        return Label(
            transaction_id=transaction.transaction_id,
            card_token=transaction.card_token,
            merchant_id=transaction.merchant_id,
            terminal_id=transaction.terminal_id,
            transaction_time=transaction.event_time,
            transaction_time_precision_ms=1,
            billing_amount_minor=transaction.billing_amount_minor,
            verdict=verdict,
            source="chargeback",
            label_time=requests.time_of_text("labelTimestamp", time),
        )

    async def _send_label(self, event_type: str, event_id: str, name: str, label: Label, record: bytes) -> None:
        await self._put(self._put_labels, label.card_token, _encode(label))
        await asyncio.to_thread(self._confirmed.take, label, _read_transaction(record).device_id)
        time = written(label.label_time)
        await asyncio.to_thread(self._store.label, event_type, event_id, name, time)

    @staticmethod
    async def _put(put: Put, key: str, data: bytes) -> None:
        try:
            await asyncio.to_thread(put, [StreamRecord(key, data)])
        except FraudError:
            raise unavailable("the stream does not take it now; nothing was kept") from None

    async def _get(self, asked: requests.OfEvent) -> dict[str, Any]:
        known = await self._known(asked.event_type_name, asked.event_id)
        said = _read_said(known.record)
        event = {
            "eventId": asked.event_id,
            "eventTypeName": asked.event_type_name,
            "eventTimestamp": said.event_time,
            "eventVariables": said.event.variables,
            "entities": [{"entityType": said.event.entity_type, "entityId": said.event.entity_id}],
        }
        labelled = {"currentLabel": known.label, "labelTimestamp": known.label_time} if known.label else {}
        return {"event": event | labelled}

    async def _known(self, event_type: str, event_id: str) -> KeptEvent:
        known = await asyncio.to_thread(self._store.event, event_type, event_id)
        if known is None:
            raise not_found("eventId: no event of this id and type is kept here")
        return known

    async def _delete(self, asked: requests.DeleteEvent) -> dict[str, Any]:
        await asyncio.to_thread(
            self._store.delete, asked.event_type_name, asked.event_id, bool(asked.delete_audit_history)
        )
        return _NOTHING

    async def _delete_all(self, asked: requests.OfEventType) -> dict[str, Any]:
        reader_of(self._served, asked.event_type_name)
        await asyncio.to_thread(self._store.delete_all, asked.event_type_name)
        return {"eventTypeName": asked.event_type_name, "eventsDeletionStatus": _COMPLETE}

    async def _deletion(self, asked: requests.OfEventType) -> dict[str, Any]:
        reader_of(self._served, asked.event_type_name)
        if not await asyncio.to_thread(self._store.was_deleted, asked.event_type_name):
            raise not_found("eventTypeName: its events were never deleted together")
        return {"eventTypeName": asked.event_type_name, "eventsDeletionStatus": _COMPLETE}

    # Predictions

    async def _list(self, asked: requests.ListEventPredictions) -> dict[str, Any]:
        token = asked.next_token or "0"
        if not token.isdecimal() or len(token) > 15:
            raise invalid("nextToken: is none that this call gave")
        ours = (self._version.detector_id, self._version.version)
        of = (asked.detector_id, asked.detector_version_id)
        if any(given is not None and given.value != mine for given, mine in zip(of, ours, strict=True)):
            return {"eventPredictionSummaries": []}
        between_ms = _ALL_MS
        if asked.prediction_time_range is not None:
            span = asked.prediction_time_range
            begin, end = (
                requests.time_of_text("predictionTimeRange", text) for text in (span.start_time, span.end_time)
            )
            between_ms = milliseconds_of(begin), milliseconds_of(end)
        event_type = asked.event_type.value if asked.event_type else None
        event_id = asked.event_id.value if asked.event_id else None
        most, begin_at = asked.max_results or _DEFAULT_PAGE, int(token)
        found = await asyncio.to_thread(self._store.predictions, event_type, event_id, between_ms, begin_at, most + 1)
        summaries = [self._summary(made) for made in found[:most]]
        more = {"nextToken": str(begin_at + most)} if len(found) > most else {}
        return {"eventPredictionSummaries": summaries} | more

    def _summary(self, made: KeptPrediction) -> dict[str, Any]:
        return {
            "eventId": made.event_id,
            "eventTypeName": made.event_type,
            "eventTimestamp": _read_said(made.record).event_time,
            "predictionTimestamp": written(time_of(made.predicted_ms)),
            "detectorId": self._version.detector_id,
            "detectorVersionId": self._version.version,
        }

    async def _metadata(self, asked: requests.GetEventPredictionMetadata) -> dict[str, Any]:
        if (asked.detector_id, asked.detector_version_id) != (self._version.detector_id, self._version.version):
            raise not_found("detectorId: no prediction of this version of a detector is kept here")
        at_ms = _ms("predictionTimestamp", asked.prediction_timestamp)
        found = await asyncio.to_thread(
            self._store.predictions, asked.event_type_name, asked.event_id, (at_ms, at_ms), 0, 1
        )
        if not found:
            raise not_found("predictionTimestamp: no prediction of the event at this time is kept here")
        return self._evaluated(found[0])

    def _evaluated(self, made: KeptPrediction) -> dict[str, Any]:
        answer, said = msgspec.json.decode(made.answer), _read_said(made.record).event
        matched = {result["ruleId"]: result["outcomes"] for result in answer["ruleResults"]}
        values = [{"name": name, "value": value, "source": "EVENT"} for name, value in sorted(said.variables.items())]
        return self._summary(made) | {
            "entityType": said.entity_type,
            "entityId": said.entity_id,
            "detectorVersionStatus": self._version.status,
            "eventVariables": values,
            "rules": self._rules(matched, said.variables),
            "ruleExecutionMode": self._version.mode,
            "outcomes": [name for outcomes in matched.values() for name in outcomes],
            "evaluatedModelVersions": [_evaluation(scored) for scored in answer["modelScores"]],
            "evaluatedExternalModels": [
                {"modelEndpoint": each["externalModel"]["modelEndpoint"], "outputVariables": each["outputs"]}
                for each in answer["externalModelOutputs"]
            ],
        }

    def _rules(self, matched: dict[str, list[str]], variables: dict[str, str]) -> Sequence[dict[str, Any]]:
        """The rules of the version; where the first match decides, those behind it were not evaluated."""
        known = {(rule.rule_id, rule.version): rule for rule in self._served.detector.rules}
        carried = {rule.rule_id for rule in self._served.imported.rules}
        found, decided = [], False
        for reference in self._version.rules:
            rule = known.get((reference.rule_id, reference.version))
            if rule is None:
                continue
            is_match = rule.rule_id in matched
            found.append(
                {
                    "ruleId": rule.rule_id,
                    "ruleVersion": rule.version,
                    "expression": rule.expression,
                    "expressionWithValues": Predictions.with_values(rule.expression, variables),
                    "outcomes": list(rule.outcomes),
                    "evaluated": rule.rule_id in carried and not decided,
                    "matched": is_match,
                }
            )
            decided = decided or (is_match and self._version.mode == "FIRST_MATCHED")
        return found


def _ms(name: str, text: str) -> int:
    return milliseconds_of(requests.time_of_text(name, text))


def _evaluation(scored: dict[str, Any]) -> dict[str, Any]:
    version = scored["modelVersion"]
    scores = [
        {"outputVariableName": name, "evaluationScore": f"{score:.15g}"} for name, score in scored["scores"].items()
    ]
    return {
        "modelId": version["modelId"],
        "modelVersion": version["modelVersionNumber"],
        "modelType": version["modelType"],
        "evaluations": scores,
    }


def _same(one: bytes, other: bytes) -> bool:
    """Whether two records are of the same event: only when they were sent may differ."""
    first, second = (msgspec.json.decode(record) | {"sent_at": None} for record in (one, other))
    return bool(first == second)
