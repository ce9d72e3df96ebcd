"""What is in a recording: its span, cards, amounts, fraud, gaps and duplicates, as figures and as a page with plots."""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa

from adapters.recordings.convert import FRAUD
from fraud.money import format_money
from fraud.records.encode import encode
from fraud.records.transaction import TRANSACTION_SCHEMA

if TYPE_CHECKING:
    from adapters.recordings.propose import Proposal

_SECONDS_OF_DAY = 86_400


class Profile:
    """Gathers the figures of a recording as it is read; holds ids' hashes, times and amounts, not the rows.

    Args:
        base_currency: of billing amounts.
        unknown: fields that something else stands for, because the recording has no column of them.
    """

    def __init__(self, base_currency: str, unknown: Collection[str] = ()) -> None:
        self._base_currency = base_currency
        self._unknown = {*unknown, *(["sent_at"] if "event_time" in unknown else [])}
        self._first = pl.DataFrame()
        self._kept: list[pl.DataFrame] = []

    def add(self, frame: pl.DataFrame) -> None:
        """Takes a stretch of transactions, as `RecordingReader.converted` gives them."""
        if self._first.height < 10:
            self._first = pl.concat([self._first, frame.head(10)]) if self._first.height else frame.head(10)
        self._kept.append(
            frame.select(
                pl.col("event_time"),
                pl.col("card_token").hash().alias("card"),
                pl.col("merchant_id").hash().alias("merchant"),
                pl.struct("card_token", "transaction_id").hash().alias("id"),
                pl.col("billing_amount_minor").alias("amount"),
                pl.col(FRAUD).alias("fraud"),
            )
        )

    def first_records(self, count: int) -> list[str]:
        """The first transactions as they would be sent, without what is not known."""
        if not self._first.height:
            return []
        table = self._first.head(count).select(TRANSACTION_SCHEMA.names).to_arrow()
        arrays = [table[part.name].combine_chunks().cast(part.type) for part in TRANSACTION_SCHEMA]
        lines = [line.decode() for line in encode(pa.RecordBatch.from_arrays(arrays, schema=TRANSACTION_SCHEMA))]
        if not self._unknown:
            return lines
        known = (
            {name: value for name, value in json.loads(line).items() if name not in self._unknown} for line in lines
        )
        return [json.dumps(record, separators=(",", ":")) for record in known]

    def _rows(self) -> pl.DataFrame:
        if not self._kept:
            hashes = dict.fromkeys(("card", "merchant", "id"), pl.UInt64())
            times = {"event_time": pl.Datetime("ms", "UTC")}
            return pl.DataFrame(schema={**times, **hashes, "amount": pl.Int64(), "fraud": pl.Boolean()})
        if len(self._kept) > 1:
            self._kept = [pl.concat(self._kept)]
        return self._kept[0]

    def figures(self) -> dict[str, Any]:
        """The figures; times are ISO 8601, money in minor units of the base currency."""
        rows = self._rows()
        if not rows.height:
            return {"transactions": 0}
        figures: dict[str, Any] = {"transactions": rows.height}
        if self._knows_times:
            time = rows["event_time"].sort()
            gap = time.diff().max()
            seconds = gap.total_seconds() if gap is not None else 0.0  # type: ignore[union-attr]
            figures |= {"first": str(time[0]), "last": str(time[-1]), "longest_gap_s": seconds}
        figures |= {
            "cards": rows["card"].n_unique(),
            "merchants": rows["merchant"].n_unique(),
            "repeated_ids": rows.height - rows["id"].n_unique(),
        }
        if self._knows_amounts:
            figures |= {f"amount_p{share}": int(rows["amount"].quantile(share / 100) or 0) for share in (1, 50, 99)}
        known = rows.height - rows["fraud"].null_count()
        return figures | {"labelled": known, "fraud": int(rows["fraud"].sum() or 0)}

    @property
    def _knows_times(self) -> bool:
        return "event_time" not in self._unknown

    @property
    def _knows_amounts(self) -> bool:
        return "billing_amount_minor" not in self._unknown

    def table(self, figures: dict[str, Any]) -> list[tuple[str, str]]:
        """The figures in words."""
        shown = [("transactions", f"{figures['transactions']:,}" if figures["transactions"] else "none")]
        if figures["transactions"]:
            if self._knows_times:
                shown.append(("from, to", f"{figures['first']}, {figures['last']}"))
                shown.append(("longest gap", f"{figures['longest_gap_s'] / 3600:,.1f} hours"))
            shown.append(("cards, merchants", f"{figures['cards']:,}, {figures['merchants']:,}"))
            if self._knows_amounts:
                money = [format_money(figures[f"amount_p{part}"], self._base_currency) for part in (1, 50, 99)]
                shown.append(("amount, middle", f"{money[1]} (1 % below {money[0]}, 1 % above {money[2]})"))
            share = f" ({figures['fraud'] / figures['transactions']:.2%})"
            shown.append(("fraud", f"{figures['fraud']:,}{share}" if figures["labelled"] else "not said"))
            shown.append(("repeated ids of a card", f"{figures['repeated_ids']:,}"))
        return [*shown, ("rows not read", f"{figures.get('bad_rows', 0):,}")]

    def plots(self) -> bytes:
        """Transactions and fraud a day, amounts, and transactions a card, as SVG."""
        import matplotlib as mpl

        mpl.use("Agg")
        from matplotlib import pyplot as plt

        rows = self._rows()
        figure, axes = plt.subplots(2, 2, figsize=(11, 7), layout="constrained")
        if self._knows_times:
            day = pl.col("event_time").dt.date().alias("day")
            days = rows.group_by(day).agg(pl.len(), pl.col("fraud").sum()).sort("day")
            axes[0, 0].bar(days["day"].to_list(), days["len"].to_list(), width=1.0)
            axes[0, 0].set_title("transactions a day")
            axes[0, 1].bar(days["day"].to_list(), days["fraud"].to_list(), width=1.0, color="firebrick")
            axes[0, 1].set_title("fraud a day")
        if self._knows_amounts:
            positive = rows.filter(pl.col("amount") > 0)["amount"].log10()
            axes[1, 0].hist(positive.to_list(), bins=60)
            axes[1, 0].set_title(f"amount, powers of ten of {self._base_currency}'s minor unit")
        per_card = rows.group_by("card").len()["len"].log10()
        axes[1, 1].hist(per_card.to_list(), bins=40)
        axes[1, 1].set_title("transactions a card, powers of ten")
        for axis in axes.flat:
            axis.set_visible(bool(axis.get_title()))
        for axis in axes[0]:
            axis.tick_params(axis="x", rotation=30)
        written = io.BytesIO()
        figure.savefig(written, format="svg")
        plt.close(figure)
        return written.getvalue()


def render_profile(profile: Profile, name: str, described: str, proposal: Proposal | None, warnings: list[str]) -> str:
    """The profile as one HTML page without scripts."""
    figures = profile.figures()
    cells = "".join(f"<tr><th>{html.escape(a)}</th><td>{html.escape(b)}</td></tr>" for a, b in profile.table(figures))
    asked = []
    if proposal is not None:
        about = {**proposal.missing, **proposal.questions}
        asked = [*(f"{name}: {words}" for name, words in about.items()), *proposal.notes]
    notes = "".join(f"<li>{html.escape(line)}</li>" for line in [*asked, *warnings])
    columns = ""
    if proposal is not None:
        chosen = proposal.mapping["columns"].items()
        columns = "".join(
            f"<tr><td>{html.escape(field)}</td><td>{html.escape(str(theirs))}</td>"
            f"<td>{proposal.confidence.get(field, 'high')}</td></tr>"
            for field, theirs in chosen
        )
        columns = f"<h2>Mapping</h2><table><tr><th>field</th><th>column</th><th>confidence</th></tr>{columns}</table>"
    plots = base64.b64encode(profile.plots()).decode() if figures["transactions"] else ""
    image = (
        f'<img alt="Plots of days, fraud, amounts and cards" src="data:image/svg+xml;base64,{plots}">' if plots else ""
    )
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Recording {html.escape(name)}</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem}}
table{{border-collapse:collapse}}th,td{{text-align:left;padding:.2rem .8rem;border-bottom:1px solid #ddd}}
img{{max-width:100%}}</style>
<h1>{html.escape(name)}</h1><p>{html.escape(described)}</p>
<h2>What is in it</h2><table>{cells}</table>{image}{columns}
<h2>Open questions and notes</h2><ul>{notes}</ul></html>
"""
