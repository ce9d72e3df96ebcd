"""Archive, alerts, dead letters and Delta tables against a real endpoint: what is written first stays."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from adapters.alerts.alert import MAX_TEXT, alert_item
from adapters.archive.archive import Archive, open_archive
from adapters.aws.clients import aws_client
from adapters.aws.provision import provision
from adapters.objects.s3 import S3Objects
from fraud.errors import MisconfiguredError
from fraud.features import FEATURE_FIELDS
from fraud.settings import Archive as ArchiveSettings
from fraud.settings import Settings
from tests.support.emulators import provisioned
from tests.support.records import KEPT_DAYS, VERDICT, transaction

NOON_MS = 1_768_478_400_000


@pytest.fixture(scope="module")
def settings() -> Iterator[Settings]:
    with provisioned() as located:
        yield located


@pytest.fixture
def bucket(settings: Settings, request: pytest.FixtureRequest) -> Settings:
    """Settings with a prefix of the test's own."""
    return settings.model_copy(update={"archive": ArchiveSettings(prefix=f"{request.node.name}/")})


def alert(**fields: Any) -> dict[str, Any]:
    return alert_item(transaction() | VERDICT | fields, {"card_count_1h": 3.0, "absent": None}, KEPT_DAYS)


def test_provisioning_again_changes_nothing(settings: Settings) -> None:
    assert all(line.endswith("was there") for line in provision(settings))


def test_the_first_object_at_a_key_stays(bucket: Settings) -> None:
    archive = open_archive(bucket.archive, bucket.aws)
    assert archive.put_new("a", b"first")
    assert not archive.put_new("a", b"second")
    assert archive.get("a") == b"first"
    assert archive.get("b") is None


def test_of_many_writers_at_once_exactly_one_creates_and_all_see_its_table(bucket: Settings) -> None:
    def write(number: int) -> int:
        return int(
            open_archive(bucket.archive, bucket.aws)
            .put_table_once("t.parquet", pa.table({"writer": [number]}))["writer"][0]
            .as_py()
        )

    with ThreadPoolExecutor(8) as pool:
        seen = set(pool.map(write, range(8)))
    assert len(seen) == 1


def test_an_oversize_reason_is_trimmed_and_marked() -> None:
    trimmed = alert(reasons=["x" * (MAX_TEXT + 1)])
    assert trimmed["trimmed"]
    assert trimmed["reasons"] == ["x" * MAX_TEXT]
    assert not alert()["trimmed"]


def test_a_missing_bucket_stops_a_start_with_its_name(settings: Settings) -> None:
    absent = settings.model_copy(update={"archive": ArchiveSettings(bucket="no-such-bucket")})
    with pytest.raises(MisconfiguredError, match=r"archive\.bucket: s3://no-such-bucket/ cannot be used"):
        open_archive(absent.archive, absent.aws).require()
    open_archive(settings.archive, settings.aws).require()


@pytest.mark.parametrize("refused", ["PutObject", "GetObject"])
def test_a_missing_right_stops_a_start_with_the_bucket_and_the_call(bucket: Settings, refused: str) -> None:
    objects = S3Objects(f"s3://{bucket.archive.bucket}/{bucket.archive.prefix}", bucket.aws)
    archive = Archive(objects)
    archive.require_writable()
    error = {"Error": {"Code": "AccessDenied", "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": 403}}
    answer = SimpleNamespace(status_code=403, headers={}, raw=None, content=b"")
    objects._client.meta.events.register(f"before-call.s3.{refused}", lambda **_: (answer, error))
    with pytest.raises(
        MisconfiguredError, match=rf"archive\.bucket: s3://fraud-archive/.* s3 {refused}: AccessDenied: no"
    ):
        archive.require_writable()


def test_every_object_is_encrypted_and_tagged_as_set(bucket: Settings) -> None:
    with_key = bucket.archive.model_copy(update={"kms_key": "alias/fraud", "tags": {"team": "fraud ops"}})
    open_archive(with_key, bucket.aws).put_new("x", b"1")
    place = {"Bucket": "fraud-archive", "Key": f"{bucket.archive.prefix}x"}
    s3 = aws_client("s3", bucket.aws)
    held = s3.head_object(**place)
    assert (held["ServerSideEncryption"], held["SSEKMSKeyId"]) == ("aws:kms", "alias/fraud")
    assert s3.get_object_tagging(**place)["TagSet"] == [{"Key": "team", "Value": "fraud ops"}]


def test_the_longest_alert_fits_an_item() -> None:
    longest = "x" * 64
    reasons = {"reasons": ["long " * 500] * 40, "rules": [longest] * 40, "reason_codes": [longest] * 40}
    ids = dict.fromkeys(("card_token", "transaction_id", "customer_id", "merchant_id", "device_id"), longest)
    features = {field.name: 1 / 3 for field in FEATURE_FIELDS}
    item = alert_item(transaction() | VERDICT | reasons | ids, features, KEPT_DAYS)
    assert item["trimmed"]
    assert len(json.dumps(item)) < 40_000  # DynamoDB takes 400 KB, of which notes may use the rest
