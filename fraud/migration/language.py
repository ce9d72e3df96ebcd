"""Reads the service's rule language into a tree.

expression = conjunction {or conjunction}
conjunction = negation {and negation}
negation = [! | not] comparison
comparison = sum [(== | != | < | <= | > | >=) sum | [not] in ([literal, …] | @list)]
sum, product, unary, primary as usual; primary = $variable | literal | null | function(…) | (expression)
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple


class UnreadableRuleError(ValueError):
    """A rule expression outside the documented language."""


@dataclass(frozen=True)
class Variable:
    """`$name`."""

    name: str


@dataclass(frozen=True)
class Literal:
    """A number, text, truth value, or null (None)."""

    value: float | str | bool | None


@dataclass(frozen=True)
class Operation:
    """An operator with its operands: arithmetic, comparison, `and`, `or`, `not`."""

    operator: str
    operands: tuple[Node, ...]


@dataclass(frozen=True)
class Membership:
    """`value in [...]` or `value in @name`."""

    value: Node
    among: tuple[Literal, ...] | str
    negated: bool


@dataclass(frozen=True)
class Call:
    """A function call."""

    function: str
    arguments: tuple[Node, ...]


Node = Variable | Literal | Operation | Membership | Call

COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<number>\d+(?:\.\d+)?)
      | (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
      | (?P<variable>\$[A-Za-z_]\w*)
      | (?P<list>@[A-Za-z_]\w*)
      | (?P<name>[A-Za-z_]\w*)
      | (?P<symbol>==|!=|<=|>=|&&|\|\||[-+*/%()\[\],<>!])
      | (?P<end>\Z)
    )""",
    re.VERBOSE | re.ASCII,
)

_ESCAPED_QUOTE = re.compile(r"""\\(["'])""")


class _Token(NamedTuple):
    kind: str
    text: str


def parse_rule(text: str) -> Node:
    """The tree of a rule expression.

    Raises:
        UnreadableRuleError: it is not of the language.

    >>> parse_rule('$price > 10')
    Operation(operator='>', operands=(Variable(name='price'), Literal(value=10.0)))
    """
    try:
        return _Parser(_tokens(text)).parse()
    except RecursionError:
        raise UnreadableRuleError("nested too deep") from None


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    position = 0
    while not tokens or tokens[-1].kind != "end":
        match = _TOKEN.match(text, position)
        if match is None:
            raise UnreadableRuleError(f"unreadable at {text[position : position + 20].strip()!r}")
        kind = match.lastgroup
        assert kind is not None
        tokens.append(_Token(kind, match[kind]))
        position = match.end()
    return tokens


class _Parser:
    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._next = 0

    def parse(self) -> Node:
        node = self._expression()
        if self._tokens[self._next].kind != "end":
            raise UnreadableRuleError(f"unexpected {self._tokens[self._next].text!r}")
        return node

    def _take(self, *texts: str) -> str | None:
        token = self._tokens[self._next]
        if token.kind in ("symbol", "name") and token.text.lower() in texts:
            self._next += 1
            return token.text.lower()
        return None

    def _expect(self, text: str) -> None:
        if not self._take(text):
            raise UnreadableRuleError(f"expected {text!r}, got {self._tokens[self._next].text!r}")

    def _expression(self) -> Node:
        return self._joined("or", ("or", "||"), lambda: self._joined("and", ("and", "&&"), self._negation))

    def _joined(self, operator: str, words: tuple[str, ...], part: Callable[[], Node]) -> Node:
        parts = [part()]
        while self._take(*words):
            parts.append(part())
        return parts[0] if len(parts) == 1 else Operation(operator, tuple(parts))

    def _negation(self) -> Node:
        if self._take("!", "not"):
            return Operation("not", (self._negation(),))
        return self._comparison()

    def _comparison(self) -> Node:
        left = self._sum()
        if operator := self._take(*COMPARISONS):
            return Operation(operator, (left, self._sum()))
        negated = self._take("not") is not None
        if self._take("in"):
            return Membership(left, self._among(), negated)
        if negated:
            raise UnreadableRuleError("expected 'in' after 'not'")
        return left

    def _among(self) -> tuple[Literal, ...] | str:
        token = self._tokens[self._next]
        if token.kind == "list":
            self._next += 1
            return token.text[1:]
        self._expect("[")
        values = [self._literal()]
        while self._take(","):
            values.append(self._literal())
        self._expect("]")
        return tuple(values)

    def _literal(self) -> Literal:
        node = self._unary()
        if not isinstance(node, Literal):
            raise UnreadableRuleError("a list of literal values was expected")
        return node

    def _sum(self) -> Node:
        return self._binary(("+", "-"), lambda: self._binary(("*", "/", "%"), self._unary))

    def _binary(self, operators: tuple[str, ...], part: Callable[[], Node]) -> Node:
        node = part()
        while operator := self._take(*operators):
            node = Operation(operator, (node, part()))
        return node

    def _unary(self) -> Node:
        if self._take("-"):
            node = self._unary()
            if isinstance(node, Literal) and isinstance(node.value, float):
                return Literal(-node.value)
            return Operation("-", (Literal(0.0), node))
        return self._primary()

    def _primary(self) -> Node:
        token = self._tokens[self._next]
        self._next += 1
        if token.kind == "number":
            return Literal(float(token.text))
        if token.kind == "text":
            return Literal(_ESCAPED_QUOTE.sub(r"\1", token.text[1:-1]))
        if token.kind == "variable":
            return Variable(token.text[1:])
        if token.kind == "symbol" and token.text == "(":
            node = self._expression()
            self._expect(")")
            return node
        if token.kind == "name":
            return self._named(token.text)
        raise UnreadableRuleError(f"unexpected {token.text or 'end'!r}")

    def _named(self, name: str) -> Node:
        known = {"true": True, "false": False, "null": None}
        if name.lower() in known:
            return Literal(known[name.lower()])
        self._expect("(")
        arguments = [] if self._take(")") else [self._expression()]
        while arguments and self._take(","):
            arguments.append(self._expression())
        if arguments:
            self._expect(")")
        return Call(name.lower(), tuple(arguments))
