"""Whatever mixture of asked and unasked records, labels and restarts: answers have the features of a recomputation."""

from __future__ import annotations

import datetime as dt
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from fraud.features import FEATURE_NAMES
from fraud.path import FeaturePath
from fraud.records import Row
from fraud.records.answered import unpacked, unseal
from fraud.records.intake import Intake
from tests.support.answers import KEYS
from tests.support.decision_services import Client, World
from tests.support.records import NOON, label, transaction, wire

STEP = dt.timedelta(minutes=7)
events = st.lists(
    st.tuples(
        st.sampled_from(["asked", "asked", "asked", "unasked", "label", "stop"]),
        st.fixed_dictionaries(
            {
                "card_token": st.sampled_from(["card-1", "card-2"]),
                "merchant_id": st.sampled_from(["merchant-1", "merchant-2"]),
                "billing_amount_minor": st.integers(1, 9_000),
                "transaction_type": st.sampled_from(["purchase", "purchase", "refund"]),
            }
        ),
    ),
    min_size=1,
    max_size=14,
)


def sent(number: int, kind: str, fields: dict[str, Any]) -> bytes:
    at = NOON + number * STEP
    if kind == "label":
        about = {"card_token": "card-1", "merchant_id": "merchant-1", "transaction_time": NOON}
        return wire(label(transaction_id="t-0", label_time=at, **about))
    return wire(transaction(transaction_id=f"t-{number}", event_time=at, sent_at=at, **fields))


@settings(max_examples=12, deadline=None)
@given(events)
def test_answers_have_the_features_of_a_recomputation(drawn: list[tuple[str, dict[str, Any]]]) -> None:
    with TemporaryDirectory() as place:
        world, wanted = World(Path(place)), list[list[float | None]]()
        path, intake = FeaturePath(world.settings), Intake.of(world.settings)
        began_ms = world.now_ms
        parts: list[list[tuple[int, str, dict[str, Any]]]] = [[]]
        for number, (kind, fields) in enumerate(drawn):
            parts.append([]) if kind == "stop" else parts[-1].append((number, kind, fields))

        async def work(client: Client, part: list[tuple[int, str, dict[str, Any]]]) -> None:
            for number, kind, fields in part:
                world.now_ms = began_ms + number * 60_000 * 7
                data, stream = sent(number, kind, fields), "fraud-labels" if kind == "label" else "fraud-transactions"
                arrival = {"shard": "0", "sequence_number": str(number), "sub_sequence": 0, "arrival_ms": world.now_ms}
                after = path.advance(intake.read_one(Row(arrival, stream=stream), data))
                if kind == "asked":
                    assert (await client.decide(data)).status == 200
                    wanted.append([after.transactions[name] for name in FEATURE_NAMES])  # type: ignore[index]
                else:
                    await client.arrive(stream, [data])

        for part in parts:
            world.run(partial(work, part=part))
        answers = [unseal(put.data, KEYS).answered for put in world.stream]
    assert [unpacked(answer.features or b"") for answer in answers if answer is not None] == wanted
