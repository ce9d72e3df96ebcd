"""The reference page of features. Generated, so it is current."""

from __future__ import annotations

from collections.abc import Iterator

from fraud.entities import ENTITIES, TRANSACTION
from fraud.features.aggregates import AGGREGATES, Reads, Shape
from fraud.features.catalogue import CATALOGUE, DAY_MS, HOUR_MS, MINUTE_MS, Feature
from fraud.features.kernel.layout import Flag, Input

_INPUTS = {
    Input.COUNTRY: "merchant's country",
    Input.DEVICE: "device",
    Input.MCC: "merchant category",
    Input.CHANNEL: "channel",
}
_FLAGS = {
    Flag.DECLINED: "declined",
    Flag.UNUSUAL: "unusual for the card",
    Flag.FRAUD: "fraud by an arrived label",
    Flag.MONEY_BACK: "refund, reversal or void",
    Flag.CHECK: "account check",
}


def features_page(features: tuple[Feature, ...] = CATALOGUE) -> str:
    """The page, in Markdown."""
    lines = [
        "# Features: reference",
        "",
        "Generated from `fraud/features/catalogue.yaml`. What windows, late events and nulls mean: "
        "[features](../features.md).",
        "",
        f"{len(features)} features, in the order of the model's inputs. All are 64-bit floats.",
    ]
    for entity in (TRANSACTION, *ENTITIES):
        found = [feature for feature in features if feature.entity is entity]
        if found:
            lines += [
                "",
                f"## Of the {entity.label}",
                "",
                "| feature | aggregate | window | input | unit | why it matters |",
            ]
            lines += ["|---|---|---|---|---|---|", *_rows(found)]
    lines += ["", "## Entities", "", "Rows of `fraud/entities.py`, in the order in which they are folded.", ""]
    lines += [
        "| entity | is a | found by | events kept of one, if `job.entities` gives no number |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| `{entity}` | {entity.label} | {', '.join(f'`{name}`' for name in entity.columns)} | {entity.events:,} |"
        for entity in ENTITIES
    ]
    used = {feature.aggregate for feature in features}
    lines += ["", "## Aggregates", "", "| aggregate | meaning |", "|---|---|"]
    lines += [f"| {aggregate.name} | {aggregate.meaning} |" for aggregate in AGGREGATES if aggregate in used]
    return "\n".join(lines) + "\n"


def _rows(features: list[Feature]) -> Iterator[str]:
    for f in features:
        yield f"| `{f.name}` | {f.aggregate.name} | {_window(f)} | {_input(f)} | {f.unit} | {f.why} |"


def _window(feature: Feature) -> str:
    if not feature.window_ms:
        return ""
    if feature.aggregate.shape is Shape.DECAY:
        return f"half-life {duration(feature.window_ms)}"
    delay = f", ending {duration(feature.delay_ms)} before" if feature.delay_ms else ""
    return f"{duration(feature.window_ms)}{delay}"


def _input(feature: Feature) -> str:
    match feature.aggregate.reads:
        case Reads.FLAG:
            return _FLAGS[feature.flag]
        case Reads.INPUT if feature.input is Input.OTHER:
            return feature.entity.other.removesuffix("_id").removesuffix("_token")
        case Reads.INPUT:
            return _INPUTS[feature.input]
        case Reads.AMOUNT:
            return "amount"
        case Reads.NOTHING:
            return ""


def duration(ms: int) -> str:
    """A whole number of days, hours or minutes.

    >>> duration(600_000), duration(86_400_000)
    ('10 min', '24 h')
    """
    if ms % DAY_MS == 0 and ms > DAY_MS:
        return f"{ms // DAY_MS} d"
    return f"{ms // HOUR_MS} h" if ms % HOUR_MS == 0 else f"{ms // MINUTE_MS} min"
