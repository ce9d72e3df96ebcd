"""A record with its answer: who has no key cannot write one, and who knows version 1 only does not misread it."""

from __future__ import annotations

import json
import typing
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraud.decision.record import Outcome, OutcomeLabel, ScoredBy, ScorerName
from fraud.records.answered import MAX_ANSWER_BYTES, AnswerKey, Problem, Unsealed, fitted, seal, unseal
from fraud.records.dead_letter import Reason, Reject
from fraud.records.decode import TRANSACTIONS
from tests.support.answers import KEY, KEYS, answered, sealed
from tests.support.records import transaction, wire

RECORD = wire(transaction())
OTHER = AnswerKey("k2", b"another secret, 32 bytes long ..")


def test_what_was_sealed_comes_back_byte_for_byte() -> None:
    given = answered(reasons=["naïve “reason”"], outcome="review", severity=40, exact={"card": False})
    found = unseal(seal(b" " + RECORD + b"\r\n", fitted(given), KEY), KEYS)
    assert found == Unsealed(RECORD, given)


def test_a_record_without_an_answer_is_what_it_was() -> None:
    for data in (RECORD, b"not json", b"", b'{"schema_version": 2, "transaction": {}}'):
        assert unseal(data, KEYS) == Unsealed(data)


def test_who_knows_version_1_only_refuses_it_and_can_replay_it() -> None:
    refused = TRANSACTIONS.decode_one(sealed())
    assert isinstance(refused, Reject)
    assert refused.reason is Reason.UNSUPPORTED_VERSION


@pytest.mark.parametrize(
    ("data", "keys"),
    [
        pytest.param(sealed(key=OTHER), KEYS, id="unknown key"),
        pytest.param(sealed(), {}, id="no key at all"),
        pytest.param(sealed(key=AnswerKey("k1", OTHER.secret)), KEYS, id="another secret under the same id"),
        pytest.param(sealed().replace(b'"key":"k1"', b'"key":"k2"'), KEYS | {"k2": OTHER}, id="another id"),
        pytest.param(sealed().replace(b'"approve"', b'"decline"', 1), KEYS, id="another outcome"),
        pytest.param(sealed().replace(b'"card-1"', b'"card-2"', 1), KEYS, id="another card"),
        pytest.param(sealed().replace(b'"mac":"', b'"mac":"a'), KEYS, id="longer MAC"),
        pytest.param(sealed()[:-66] + b'"}', KEYS, id="no MAC"),
        pytest.param(sealed()[:-66] + "ä".encode() * 64 + b'"}', KEYS, id="MAC of other letters"),
    ],
)
def test_an_answer_that_nobody_with_the_key_wrote_does_not_count(data: bytes, keys: dict[str, AnswerKey]) -> None:
    found = unseal(data, keys)
    assert (found.answered, found.problem) == (None, Problem.UNVERIFIED)
    assert isinstance(TRANSACTIONS.decode_one(found.record), dict)


def test_the_answer_of_another_record_does_not_count() -> None:
    mine, other = sealed(), sealed(transaction(transaction_id="t-2"))
    swapped = mine.replace(RECORD, wire(transaction(transaction_id="t-2")))
    assert unseal(swapped, KEYS).problem is Problem.UNVERIFIED
    assert unseal(other, KEYS).answered is not None


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_change_of_a_byte_is_accepted(data: st.DataObject) -> None:
    whole = sealed(outcome="review", reasons=["é"])
    at = data.draw(st.integers(0, len(whole) - 1))
    changed = data.draw(st.sampled_from([whole[:at], whole[:at] + whole[at + 1 :], None]))
    if changed is None:
        byte = data.draw(st.integers(0, 255).filter(lambda value: value != whole[at]))
        changed = whole[:at] + bytes([byte]) + whole[at + 1 :]
    found = unseal(changed, KEYS)
    assert found.answered is None or found == unseal(whole, KEYS)  # in the name of a part that nobody reads


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60), st.sampled_from([b"", b'{"a":1}', RECORD, b"[" * 3_000, b'"\\ud800"']))
def test_taking_apart_never_raises(noise: bytes, record: bytes) -> None:
    for data in (noise, b'{"schema_version":2,"transaction":' + record + noise):
        assert unseal(data, KEYS).answered is None
    whole = b'{"schema_version":2,"transaction":%b,"answer":%b,"key":"k1","mac":"\\ud800"}' % (record, noise)
    assert unseal(whole, KEYS).answered is None


def test_what_a_later_version_adds_to_an_answer_is_ignored_and_what_it_changes_is_unreadable() -> None:
    def signed(**changes: Any) -> bytes:
        answer = json.dumps(msgspec.to_builtins(answered()) | changes).encode()
        parts = (b'{"schema_version":2,"transaction":', RECORD, b',"answer":', answer, b',"key":"k1","mac":"')
        return b"".join((*parts, KEY.mac(RECORD, answer).encode(), b'"}'))

    assert unseal(signed(added={"x": 1}), KEYS) == Unsealed(RECORD, answered())
    assert unseal(signed(outcome="challenge"), KEYS) == Unsealed(RECORD, problem=Problem.UNREADABLE)
    assert unseal(signed(score=7.0), KEYS).problem is Problem.UNREADABLE
    assert unseal(signed(note="x" * MAX_ANSWER_BYTES), KEYS).problem is Problem.UNREADABLE


def test_an_answer_that_is_too_long_goes_without_its_features() -> None:
    long = answered(reasons=["x" * (MAX_ANSWER_BYTES - 1_000)])
    given = fitted(long)
    assert given.left_out == "its features"
    found = unseal(seal(RECORD, given, KEY), KEYS).answered
    assert found == given.answered == msgspec.structs.replace(long, features=None, catalogue=None)


@pytest.mark.parametrize(
    ("many", "length", "left"),
    [(1_000, 100, 500), (3, MAX_ANSWER_BYTES // 2, 1), (1, MAX_ANSWER_BYTES, 0), (20_000, 1, 5_000)],
)
def test_an_answer_that_is_longer_still_keeps_the_first_of_its_rules_and_reasons(
    many: int, length: int, left: int
) -> None:
    long = answered(reasons=["x" * length] * many, rules=[f"r-{n}" for n in range(many)])
    given = fitted(long)
    assert len(given.encoded) <= MAX_ANSWER_BYTES
    assert given.left_out is not None
    assert given.left_out.endswith(f"all but the first {left}")
    found = unseal(seal(RECORD, given, KEY), KEYS).answered
    assert found is not None
    assert (found.reasons, found.rules) == (long.reasons[:left], long.rules[:left])
    assert (found.outcome, found.score) == (long.outcome, long.score)


def test_a_record_that_carries_an_answer_gets_no_second_one() -> None:
    with pytest.raises(ValueError, match=r"^the record carries an answer already$"):
        seal(sealed(), fitted(answered()), KEY)


def test_a_key_shows_no_secret() -> None:
    assert "secret" not in f"{KEY} {KEY!r} {KEYS}"


def test_an_answer_has_the_outcomes_and_scorers_of_decisions() -> None:
    assert typing.get_args(OutcomeLabel) == tuple(outcome.label for outcome in Outcome)
    assert typing.get_args(ScorerName) == tuple(ScoredBy)
