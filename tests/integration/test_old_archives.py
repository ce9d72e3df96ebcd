"""Every command reads archives of an older and of a newer version: younger columns as null, unknown ones not at all.

`fraud features`, with and without Spark, is in `test_features_command`, over the same archive.
"""

from __future__ import annotations

import datetime as dt
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml
from typer.testing import CliRunner

from adapters.archive.archive import Archive, open_archive
from adapters.archive.decision_archive import DecisionArchive
from adapters.archive.layout import ArchiveKind
from adapters.policy.source import policy_files, read_bundle
from cli.main import build_app
from fraud.decision.policy.compiler import compile_policy
from fraud.decision.rules.fields import fields_of
from fraud.errors import MisconfiguredError
from fraud.features import CATALOGUE, EXACT_FIELDS, FEATURE_FIELDS, FEATURE_NAMES
from fraud.records.transaction import TRANSACTION_SCHEMA
from fraud.settings import Aws, Settings
from ml_model.archived import labels_known_now, matured_cases, training_set
from operations.lake import Lake
from tests.integration.test_features_command import JOB, archive_history, rows_of
from tests.support.decision_archives import (
    UNKNOWN,
    days_of_refusals,
    write_archive,
)
from tests.support.emulators import provisioned
from tests.support.model_archives import BEGIN, write_model_archive

ROOT = Path(__file__).parents[2]
DECISIONS = ArchiveKind.DECISIONS.key(JOB.query, 0, 0, 0)


def fraud(*arguments: str, codes: Sequence[int] = (0,)) -> str:
    result = CliRunner().invoke(build_app(), [*arguments, "--set", "log.level=error"])
    if isinstance(result.exception, MisconfiguredError):
        raise result.exception
    assert result.exit_code in codes, result.output + repr(result.exception)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.output


def opened(settings: Settings) -> Archive:
    return open_archive(settings.archive, settings.aws)


@pytest.fixture(scope="module")
def located(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Settings, Path, list[dict[str, object]]]]:
    """The settings of an archive (see `archive_history`), the same as a file, and what the job had decided by."""
    folder = tmp_path_factory.mktemp("archive")
    with provisioned() as base:
        settings = base.model_copy(update={"job": JOB})
        decided = pa.Table.from_batches(archive_history(opened(settings)))
        file = folder / "settings.yaml"
        file.write_text(yaml.safe_dump(settings.model_dump(mode="json")))
        yield settings, file, rows_of(decided)


Located = tuple[Settings, Path, list[dict[str, object]]]


def test_parity_compares_what_was_stored_and_counts_the_rest(located: Located, tmp_path: Path) -> None:
    settings, file, decided = located
    said = fraud("parity", "--archive", "--config", str(file), "--json", str(tmp_path / "parity.json"))
    figures = json.loads((tmp_path / "parity.json").read_text())
    first = sum(opened(settings).row_count(ArchiveKind.DECISIONS.key(JOB.query, 0, n, 0)) for n in (0, 1))
    assert 0 < first < len(decided)
    assert figures["not_stored_by_feature"] == {"card_count_1h": first, "exact_bin": first}
    assert figures["unknown_columns"] == [UNKNOWN]
    assert (figures["transactions"], figures["mismatched"], figures["unmatched_transactions"]) == (len(decided), 0, 0)
    assert figures["compared"] == len(decided) * len([*FEATURE_FIELDS, *EXACT_FIELDS]) - 2 * first
    assert f"not stored: 2, by so many transactions\n  card_count_1h: {first}" in said


def test_a_query_begins_with_the_state_of_the_history(located: Located) -> None:
    _, file, decided = located
    said = fraud("state", "backfill", "--from", JOB.query, "--set", "job.query=next", "--config", str(file))
    assert f"transactions: {len(decided)}" in said


def test_maintenance_takes_old_objects_beside_new_ones_whichever_come_first(located: Located) -> None:
    settings, _, decided = located
    archive = opened(settings)
    later = settings.model_copy(update={"archive": settings.archive.model_copy(update={"prefix": "later/"})})
    order = [(number, partition) for number in (1, 0, 3) for partition in (0, 1)]  # newer, older, newer
    for number, partition in order:
        key = ArchiveKind.DECISIONS.key(JOB.query, number, partition, 0)
        opened(later).put_table_once(key, archive.read_stored(key))
        lake = Lake(later.archive, later.aws, dt.datetime(1970, 1, 2, tzinfo=dt.UTC), dt.timedelta(0))
        found = lake.maintain(ArchiveKind.DECISIONS)
        assert found.sound
    assert found.archived == len(decided)
    rows = lake.rows(ArchiveKind.DECISIONS, ["card_count_1h", UNKNOWN])
    old = rows.filter(pc.is_valid(rows[UNKNOWN]))
    assert 0 < old.num_rows == old["card_count_1h"].null_count < rows.num_rows


def test_a_batch_that_is_tried_again_goes_on_from_what_an_older_version_stored(located: Located) -> None:
    archive = opened(located[0])
    wanted = archive.read_stored(ArchiveKind.DECISIONS.key(JOB.query, 1, 0, 0))
    standing = archive.put_table_once(DECISIONS, wanted)
    assert standing.schema.equals(wanted.schema)
    assert standing["card_count_1h"].null_count == standing.num_rows
    assert standing["transaction_id"].to_pylist() == archive.read_stored(DECISIONS)["transaction_id"].to_pylist()


@pytest.mark.parametrize(
    "command",
    [
        ("parity", "--archive"),
        ("features", "FOLDER"),
        ("state", "backfill", "--from", JOB.query, "--set", "job.query=never"),
        ("maintain",),
        ("erase", "card-1", "--dry-run"),
    ],
)
@pytest.mark.parametrize(
    ("broken", "words"),
    [("missing", "has no column card_token, which is required; "), ("retyped", "its column card_token is int64, not ")],
)
def test_what_cannot_be_read_is_named_in_one_line(
    located: Located, tmp_path: Path, command: tuple[str, ...], broken: str, words: str
) -> None:
    settings, file, _ = located
    prefix = f"{broken}-{command[0]}/"
    archive = open_archive(settings.archive.model_copy(update={"prefix": prefix}), settings.aws)
    table = opened(settings).read_stored(DECISIONS)
    place = table.schema.get_field_index("card_token")
    rest = table.drop_columns(["card_token"])
    numbers = table.set_column(place, "card_token", pa.array(np.arange(table.num_rows)))
    archive.put_table_once(DECISIONS, rest if broken == "missing" else numbers)
    whole = ArchiveKind.DECISIONS.key(JOB.query, 1, 0, 0)
    archive.put_table_once(whole, opened(settings).read_stored(whole))
    named = [str(tmp_path / "out") if word == "FOLDER" else word for word in command]
    with pytest.raises(MisconfiguredError, match=words) as refused:
        fraud(*named, "--config", str(file), "--set", f"archive.prefix={prefix}")
    assert refused.value.setting.endswith(DECISIONS)
    assert refused.value.exit_code == 2
    assert "\n" not in str(refused.value)


def older(folder: Path, columns: Sequence[str], *, as_null: bool) -> Path:
    """A copy of an archive in a folder whose first object lacks columns, or has nothing but nulls in them."""
    copy = folder.with_name(f"{folder.name}-{'null' if as_null else 'old'}")
    shutil.copytree(folder, copy)
    file = min(copy.glob("decisions/**/*.parquet"))
    table = pq.read_table(file)
    for name in columns:
        nulls = pa.nulls(table.num_rows, table.schema.field(name).type)
        place = table.schema.get_field_index(name)
        table = table.set_column(place, name, nulls) if as_null else table.remove_column(place)
    pq.write_table(table, file)
    return copy


def test_a_backtest_reads_what_is_younger_as_null(tmp_path: Path) -> None:
    fields = fields_of(CATALOGUE)
    policy = compile_policy(read_bundle(policy_files(str(ROOT / "config/policy.yaml"), Aws())), fields, "EUR")
    write_archive(tmp_path / "archive", *days_of_refusals(policy, 60))
    reports: list[dict[str, Any]] = []
    for as_null in (False, True):
        copy = older(tmp_path / "archive", ["card_declines_24h", "avs_result"], as_null=as_null)
        fraud("backtest", "--archive", str(copy), "--json", str(tmp_path / "report.json"))
        reports.append(json.loads((tmp_path / "report.json").read_text()))
    assert reports[0] == reports[1]
    assert reports[0]["decisions"]


def test_training_and_evaluation_read_what_is_younger_as_null(tmp_path: Path) -> None:
    write_model_archive(tmp_path / "archive", days=100, per_day=100, fraud_share=0.3)
    found = []
    for as_null in (False, True):
        archive = DecisionArchive(str(older(tmp_path / "archive", ["tx_amount", "device_id"], as_null=as_null)), Aws())
        known = labels_known_now(archive, 30)
        data, _ = training_set(archive, known, BEGIN, BEGIN + dt.timedelta(days=100), 10**6)
        cases, _ = matured_cases(archive, known, BEGIN, 10**6)
        found.append((data, cases))
    (data, cases), (nulled, nulled_cases) = found
    empty = np.isnan(data.features[:, FEATURE_NAMES.index("tx_amount")])
    assert 0 < empty.sum() < len(empty)
    assert np.array_equal(data.features, nulled.features, equal_nan=True)
    assert all(part.transactions.equals(other.transactions) for part, other in zip(cases, nulled_cases, strict=True))
    old = str(tmp_path / "archive-old")
    fraud("train", "--archive", old, "--out", str(tmp_path / "model"), "--trials", "0")
    fraud("drift", "--archive", old, "--model", str(tmp_path / "model"), "--reference-days", "60", codes=(0, 1))


def test_a_folder_s_object_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    fields = fields_of(CATALOGUE)
    policy = compile_policy(read_bundle(policy_files(str(ROOT / "config/policy.yaml"), Aws())), fields, "EUR")
    write_archive(tmp_path / "archive", *days_of_refusals(policy, 60))
    file = max((tmp_path / "archive").glob("decisions/**/*.parquet"))
    table = pq.read_table(file)
    for name, column in {"event_time": None, "segment": None, "tx_amount": pa.array(["much"] * len(table))}.items():
        broken = table.drop_columns([name])
        pq.write_table(broken if column is None else broken.append_column(name, column), file)
        archive = DecisionArchive(str(tmp_path / "archive"), Aws())
        wanted = f"^{file}: (has no|its) column {name}[, ]"
        with pytest.raises(MisconfiguredError, match=wanted):
            list(archive.decisions(["transaction_id", "event_time", name], BEGIN, BEGIN + dt.timedelta(days=500)))
    assert {field.name for field in TRANSACTION_SCHEMA} <= set(table.schema.names)
