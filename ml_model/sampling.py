"""A bounded, even sample of a stream of any length: some of the cards with all of their transactions."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

Bools = npt.NDArray[np.bool_]


def sample_of_cards(
    chunks: Iterable[pa.Table], rows: int, always: Callable[[pa.Table], Bools] | None = None
) -> tuple[pa.Table | None, float]:
    """Takes cards by the hash of their token, half as many each time that there are more rows than allowed.

    A card's transactions stand or fall together, so shares and rankings of the sample estimate those of the whole,
    and resampling cards gives honest intervals.

    Args:
        chunks: tables with `card_token`.
        rows: the most rows to keep.
        always: rows that stay whatever their card, such as frauds in training; they do not count.

    Returns:
        The rows, in order, None where there are none; and the share of cards that was taken.

    >>> cards = pa.table({"card_token": [f"card-{number % 100}" for number in range(1_000)]})
    >>> table, share = sample_of_cards([cards, cards], rows=1_000)
    >>> share, len(table) <= 1_000, set(table["card_token"].value_counts().field("counts").to_pylist())
    (0.5, True, {20})
    """
    kept: list[tuple[pa.Table, npt.NDArray[np.uint64]]] = []
    halvings = 0
    for chunk in chunks:
        token_hash = pl.Series(values=chunk["card_token"].cast(pa.string())).hash().to_numpy().copy()
        if always is not None:
            token_hash[always(chunk)] = 0
        kept.append(_below(chunk, token_hash, halvings))
        while sum(int(np.count_nonzero(hashes)) for _, hashes in kept) > rows:
            halvings += 1
            kept = [_below(table, hashes, halvings) for table, hashes in kept]
    found = [table for table, _ in kept if len(table)]
    return (pa.concat_tables(found) if found else None), 0.5**halvings


def _below(
    table: pa.Table, token_hash: npt.NDArray[np.uint64], halvings: int
) -> tuple[pa.Table, npt.NDArray[np.uint64]]:
    inside = token_hash <= np.uint64((2**64 - 1) >> halvings)
    return (table, token_hash) if inside.all() else (table.filter(pa.array(inside)), token_hash[inside])
