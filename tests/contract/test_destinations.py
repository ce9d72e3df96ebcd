"""What every destination of the producer promises, and `aws` as a reader that we did not write."""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest

from fraud.records.label import Label
from fraud.records.transaction import Transaction
from fraud.settings import Aws, Settings
from producer.asking import Asking
from producer.campaigns.plan import load_plan
from producer.config import Ask
from producer.data_generator import Generated, generate, in_batches
from producer.destinations import Destination, JsonLinesFolder, Nowhere, ParquetFolder, StandardOutput, Streams
from producer.economy import draw_economy
from tests.support.decision_services import World, serving
from tests.support.emulators import provisioned
from tests.support.scripted_kinesis import ScriptedKinesis

AWS = Path(__file__).parents[2] / ".venv-emulator" / "bin" / "aws"
FIRST_DAY = 20_450
_LATER_MS = (FIRST_DAY + 6) * 86_400_000
THROTTLED = "ProvisionedThroughputExceededException"


class Trial:
    """A destination under test, and a way to read back what it took."""

    def __init__(self, destination: Destination) -> None:
        self.destination = destination
        self.labels_kept = True

    def transactions(self) -> list[dict[str, Any]]:
        raise NotImplementedError

    def labels(self) -> list[dict[str, Any]]:
        raise NotImplementedError


class OfFiles(Trial):
    def __init__(self, folder: Path, kind: str) -> None:
        self._folder, self._kind = folder, kind
        super().__init__((ParquetFolder if kind == "parquet" else JsonLinesFolder)(folder))

    def _read(self, name: str) -> list[dict[str, Any]]:
        file = self._folder / f"{name}.{self._kind}"
        if self._kind == "jsonl":
            return [json.loads(line) for line in file.read_bytes().splitlines()]
        return pl.read_parquet(file).to_dicts()

    def transactions(self) -> list[dict[str, Any]]:
        return self._read("transactions")

    def labels(self) -> list[dict[str, Any]]:
        return self._read("labels")


class OfOutput(Trial):
    def __init__(self) -> None:
        self._output = io.BytesIO()
        super().__init__(StandardOutput(self._output))
        self.labels_kept = False

    def transactions(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._output.getvalue().splitlines()]


class OfScript(Trial):
    def __init__(self, kinesis: ScriptedKinesis) -> None:
        self._kinesis = kinesis
        self._settings = Settings(aws=Aws(endpoint_url=kinesis.url))
        super().__init__(Streams(self._settings))

    def _read(self, stream: str) -> list[dict[str, Any]]:
        return [json.loads(taken.data) for taken in self._kinesis.taken if taken.stream == stream]

    def transactions(self) -> list[dict[str, Any]]:
        return self._read(self._settings.streams.transactions)

    def labels(self) -> list[dict[str, Any]]:
        return self._read(self._settings.streams.labels)


class OfEmulator(Trial):
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        super().__init__(Streams(settings))

    def _aws(self, *arguments: str) -> Any:
        keys = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_PAGER": ""}
        command = [str(AWS), "--endpoint-url", str(self._settings.aws.endpoint_url), "--region", "eu-central-1"]
        done = subprocess.run(
            [*command, "--output", "json", "kinesis", *arguments],
            capture_output=True,
            check=True,
            env={**os.environ, **keys},
        )
        return json.loads(done.stdout)

    def _read(self, stream: str) -> list[dict[str, Any]]:
        found = []
        for shard in self._aws("list-shards", "--stream-name", stream)["Shards"]:
            place = self._aws(
                "get-shard-iterator",
                *("--stream-name", stream, "--shard-id", shard["ShardId"], "--shard-iterator-type", "TRIM_HORIZON"),
            )
            answer = self._aws("get-records", "--shard-iterator", place["ShardIterator"])
            found += [json.loads(base64.b64decode(record["Data"])) for record in answer["Records"]]
        return found

    def transactions(self) -> list[dict[str, Any]]:
        return self._read(self._settings.streams.transactions)

    def labels(self) -> list[dict[str, Any]]:
        return self._read(self._settings.streams.labels)


class OfService(OfScript):
    """Half of the cards are asked about, the others' payments go on the stream."""

    def __init__(self, world: World, address: str, kinesis: ScriptedKinesis) -> None:
        super().__init__(kinesis)
        self._world = world
        self.destination = Asking(Ask(address, world.tokens["decide"], 0.5), self.destination)

    def transactions(self) -> list[dict[str, Any]]:
        on_stream = super().transactions()
        answered = [json.loads(record.data)["transaction"] for record in self._world.stream]
        assert len(on_stream) > 0 < len(answered)
        return on_stream + answered


@contextmanager
def trial_of(kind: str, folder: Path) -> Iterator[Trial]:
    if kind in ("parquet", "jsonl"):
        yield OfFiles(folder / "out", kind)
    elif kind == "stdout":
        yield OfOutput()
    elif kind == "kinesis":
        with provisioned() as settings:
            yield OfEmulator(settings)
    elif kind == "asked":
        # Like Kinesis, the stream of a world keeps the order; it is written before the answer.
        world = World(folder, durability="stream")
        world.now_ms = _LATER_MS
        with ScriptedKinesis([]) as kinesis, serving(world) as address:
            yield OfService(world, address, kinesis)
    else:
        script: list[Any] = [dict.fromkeys(range(0, 50, 7), THROTTLED), {0: "InternalFailure"}]
        with ScriptedKinesis(script if kind == "partial failures" else [THROTTLED] * 2) as kinesis:
            yield OfScript(kinesis)


@pytest.fixture(params=["parquet", "jsonl", "stdout", "kinesis", "partial failures", "throttling", "asked"])
def trial(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Trial]:
    with trial_of(request.param, tmp_path) as found:
        yield found


@pytest.fixture(scope="module")
def parts() -> list[Generated]:
    """1,500 transactions of 300 cards, some days later so that labels are due."""
    stream = in_batches(generate(draw_economy(5, 300, 100), load_plan("default"), FIRST_DAY), 500)
    return list(islice((part for part in stream if part.labels.num_rows), 3))


def test_everything_is_written_once_in_order_of_each_card_and_counted(trial: Trial, parts: list[Generated]) -> None:
    for part in parts:
        trial.destination.write(part)
    trial.destination.close()
    written = trial.transactions()
    sent = [row for part in parts for row in part.transactions.select(["card_token", "transaction_id"]).to_pylist()]
    assert trial.destination.transactions.accepted == len(written) == len(sent)
    for card in {row["card_token"] for row in sent}:
        assert [row["transaction_id"] for row in written if row["card_token"] == card] == [
            row["transaction_id"] for row in sent if row["card_token"] == card
        ]
    for row in written:
        msgspec.convert(row, Transaction, strict=False)


def test_labels_are_written_once(trial: Trial, parts: list[Generated]) -> None:
    if not trial.labels_kept:
        pytest.skip("standard output carries transactions only")
    for part in parts:
        trial.destination.write(part)
    trial.destination.close()
    labels = trial.labels()
    sent = [known for part in parts for known in part.labels["transaction_id"].to_pylist()]
    assert sorted(row["transaction_id"] for row in labels) == sorted(sent)
    assert trial.destination.labels.accepted == len(sent) > 0
    for row in labels:
        msgspec.convert(row, Label, strict=False)


def test_a_dry_run_counts_and_writes_nothing(parts: list[Generated]) -> None:
    nowhere = Nowhere()
    nowhere.write(parts[0])
    assert nowhere.transactions.accepted == 500


def test_streams_are_stamped_at_writing_and_files_keep_event_time(tmp_path: Path, parts: list[Generated]) -> None:
    output = OfOutput()
    output.destination.write(parts[0])
    files = OfFiles(tmp_path / "out", "parquet")
    files.destination.write(parts[0])
    files.destination.close()
    assert len({row["sent_at"] for row in output.transactions()}) == 1
    assert all(row["sent_at"] == row["event_time"] for row in files.transactions())
