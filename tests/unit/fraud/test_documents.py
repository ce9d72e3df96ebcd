"""YAML that people write: what it may not do to a program, and what each refusal says."""

from __future__ import annotations

import datetime as dt
import json

import pytest
from pydantic import BaseModel, ConfigDict

from fraud.documents import MAX_CHARACTERS, MAX_DEPTH, DocumentError, parse_json, parse_yaml, read_document


class Costs(BaseModel):
    model_config = ConfigDict(extra="forbid")

    review: float = 4.0
    until: dt.date | None = None


def alias_bomb() -> str:
    """Nine anchors, each of nine times the one before: 9^9 values in 341 characters."""
    lines = ["a: &a [x,x,x,x,x,x,x,x,x]"]
    lines += [
        f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    ]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("until: 2026-02-30", "line 1, column 8: 2026-02-30: day is out of range for month"),
        ("a:\n  b: " + "9" * 5_000, "line 2, column 6: a number of 5,000 characters; a text of digits needs quotes"),
        ("review: 9223372036854775808", "line 1, column 9: a number that needs more than 64 bits"),
        ("review: 0x" + "f" * 20, "line 1, column 9: a number that needs more than 64 bits"),
        ("review: 010", "line 1, column 9: YAML reads 010 as another number"),
        ("review: 22:30", "line 1, column 9: YAML reads 22:30 as another number"),
        ("review: 1:30.5", "line 1, column 9: YAML reads 1:30.5 as another number"),
        ("[" * 100_000, f"line 1, column {MAX_DEPTH + 1}: more than {MAX_DEPTH} levels of nesting"),
        ("{a: " * 100_000, f"more than {MAX_DEPTH} levels of nesting"),
        (alias_bomb(), "aliases repeat more than 10,000 values"),
        ("a: &a [*a]", "line 1, column 8: *a contains itself"),
        ("review: 1\nreview: 2", "line 2, column 1: review is given twice"),
        ("{review: 1, 'review': 2}", "line 1, column 13: review is given twice"),
        ("<<: {a: 1}\n<<: {b: 1}", "line 2, column 1: << is given twice"),
        ("x" * (MAX_CHARACTERS + 1), "has 1,048,577 characters, more than 1,048,576"),
        ("review: [", "not YAML: line 2, column 1"),
        ("review: \x00", "not YAML: unacceptable character"),
        ("review: '\ud800'", "not YAML: 'utf-8' codec can't encode"),
        ('review: "\\ud800"', "not YAML: line 1, column 12: found invalid Unicode"),
        ("--- 1\n--- 2", "not YAML: line 2, column 1: but found another document"),
        ("review: *nobody", "not YAML: line 1, column 9: found undefined alias"),
        ("? [1]\n: 2", "not YAML: line 1, column 3: found unhashable key"),
        ("!!python/object/apply:os.system ['true']", "not YAML: line 1, column 1: could not determine a constructor"),
        ("until: !!timestamp soon", "line 1, column 8: soon: "),
        ("review: !!float ''", "line 1, column 9: : string index out of range"),
        ("review: !!int x", "line 1, column 9: x: invalid literal"),
    ],
)  # fmt: skip
def test_what_is_refused_has_its_place_in_one_line(text: str, fault: str) -> None:
    with pytest.raises(DocumentError) as refused:
        parse_yaml("costs.yaml", text)
    assert str(refused.value).startswith("costs.yaml: ")
    assert fault in str(refused.value)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("a: 9223372036854775807", {"a": 2**63 - 1}),
        ("a: '22:30'", {"a": "22:30"}),
        ("a: 0.5", {"a": 0.5}),
        ("a: 0", {"a": 0}),
        ("a: -0.25", {"a": -0.25}),
        ("- &usual {a: 1, b: 2}\n- {<<: *usual, a: 3}", [{"a": 1, "b": 2}, {"a": 3, "b": 2}]),
        ("- &usual {a: 1}\n- *usual\n- *usual", [{"a": 1}] * 3),
        ("? a\n: 1\n? b\n: a", {"a": 1, "b": "a"}),
        ("a: {a: {a: 1}}\nb: [a, a]", {"a": {"a": {"a": 1}}, "b": ["a", "a"]}),
        ("a: 2026-01-15", {"a": dt.date(2026, 1, 15)}),
        ("[" * MAX_DEPTH + "]" * MAX_DEPTH, json.loads("[" * MAX_DEPTH + "]" * MAX_DEPTH)),
    ],
)
def test_what_people_write_is_read(text: str, value: object) -> None:
    assert parse_yaml("costs.yaml", text) == value


def test_a_model_names_every_fault_and_its_place() -> None:
    with pytest.raises(DocumentError) as refused:
        read_document("costs.yaml", "review: much\nunknown: 1", Costs)
    assert refused.value.faults == [
        "review: Input should be a valid number, unable to parse string as a number, got 'much'",
        "unknown: no such key",
    ]
    assert str(refused.value).endswith("got 'much' (and 1 more faults)")
    assert refused.value.exit_code == 2


def test_an_empty_document_has_the_models_defaults() -> None:
    assert read_document("costs.yaml", "# nothing yet\n", Costs) == Costs()


@pytest.mark.parametrize("text", ["[" * 100_000, "{", "", "9" * 5_000, b"\xff"])
def test_json_that_cannot_be_read_is_refused_in_one_way(text: str | bytes) -> None:
    with pytest.raises(DocumentError, match="not JSON"):
        parse_json("users.json", text)
