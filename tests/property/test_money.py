"""A purchase reads the same whatever the base currency: in features, reasons and rules."""

from __future__ import annotations

import re
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings

from adapters.policy.source import policy_files, read_bundle
from fraud.decision.decide import decide
from fraud.decision.policy.compiled import CompiledPolicy
from fraud.decision.policy.compiler import compile_policy
from fraud.decision.rules.fields import fields_of
from fraud.decision.scorer import RulesOnly
from fraud.entities import ENTITIES
from fraud.features import CATALOGUE, FEATURE_NAMES
from fraud.features.text import texts_of
from fraud.money import minor_units
from fraud.path import compute_features
from fraud.settings import Aws
from tests.support.feature_streams import Stream, same, streams, tables
from tests.support.paths import settings_keeping

POLICY = Path(__file__).parents[2] / "config" / "policy.yaml"
EVERY = dict.fromkeys(ENTITIES, 1_024)
AMOUNT = re.compile(r"(?:EUR|JPY|KWD) ([\d,]+(?:\.\d+)?)")


def in_currency(stream: Stream, currency: str, below: int) -> Stream:
    """The same purchases of whole units, paid in euros and billed in a currency."""
    bought = []
    for kind, row in stream:
        if kind == "transaction":
            amount = row["billing_amount_minor"] % below
            row = row | {"amount_minor": 100 * amount, "billing_amount_minor": minor_units(currency) * amount}
        bought.append((kind, row))
    return bought


def measured(stream: Stream, currency: str, below: int) -> pa.RecordBatch:
    table = compute_features(*tables(in_currency(stream, currency, below)), settings_keeping(EVERY, currency))
    (batch,) = table.combine_chunks().to_batches() or [pa.RecordBatch.from_pylist([], schema=table.schema)]
    return batch


def reads_the_same(text: str, wanted: str) -> bool:
    """Whether texts differ in their currency and its decimals only."""
    amounts, others = ([Decimal(amount.replace(",", "")) for amount in AMOUNT.findall(one)] for one in (text, wanted))
    rounded_alike = all(abs(a - b) <= Decimal("0.501") for a, b in zip(amounts, others, strict=True))
    return rounded_alike and AMOUNT.sub("AMOUNT", text) == AMOUNT.sub("AMOUNT", wanted)


@pytest.mark.parametrize("currency", ["JPY", "KWD"])
@settings(max_examples=30, deadline=None)
@given(stream=streams())
def test_features_and_their_texts_are_those_in_euros(stream: Stream, currency: str) -> None:
    rows, in_euros = (measured(stream, code, 10**9).to_pylist() for code in (currency, "EUR"))
    for row, wanted in zip(rows, in_euros, strict=True):
        assert {name: (row[name], wanted[name]) for name in FEATURE_NAMES if not same(row[name], wanted[name])} == {}
        for name, said in texts_of(CATALOGUE).items():
            text, other = (
                said.describe(of[name], code, of[said.usual_name] if said.usual_name else None)
                for of, code in ((row, currency), (wanted, "EUR"))
            )
            assert reads_the_same(text, other), (text, other)


@pytest.mark.parametrize("currency", ["JPY", "KWD"])
@settings(max_examples=30, deadline=None)
@given(stream=streams())
def test_the_shipped_rules_decide_and_speak_as_in_euros(stream: Stream, currency: str) -> None:
    verdicts, wanted = (decided(measured(stream, code, 2_000), code) for code in (currency, "EUR"))
    for verdict, other in zip(verdicts, wanted, strict=True):
        assert (verdict["outcome"], verdict["rules"]) == (other["outcome"], other["rules"])
        for text, same_text in zip(verdict["reasons"], other["reasons"], strict=True):
            assert reads_the_same(text, same_text), (text, same_text)


@cache
def shipped(currency: str) -> CompiledPolicy:
    return compile_policy(read_bundle(policy_files(str(POLICY), Aws())), fields_of(CATALOGUE), currency)


def decided(batch: pa.RecordBatch, currency: str) -> list[dict[str, Any]]:
    return list(decide(batch, RulesOnly(), shipped(currency)).to_pylist())
