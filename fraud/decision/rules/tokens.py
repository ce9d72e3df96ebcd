"""Cuts the text of an expression into tokens."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from fraud.decision.rules.errors import ExpressionError

TokenKind = Literal["number", "text", "name", "symbol", "end"]

MAX_LENGTH = 20_000
"""Longest expression, in characters: far beyond what a person writes, short enough to check at once."""

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?(?![A-Za-z_0-9.]))
      | (?P<text>'(?:[^']|'')*')
      | (?P<name>[A-Za-z_][A-Za-z_0-9]*)
      | (?P<symbol><>|!=|<=|>=|[-+*/%()=<>,])
      | (?P<end>\Z)
    )""",
    re.VERBOSE | re.ASCII,
)


class Token(NamedTuple):
    """One token; `text` as written, but for text literals, which come without quotes. `position` counts from 0."""

    kind: TokenKind
    text: str
    position: int

    def is_word(self, *words: str) -> bool:
        """Whether this is one of the keywords, in any case."""
        return self.kind == "name" and self.text.upper() in words

    def is_symbol(self, *symbols: str) -> bool:
        """Whether this is one of the symbols."""
        return self.kind == "symbol" and self.text in symbols


def tokenise(text: str) -> list[Token]:
    """The tokens of an expression, ending with one of kind `end`.

    Raises:
        ExpressionError: a character or literal that the language does not have, or a text beyond `MAX_LENGTH`.

    >>> [token.text for token in tokenise("mcc = '5411'")]
    ['mcc', '=', '5411', '']
    """
    if len(text) > MAX_LENGTH:
        raise ExpressionError(text, MAX_LENGTH, f"longer than {MAX_LENGTH} characters")
    tokens: list[Token] = []
    position = 0
    while not tokens or tokens[-1].kind != "end":
        match = _TOKEN.match(text, position)
        if match is None:
            raise _unreadable(text, position)
        kind = match.lastgroup
        assert kind is not None
        written = match[kind]
        token = written[1:-1].replace("''", "'") if kind == "text" else written
        tokens.append(Token(kind, token, match.start(kind)))  # type: ignore[arg-type]
        position = match.end()
    return tokens


def _unreadable(text: str, position: int) -> ExpressionError:
    while position < len(text) - 1 and text[position].isspace():
        position += 1
    character = text[position]
    if character == "'":
        return ExpressionError(text, position, "a text that is never closed", "add a closing '")
    if character == '"':
        return ExpressionError(text, position, 'unexpected "', "write texts in single quotes and names without quotes")
    if character.isdigit():
        return ExpressionError(text, position, "a malformed number")
    hint = {"&": "use AND", "|": "use OR", "!": "use NOT or <>", ";": "one expression only"}.get(character)
    return ExpressionError(text, position, f"unexpected {character!r}", hint)
