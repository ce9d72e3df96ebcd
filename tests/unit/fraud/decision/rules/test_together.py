"""Conditions that are computed together have the values of each by itself."""

from __future__ import annotations

from itertools import product

from fraud.decision.rules.functions import OPERATIONS
from fraud.decision.rules.terms import Among, Apply, Literal, Read, Term, apply
from fraud.decision.rules.together import together

ODD = "'); raise SystemExit #\n\\"
"""A text that would show if it became source."""

TRUTH: list[Term] = [Read("yes"), Read("no")]
TWICE = apply("*", Read("number"), Literal(2.0))
INFINITE = apply("*", apply("*", Read("number"), Literal(1e308)), Literal(10.0))
COMPUTED: list[Term] = [
    TWICE,
    apply("+", TWICE, Literal(-5.0)),
    apply("-", Read("number"), TWICE),
    apply("/", Literal(1.0), apply("-", Read("number"), Literal(2.5))),  # by zero in some rows
    apply("coalesce", Read("number"), Literal(7.0)),
    apply("coalesce", apply("/", Read("number"), Literal(0.0)), TWICE),
    apply("*", Literal(2.0), Literal(3.0)),
    apply("-", INFINITE, INFINITE),  # no number
]
SIGNS = ("=", "<>", "<", "<=", ">", ">=")
PLAIN: list[Term] = [
    *TRUTH,
    Among(Read("text"), ("a", ODD)),
    Among(Apply("coalesce", (Read("text"), Literal("a"))), ("a",)),
    *(apply(sign, Read("number"), Literal(2.5)) for sign in SIGNS),
    apply("=", Read("text"), Literal(ODD)),
    apply("<", Read("number"), Literal(float("inf"))),
    apply("<", Literal(2.5), Read("number")),
    apply("IS NULL", Read("text")),
    apply("IS NOT NULL", Read("number")),
    apply("NOT", Read("yes")),
]
ROWS = [
    {"yes": yes, "no": no, "number": number, "text": text}
    for yes, no, number, text in product((True, None), (False, None), (None, 2.5, 3.0), (None, "a", ODD))
]


def deep(depth: int) -> Term:
    term: Term = Read("no")
    for level in range(depth):
        term = apply("AND" if level % 2 else "OR", PLAIN[level % len(PLAIN)], term, Read("yes"))
    return term


def test_each_has_the_value_of_its_own_function() -> None:
    joined = [apply(operation, *pair) for operation in ("AND", "OR") for pair in product(PLAIN, repeat=2)]
    terms = [*PLAIN, *joined, apply("AND", *PLAIN), apply("OR", *PLAIN), deep(5), deep(60)]
    functions = [term.row(OPERATIONS) for term in terms]
    computed = together(terms)
    for row in ROWS:
        assert computed(row) == tuple(function(row) for function in functions)


def test_what_is_computed_compares_as_its_own_function_does() -> None:
    terms = [apply(sign, *pair) for sign in SIGNS for pair in product([Read("number"), *COMPUTED], repeat=2)]
    functions = [term.row(OPERATIONS) for term in terms]
    computed = together(terms)
    for row in ROWS:
        for value, function, term in zip(computed(row), functions, terms, strict=True):
            assert value is function(row), term


def test_numbers_become_finite_floats_on_the_way() -> None:
    among = Among(Apply("coalesce", (Read("other"), Literal(0.0))), (2.0,))  # called, not written out
    computed = together([apply("=", Read("number"), Literal(3.0)), among], numbers=("number", "other"))
    row = {"number": 3, "other": 2}
    assert computed(row) == (True, True)
    assert [type(value) for value in row.values()] == [float, float]
    assert computed({"number": float("inf"), "other": float("nan")}) == (None, False)


def test_what_several_begin_with_is_computed_before_them() -> None:
    begin = apply("OR", *TRUTH)
    many = 5 * PLAIN
    computed = together([apply("AND", Read("begin"), term) for term in many], {"begin": begin})
    wanted = [apply("AND", begin, term).row(OPERATIONS) for term in many]
    for row in ROWS:
        assert computed(row) == tuple(function(row) for function in wanted)


def test_no_conditions_have_no_values() -> None:
    assert together([])({}) == ()
