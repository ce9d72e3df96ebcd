"""The API of Amazon Fraud Detector under unmodified boto3, one call after the other, against the real service.

A detector is exported, imported and served by `fraud decide` with the shipped model and a loopback Kinesis. Each answer
is compared with an interpreter of the exported rules that knows nothing of ours (`benchmarks.afd_rules`), and with the
verdict of the decision core on the same payments, folded in the same order in this process. Latency is what boto3's
caller waits, its own work of a millisecond or more included, and what it tries again where the service is busy.

Run: python -m benchmarks.afd_api --predictions 2000 --json afd_api.json
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import io
import os
import secrets
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import boto3
import msgspec
import numpy as np
import typer
import yaml
from botocore.exceptions import BotoCoreError, ClientError

from adapters.policy.source import open_policy, policy_files
from adapters.program.configuration import load_settings, parse_assignments
from adapters.program.program import JsonOption, run_program, write_json
from adapters.program.secret_box import open_secret_box
from benchmarks.afd_detector import CONSTANTS, SCORE, events, write_export
from benchmarks.afd_rules import Interpreter
from benchmarks.decisions_api import load, parts, processor_s, spent_s
from benchmarks.machine import describe_machine
from benchmarks.served import decision_service, loopback_kinesis
from cli.import_afd import command as import_afd
from decision_service.access import add_key
from decision_service.afd.access_keys import RIGHTS, add_access_key
from decision_service.afd.door import TARGET
from decision_service.afd.signature import SERVICE, Signed, sign, signing_key
from decision_service.engine import Engine, Refusal
from fraud.decision.rules.fields import fields_of
from fraud.features import CATALOGUE
from fraud.migration.shapes import DETECTOR
from fraud.records.answered import Answered, AnswerKey, unseal
from fraud.records.intake import Intake
from fraud.settings import Settings
from processor.scoring import open_model

_MEANS = {"allow": "approve", "verify": "review", "block": "decline"}
_ORDER = ("approve", "review", "decline")
_SAME_SCORE = 1e-6  # how long a card is observed moves it, and a call is received milliseconds after it is made
_SHOWN = 5
_WARM_UP_S = 3


def command(
    predictions: Annotated[int, typer.Option(min=1, help="Calls of GetEventPrediction by boto3.")] = 2_000,
    rate: Annotated[
        int | None, typer.Option(min=1, help="Signed requests a second of a lean client, in place of boto3.")
    ] = None,
    seconds: Annotated[int, typer.Option(min=1, max=120, help="How long it asks at that rate.")] = 20,
    json: JsonOption = None,
) -> None:
    """Ask for predictions with boto3 and compare them.

    With --rate, requests that were signed beforehand are sent at their planned times, whatever became of those before,
    and what the service spends on each is measured; nothing is compared.

    \b
    Examples:
      python -m benchmarks.afd_api --predictions 2000
      python -m benchmarks.afd_api --rate 1000 --seconds 20
    """
    if rate is not None:
        _show(_at_rate(rate, seconds), json)
        return
    machine, cores = describe_machine(), sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[-1]})
    with tempfile.TemporaryDirectory(dir=".local" if Path(".local").is_dir() else None) as place:
        folder = Path(place)
        given, identity, secret = _prepare(folder)
        asked = events(predictions, dt.datetime.now(dt.UTC) - dt.timedelta(seconds=predictions))
        with (
            loopback_kinesis() as kinesis,
            decision_service(given | {"aws.endpoint_url": kinesis}, cores[0]) as (_, port, _),
        ):
            answers, times, latencies, errors = _ask(f"http://127.0.0.1:{port}", identity, secret, asked)
        exported = msgspec.json.decode((folder / "imported" / DETECTOR).read_bytes())
        settings = load_settings(None, {}, parse_assignments([f"{name}={value}" for name, value in given.items()]))
        differences = _differences(exported, settings, list(zip(asked, times, answers, strict=True)))
    p50, p99 = np.percentile(latencies, [50, 99]) if latencies else (float("nan"),) * 2
    retries = sum(answer["ResponseMetadata"]["RetryAttempts"] for answer in answers if answer)
    results = Counter(result["ruleId"] for answer in answers if answer for result in answer["ruleResults"])
    figures: dict[str, Any] = {
        "machine": machine,
        "load": os.getloadavg()[0],
        "answered": len(latencies),
        "errors": sum(errors.values()),
        "error_kinds": errors,
        "retries": retries,
        "differences": len(differences),
        "rules_matched": dict(results),
        "p50_ms": float(p50),
        "p99_ms": float(p99),
    }
    for line in differences[:_SHOWN]:
        typer.echo(line)
    _show(figures, json)


def _show(figures: dict[str, Any], json: Path | None) -> None:
    write_json(json, figures)
    for name, value in figures.items():
        typer.echo(f"{name}: {value:.3f}" if isinstance(value, float) else f"{name}: {value}")


def _prepare(folder: Path) -> tuple[dict[str, Any], str, str]:
    """Exports and imports the detector, makes keys; gives settings of the service and the access key."""
    exported, imported = folder / "exported", folder / "imported"
    write_export(exported)
    with contextlib.redirect_stdout(io.StringIO()):
        import_afd(exported, imported)
        mapping = imported / "mapping.yaml"
        mapping.write_text(yaml.safe_dump(yaml.safe_load(mapping.read_text()) | {"constants": CONSTANTS}))
        import_afd(exported, imported, mapping)
    add_key(folder / "keys.json", "benchmark", frozenset(["read"]), 1_000)
    (folder / "secret").write_text(secrets.token_hex(32))
    place = f"file:{folder / 'access-keys.secret'}"
    box = open_secret_box("frauddetector.secrets", place, Settings().aws, create=True)
    identity, secret = add_access_key(folder / "access-keys.json", box, "benchmark", frozenset(RIGHTS))
    given: dict[str, Any] = {
        "decide.folder": folder / "decide",
        "decide.budget_ms": 60_000,  # on a busy machine, too, the model scores, as it does for the comparison
        "decide.api_keys": folder / "keys.json",
        "answers.keys": f"{{k1: 'file:{folder}/secret'}}",
        "policy.path": imported / "policy.yaml",
        "frauddetector.folder": imported,
        "frauddetector.access_keys": folder / "access-keys.json",
        "frauddetector.secrets": place,
        "frauddetector.predict_per_second": 100_000,
    }
    return given, identity, secret


def _at_rate(rate: int, seconds: int) -> dict[str, Any]:
    """What the service does with signed requests at a rate, after three seconds of warming up."""
    machine, cores = describe_machine(), sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[-1]})
    warm_up, count = rate * _WARM_UP_S, rate * seconds
    with tempfile.TemporaryDirectory(dir=".local" if Path(".local").is_dir() else None) as place:
        folder = Path(place)
        given, identity, secret = _prepare(folder)
        key = add_key(folder / "keys.json", "metrics", frozenset(["metrics"]), 1_000)
        asked = events(warm_up + count, dt.datetime.now(dt.UTC) - dt.timedelta(seconds=warm_up + count))
        with (
            loopback_kinesis() as kinesis,
            decision_service(given | {"aws.endpoint_url": kinesis}, cores[0]) as (process, port, _),
        ):
            requests = _signed(port, identity, secret, asked)
            asyncio.run(load(port, requests[:warm_up], rate))
            before, used = spent_s(port, key), processor_s(process.pid)
            latencies, errors = asyncio.run(load(port, requests[warm_up:], rate))
            spent, used_then = spent_s(port, key), processor_s(process.pid)
    answered = max(1, len(latencies))
    p50, p99 = np.percentile(latencies, [50, 99]) if latencies else (float("nan"),) * 2
    return {
        "machine": machine,
        "load": os.getloadavg()[0],
        "rate": rate,
        "seconds": seconds,
        "answered": len(latencies),
        "errors": sum(errors.values()),
        "error_kinds": errors,
        "p50_ms": float(p50),
        "p99_ms": float(p99),
        "processor_ms_per_prediction": 1_000 * (used_then["service"] - used["service"]) / answered,
        "processor_ms_of_streams": 1_000 * (used_then["streams"] - used["streams"]) / answered,
        "part_ms": parts({name: 1_000 * (spent[name] - before.get(name, 0.0)) / answered for name in spent}),
    }


def _signed(port: int, identity: str, secret: str, asked: list[dict[str, Any]]) -> list[bytes]:
    """The requests for predictions, signed now: they count for five minutes."""
    at = dt.datetime.now(dt.UTC).strftime("%Y%m%dT%H%M%SZ")
    scope = [at[:8], "eu-central-1", SERVICE, "aws4_request"]
    key = signing_key(secret.encode(), scope)
    headers = {
        "content-type": "application/x-amz-json-1.1",
        "host": f"127.0.0.1:{port}",
        "x-amz-date": at,
        "x-amz-target": f"{TARGET}GetEventPrediction",
    }
    lines, names = "".join(f"{name}:{value}\n" for name, value in headers.items()), ";".join(headers)
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    found = []
    for each in asked:
        body = msgspec.json.encode(each)
        signature = sign(key, Signed(identity, at[:8], "eu-central-1", at, lines, names, ""), body)
        credential = f"AWS4-HMAC-SHA256 Credential={identity}/{'/'.join(scope)}, SignedHeaders={names}"
        by = f"authorization: {credential}, Signature={signature}\r\ncontent-length: {len(body)}\r\n\r\n"
        found.append(f"POST / HTTP/1.1\r\n{head}{by}".encode() + body)
    return found


def _ask(
    address: str, identity: str, secret: str, asked: list[dict[str, Any]]
) -> tuple[list[dict[str, Any] | None], list[dt.datetime], list[float], dict[str, int]]:
    """The answers in order (None for an error), when each was asked for, milliseconds of each, and errors by kind."""
    session: Any = boto3.Session(identity, secret, region_name="eu-central-1")
    client = session.client("frauddetector", endpoint_url=address)
    answers: list[dict[str, Any] | None] = []
    times, latencies = list[dt.datetime](), list[float]()
    errors: Counter[str] = Counter()
    for event in asked:
        times.append(dt.datetime.now(dt.UTC))
        began = time.perf_counter()
        try:
            answers.append(client.get_event_prediction(**event))
            latencies.append(1_000 * (time.perf_counter() - began))
        except (ClientError, BotoCoreError) as error:
            answers.append(None)
            errors[str(error)[:200]] += 1
    return answers, times, latencies, dict(errors)


def _differences(
    exported: Mapping[str, Any],
    settings: Settings,
    asked: list[tuple[dict[str, Any], dt.datetime, dict[str, Any] | None]],
) -> list[str]:
    """Where an answer is neither that of the interpreter nor that of the core; a line each."""
    interpreter, core = Interpreter(exported), _Core(settings)
    found = []
    for event, at, answer in asked:
        verdict = core.verdict(event, at)
        if answer is None:
            continue
        scores = {name: score for scored in answer["modelScores"] for name, score in scored["scores"].items()}
        expected = interpreter.results(event["eventVariables"], scores)
        if answer["ruleResults"] != expected:
            found.append(f"{event['eventId']}: {answer['ruleResults']}, the interpreter says {expected}")
        said = [_MEANS[name] for result in answer["ruleResults"] for name in result["outcomes"]]
        outcome = max(said, key=_ORDER.index, default="approve")
        score = scores.get(SCORE)
        same = score is not None and verdict.score is not None and abs(score / 1000 - verdict.score) < _SAME_SCORE
        if outcome != verdict.outcome or not same:
            found.append(f"{event['eventId']}: {outcome} {score}, the core says {verdict.outcome} {verdict.score}")
    return found


class _Core:
    """The decision core in this process."""

    def __init__(self, settings: Settings) -> None:
        files = policy_files(settings.policy.path, settings.aws)
        policy = open_policy(files, settings.money.base_currency, fields_of(CATALOGUE)).current
        self._key = AnswerKey("k1", secrets.token_bytes(32))
        self._engine = Engine(
            settings, Intake.of(settings), policy, open_model(settings), {"k1": self._key}, self._key, "b", lambda: 0
        )

    def verdict(self, event: Mapping[str, Any], now: dt.datetime) -> Answered:
        """The decision on an event at a time, since when a card is observed counts; after those asked for before."""
        row = self._engine.read(msgspec.json.encode(_payment(event, now)), int(now.timestamp() * 1000))
        assert not isinstance(row, Refusal), row
        decided = self._engine.decide(row, b"", lambda: int(now.timestamp() * 1000), True)
        assert not isinstance(decided, Refusal), decided
        answered = unseal(decided.record, {"k1": self._key}).answered
        assert answered is not None
        return answered


def _payment(event: Mapping[str, Any], now: dt.datetime) -> dict[str, Any]:
    """The transaction that an event is, written out by hand."""
    said = event["eventVariables"]
    cents = round(float(said["order_price"]) * 100)
    plain = {
        "schema_version": 1,
        "transaction_id": event["eventId"],
        "event_time": event["eventTimestamp"],
        "sent_at": now,
        "transaction_type": "purchase",
        "authorisation_result": "approved",
        "response_code": "00",
        "initiation": "cardholder",
        "card_token": said["card_id"],
        "customer_id": event["entities"][0]["entityId"],
        "bin": said.get("card_bin", "000000"),
        "issuer_country": said.get("billing_country", "DE"),
        "merchant_id": said["merchant_id"],
        "mcc": said["category_code"],
        "merchant_country": said["merchant_country"],
        "amount_minor": cents,
        "billing_amount_minor": cents,
        "device_id": said.get("device"),
        "ip_address": said.get("ip"),
        "event": {"variables": said},
    }
    return plain | CONSTANTS


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command()(command)
    run_program(app)
