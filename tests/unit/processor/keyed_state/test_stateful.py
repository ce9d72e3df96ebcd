"""The shell around the fold passes on what a batch gives a key group, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from fraud.entities import MERCHANT
from fraud.records import decode
from fraud.records.intake import decode_records
from fraud.settings import Job, Settings
from processor.envelope import pack, unpack
from processor.keyed_state.stateful import EntityProcessor
from processor.run import Run
from tests.support.records import label, stream_records, wire


class State:
    """A list and a value state in memory."""

    def __init__(self) -> None:
        self.rows: list[tuple[bytes]] = []
        self.value: tuple[bytes] | None = None

    def getListState(self, name: str, schema: str) -> State:  # noqa: N802
        return self

    getValueState = getListState  # noqa: N815

    def get(self) -> tuple[bytes] | None:
        return self.value

    def appendList(self, rows: list[tuple[bytes]]) -> None:  # noqa: N802
        self.rows.extend(rows)

    def update(self, value: tuple[bytes]) -> None:
        self.value = value


def test_a_merchant_group_that_a_batch_gives_labels_only_passes_them_on(tmp_path: Path) -> None:
    processor = EntityProcessor(MERCHANT, Run(settings=Settings(job=Job(state_folder=str(tmp_path)))))
    state = State()
    processor.init(state)
    labels, _ = decode_records(decode.LABELS, stream_records([wire(label())], stream="fraud-labels"))
    rows: Iterator[pd.DataFrame] = iter([pd.DataFrame({"kind": ["labels"], "payload": [pack(labels)]})])
    (emitted,) = processor.handleInputRows((0,), rows, None)
    assert emitted["kind"].tolist() == ["labels", "sizes"]
    (size,) = unpack(emitted["payload"][1]).to_pylist()
    assert (size["entity"], size["key_group"], size["keys"]) == ("merchant", 0, 0)
    assert size["log_bytes"] == sum(len(entry) for (entry,) in state.rows)
    assert len(state.rows) == 2  # what was folded, nothing, and the label that waits are in the log
    assert state.value is not None
