"""Decides a recording as the job would have, into an archive of its own, for those who have nothing archived yet."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from adapters.archive.layout import ArchiveKind
from fraud.backtest.recorded import Unexplained
from fraud.decision.decide import decide
from fraud.decision.policy.compiled import CompiledPolicy
from fraud.decision.scorer import Scorer
from fraud.path import FeaturePath
from fraud.records import Records
from fraud.records.arrival import ARRIVAL_COLUMNS, RAW_FIELD, with_arrival
from fraud.settings import Settings


class Decided(NamedTuple):
    """What became of a recording.

    Attributes:
        decisions: that were archived.
        repeated: transactions left out because their card had one of the same id within the duplicate horizon.
    """

    decisions: int
    repeated: int


def archive_recording(
    parts: Iterable[tuple[pa.RecordBatch, pa.RecordBatch]],
    folder: Path,
    policy: CompiledPolicy,
    scorer: Scorer,
    settings: Settings,
    columns: Collection[str],
    progress: Callable[[int], None] = lambda _: None,
) -> Decided:
    """Writes what the job would have archived of a stream: decisions by a policy, with features, and labels.

    One process folds the stream with the whole state in memory; of the stream itself it holds one part at a time.

    Args:
        parts: transactions and the labels that came due with them, in order.
        folder: of the archive; made if absent.
        policy: decides.
        scorer: scores; no decision is explained by it.
        settings: of the query.
        columns: of a decision that are kept, beside when it arrived.
        progress: called with the number of transactions decided so far.
    """
    path, unexplained = FeaturePath(settings), Unexplained(scorer)
    folders = {kind: folder / kind.value for kind in (ArchiveKind.DECISIONS, ArchiveKind.LABELS)}
    for part in folders.values():
        part.mkdir(parents=True, exist_ok=True)
    decided = repeated = 0
    for number, (transactions, labels) in enumerate(parts):
        arrived = with_arrival(transactions, "event_time", number)
        due = with_arrival(labels, "label_time", number)
        featured = path.advance(Records(arrived, due if due.num_rows else None)).transactions
        kept = 0 if featured is None else featured.num_rows
        name = f"part-{number:06d}.parquet"
        if featured is not None and kept:
            verdicts = decide(featured, unexplained, policy)
            found = {column: featured[column] for column in featured.schema.names} | {
                column: verdicts[column] for column in verdicts.schema.names
            }
            found.setdefault(RAW_FIELD.name, pa.nulls(kept, RAW_FIELD.type))  # a recording has no bytes of records
            wanted = [column for column in found if column in columns or column in ARRIVAL_COLUMNS]
            stored = pa.table({column: found[column] for column in [*wanted, "recorded_arrival"]})
            pq.write_table(stored, folders[ArchiveKind.DECISIONS] / name, compression="zstd")
        if due.num_rows:
            pq.write_table(pa.table(due), folders[ArchiveKind.LABELS] / name, compression="zstd")
        decided, repeated = decided + kept, repeated + transactions.num_rows - kept
        progress(decided)
    return Decided(decided, repeated)
