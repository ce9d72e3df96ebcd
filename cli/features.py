"""`fraud features`: computes the features of an archived history again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adapters.program.program import ConfigOption, JsonOption, SetOption, open_program, write_json
from fraud.errors import MisconfiguredError

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS_A_FILE = 200_000


def command(
    folder: Annotated[Path, typer.Argument(help="Folder to write Parquet files to; made if absent, must be empty.")],
    spark: Annotated[bool, typer.Option("--spark", help="Compute with Spark: for histories of many millions.")] = False,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = None,
) -> None:
    """Recompute every feature of a query's archived transactions, with the current catalogue.

    For training on features that the job did not have yet, or on entities that it did not measure. The values are those
    that the job would have stored: the archive is folded in arrival order, from the query's first batch on, with the
    labels as they arrived. --spark runs on job.master, with job.key_groups tasks. Duplicates are not in the archive of
    decisions, so none are found.

    \b
    Examples:
      fraud features features-of-2026 --set job.query=fraud
      fraud features by-device --spark --set "job.entities=[card, merchant, device]" --set job.key_groups=16
    """
    settings = open_program("features", config, assignments)
    from adapters.archive.archive import open_archive
    from processor.recompute import featured_by_spark, featured_in_process
    from processor.session import open_session

    if folder.exists() and any(folder.iterdir()):
        raise MisconfiguredError("FOLDER", f"{folder} is not empty")
    archive = open_archive(settings.archive, settings.aws)
    archive.require()
    started = time.monotonic()
    if spark:
        session = open_session(settings)
        try:
            featured_by_spark(session, archive, settings).write.mode("append").parquet(str(folder.absolute()))
            rows = session.read.parquet(str(folder.absolute())).count()
        finally:
            session.stop()
    else:
        rows = _write(featured_in_process(archive, settings), folder)
    if not rows:
        raise MisconfiguredError("job.query", f"the archive has no decisions of a query named {settings.job.query}")
    seconds = time.monotonic() - started
    typer.echo(f"{rows:,} transactions with features in {folder}, {seconds:.0f} s")
    write_json(json, {"transactions": rows, "seconds": seconds, "spark": spark})


def _write(parts: Iterator[tuple[int, pa.Table]], folder: Path) -> int:
    """Writes a file for every so many rows; gives the number of rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(parents=True, exist_ok=True)
    rows = files = 0
    waiting: list[pa.Table] = []

    def write() -> None:
        nonlocal files
        pq.write_table(pa.concat_tables(waiting), folder / f"part-{files:05d}.parquet", compression="zstd")
        files += 1
        waiting.clear()

    for number, part in parts:
        waiting.append(part)
        rows += part.num_rows
        if sum(table.num_rows for table in waiting) >= _ROWS_A_FILE:
            write()
            typer.echo(f"{rows:,} transactions, until batch {number}")
    if waiting:
        write()
    return rows
