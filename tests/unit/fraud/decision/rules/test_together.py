"""Conditions that are computed together have the values of each by itself."""

from __future__ import annotations

from itertools import product

from fraud.decision.rules.functions import OPERATIONS
from fraud.decision.rules.terms import Among, Apply, Literal, Read, Term, apply
from fraud.decision.rules.together import together

ODD = "'); raise SystemExit #\n\\"
"""A text that would show if it became source."""

TRUTH: list[Term] = [Read("yes"), Read("no")]
PLAIN: list[Term] = [
    *TRUTH,
    Among(Read("text"), ("a", ODD)),
    Among(Apply("coalesce", (Read("text"), Literal("a"))), ("a",)),
    *(apply(sign, Read("number"), Literal(2.5)) for sign in ("=", "<>", "<", "<=", ">", ">=")),
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


def test_what_several_begin_with_is_computed_before_them() -> None:
    begin = apply("OR", *TRUTH)
    many = 5 * PLAIN
    computed = together([apply("AND", Read("begin"), term) for term in many], {"begin": begin})
    wanted = [apply("AND", begin, term).row(OPERATIONS) for term in many]
    for row in ROWS:
        assert computed(row) == tuple(function(row) for function in wanted)


def test_no_conditions_have_no_values() -> None:
    assert together([])({}) == ()
