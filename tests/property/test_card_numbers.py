"""Any card number of any issuer, spelled in any way and anywhere in a record, is found; good ids never are."""

from __future__ import annotations

import json
import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fraud.records import card_number as module
from fraud.records.card_number import find_card_number, is_card_number, redact, redact_text
from fraud.records.dead_letter import Reason, Reject
from fraud.records.decode import TRANSACTIONS
from tests.support.card_numbers import IDS, card_number
from tests.support.records import transaction, wire

RANDOM = st.integers(0, 2**64).map(random.Random)
SEPARATORS = st.text(
    " -._/,:;|*~()[]\t\n\u00a0\u2007\u2013\u2014\u200b\u200d\u2060\u00ad\ufeff\u3000\u00b7", min_size=1, max_size=3
)
ZEROS = st.sampled_from([0x30, 0xFF10, 0x660, 0x6F0, 0x966, 0xE50, 0x1D7CE, 0x1D7F6])
AROUND = st.sampled_from(["", "card ", "PAN: ", "pan=", "№ ", "<b>", "«", "\u0444", "\u5361\u53f7", "tok_", "ref-"])
BEHIND = st.sampled_from(["", " exp", "</b>", "»", "\n", "?", "\u0444", "\u8bf7"])


@st.composite
def spellings(draw: st.DrawFn) -> str:
    number = card_number(draw(RANDOM))
    text = draw(AROUND)
    grouping = draw(st.sampled_from(["none", "fours", "any"]))
    if grouping == "any" and text.endswith(("_", "-")):
        grouping = "fours"  # inside a word only a card's own groups count
    between = draw(st.lists(SEPARATORS, min_size=len(number), max_size=len(number)))
    for at, digit in enumerate(number):
        zero = draw(ZEROS)
        if at and ((grouping == "fours" and at % 4 == 0) or (grouping == "any" and at >= 4 and draw(st.booleans()))):
            text += between[at]
        text += chr(zero + int(digit))
    return text + draw(BEHIND)


@st.composite
def documents(draw: st.DrawFn, leaf: Any) -> Any:
    """A document with a leaf somewhere inside, beside others that are harmless."""
    inner = leaf
    for _ in range(draw(st.integers(0, 4))):
        beside: Any = draw(st.sampled_from([None, True, "x", 0.5, {}, [], "tok_1"]))
        inner = draw(st.sampled_from([[beside, inner], [inner], {"a": beside, "b": inner}, {"deep": inner}]))
    return inner


@given(spellings(), st.data(), st.booleans(), st.sampled_from([(",", ":"), (", ", ": ")]))
def test_any_card_number_in_any_spelling_and_place_is_refused_and_redacted(
    spelling: str, data: st.DataObject, ascii_only: bool, separators: tuple[str, str]
) -> None:
    document = data.draw(documents({spelling: 1} if data.draw(st.booleans()) else spelling))
    plain = json.loads(wire(transaction(memo=document)))
    record = json.dumps(plain, ensure_ascii=ascii_only, separators=separators).encode()
    found = TRANSACTIONS.decode_one(record)
    assert isinstance(found, Reject)
    assert found.reason == Reason.CARD_NUMBER
    assert found.field is not None
    assert found.field.startswith("memo")
    kept = redact(record)
    json.loads(kept)
    assert b"[card:" in kept
    assert find_card_number(kept) is None
    assert "[card:" in redact_text(spelling)


@given(RANDOM, st.data())
def test_any_card_number_as_a_whole_number_is_refused(rng: random.Random, data: st.DataObject) -> None:
    document = data.draw(documents(int(card_number(rng))))
    found = TRANSACTIONS.decode_one(wire(transaction(memo=document)))
    assert isinstance(found, Reject)
    assert found.reason == Reason.CARD_NUMBER


@given(RANDOM, st.sampled_from(sorted(IDS)), st.booleans(), st.data())
def test_good_ids_pass_wherever_they_stand(rng: random.Random, kind: str, as_key: bool, data: st.DataObject) -> None:
    identifier = IDS[kind](rng)
    document = data.draw(documents({identifier: 1} if as_key else identifier))
    assert not isinstance(TRANSACTIONS.decode_one(wire(transaction(card_token=identifier, memo=document))), Reject)


@given(st.text("0123456789", min_size=1, max_size=24))
def test_bare_digits_are_refused_exactly_if_they_are_a_card_number(digits: str) -> None:
    refused = isinstance(TRANSACTIONS.decode_one(wire(transaction(memo=digits))), Reject)
    assert refused == is_card_number(digits)


@given(st.binary(max_size=200))
def test_redaction_of_any_bytes_ends_and_leaves_no_card_number(data: bytes) -> None:
    kept = redact(data)
    assert (kept == data) == (find_card_number(data) is None)
    assert find_card_number(kept) is None


@given(st.text('0123456789 -\\u%&#;xT:."{}[],e+4', max_size=120))
def test_a_quick_look_never_passes_what_a_careful_one_finds(text: str) -> None:
    if any(True for _ in module._found(text)):
        assert module._may_hold(text.encode())
