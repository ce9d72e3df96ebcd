r"""Finds and redacts card numbers (PANs), however they are written: the one definition for records, bytes and logs.

A card number is 13 to 19 digits that begin and are as long as an issuer's are (`ISSUERS`) and pass the Luhn check. What
counts is what a reader would see, not how it is written: escapes are undone, digits of any script are digits, invisible
characters are none, and anything else that is neither letter nor digit may stand between the digits.

Four things that look alike are none:

- a part of a longer word, which Latin letters touch (a hex digest, a ULID, `m4111111111111111`), unless these letters
  say that a card number follows (`card4111111111111111`); in a word whose letters stand apart
  (`inv-5411-20260115-0001`) the digits must be in one piece or grouped as cards are;
- a UUID, an IPv6 address and an RFC 3339 time;
- a fraction: a number of JSON with decimals, or in a text up to three digits, a point and at least four decimals;
- in a text, `+` and 13 or 14 digits: a telephone number.

In a JSON document, a card number ends with its value, but for one dealt out over neighbouring values in a card's
groups: an array (`["4111", "1111", "1111", "1111"]`) or fields that are counted (`"pan1": "4111", ...`).
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple

SHORTEST, LONGEST = 13, 19


class Issuer(NamedTuple):
    """Numbers of one scheme.

    Attributes:
        scheme: its name.
        first: where its range begins, up to four digits.
        last: where it ends, as many digits, included.
        lengths: how many digits a number has.
    """

    scheme: str
    first: str
    last: str
    lengths: Sequence[int]


ISSUERS = (
    Issuer("UATP", "1", "1", (15,)),
    Issuer("GPN", "1946", "1946", (16,)),
    Issuer("JCB", "2131", "2131", (15,)),
    Issuer("Mir, Borica", "2200", "2205", range(16, 20)),
    Issuer("Mastercard", "2221", "2720", (16,)),
    Issuer("Diners Club", "300", "305", range(14, 20)),
    Issuer("Diners Club", "3095", "3095", range(14, 20)),
    Issuer("T-Union", "31", "31", (19,)),
    Issuer("American Express", "34", "34", (15,)),
    Issuer("JCB", "3528", "3589", range(16, 20)),
    Issuer("Diners Club", "36", "36", range(14, 20)),
    Issuer("American Express", "37", "37", (15,)),
    Issuer("Diners Club", "38", "39", range(14, 20)),
    Issuer("Visa", "4", "4", (13, 16, 19)),
    Issuer("Maestro, Elo, RuPay, Verve", "50", "50", range(13, 20)),
    Issuer("Mastercard", "51", "55", (16,)),
    Issuer("Maestro", "56", "59", range(13, 20)),
    Issuer("Discover, Maestro, RuPay, UnionPay", "60", "69", range(13, 20)),
    Issuer("UnionPay, RuPay", "81", "82", range(16, 20)),
    Issuer("Uzcard", "8600", "8600", (16,)),
    Issuer("Napas", "9704", "9704", (16, 19)),
    Issuer("Troy", "9792", "9792", (16,)),
    Issuer("Humo", "9860", "9860", (16,)),
)
"""Who issues card numbers, by their first digits (ISO/IEC 7812)."""


def _lengths_by_beginning() -> list[int]:
    """For each four first digits, the lengths of card numbers that begin so, as bits."""
    lengths = [0] * 10_000
    for issuer in ISSUERS:
        bits = sum(1 << length for length in issuer.lengths)
        for beginning in range(int(issuer.first.ljust(4, "0")), int(issuer.last.ljust(4, "9")) + 1):
            lengths[beginning] |= bits
    return lengths


_LENGTHS = _lengths_by_beginning()
_TWICE = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)  # digit sum of twice the digit


def passes_luhn(digits: str) -> bool:
    """Whether ASCII digits carry a valid Luhn check digit (ISO/IEC 7812-1, annex B).

    >>> passes_luhn("4111111111111111"), passes_luhn("4111111111111112")
    (True, False)
    """
    backwards = digits[::-1]
    return (sum(map(int, backwards[::2])) + sum(_TWICE[int(digit)] for digit in backwards[1::2])) % 10 == 0


def is_card_number(digits: str) -> bool:
    """Whether ASCII digits are a card number: an issuer's range and length, and Luhn; zeros may stand before it.

    >>> [is_card_number(digits) for digits in ("4111111111111111", "0004111111111111111", "1768478400003")]
    [True, True, False]
    """
    digits = digits.lstrip("0")
    if not SHORTEST <= len(digits) <= LONGEST:
        return False
    return bool(_LENGTHS[int(digits[:4])] >> len(digits) & 1) and passes_luhn(digits)


class CardNumber(NamedTuple):
    """A card number that was found.

    Attributes:
        path: the value that holds it, such as `extra.cards[0]`, itself redacted; None outside a JSON document.
        first: the first of its characters in that value, from 1.
        last: the last one.
    """

    path: str | None
    first: int
    last: int


def find_card_number(data: bytes) -> CardNumber | None:
    """The first card number of a record, or of other bytes; None where there is none."""
    if not _may_hold(data):
        return None
    found = next(_found(_text(data)), None)
    if found is None:
        return None
    part = found.parts[0]
    return CardNumber(found.path, part.first - part.value + 1, part.last - part.value)


def redact(data: bytes) -> bytes:
    """Replaces each card number by `[card:` and the first 16 hex digits of its SHA-256; other bytes stay.

    A JSON document remains one.

    >>> redact(b'{"card_token":"4111-1111-1111-1111"}')
    b'{"card_token":"[card:9bbef19476623ca5]"}'
    """
    return _redacted(_text(data)).encode(*_AS_IS) if _may_hold(data) else data


def redact_text(text: str) -> str:
    """The same of a text."""
    return _redacted(text) if _may_hold(text.encode("utf-8", "surrogatepass")) else text


_AS_IS = ("utf-8", "surrogateescape")
"""Bytes that are not UTF-8 survive the way to text and back."""


def _text(data: bytes) -> str:
    return data.decode(*_AS_IS)


# A look that nearly all records pass, at a fraction of what decoding them costs: it errs to one side only.

_LETTERS = bytes(range(65, 91)) + bytes(range(97, 123))
_ESCAPES = b"\\%&\x1b"
_BETWEEN = bytes(byte for byte in range(128) if not chr(byte).isalnum() and byte not in _ESCAPES)
_SIGNS = _BETWEEN + _ESCAPES
_LOOK = bytes(ord("a" if byte in _LETTERS or byte > 0x7F else "!" if byte in _ESCAPES else "0") for byte in range(256))
_LONG_RUN = b"0" * SHORTEST
_TIME = (
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?(?:[Zz]|[+-][0-9]{2}:?[0-9]{2})?"
)
_FRACTION = r"[0-9]{1,3}\.[0-9]{4,}"
_UUID = r"(?=[0-9-]*[a-fA-F])[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"
_APART = "[^0-9A-Za-z]"
_FRACTION_END = re.compile(
    rf"\.(?:(?<={_APART}{{2}}[0-9]\.)|(?<={_APART}{{2}}[0-9]{{2}}\.)|(?<={_APART}{{2}}[0-9]{{3}}\.))"
    rf"[0-9]{{4,}}(?={_APART}(?:[^0-9]|$))".encode()
)
_TIME_END = re.compile(
    rf"T(?<={_APART}[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}T)"
    r'[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?[+-][0-9]{2}:[0-9]{2}(?=")'.encode()
)
_ANY_RUN = re.compile(
    rf"(?P<digits>(?<![0-9])(?=[0-9][^A-Za-z]{{12}})[0-9]+(?:{_APART}+[0-9]+)*)(?P<exponent>[eE][-+]?[0-9])?"
)
_DEALT_LOOK = re.compile(rb"a00000a{1,64}0{5,7}a{1,64}0{5,6}a")  # counted keys and a card's groups, as looked at
_DEALT = re.compile(
    rb'[0-9]":\s*"?[0-9]{4}"?\s*,\s*"[^"]{0,64}[0-9]":\s*"?[0-9]{4,6}"?\s*,\s*"[^"]{0,64}[0-9]":\s*"?[0-9]'
)


def _may_hold(data: bytes) -> bool:
    """False only where no card number can be."""
    look = data.translate(_LOOK, _BETWEEN)
    if b"!" not in look and data.isascii():
        return _is_suspect(data, look)
    return any(_is_suspect(read, read.translate(_LOOK, _SIGNS)) for read in _readings(_text(data)))


def _readings(text: str) -> Iterator[bytes]:
    """A text in ASCII, as it is and with each layer of its escapes undone."""
    for layer in unescaped(text):
        read = layer if layer.isascii() else _OTHER_SCRIPT.sub(lambda char: _as_read(char[0]), layer)
        yield read.encode()


def unescaped(text: str) -> Iterator[str]:
    """A text as it is, and with each layer of its escapes undone: those of JSON, percent encoding, references.

    >>> list(unescaped("t%6fk"))
    ['t%6fk', 'tok']
    """
    for _ in range(_ESCAPED_DEEP):
        yield text
        if not ("\\" in text or "%" in text or "&" in text or "\x1b" in text):  # finds out faster than the pattern
            break
        text, escapes = _ESCAPE.subn(_unescaped, text)
        if not escapes:
            break


def _is_suspect(data: bytes, look: bytes) -> bool:
    if _LONG_RUN in look:
        rest = _TIME_END.sub(b"a", _FRACTION_END.sub(b"a", data))
        if _LONG_RUN in rest.translate(_LOOK, _SIGNS) and any(
            map(_can_be_card_number, _ANY_RUN.finditer(rest.decode()))
        ):
            return True
    return _DEALT_LOOK.search(look) is not None and _DEALT.search(data) is not None


def _can_be_card_number(run: re.Match[str]) -> bool:
    """Whether some of its groups are together as a card number is, whatever stands around and between them."""
    first, last = run.span()
    if last - first < SHORTEST:
        return False
    if run["exponent"]:
        return True
    groups = [group.span() for group in _DIGITS.finditer(run.string, *run.span("digits"))]
    return next(_candidates(run.string, groups), None) is not None


# Texts.


class _Span(NamedTuple):
    first: int
    last: int  # excluded
    digits: str


_ESCAPE = re.compile(
    r"""[\\%&\x1b](?:
     (?<=\\)(?:u(?P<high>[dD][89abAB][0-9a-fA-F]{2})\\u(?P<low>[dD][c-fC-F][0-9a-fA-F]{2})
        |u(?P<unit>[0-9a-fA-F]{4}) |x(?P<byte>[0-9a-fA-F]{2}) |U(?P<long>[0-9a-fA-F]{8})
        |[ux]\{0*(?P<braced>[0-9a-fA-F]{1,6})\} |(?P<octal>[0-3][0-7]{2}) |(?P<char>.))
    |(?<=%)(?:(?P<percent>[0-9A-Fa-f]{2}(?:%[0-9A-Fa-f]{2})*) |u(?P<script>[0-9a-fA-F]{4}))
    |(?<=&)(?:\#0*(?P<decimal>[0-9]{1,7});? |\#[xX]0*(?P<hex>[0-9a-fA-F]{1,6});? |(?P<entity>[A-Za-z]{2,32});)
    |(?<=\x1b)(?P<colour>\[[0-9;]*m)
    )""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPED_DEEP = 4
_OTHER_SCRIPT = re.compile(r"[^\x00-\x7f]")
_OTHER_LETTER = "\u00b7"
_BASES = {"decimal": 10, "octal": 8} | dict.fromkeys(("unit", "byte", "long", "braced", "script", "hex"), 16)
_INVISIBLE = frozenset("\u115f\u1160\u3164\uffa0")  # blank, though of a letter's category


@lru_cache(4096)
def _as_read(char: str) -> str:
    """A character as ASCII: a digit of any script is its digit, a Latin letter `x`, the invisible nothing.

    Other scripts' letters stay a sign between words, since many of them put no space between word and number.
    """
    if char.isascii():
        return char
    value = unicodedata.numeric(char, -1.0)
    if value in range(10):
        return str(int(value))
    category = unicodedata.category(char)
    if category == "Cf" or category[0] == "M" or char in _INVISIBLE:
        return ""
    if category[0] != "L":
        return " "
    return "x" if "LATIN" in unicodedata.name(char, "") else _OTHER_LETTER


def _unescaped(escape: re.Match[str]) -> str:
    kind = escape.lastgroup
    text = escape[kind or 0]
    if kind == "low":
        return chr(0x10000 + ((int(escape["high"], 16) & 0x3FF) << 10) + (int(text, 16) & 0x3FF))
    if kind in _BASES:
        code = int(text, _BASES[kind])
        return chr(code) if code < 0x110000 else " "
    if kind == "percent":
        return bytes.fromhex(text.replace("%", "")).decode("utf-8", "replace")
    return " " if kind != "char" or text in "abfnrtv" else text


class _Reading(NamedTuple):
    """A text as it is read, and where each of its characters comes from."""

    text: str
    first: Sequence[int]
    last: Sequence[int]

    @classmethod
    def of(cls, text: str) -> _Reading:
        return cls(text, range(len(text)), range(1, len(text) + 1))

    def as_ascii(self) -> _Reading:
        return (
            self
            if self.text.isascii()
            else self._replaced((at, at + 1, _as_read(char)) for at, char in enumerate(self.text))
        )

    def unescaped(self) -> _Reading | None:
        """With one layer of escapes undone; None where there is none."""
        if _ESCAPE.search(self.text) is None:
            return None
        return self._replaced(self._pieces())

    def _pieces(self) -> Iterator[tuple[int, int, str]]:
        end = 0
        for escape in _ESCAPE.finditer(self.text):
            yield from ((at, at + 1, self.text[at]) for at in range(end, escape.start()))
            end = escape.end()
            yield escape.start(), end, _unescaped(escape)
        yield from ((at, at + 1, self.text[at]) for at in range(end, len(self.text)))

    def _replaced(self, pieces: Iterator[tuple[int, int, str]]) -> _Reading:
        chars: list[str] = []
        first: list[int] = []
        last: list[int] = []
        for begin, end, text in pieces:
            chars.append(text)
            first += [self.first[begin]] * len(text)
            last += [self.last[end - 1]] * len(text)
        return _Reading("".join(chars), first, last)


def _spans(text: str) -> list[_Span]:
    """The card numbers of a text, in order, none inside another."""
    if len(text) < SHORTEST:
        return []
    if not _may_hold(text.encode("utf-8", "replace")):
        return []
    reading: _Reading | None = _Reading.of(text)
    found: list[_Span] = []
    for _ in range(_ESCAPED_DEEP):
        assert reading is not None
        plain = reading.as_ascii()
        found += (_Span(plain.first[a], plain.last[b - 1], digits) for a, b, digits in _in_plain(plain.text))
        reading = reading.unescaped()
        if reading is None:
            break
    return _apart(found)


def _apart(spans: list[_Span]) -> list[_Span]:
    kept: list[_Span] = []
    for span in sorted(spans, key=lambda span: (span.first, -span.last)):
        if not kept or span.first >= kept[-1].last:
            kept.append(span)
    return kept


_NUMBER = re.compile(r"[-+]?([0-9]+)(?:\.([0-9]+))?(?:[eE]([-+]?[0-9]{1,20}))?")
_SPREADSHEET = re.compile(
    r"(?<![0-9A-Za-z.])(?=[0-9.]{12})([0-9]+)(?:\.([0-9]+))?[eE]([-+]?[0-9]{1,20})(?![0-9A-Za-z])"
)
_FRACTIONS = re.compile(rf"\s*[-+]?{_FRACTION}(?:[\s,;]+[-+]?{_FRACTION})*\s*")
_NO_CARD = re.compile(
    rf"""(?<![0-9A-Za-z]){_TIME}(?![0-9A-Za-z])
    |{_UUID} |\[-?{_FRACTION}(?:,\s?-?{_FRACTION})+\]
    |(?<![0-9])(?<![0-9]{_APART}){_FRACTION}(?:[\s,;]{{1,3}}[-+]?{_FRACTION})*(?![0-9])(?!{_APART}[0-9])""",
    re.VERBOSE,
)
_TRACK = re.compile(r"%B(?=[0-9]{13,19}\^)")  # a magnetic stripe's first track begins so
_TRACK_OF_CHIP = re.compile(  # its second track as chips give it: number, D, year and month of expiry
    r"(?<![0-9A-Za-z])([0-9]{13,19})[Dd](?=[0-9]{2}(?:0[1-9]|1[0-2])[0-9]*[Ff]?(?![0-9A-Za-z]))"
)
_FOLDED = dict.fromkeys(range(128), " ")
_FOLDED |= {ord(char): char for char in "0123456789"}
_FOLDED |= {code: chr(code).lower() for code in _LETTERS}
_FOLDED |= {ord(char): "-" for char in "-_.:/+"}  # they join the parts of a word
_RUN = re.compile(r"[0-9]+(?:[ -]+[0-9]+)*")
_DIGITS = re.compile(r"[0-9]+")
_SAYS_CARD = re.compile(
    r"(?<![a-z0-9])(?:pan|cards?|ccn?|(?:cc|(?:credit|debit)?card)(?:no|nr|num|number)?|n[or]|num|number"
    r"|kart[ae]|(?:karten|kaart|kort)(?:nr|nummer)|carte|carta|tarjeta|cartao"
    r"|visa|mastercard|maestro|amex|diners|discover|jcb|unionpay|rupay|mir)$"
)
_GROUPS = re.compile("4444[1-4]?|444[1-4]|465|464")


def _in_plain(text: str) -> Iterator[tuple[int, int, str]]:
    """Where card numbers begin and end in ASCII text, and their digits."""
    for number in _SPREADSHEET.finditer(text):
        digits = _whole(number)
        if digits and is_card_number(digits):
            yield *number.span(), digits
    if _FRACTIONS.fullmatch(text) or _is_ipv6(text.strip()):
        return
    words = _NO_CARD.sub(lambda match: "x" * len(match[0]), _TRACK.sub("% ", _TRACK_OF_CHIP.sub(r"\1 ", text)))
    folded = words.translate(_FOLDED)
    for run in _RUN.finditer(folded):
        if len(run[0]) >= SHORTEST:
            yield from _in_run(words, folded, run)


def _in_run(words: str, folded: str, run: re.Match[str]) -> Iterator[tuple[int, int, str]]:
    groups = [group.span() for group in _DIGITS.finditer(folded, *run.span())]
    if folded[run.start() - 1 : run.start()].isalpha() and not _SAYS_CARD.search(folded, 0, run.start()):
        del groups[0]
    if groups and folded[run.end() : run.end() + 1].isalpha():
        del groups[-1]
    free = 0
    for first, last, digits in _candidates(folded, groups):
        if first >= free and _stands_alone(words, folded, first, last):
            yield first, last, digits
            free = last


def _candidates(text: str, groups: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int, str]]:
    """Neighbouring groups of digits that are together as a card number is: begin, end, digits; the longest first."""
    digits = "".join(text[first:last] for first, last in groups)
    ends = dict(zip(accumulate(last - first for first, last in groups), groups, strict=True))
    sums: tuple[list[int], list[int]] | None = None
    begin = 0
    for first, last in groups:
        zeros = last - first - len(text[first:last].lstrip("0"))
        start = begin + zeros
        begin += last - first
        lengths = _LENGTHS[int(digits[start : start + 4])] if start < begin else 0
        for length in range(LONGEST, SHORTEST - 1, -1):
            end = start + length
            if lengths >> length & 1 and end in ends:
                sums = sums or _luhn_sums(digits)
                alternate = sums[1 - end % 2]
                if (alternate[end] - alternate[start]) % 10 == 0:
                    yield first + zeros, ends[end][1], digits[start:end]


def _luhn_sums(digits: str) -> tuple[list[int], list[int]]:
    """What the digits before each position add up to in Luhn's way, first with those at odd positions taken twice."""
    plain = [int(digit) for digit in digits]
    twice = [_TWICE[digit] for digit in plain]
    odd = [twice[at] if at % 2 else digit for at, digit in enumerate(plain)]
    even = [digit if at % 2 else twice[at] for at, digit in enumerate(plain)]
    return list(accumulate(odd, initial=0)), list(accumulate(even, initial=0))


def _stands_alone(words: str, folded: str, first: int, last: int) -> bool:
    """Whether digits are a value of their own rather than parts of an id or a telephone number."""
    digits = folded[first:last]
    groups = digits.replace(" ", "-").split("-")
    if words[first - 1 : first] == "+" and sum(map(len, groups)) <= SHORTEST + 1:
        return False
    if len(groups) == 1 or " " in digits:
        return True
    word = folded[folded.rfind(" ", 0, first) + 1 : _or_end(folded.find(" ", last), folded)]
    return not any(map(str.isalpha, word)) or _is_grouped([len(group) for group in groups if group])


def _or_end(position: int, text: str) -> int:
    return len(text) if position < 0 else position


def _is_grouped(lengths: Sequence[int]) -> bool:
    """Whether digits stand in groups as they do on cards."""
    return max(lengths) < 10 and _GROUPS.fullmatch("".join(map(str, lengths))) is not None


def _is_ipv6(text: str) -> bool:
    if text.count(":") < 2 or len(text) > 45:
        return False
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def _whole(number: re.Match[str]) -> str | None:
    """The digits of a number of `_NUMBER`; None where it is a fraction or far too large."""
    digits = number[1] + (number[2] or "")
    point = len(number[1]) + int(number[3] or 0)
    if not 0 < point <= 2 * LONGEST or digits[point:].strip("0"):
        return None
    return digits[:point].ljust(point, "0").lstrip("0")


# Documents.

_ITEM = re.compile(
    r"""
    "(?P<string>[^"\\]*(?:\\.[^"\\]*)*)"(?P<key>\s*:)?
    |(?P<mark>[\[\]{},])
    |(?P<bare>[^"\[\]{},\s]+)""",
    re.VERBOSE | re.DOTALL,
)
_PIECE_DIGITS = 6
_PIECE_CHARS = 72  # six digits of other planes, each written as two escapes
_COUNT = re.compile(r"[0-9]$")
_PATH_CHARS = 200


class _Part(NamedTuple):
    first: int
    last: int
    value: int  # where the value begins that holds it
    quoted: bool  # whether it stands inside a string, or where no string is needed


class _Found(NamedTuple):
    digits: str
    parts: Sequence[_Part]
    path: str | None


def _found(text: str) -> Iterator[_Found]:
    """The card numbers of a text or JSON document, in order."""
    if _is_document(text):
        return _in_document(text)
    return (_Found(span.digits, [_Part(span.first, span.last, 0, True)], None) for span in _spans(text))


def _is_document(text: str) -> bool:
    if text.lstrip()[:1] not in ("{", "["):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


class _Level:
    """An array or object that is open: its bracket, the key or index of its present value, its last pieces."""

    def __init__(self, bracket: str) -> None:
        self.bracket = bracket
        self.key: str | int = 0 if bracket == "[" else ""
        self.pieces: list[tuple[str, _Part, str]] = []

    def __str__(self) -> str:
        return f"[{self.key}]" if isinstance(self.key, int) else f".{_redacted(self.key)}"


def _in_document(text: str) -> Iterator[_Found]:
    levels: list[_Level] = []

    def path() -> str:
        return "".join(map(str, levels)).removeprefix(".")[:_PATH_CHARS]

    for item in _ITEM.finditer(text):
        kind = item.lastgroup
        if kind != "mark":
            quoted = kind != "bare"
            first, last = item.span("string" if quoted else "bare")
            value = text[first:last]
            if kind == "key":
                levels[-1].key = value
            for span in _spans(value) if quoted else _in_number(value):
                part = _Part(first + span.first, first + span.last, first, quoted)
                yield _Found(span.digits, [part], path())
            dealt = None if kind == "key" else _dealt(levels[-1], value, _Part(first, last, first, quoted))
            if dealt:
                yield _Found(dealt[0], dealt[1], path())
            continue
        mark = item["mark"]
        if mark in "[{":
            if levels:
                levels[-1].pieces.clear()
            levels.append(_Level(mark))
        elif mark == ",":
            if isinstance(levels[-1].key, int):
                levels[-1].key += 1
        else:
            levels.pop()


def _in_number(text: str) -> list[_Span]:
    if len(text) < SHORTEST:
        return []
    number = _NUMBER.fullmatch(text)
    digits = _whole(number) if number else None
    return [_Span(0, len(text), digits)] if digits and is_card_number(digits) else []


def _dealt(level: _Level, text: str, part: _Part) -> tuple[str, list[_Part]] | None:
    """The card number of which a value is the last of several pieces, if it is one."""
    pieces = level.pieces
    plain = _plain_value(text) if len(text) <= _PIECE_CHARS else text
    if len(plain) > _PIECE_DIGITS or not plain.isdecimal():
        pieces.clear()
        return None
    stem = "" if isinstance(level.key, int) else _COUNT.sub("", level.key)
    if pieces and pieces[-1][0] != stem:
        pieces.clear()
    pieces.append((stem, part, plain))
    del pieces[:-LONGEST]
    for first in range(len(pieces)):
        digits = "".join(piece for _, _, piece in pieces[first:])
        lengths = [len(piece) for _, _, piece in pieces[first:]]
        if (_is_grouped(lengths) or lengths == [1] * len(lengths)) and is_card_number(digits):
            parts = [found for _, found, _ in pieces[first:]]
            pieces.clear()
            return digits, parts
    return None


def _plain_value(text: str) -> str:
    """A short text as it is read."""
    if text.isascii() and "\\" not in text:
        return text
    reading = _Reading.of(text)
    return (reading.unescaped() or reading).as_ascii().text.strip()


def _redacted(text: str) -> str:
    """A text with its card numbers replaced."""
    marks: list[tuple[_Part, str]] = []
    for found in _found(text):
        digest = hashlib.sha256(found.digits.encode()).hexdigest()[:16]
        marks += zip(found.parts, [f"[card:{digest}]", *["[card]"] * (len(found.parts) - 1)], strict=True)
    kept: list[str] = []
    end = 0
    for part, mark in sorted(marks):
        kept += [text[end : part.first], mark if part.quoted else f'"{mark}"']
        end = part.last
    return "".join([*kept, text[end:]])
