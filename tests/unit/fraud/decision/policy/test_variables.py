"""Variables of a policy's own: read from the bytes of a record, alike for a batch and for one transaction."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pyarrow as pa
import pytest

from fraud.backtest.machine import columns_read
from fraud.decision.decide import decide
from fraud.decision.policy.compiled import PolicyError
from fraud.decision.policy.variables import value_of
from fraud.decision.rules.fields import Kind
from fraud.decision.scorer import RulesOnly
from fraud.records import Row
from tests.support.decisions import featured, policy, rule

VARIABLES = {"mail": "text", "logins": "number", "is_guest": "boolean", "registered": "time"}
POLICY = policy(
    variables=VARIABLES,
    lists=[{"name": "bad-mails", "kind": "named", "of": "text", "entries": ["a@mail.example"]}],
    rules=[
        rule("mail", "lower(mail) = 'a@mail.example' OR in_list(mail, 'bad-mails')", text="the mail is {mail}"),
        rule("logins", "coalesce(logins, 9) * 2 > 10 AND amount_minor > 100", text="{logins:whole} logins"),
        rule("guest", "is_guest", outcome="decline"),
        rule("new", "seconds_between(registered, event_time) < 3600", text="since {registered}"),
        rule("unknown", "mail IS NULL"),
    ],
)


def batch(*carried: Any) -> pa.RecordBatch:
    """Transactions with the bytes of their records, which carry these under `event`."""
    rows = featured(*({} for _ in carried))
    raw = pa.array([each if isinstance(each, bytes) else json.dumps({"event": each}).encode() for each in carried])
    return rows.append_column("raw", raw)


@pytest.mark.parametrize(
    ("event", "rules"),
    [
        ({"variables": {"mail": "A@mail.example"}}, ["logins", "mail"]),
        ({"variables": {"mail": "a@mail.example", "logins": "2"}}, ["mail"]),
        ({"variables": {"mail": "b", "logins": 6, "is_guest": True}}, ["guest", "logins"]),
        ({"variables": {"mail": "b", "logins": "5.0", "is_guest": "FALSE"}}, []),
        ({"variables": {"mail": "b", "logins": "0", "registered": "2026-01-15T12:30:00+01:00"}}, ["new"]),
        ({"variables": {"mail": ["b"], "logins": "many", "is_guest": "maybe", "registered": "today"}},
         ["logins", "unknown"]),
        ({"variables": {}}, ["logins", "unknown"]),
        ({"variables": ["mail"]}, ["logins", "unknown"]),
        ("nothing of ours", ["logins", "unknown"]),
        (None, ["logins", "unknown"]),
        (b"\xff", ["logins", "unknown"]),
        (b'{"schema_version":2,"transaction":{"event":{"variables":{"mail":"b","logins":3}}},"answer":1}', []),
    ],
    ids=range(12),
)  # fmt: skip
def test_rules_use_what_records_carry_in_a_batch_and_for_one(event: Any, rules: list[str]) -> None:
    given = batch(event)
    (verdict,) = decide(given, RulesOnly(), POLICY).to_pylist()
    alone = decide(Row(given.to_pylist()[0]), RulesOnly(), POLICY)

    assert sorted(verdict["rules"]) == rules
    assert dict(alone) == verdict


def test_reasons_say_the_values() -> None:
    (verdict,) = decide(
        batch({"variables": {"mail": "a@mail.example", "logins": 7, "registered": "2026-01-15T11:30:00Z"}}),
        RulesOnly(),
        POLICY,
    ).to_pylist()
    assert sorted(verdict["reasons"]) == ["7 logins", "since 2026-01-15 11:30 UTC", "the mail is a@mail.example"]


def test_without_the_bytes_of_records_variables_are_null() -> None:
    (verdict,) = decide(featured({}), RulesOnly(), POLICY).to_pylist()
    assert sorted(verdict["rules"]) == ["logins", "unknown"]


def test_a_backtest_reads_the_bytes_where_a_policy_has_variables() -> None:
    plain = policy(rules=[rule("r", "amount_minor > 1")])
    assert "raw" not in columns_read(plain, plain)
    assert "raw" in columns_read(plain, POLICY)


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"variables": {"mcc": "text"}}, "variable mcc: is the name of a field or feature"),
        ({"variables": {"mean_30d": "number"}}, "variable mean_30d: is the name of a field or feature"),
        ({"variables": {"case": "text"}}, "variable case: is a word of the language of rules"),
        (
            {"variables": {"mail": "number"}, "rules": [rule("r", "mail = 'x'")]},
            "a number and a text cannot be compared",
        ),
        ({"rules": [rule("r", "mail = 'x'")]}, "unknown field mail"),
        ({"variables": {"a mail": "text"}}, "policy.yaml: variables.a mail"),
        ({"lists": [{"name": "l", "kind": "block", "of": "text"}]}, "a list of text is asked by rules alone"),
    ],
)
def test_what_cannot_be_a_variable_is_refused(changed: dict[str, Any], fault: str) -> None:
    with pytest.raises(PolicyError) as caught:
        policy(**changed)
    assert fault in "\n".join(caught.value.faults)


@pytest.mark.parametrize(
    ("kind", "given", "value"),
    [
        (Kind.NUMBER, "1e3", 1000.0),
        (Kind.NUMBER, " -.5 ", -0.5),
        (Kind.NUMBER, "1_000", None),
        (Kind.NUMBER, "nan", None),
        (Kind.NUMBER, "1e999", None),
        (Kind.NUMBER, 10**400, None),
        (Kind.NUMBER, True, None),
        (Kind.TEXT, 12.0, "12"),
        (Kind.TEXT, False, "false"),
        (Kind.TEXT, None, None),
        (Kind.BOOL, "TRUE", True),
        (Kind.BOOL, 1, None),
        (Kind.TIME, "2026-01-15", dt.datetime(2026, 1, 15, tzinfo=dt.UTC)),
        (Kind.TIME, "1960-01-01", None),
        (Kind.TIME, "0001-01-01T00:00:00+23:00", None),
    ],
)
def test_a_value_is_of_its_kind_or_null(kind: Kind, given: Any, value: Any) -> None:
    assert value_of(kind, given) == value
