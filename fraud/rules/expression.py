"""Reads, checks and compiles an expression in one walk.

The language is the part of SQL that looks at one row: fields, literals, arithmetic, comparisons, `AND`, `OR`, `NOT`,
`IN`, `BETWEEN`, `IS NULL`, `CASE` and the functions of `fraud.rules.functions`. Logic is three-valued, as in SQL; a
division by zero is null. There is no way to reach anything else: the grammar is our own, and what it does not know
is refused before Polars sees it.

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

import operator
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import polars as pl

from fraud.rules.errors import ExpressionError, did_you_mean
from fraud.rules.fields import Fields, Kind
from fraud.rules.functions import FUNCTIONS
from fraud.rules.tokens import Token, tokenise

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

_COMPARISONS: dict[str, Callable[[pl.Expr, pl.Expr], pl.Expr]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
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
        polars: what computes it; numbers must come as Float64 without NaN.
        fields: the fields it reads.
        lists: the lists it asks; their columns must stand beside the fields.
    """

    text: str
    kind: Kind
    polars: pl.Expr
    fields: frozenset[str]
    lists: frozenset[ListUse]


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


class _Node(NamedTuple):
    """A part of an expression that is already compiled; `field` and `literal` are set where it is just that."""

    kind: Kind
    polars: pl.Expr
    position: int
    field: str | None = None
    literal: str | float | bool | None = None


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

    def parse(self) -> Expression:
        node = self._expression()
        if self._peek.kind != "end":
            hint = "combine conditions with AND or OR" if self._peek.kind in ("name", "number", "text") else None
            raise self._error(self._peek.position, f"unexpected {self._peek.text!r} after the expression", hint)
        return Expression(self._text, node.kind, node.polars, frozenset(self._used), frozenset(self._asked))

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
        node = self._joined("OR", self._conjunction, operator.or_)
        self._depth -= 1
        return node

    def _count_step(self, token: Token) -> None:
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise self._error(token.position, f"more than {MAX_STEPS} steps of arithmetic and CASE")

    def _conjunction(self) -> _Node:
        return self._joined("AND", self._negation, operator.and_)

    def _joined(self, word: str, part: Callable[[], _Node], join: Callable[[pl.Expr, pl.Expr], pl.Expr]) -> _Node:
        nodes = [part()]
        while self._take_word(word):
            nodes.append(part())
        if len(nodes) == 1:
            return nodes[0]
        for node in nodes:
            self._require(Kind.BOOL, node, f"beside {word}")
        return _Node(Kind.BOOL, _balanced([node.polars for node in nodes], join), nodes[0].position)

    def _negation(self) -> _Node:
        negations = 0
        position = self._peek.position
        while self._take_word("NOT"):
            negations += 1
        node = self._comparison()
        if not negations:
            return node
        self._require(Kind.BOOL, node, "after NOT")
        return _Node(Kind.BOOL, ~node.polars if negations % 2 else node.polars, position)

    def _comparison(self) -> _Node:
        left = self._sum()
        token = self._peek
        if token.kind == "symbol" and token.text in _COMPARISONS:
            self._take()
            return self._compare(left, token, self._sum())
        if self._take_word("IS"):
            negated = self._take_word("NOT")
            self._expect_word("NULL")
            test = left.polars.is_not_null() if negated else left.polars.is_null()
            return _Node(Kind.BOOL, test, left.position)
        negated = self._take_word("NOT")
        if self._take_word("IN"):
            test = self._membership(left)
        elif self._take_word("BETWEEN"):
            test = self._range(left)
        elif token.is_word("LIKE") or (negated and self._peek.is_word("LIKE")):
            raise self._error(token.position, "there is no LIKE", "use starts_with, ends_with or contains")
        elif negated:
            raise self._error(self._peek.position, f"expected IN or BETWEEN after NOT, got {self._peek.text!r}")
        else:
            return left
        return _Node(Kind.BOOL, ~test if negated else test, left.position)

    def _compare(self, left: _Node, token: Token, right: _Node) -> _Node:
        self._require_same(left, right)
        if token.text in ("<", "<=", ">", ">=") and left.kind not in _ORDERED:
            raise self._error(left.position, f"a {left.kind} has no order", "compare numbers or times")
        self._check_choice(left, right)
        self._check_choice(right, left)
        return _Node(Kind.BOOL, _COMPARISONS[token.text](left.polars, right.polars), left.position)

    def _membership(self, left: _Node) -> pl.Expr:
        self._expect_symbol("(")
        values: list[str | float | bool] = []
        while not values or self._take_symbol(","):
            value = self._sum()
            if value.literal is None:
                raise self._error(value.position, "IN takes literal values only", "join comparisons with OR")
            self._require_same(left, value)
            self._check_choice(left, value)
            values.append(value.literal)
        self._expect_symbol(")")
        return left.polars.is_in(values)

    def _range(self, left: _Node) -> pl.Expr:
        low = self._sum()
        self._expect_word("AND")
        high = self._sum()
        self._require_same(left, low)
        self._require_same(left, high)
        if left.kind not in _ORDERED:
            raise self._error(left.position, f"a {left.kind} has no order", "BETWEEN takes numbers or times")
        return left.polars.is_between(low.polars, high.polars)

    def _sum(self) -> _Node:
        return self._arithmetic(self._product, {"+": operator.add, "-": operator.sub})

    def _product(self) -> _Node:
        return self._arithmetic(self._unary, {"*": operator.mul, "/": _divide, "%": _remainder})

    def _arithmetic(
        self, part: Callable[[], _Node], operators: Mapping[str, Callable[[pl.Expr, pl.Expr], pl.Expr]]
    ) -> _Node:
        node = part()
        while token := self._take_symbol(*operators):
            right = part()
            self._count_step(token)
            self._require(Kind.NUMBER, node, f"on the left of {token.text}")
            self._require(Kind.NUMBER, right, f"on the right of {token.text}")
            node = _Node(Kind.NUMBER, operators[token.text](node.polars, right.polars), node.position)
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
        return _Node(Kind.NUMBER, -node.polars, token.position)

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
        return _Node(kind, pl.lit(value), position, literal=value)

    def _field(self, token: Token) -> _Node:
        field = self._fields.get(token.text)
        if field is None:
            hint = did_you_mean(token.text, self._fields)
            raise self._error(token.position, f"unknown field {token.text}", hint)
        self._used.add(field.name)
        return _Node(field.kind, pl.col(field.name), token.position, field=field.name)

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
        return _Node(function.result, function.build(*(a.polars for a in arguments)), token.position)

    def _coalesce(self, token: Token, arguments: list[_Node]) -> _Node:
        if len(arguments) < 2:
            raise self._error(token.position, "coalesce takes at least 2 values")
        for argument in arguments[1:]:
            self._require_same(arguments[0], argument)
        return _Node(arguments[0].kind, pl.coalesce(*(a.polars for a in arguments)), token.position)

    def _in_list(self, token: Token, arguments: list[_Node]) -> _Node:
        if len(arguments) != 2 or arguments[0].field is None or not isinstance(arguments[1].literal, str):
            raise self._error(token.position, "in_list takes a field and the name of a list", "in_list(mcc, 'risky')")
        self._require(Kind.TEXT, arguments[0], "in in_list")
        use = ListUse(arguments[1].literal, arguments[0].field)
        if use.list_name not in self._lists:
            hint = did_you_mean(use.list_name, self._lists)
            raise self._error(arguments[1].position, f"there is no list {use.list_name!r}", hint)
        self._asked.add(use)
        return _Node(Kind.BOOL, pl.col(use.column), token.position)

    def _case(self, token: Token) -> _Node:
        first: _Node | None = None
        branches: pl.Expr | None = None
        chain = pl.when
        while when := self._take_word("WHEN"):
            self._count_step(when)
            condition = self._expression()
            self._require(Kind.BOOL, condition, "after WHEN")
            self._expect_word("THEN")
            value = self._expression()
            first = first or value
            self._require_same(first, value)
            branch = chain(condition.polars).then(value.polars)
            branches, chain = branch, branch.when  # type: ignore[assignment]
        if first is None or branches is None:
            raise self._error(self._peek.position, "CASE needs WHEN … THEN …")
        if self._take_word("ELSE"):
            value = self._expression()
            self._require_same(first, value)
            branches = branches.otherwise(value.polars)  # type: ignore[attr-defined]
        self._expect_word("END")
        return _Node(first.kind, branches, token.position)

    def _require(self, kind: Kind, node: _Node, where: str) -> None:
        if node.kind is not kind:
            raise self._error(node.position, f"a {node.kind} {where}, expected a {kind}", _conversion(node, kind))

    def _require_same(self, left: _Node, right: _Node) -> None:
        if left.kind is not right.kind:
            problem = f"a {left.kind} and a {right.kind} cannot be compared"
            raise self._error(right.position, problem, _conversion(right, left.kind))

    def _check_choice(self, node: _Node, other: _Node) -> None:
        if node.field is None or not isinstance(other.literal, str):
            return
        choices = self._fields[node.field].choices
        if choices and other.literal not in choices:
            hint = did_you_mean(other.literal, choices) or f"it is one of {', '.join(choices)}"
            raise self._error(other.position, f"{node.field} is never {other.literal!r}", hint)


def _balanced(parts: list[pl.Expr], join: Callable[[pl.Expr, pl.Expr], pl.Expr]) -> pl.Expr:
    """Joins associatively in a tree of least depth: a chain would cost Polars the square of its length."""
    while len(parts) > 1:
        pairs = [join(*pair) for pair in zip(parts[::2], parts[1::2], strict=False)]
        parts = pairs + parts[len(pairs) * 2 :]
    return parts[0]


def _conversion(node: _Node, kind: Kind) -> str | None:
    if node.literal is None:
        return None
    if kind is Kind.TEXT and isinstance(node.literal, float):
        return f"write '{node.literal:g}' in quotes"
    if kind is Kind.NUMBER and isinstance(node.literal, str):
        return "write the number without quotes"
    return None


def _divide(left: pl.Expr, right: pl.Expr) -> pl.Expr:
    return left / right.replace(0.0, None)


def _remainder(left: pl.Expr, right: pl.Expr) -> pl.Expr:
    return left % right.replace(0.0, None)
