"""Finds a card's token in bytes and texts, as a whole and however it is escaped."""

from __future__ import annotations

import re

from fraud.records.card_number import unescaped

ERASED = "erased"
"""Stands where an erased token stood, so that what refers to it by place still reads."""

_BEFORE = r"(?<![^\s\x00-\x20\x7f-\U0010ffff\"'`(\[{<,;=\\])"
_BEHIND = r"(?=[.:!?]*(?:[\s\x00-\x20\x7f-\U0010ffff\"'`)\]}>,;&\\]|\Z))"
"""What may stand beside a token: signs that are hardly ever part of one, so that `tok_1` is not found in `tok_19`."""


def names_token(data: bytes, token: str) -> bool:
    """Whether bytes name a token as a whole, also if it is written with escapes.

    >>> [names_token(data, "tok_1") for data in (b'{"card_token":"\\\\u0074ok_1"}', b'{"card_token":"tok_19"}')]
    [True, False]
    """
    whole = _whole(token)
    return any(whole.search(text) for text in unescaped(data.decode("utf-8", "surrogateescape")))


def without_token(text: str, token: str) -> str:
    """A text with `ERASED` in place of a token, where it stands as a whole.

    >>> without_token("value\\ntok_1\\ntok_19", "tok_1")
    'value\\nerased\\ntok_19'
    """
    return _whole(token).sub(ERASED, text)


def _whole(token: str) -> re.Pattern[str]:
    return re.compile(_BEFORE + re.escape(token) + _BEHIND)
