"""The API of Amazon Fraud Detector: who asks, for what, and what comes back."""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import msgspec
import structlog

from adapters.objects.store import ObjectStore
from adapters.program.metrics import DECIDE_FRAUDDETECTOR
from decision_service.afd.access_keys import AccessKeys, Holder, Right
from decision_service.afd.batches import Batches
from decision_service.afd.describe import Descriptions
from decision_service.afd.detector import Served
from decision_service.afd.errors import (
    ApiError,
    denied,
    failed,
    invalid,
    not_found,
    throttled,
    unavailable,
)
from decision_service.afd.event_calls import EventCalls
from decision_service.afd.events import EventReader
from decision_service.afd.jobs import Jobs
from decision_service.afd.list_calls import ListCalls
from decision_service.afd.predictions import Predictions
from decision_service.afd.refusals import reader_of, refused
from decision_service.afd.requests import GetEventPrediction, event_of
from decision_service.afd.signature import Verifier, headers_of, read_signature
from decision_service.api import Answered, TooLargeError
from decision_service.engine import Answer, Refusal
from decision_service.service import Service
from fraud.errors import FatalError

log = structlog.get_logger()

TARGET = "AWSHawksNestServiceFacade."
_BODY_BYTES = 1 << 20
_CONTENT_TYPE = b"application/x-amz-json-1.1"
_encode = msgspec.json.Encoder().encode
_read_answer = msgspec.json.Decoder(Answer).decode

Body = Callable[[int], Awaitable[bytes]]

_RULES = "rules are kept in the policy: edit policy.yaml (docs/rules.md) or the console's page Rules"
_MAPPING = "edit mapping.yaml and run fraud import-afd again (docs/frauddetector-api.md)"
_MODELS = "models are trained and put in force by fraud train and fraud models (docs/model.md)"
_SETTINGS = "this is a setting here (docs/reference/settings.md, frauddetector)"
ELSEWHERE: dict[str, str] = {
    **dict.fromkeys(
        (
            "PutDetector", "DeleteDetector", "CreateDetectorVersion", "UpdateDetectorVersion",
            "UpdateDetectorVersionMetadata", "UpdateDetectorVersionStatus", "DeleteDetectorVersion", "CreateRule",
            "UpdateRuleMetadata", "UpdateRuleVersion", "DeleteRule",
        ),
        _RULES,
    ),
    **dict.fromkeys(
        (
            "BatchCreateVariable", "CreateVariable", "UpdateVariable", "DeleteVariable", "PutOutcome", "DeleteOutcome",
            "PutLabel", "DeleteLabel", "PutEntityType", "DeleteEntityType", "PutEventType", "DeleteEventType",
        ),
        _MAPPING,
    ),
    **dict.fromkeys(
        (
            "CreateModel", "UpdateModel", "DeleteModel", "CreateModelVersion", "UpdateModelVersion",
            "UpdateModelVersionStatus", "DeleteModelVersion", "PutExternalModel", "DeleteExternalModel",
        ),
        _MODELS,
    ),
    **dict.fromkeys(
        ("PutKMSEncryptionKey", "GetKMSEncryptionKey", "TagResource", "UntagResource", "ListTagsForResource"),
        _SETTINGS,
    ),
}  # fmt: skip
"""Calls that are not answered, and where the same is done here."""


def utc_now() -> dt.datetime:
    """The time."""
    return dt.datetime.now(dt.UTC)


class Call(NamedTuple):
    """A kind of call.

    Attributes:
        right: that the key needs.
        request: the type of its body.
        answer: makes the answer, from the request and the name of the key.
    """

    right: Right
    request: type[Any]
    answer: Callable[[Any, str], Awaitable[dict[str, Any]]]


class Door:
    """Answers the calls of `boto3.client("frauddetector")`.

    Args:
        served: the detector.
        service: decides.
        events: answers the calls on events, and keeps predictions.
        lists: answers the calls on lists.
        jobs: how batch jobs stand.
        objects: where files of batch jobs lie; None refuses them.
        keys: knows the callers.
        clock: seconds that never go back.
        now: aware time.
    """

    def __init__(
        self,
        served: Served,
        service: Service,
        events: EventCalls,
        lists: ListCalls,
        jobs: Jobs,
        objects: ObjectStore | None,
        keys: AccessKeys,
        clock: Callable[[], float],
        now: Callable[[], dt.datetime] = utc_now,
    ) -> None:
        self.keys = keys
        self._served = served
        self._service = service
        self._events = events
        self._clock = clock
        self._now = now
        self._verifier = Verifier()
        self._predictions = Predictions(served)
        self._calls = {"GetEventPrediction": Call("predict", GetEventPrediction, self._predict)}
        for name, (taken, done) in events.calls.items():
            self._calls[name] = Call("events", taken, _whoever(done))
        for name, (request, answer) in Descriptions(served).calls.items():
            self._calls[name] = Call("describe", request, _later(answer))
        for name, (asked, of_lists) in lists.reads.items():
            self._calls[name] = Call("describe", asked, of_lists)
        for name, (asked, of_lists) in lists.changes.items():
            self._calls[name] = Call("lists", asked, of_lists)
        self.batches = Batches(
            served, jobs, objects, partial(self._predict, _=""), events.calls["SendEvent"][1], service.now_ms
        )
        for name, (kind, of_jobs, of_batches) in self.batches.calls.items():
            right: Right = "predict" if kind == "prediction" else "events"
            self._calls[name] = Call(right, of_jobs, _whoever(of_batches))
        self._decoders = {name: msgspec.json.Decoder(call.request) for name, call in self._calls.items()}
        self._predictions.warn_of_missing(service.engine.policy)

    async def answer(self, headers: Sequence[tuple[bytes, bytes]], body: Body) -> Answered:
        """Answers a request to the root of the service."""
        operation, code = "unknown", "none"
        try:
            given = headers_of(headers)
            holder, content = await self._authenticated(given, body)
            name = given["x-amz-target"].removeprefix(TARGET)
            operation = name if name in self._calls or name in ELSEWHERE else operation
            answered = self._answered(200, await self._done(name, holder, content))
        except ApiError as error:
            code = error.code
            answered = self._refused(error)
        except TooLargeError:
            code = "ValidationException"
            answered = self._refused(invalid(f"a request has at most {_BODY_BYTES:,} bytes"))
            answered = answered._replace(headers=[*answered.headers, (b"connection", b"close")])
        self._service.telemetry.add(DECIDE_FRAUDDETECTOR, 1, operation, code)
        return answered

    async def _authenticated(self, headers: dict[str, str], body: Body) -> tuple[Holder, bytes]:
        """Who asks, and what; the body of somebody unknown is not read."""
        signed = read_signature(headers, self._now())
        holder = self.keys.holder(signed.access_key)
        if holder is None:
            raise ApiError("UnrecognizedClientException", "there is no such access key")
        content = await body(_BODY_BYTES)
        self._verifier.verify(signed, holder.secret, content)
        return holder, content

    async def _done(self, name: str, holder: Holder, content: bytes) -> dict[str, Any]:
        call = self._calls.get(name)
        if call is None:
            if name in ELSEWHERE:
                raise denied(f"{name} is not done by this API: {ELSEWHERE[name]}")
            raise ApiError("UnknownOperationException", "there is no such operation")
        if call.right not in holder.key.rights:
            raise denied(f"the key of {holder.key.name} has no right to {call.right}")
        allowance = holder.allowances[call.right]
        if not allowance.may_take(1, self._clock()):
            quota = f"frauddetector.{call.right}_per_second"
            raise throttled(f"the key may make {allowance.per_second} such calls a second ({quota})")
        try:
            asked = self._decoders[name].decode(content)
        except msgspec.ValidationError as error:
            raise invalid(str(error)) from None
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            raise ApiError("SerializationException", "the body is no JSON object") from None
        try:
            return await call.answer(asked, holder.key.name)
        except ApiError:
            raise
        except Exception:
            log.exception("call_failed", operation=name)
            raise failed("a fault of the service, which is in its log") from None

    # Predictions

    async def _predict(self, asked: GetEventPrediction, _: str) -> dict[str, Any]:
        self._check_version(asked.detector_id, asked.detector_version_id)
        reader = reader_of(self._served, asked.event_type_name)
        if asked.external_model_endpoint_data_blobs:
            raise invalid("externalModelEndpointDataBlobs: no endpoint is called here; the service's own model scores")
        record = reader.record(event_of(asked), self._now())
        verdict = await self._decide(record, reader)
        answer = self._predictions.answer(record, verdict, self._service.engine.policy)
        await self._events.keep(record, asked.event_type_name, asked.event_id, verdict, answer)
        return answer

    def _check_version(self, detector_id: str, version: str | None) -> None:
        ours = self._served.detector.version
        if detector_id != ours.detector_id:
            raise not_found(f"detectorId: {ours.detector_id} is the detector that was imported")
        if version is not None and version != ours.version:
            raise not_found(f"detectorVersionId: version {ours.version} was imported")

    async def _decide(self, record: bytes, reader: EventReader) -> Answer:
        if not self._service.ready:
            raise unavailable("the state has not caught up with the streams, or the service ends; see its log")
        if self._service.overloaded:
            raise unavailable("more is waiting than can be answered soon; nothing was decided")
        try:
            given = await self._service.decide(record)
        except FatalError:
            raise unavailable("the service ends; see its log") from None
        if isinstance(given, Refusal):
            raise refused(given, reader)
        return _read_answer(given.kept.answer)

    # Answers

    @staticmethod
    def _answered(status: int, said: dict[str, Any]) -> Answered:
        return Answered(status, _encode(said), _CONTENT_TYPE, [(b"x-amzn-requestid", secrets.token_hex(16).encode())])

    def _refused(self, error: ApiError) -> Answered:
        answered = self._answered(error.status, {"__type": error.code, "message": error.message})
        return answered._replace(headers=[*answered.headers, (b"x-amzn-errortype", error.code.encode())])


def _later(answer: Callable[[Any], dict[str, Any]]) -> Callable[[Any, str], Awaitable[dict[str, Any]]]:
    async def answered(asked: Any, _: str) -> dict[str, Any]:
        return answer(asked)

    return answered


def _whoever(
    answer: Callable[[Any], Awaitable[dict[str, Any]]],
) -> Callable[[Any, str], Awaitable[dict[str, Any]]]:
    return lambda asked, _: answer(asked)
