"""What a first start on AWS needs beyond streams, table and bucket: `fraud doctor --aws`."""

from __future__ import annotations

import email.utils
from collections.abc import Callable, Iterator
from pathlib import Path

from adapters.alerts.table import AlertTable
from adapters.archive.archive import open_archive
from adapters.archive.layout import checkpoint_key
from adapters.aws.clients import aws_client
from adapters.policy.source import open_policy, policy_files
from embedded.checks import Finding
from fraud.decision.rules.fields import fields_of
from fraud.errors import FraudError, ServiceError
from fraud.features import catalogue_of
from fraud.settings import Settings
from processor.keyed_state.backfill import read_manifest

MAX_SKEW_S = 60.0
"""Difference of clocks above which requests are soon refused: AWS takes up to five minutes."""


def check_first_start(settings: Settings, now_s: Callable[[], float]) -> Iterator[Finding]:
    """What settings name is there and may be used by whoever asks, each with what to do otherwise.

    Args:
        settings: of the environment.
        now_s: seconds since 1970.
    """
    yield _clock(settings, now_s)
    files = policy_files(settings.policy.path, settings.aws)
    tries: list[tuple[str, Callable[[], object], str]] = [
        (
            "Right to write the archive",
            lambda: open_archive(settings.archive, settings.aws).require_writable(),
            "run this as the job's role, or give it s3:PutObject and the key (modules/iam/policies/job.json)",
        ),
        (
            "Right to put alerts",
            lambda: AlertTable(settings.alerts, settings.aws).require_writable(),
            "run this as the job's role, or give it dynamodb:PartiQLInsert (modules/iam/policies/job.json)",
        ),
        (
            f"Policy {settings.policy.path}",
            lambda: open_policy(files, settings.money.base_currency, fields_of(catalogue_of(settings).features)),
            "put it there with its rules and lists: aws s3 cp --recursive config/ s3://BUCKET/policy/ "
            "--exclude '*' --include policy.yaml --include 'rules/*'",
        ),
        ("Model", lambda: _model(settings), "see `fraud models list`; settings name model.artifact, model.endpoint"),
    ]
    for name, attempt, remedy in tries:
        try:
            attempt()
        except FraudError as error:
            yield Finding(name, False, str(error), remedy)
        else:
            yield Finding(name, True, "in order")
    yield check_history(settings)


def check_history(settings: Settings) -> Finding:
    """What the query knows of its cards when it starts; nothing is no failure, and worth a backfill."""
    query = settings.job.query
    try:
        archive = open_archive(settings.archive, settings.aws)
        if archive.get(checkpoint_key(query)) is not None:
            return Finding("History", True, f"query {query} has begun and goes on with what it knows")
        manifest = read_manifest(archive, query)
    except FraudError as error:
        return Finding("History", False, str(error), "let whoever runs this read the archive")
    if manifest is not None:
        return Finding("History", True, f"query {query} begins with the history of {manifest.source['query']}")
    return Finding(
        "History",
        True,
        f"query {query} begins with none: every card and merchant is new to it, and for two weeks it finds less",
        advice="where history exists, archive it and run `fraud state backfill --from QUERY` before the first start "
        "(docs/features.md, Start with history)",
    )


def _model(settings: Settings) -> None:
    from ml_model.artifact import load_artifact

    if settings.model.artifact:
        load_artifact(Path(settings.model.artifact), settings.model.artifact_sha256)
    if settings.model.endpoint is not None and settings.model.endpoint_url is None:
        aws_client("sagemaker", settings.aws).describe_endpoint(EndpointName=settings.model.endpoint)


def _clock(settings: Settings, now_s: Callable[[], float]) -> Finding:
    """This machine's clock against AWS's, which signs and stamps by its own."""
    remedy = "synchronise this machine's clock"
    try:
        answer = aws_client("sts", settings.aws).get_caller_identity()
    except ServiceError as error:
        return Finding("Clock", False, str(error), remedy)
    headers = {name.lower(): value for name, value in answer["ResponseMetadata"]["HTTPHeaders"].items()}
    if "date" not in headers:
        return Finding("Clock", True, "not compared: the endpoint does not say its time")
    skew = now_s() - email.utils.parsedate_to_datetime(headers["date"]).timestamp()
    return Finding("Clock", abs(skew) <= MAX_SKEW_S, f"{skew:+.0f} s against the endpoint", remedy)
