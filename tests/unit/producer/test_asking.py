"""A producer that asks, against a service that is real and one that misbehaves."""

from __future__ import annotations

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pyarrow as pa
import pytest

from adapters.files.asked import Asked, asked_file, asked_lines
from fraud.errors import MisconfiguredError
from producer.asking import Asking
from producer.campaigns.plan import load_plan
from producer.config import Ask
from producer.data_generator import Generated, generate, in_batches
from producer.destinations import Nowhere
from producer.economy import draw_economy
from tests.support.decision_services import World, serving
from tests.support.servers import serving as serving_by

FIRST_DAY = 20_450


@pytest.fixture(scope="module")
def part() -> Generated:
    """20 transactions without labels."""
    stream = in_batches(generate(draw_economy(5, 100, 50), load_plan("default"), FIRST_DAY), 20)
    return next(part for part in stream if not part.labels.num_rows)


def asked_about(part: Generated, ask: Ask) -> tuple[Asking, list[Asked]]:
    """Asks about a part; the destination, and what it wrote down."""
    assert ask.file is not None
    asking = Asking(ask, Nowhere())
    asking.write(part)
    asking.close()
    return asking, [each for _, lines in asked_lines(ask.file.parent).read_new() for each in lines]


def test_each_call_is_written_down_with_what_became_of_it(tmp_path: Path, part: Generated) -> None:
    world = World(tmp_path)
    world.now_ms = (FIRST_DAY + 1) * 86_400_000
    twice = pa.concat_batches([part.transactions, part.transactions.slice(0, 1)])
    changed = part.transactions.slice(1, 1)
    place = changed.schema.get_field_index("currency")
    changed = changed.set_column(place, changed.schema.field(place), pa.array(["USD"]))
    sent = part._replace(transactions=pa.concat_batches([twice, changed]))
    with serving(world) as address:
        asking, asked = asked_about(sent, Ask(address, world.tokens["decide"], 1.0, asked_file(tmp_path, "p")))
    assert asking.transactions.accepted == len(asked) == 22
    assert sorted((each.status, each.repeated) for each in asked) == [(200, False)] * 20 + [(200, True), (409, False)]
    assert sum(each.is_new for each in asked) == len(world.stream) == 20
    first = part.transactions.slice(0, 1).to_pylist()[0]
    assert [each.event_time for each in asked if each.transaction_id == first["transaction_id"]] == [
        first["event_time"]
    ] * 2


def scripted(script: list[int]) -> tuple[type[BaseHTTPRequestHandler], list[bytes]]:
    """Answers with statuses in turn, 200 behind them; 0 hangs up. And what it was asked."""
    got: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            got.append(self.rfile.read(int(self.headers["content-length"])))
            status = script.pop(0) if script else 200
            if not status:
                self.close_connection = True
                return
            body = json.dumps({"repeated": len(got) > 1}).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            """Says nothing."""

    return Handler, got


def test_a_call_without_an_answer_is_made_again_and_its_decision_is_new(tmp_path: Path, part: Generated) -> None:
    handler, got = scripted([503, 0, 429])
    one = part._replace(transactions=part.transactions.slice(0, 1))
    with serving_by(handler) as address:
        _, asked = asked_about(one, Ask(address, "key", 1.0, asked_file(tmp_path, "p")))
    assert len(got) == 4
    assert len(set(got)) == 1
    assert [each.is_new for each in asked] == [True]


def test_a_key_that_is_not_taken_ends_the_run(tmp_path: Path, part: Generated) -> None:
    world = World(tmp_path)
    with serving(world) as address:
        asking = Asking(Ask(address, "wrong", 1.0), Nowhere())
        asking.write(part)
        with pytest.raises(MisconfiguredError, match="DECISIONS_API_KEY"):
            asking.close()


def test_a_share_of_the_cards_is_asked_about() -> None:
    ask = Ask("http://127.0.0.1:1", "key", 0.25)
    asked = sum(ask.is_of(f"tok_{number}") for number in range(4_000))
    assert 850 < asked < 1_150
    assert not any(Ask(ask.url, ask.key, 0.0001).is_of(f"tok_{number}") for number in range(100))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Ask("127.0.0.1:8095", "key", 1.0), "must be an address such as"),
        (lambda: Ask("http://127.0.0.1:8095/v1/decisions", "key", 1.0), "must be an address such as"),
        (lambda: Ask("http://127.0.0.1:8095", "", 1.0), "DECISIONS_API_KEY: must hold an API key"),
    ],
    ids=["no scheme", "a path", "no key"],
)
def test_what_cannot_be_asked_is_one_line(make: Callable[[], Ask], words: str) -> None:
    with pytest.raises(MisconfiguredError, match=words):
        make()
