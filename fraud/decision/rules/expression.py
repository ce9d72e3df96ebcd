"""Reads and checks an expression in one walk, and makes a tree of it, which columns and single rows are computed by.

The language is the part of SQL that looks at one row: fields, literals, arithmetic, comparisons, `AND`, `OR`, `NOT`,
`IN`, `BETWEEN`, `IS NULL`, `CASE` and the functions of `fraud.decision.rules.functions`. Logic is three-valued, as in
SQL; a division by zero is null. There is no way to reach anything else: the grammar is our own, and what it does not
know is refused before Polars sees it.

    expression  = conjunction {OR conjunction}
    conjunction = negation {AND negation}
    negation    = [NOT] comparison
    comparison  = sum [(= | <> | < | <= | > | >=) sum | IS [NOT] NULL
                  | [NOT] IN (literal {, literal}) | [NOT] BETWEEN sum AND sum]
    sum         = product {(+ | -) product}
    product     = unary {(* | / | %) unary}
    unary       = [- | +] primary
    primary     = literal | field | function(expression, …) | (expression) | CASE {WHEN … THEN …} [ELSE …] END
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import polars as pl

from fraud.decision.rules.errors import ExpressionError, did_you_mean
from fraud.decision.rules.fields import Fields, Kind
from fraud.decision.rules.functions import FUNCTIONS, OPERATIONS
from fraud.decision.rules.terms import Among, Literal, OfRow, Read, Term, apply
from fraud.decision.rules.tokens import Token, tokenise
from fraud.decision.rules.values import (
    ANY,
    MIRRORED,
    NOT_NULL,
    NULL,
    OPPOSITE,
    Values,
    compared,
    contradiction,
    describe,
    merged,
)

MAX_DEPTH = 16
"""Deepest nesting of an expression."""

MAX_STEPS = 100
"""Most arithmetic operators and `WHEN`s: Polars takes time that grows with the square of the depth of its tree."""

KEYWORDS = frozenset(
    [
        "AND",
        "OR",
        "NOT",
        "IN",
        "IS",
        "NULL",
        "BETWEEN",
        "CASE",
        "WHEN",
        "THEN",
        "ELSE",
        "END",
        "TRUE",
        "FALSE",
        "LIKE",
        "SELECT",
        "FROM",
        "WHERE",
    ]
)

_COMPARISONS = ("=", "<>", "!=", "<", "<=", ">", ">=")
_ORDERED = (Kind.NUMBER, Kind.TIME)


class ListUse(NamedTuple):
    """`in_list(field, 'name')` somewhere in an expression."""

    list_name: str
    field: str

    @property
    def column(self) -> str:
        """Name of the boolean column that holds the answer; no field can be called so."""
        return f"in_list({self.field}, {self.list_name})"


@dataclass(frozen=True)
class Expression:
    """A checked expression.

    Attributes:
        text: as its author wrote it.
        kind: the kind of its value.
        term: what it computes.
        fields: the fields it reads.
        lists: the lists it asks; their columns must stand beside the fields.
        doubts: what is odd in it and may still be meant, each with its place.
        left: where it is true, what is left of each term that it compares.
    """

    text: str
    kind: Kind
    term: Term
    fields: frozenset[str]
    lists: frozenset[ListUse]
    doubts: tuple[str, ...] = ()
    left: Mapping[str, Values] = field(default_factory=dict)

    @property
    def polars(self) -> pl.Expr:
        """What computes it over columns; numbers must come as Float64 without NaN."""
        return self.term.columns(OPERATIONS)

    @property
    def of_row(self) -> OfRow:
        """What computes it for one row, see `fraud.decision.rules.terms`."""
        return self.term.row(OPERATIONS)

    def within(self, other: Expression) -> Expression:
        """A condition that holds where this one and another do. Where the other is false, this one is not asked."""
        return Expression(
            f"({other.text}) AND ({self.text})",
            Kind.BOOL,
            apply("AND", other.term, self.term),
            self.fields | other.fields,
            self.lists | other.lists,
            self.doubts,
            merged(other.left, self.left),
        )


def parse_expression(text: str, fields: Fields, lists: Collection[str] = ()) -> Expression:
    """Checks an expression against the fields that exist.

    Args:
        text: the expression.
        fields: the fields it may use.
        lists: names of the lists it may ask.

    Raises:
        ExpressionError: with the position of the fault and, where possible, a suggestion.
    """
    return _Parser(text, fields, lists).parse()


def parse_condition(text: str, fields: Fields, lists: Collection[str] = ()) -> Expression:
    """Like `parse_expression`, but the value must be true or false and depend on the transaction."""
    expression = parse_expression(text, fields, lists)
    if expression.kind is not Kind.BOOL:
        raise ExpressionError(text, 0, f"is a {expression.kind}, not a condition", "compare it with something")
    if not expression.fields:
        raise ExpressionError(text, 0, "uses no field, so it holds for all transactions or for none")
    return expression


_NOTHING: Mapping[str, Values] = {}


class _Node(NamedTuple):
    """A part of an expression that is already checked.

    Attributes:
        field: set where it is just that; likewise `literal`.
        values: what it can hold.
        if_true: where it is true, what is left of each term that it compares.
        if_false: the same where it is false.
    """

    kind: Kind
    term: Term
    position: int
    field: str | None = None
    literal: str | float | bool | None = None
    values: Values = ANY
    if_true: Mapping[str, Values] = _NOTHING
    if_false: Mapping[str, Values] = _NOTHING


class _Parser:
    def __init__(self, text: str, fields: Fields, lists: Collection[str]) -> None:
        self._text = text
        self._fields = fields
        self._lists = lists
        self._tokens = tokenise(text)
        self._next = 0
        self._depth = 0
        self._steps = 0
        self._used: set[str] = set()
        self._asked: set[ListUse] = set()
        self._doubts: list[str] = []
        self._wanted = True  # false within NOT: what must not always be true there

    def parse(self) -> Expression:
        node = self._expression()
        if self._peek.kind != "end":
            hint = "combine conditions with AND or OR" if self._peek.kind in ("name", "number", "text") else None
            raise self._error(self._peek.position, f"unexpected {self._peek.text!r} after the expression", hint)
        used, asked = frozenset(self._used), frozenset(self._asked)
        return Expression(self._text, node.kind, node.term, used, asked, tuple(self._doubts), node.if_true)

    @property
    def _peek(self) -> Token:
        return self._tokens[self._next]

    def _take(self) -> Token:
        token = self._tokens[self._next]
        self._next += 1
        return token

    def _take_word(self, *words: str) -> Token | None:
        return self._take() if self._peek.is_word(*words) else None

    def _take_symbol(self, *symbols: str) -> Token | None:
        return self._take() if self._peek.is_symbol(*symbols) else None

    def _expect_symbol(self, symbol: str) -> None:
        if not self._take_symbol(symbol):
            raise self._error(self._peek.position, f"expected {symbol!r}, got {self._peek.text or 'the end'!r}")

    def _expect_word(self, word: str) -> None:
        if not self._take_word(word):
            raise self._error(self._peek.position, f"expected {word}, got {self._peek.text or 'the end'!r}")

    def _error(self, position: int, problem: str, suggestion: str | None = None) -> ExpressionError:
        return ExpressionError(self._text, position, problem, suggestion)

    def _expression(self) -> _Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._error(self._peek.position, f"nested more than {MAX_DEPTH} deep")
        node = self._joined("OR", self._conjunction)
        self._depth -= 1
        return node

    def _count_step(self, token: Token) -> None:
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise self._error(token.position, f"more than {MAX_STEPS} steps of arithmetic and CASE")

    def _conjunction(self) -> _Node:
        return self._joined("AND", self._negation)

    def _joined(self, word: str, part: Callable[[], _Node]) -> _Node:
        nodes = [part()]
        while self._take_word(word):
            nodes.append(part())
        if len(nodes) == 1:
            return nodes[0]
        for node in nodes:
            self._require(Kind.BOOL, node, f"beside {word}")
        term = apply(word, *(node.term for node in nodes))
        if word == "AND":
            left = self._together([(node.position, node.if_true) for node in nodes], self._wanted)
            return _Node(Kind.BOOL, term, nodes[0].position, if_true=left)
        left = self._together([(node.position, node.if_false) for node in nodes], not self._wanted)
        return _Node(Kind.BOOL, term, nodes[0].position, if_false=left)

    def _together(self, parts: list[tuple[int, Mapping[str, Values]]], required: bool) -> Mapping[str, Values]:
        """What conditions that hold together leave of each term; refused where they have to and leave nothing."""
        left: Mapping[str, Values] = _NOTHING
        for position, part in parts:
            term = contradiction(left, part) if required else None
            if term is not None:
                raise self._error(position, f"contradicts what stands before it: nothing is left of {term}")
            left = merged(left, part)
        return left

    def _negation(self) -> _Node:
        negations = 0
        position = self._peek.position
        while self._take_word("NOT"):
            negations += 1
        odd = negations % 2 == 1
        self._wanted ^= odd
        node = self._comparison()
        self._wanted ^= odd
        if not negations:
            return node
        self._require(Kind.BOOL, node, "after NOT")
        if not odd:
            return node
        return _Node(Kind.BOOL, apply("NOT", node.term), position, if_true=node.if_false, if_false=node.if_true)

    def _comparison(self) -> _Node:
        left, term = self._term()
        token = self._peek
        if token.kind == "symbol" and token.text in _COMPARISONS:
            self._take()
            right, other = self._term()
            return self._compare(left, term, token, right, other)
        if self._take_word("IS"):
            negated = self._take_word("NOT")
            self._expect_word("NULL")
            test: Term = apply("IS NOT NULL" if negated else "IS NULL", left.term)
            when = (NOT_NULL, NULL) if negated else (NULL, NOT_NULL)
            return self._test(test, left, term, *when)
        negated = self._take_word("NOT")
        if self._take_word("IN"):
            test, among = self._membership(left, term)
            when = replace(NOT_NULL, among=among), replace(NOT_NULL, without=among)
        elif self._take_word("BETWEEN"):
            test, inside = self._range(left, term)
            when = inside, NOT_NULL
        elif token.is_word("LIKE") or (negated and self._peek.is_word("LIKE")):
            raise self._error(token.position, "there is no LIKE", "use starts_with, ends_with or contains")
        elif negated:
            raise self._error(self._peek.position, f"expected IN or BETWEEN after NOT, got {self._peek.text!r}")
        else:
            return left
        if negated:
            return self._test(apply("NOT", test), left, term, *when[::-1])
        return self._test(test, left, term, *when)

    def _term(self) -> tuple[_Node, str]:
        """A sum, and how its author wrote it."""
        first = self._next
        node = self._sum()
        written = "".join(repr(t.text) if t.kind == "text" else t.text for t in self._tokens[first : self._next])
        return node, written.replace(",", ", ")

    def _test(self, test: Term, node: _Node, term: str, when: Values, unless: Values) -> _Node:
        """A condition on one term, true for some values and false for others; refused where it can hold none."""
        needed = when if self._wanted else unless
        if node.literal is None and node.values.contradicts(needed):
            raise self._error(node.position, f"{term} is never so", describe(node.values))
        true, false = {term: node.values.meet(when)}, {term: node.values.meet(unless)}
        return _Node(Kind.BOOL, test, node.position, if_true=true, if_false=false)

    def _compare(self, left: _Node, term: str, token: Token, right: _Node, other: str) -> _Node:
        self._require_same(left, right)
        if token.text in ("<", "<=", ">", ">=") and left.kind not in _ORDERED:
            raise self._error(left.position, f"a {left.kind} has no order", "compare numbers or times")
        test: Term = apply("<>" if token.text == "!=" else token.text, left.term, right.term)
        equal = token.text in ("=", "<>", "!=")
        for node, written, value, sign in ((left, term, right, token.text), (right, other, left, MIRRORED[token.text])):
            if node.literal is None and value.literal is not None:
                if equal:
                    self._require_held(node, written, value)
                when, unless = compared(sign, value.literal), compared(OPPOSITE[sign], value.literal)
                return self._test(test, node, written, when, unless)
        return _Node(Kind.BOOL, test, left.position)

    def _membership(self, left: _Node, term: str) -> tuple[Term, frozenset[str | float | bool]]:
        self._expect_symbol("(")
        values: list[str | float | bool] = []
        while not values or self._take_symbol(","):
            value = self._sum()
            if value.literal is None:
                raise self._error(value.position, "IN takes literal values only", "join comparisons with OR")
            self._require_same(left, value)
            self._require_held(left, term, value)
            values.append(value.literal)
        self._expect_symbol(")")
        return Among(left.term, tuple(values)), frozenset(values)

    def _range(self, left: _Node, term: str) -> tuple[Term, Values]:
        low = self._sum()
        self._expect_word("AND")
        high = self._sum()
        self._require_same(left, low)
        self._require_same(left, high)
        if left.kind not in _ORDERED:
            raise self._error(left.position, f"a {left.kind} has no order", "BETWEEN takes numbers or times")
        inside = NOT_NULL
        for sign, bound in ((">=", low), ("<=", high)):
            if isinstance(bound.literal, float):
                inside = inside.meet(compared(sign, bound.literal))
        if inside.empty:
            hint = f"{term} >= {low.literal:g} OR {term} <= {high.literal:g} is what lies outside"
            raise self._error(low.position, f"from {low.literal:g} to {high.literal:g} is nothing", hint)
        return apply("BETWEEN", left.term, low.term, high.term), inside

    def _sum(self) -> _Node:
        return self._arithmetic(self._product, "+", "-")

    def _product(self) -> _Node:
        return self._arithmetic(self._unary, "*", "/", "%")

    def _arithmetic(self, part: Callable[[], _Node], *operators: str) -> _Node:
        node = part()
        while token := self._take_symbol(*operators):
            right = part()
            self._count_step(token)
            self._require(Kind.NUMBER, node, f"on the left of {token.text}")
            self._require(Kind.NUMBER, right, f"on the right of {token.text}")
            node = _Node(Kind.NUMBER, apply(token.text, node.term, right.term), node.position)
        return node

    def _unary(self) -> _Node:
        token = self._take_symbol("-", "+")
        node = self._primary()
        if token is None:
            return node
        self._require(Kind.NUMBER, node, f"after {token.text}")
        if token.text == "+":
            return node
        if isinstance(node.literal, float):
            return self._literal(Kind.NUMBER, -node.literal, token.position)
        return _Node(Kind.NUMBER, apply("negative", node.term), token.position)

    def _primary(self) -> _Node:
        token = self._take()
        if token.kind == "number":
            return self._literal(Kind.NUMBER, float(token.text), token.position)
        if token.kind == "text":
            return self._literal(Kind.TEXT, token.text, token.position)
        if token.is_symbol("("):
            node = self._expression()
            self._expect_symbol(")")
            return node
        if token.is_word("TRUE", "FALSE"):
            return self._literal(Kind.BOOL, token.is_word("TRUE"), token.position)
        if token.is_word("CASE"):
            return self._case(token)
        if token.is_word("NULL"):
            raise self._error(token.position, "NULL equals nothing", "use IS NULL or IS NOT NULL")
        if token.kind == "name" and token.text.upper() not in KEYWORDS:
            return self._call(token) if self._take_symbol("(") else self._field(token)
        raise self._error(token.position, f"unexpected {token.text or 'end'!r}", "expected a field, value or function")

    def _literal(self, kind: Kind, value: str | float | bool, position: int) -> _Node:
        return _Node(kind, Literal(value), position, literal=value)

    def _field(self, token: Token) -> _Node:
        field = self._fields.get(token.text)
        if field is None:
            hint = did_you_mean(token.text, self._fields)
            raise self._error(token.position, f"unknown field {token.text}", hint)
        self._used.add(field.name)
        return _Node(field.kind, Read(field.name), token.position, field=field.name, values=field.values)

    def _call(self, token: Token) -> _Node:
        name = token.text.lower()
        arguments = [] if self._peek.is_symbol(")") else [self._expression()]
        while self._take_symbol(","):
            arguments.append(self._expression())
        self._expect_symbol(")")
        if name == "coalesce":
            return self._coalesce(token, arguments)
        if name == "in_list":
            return self._in_list(token, arguments)
        function = FUNCTIONS.get(name)
        if function is None:
            hint = did_you_mean(name, [*FUNCTIONS, "coalesce", "in_list"])
            raise self._error(token.position, f"there is no function {token.text}", hint)
        wanted = function.arguments
        if function.repeats:
            wanted += wanted[-1:] * (len(arguments) - len(wanted))
        if len(arguments) != len(wanted):
            least = "at least " if function.repeats else ""
            raise self._error(token.position, f"{name} takes {least}{len(wanted)} values, got {len(arguments)}")
        for argument, kind in zip(arguments, wanted, strict=True):
            self._require(kind, argument, f"in {name}")
        term = apply(name, *(argument.term for argument in arguments))
        if name in ("starts_with", "ends_with", "contains"):
            whole, part = arguments
            if isinstance(part.literal, str) and not whole.values.may_have_part(part.literal):
                raise self._error(part.position, f"{part.literal!r} is in no such text", describe(whole.values))
        of = arguments[0].values
        values = replace(function.values, low=of.shortest, high=of.longest) if name == "length" else function.values
        return _Node(function.result, term, token.position, values=values)

    def _coalesce(self, token: Token, arguments: list[_Node]) -> _Node:
        if len(arguments) < 2:
            raise self._error(token.position, "coalesce takes at least 2 values")
        for argument in arguments[1:]:
            self._require_same(arguments[0], argument)
        return _Node(arguments[0].kind, apply("coalesce", *(a.term for a in arguments)), token.position)

    def _in_list(self, token: Token, arguments: list[_Node]) -> _Node:
        if len(arguments) != 2 or arguments[0].field is None or not isinstance(arguments[1].literal, str):
            raise self._error(token.position, "in_list takes a field and the name of a list", "in_list(mcc, 'risky')")
        self._require(Kind.TEXT, arguments[0], "in in_list")
        use = ListUse(arguments[1].literal, arguments[0].field)
        if use.list_name not in self._lists:
            hint = did_you_mean(use.list_name, self._lists)
            raise self._error(arguments[1].position, f"there is no list {use.list_name!r}", hint)
        self._asked.add(use)
        return _Node(Kind.BOOL, Read(use.column), token.position)

    def _case(self, token: Token) -> _Node:
        first: _Node | None = None
        parts: list[Term] = []
        while when := self._take_word("WHEN"):
            self._count_step(when)
            within, self._wanted = self._wanted, True
            condition = self._expression()
            self._wanted = within
            self._require(Kind.BOOL, condition, "after WHEN")
            self._expect_word("THEN")
            value = self._expression()
            first = first or value
            self._require_same(first, value)
            parts += [condition.term, value.term]
        if first is None:
            raise self._error(self._peek.position, "CASE needs WHEN … THEN …")
        if self._take_word("ELSE"):
            value = self._expression()
            self._require_same(first, value)
            parts.append(value.term)
        self._expect_word("END")
        return _Node(first.kind, apply("CASE", *parts), token.position)

    def _require(self, kind: Kind, node: _Node, where: str) -> None:
        if node.kind is not kind:
            raise self._error(node.position, f"a {node.kind} {where}, expected a {kind}", _conversion(node, kind))

    def _require_same(self, left: _Node, right: _Node) -> None:
        if left.kind is not right.kind:
            problem = f"a {left.kind} and a {right.kind} cannot be compared"
            raise self._error(right.position, problem, _conversion(right, left.kind))

    def _require_held(self, node: _Node, term: str, value: _Node) -> None:
        """Refuses to compare a term with what it can never be."""
        literal, field = value.literal, self._fields.get(node.field or "")
        if literal is None:
            return
        standard = None if field is None else field.standard
        meant = standard.meant(literal) if standard is not None and isinstance(literal, str) else None
        hint = None if meant is None else f"did you mean {meant!r}?"
        if not node.values.hold(literal):
            choices = () if field is None else field.choices
            near = did_you_mean(literal, choices) if isinstance(literal, str) else None
            near = near or (f"it is one of {', '.join(choices)}" if choices else None)
            shown = repr(literal) if isinstance(literal, str) else f"{literal:g}"
            raise self._error(value.position, f"{term} is never {shown}", hint or near or describe(node.values))
        if standard is not None and isinstance(literal, str) and not standard.has(literal):
            self._doubts.append(str(self._error(value.position, f"{literal!r} is no code of {standard.name}", hint)))


def _conversion(node: _Node, kind: Kind) -> str | None:
    if node.literal is None:
        return None
    if kind is Kind.TEXT and isinstance(node.literal, float):
        return f"write '{node.literal:g}' in quotes"
    if kind is Kind.NUMBER and isinstance(node.literal, str):
        return "write the number without quotes"
    return None
