"""Where there is no terminal, the first alert is printed as soon as there is one."""

from __future__ import annotations

import io

from rich.console import Console

from adapters.files.ground_truth import Truth
from embedded.tally import RunTally
from embedded.view import PlainView, render_summary
from tests.support.board_decisions import decisions
from tests.support.records import truth


def alert(reason: str) -> dict[str, object]:
    """A stored decision, as far as it is shown."""
    return {"amount_minor": 2273, "currency": "EUR", "score": 0.06, "outcome": "review", "reasons": [reason]}


def test_the_first_alert_does_not_wait_for_the_next_line_and_later_ones_do() -> None:
    printed, tally = io.StringIO(), RunTally()
    view = PlainView(Console(file=printed, width=200))
    view.show(tally, "first decisions", 0.0)
    view.show(tally, "first decisions", 0.0)
    assert printed.getvalue().count("\n") == 1
    tally.newest_alerts.append(alert("far from home"))
    view.show(tally, "first decisions", 0.0)
    assert printed.getvalue().endswith("  review EUR 22.73 score 0.06: far from home\n")
    tally.newest_alerts.append(alert("at night"))
    view.show(tally, "first decisions", 0.0)
    assert "at night" not in printed.getvalue()
    view.show(tally, "streaming", 0.0)
    assert printed.getvalue().endswith(": at night\n")


def test_the_summary_says_what_the_alerts_were_worth() -> None:
    tally = RunTally()
    case = {"is_fraud": True, "campaign": "card_testing", "case_id": "c-1"}
    frauds = [Truth(**truth(transaction_id=name, **case)) for name in ("a", "b")]
    tally.sent([*frauds, Truth(**truth(transaction_id="c", card_token="card-2"))])
    rows = [{"transaction_id": name, "outcome": outcome} for name, outcome in (("a", "review"), ("b", "approve"))]
    found = decisions(*rows, {"transaction_id": "c", "card_token": "card-2", "outcome": "review"})
    found = found.append_column("scored_by", [["endpoint"] * 3])
    tally.decided(found)
    printed = io.StringIO()
    Console(file=printed, width=120).print(render_summary(tally.figures(), "EUR"))
    lines = [" ".join(line.split()) for line in printed.getvalue().splitlines()]
    assert "cases opened 2 (66.67 % of 3 payments)" in lines
    assert "with a fraud in them 1 (precision 50 %)" in lines
    assert "found by their second fraud 1 (recall 100 %)" in lines
    assert "money saved EUR 12.34 of EUR 24.68" in lines
    assert "card testing 2 1 1 at once EUR 12.34" in lines
