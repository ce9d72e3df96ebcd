"""Card numbers in every spelling, and good records that look like them."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import random
import uuid
from collections.abc import Callable, Iterator
from typing import Any

from fraud.records.card_number import ISSUERS, Issuer, passes_luhn
from tests.support.records import NOON, transaction

PAN = "4111111111111111"
AMEX = "378282246310005"


def _digits(zero: int, number: str = PAN) -> str:
    """A number in the digits of another script, which begin at a code point."""
    return "".join(chr(zero + int(digit)) for digit in number)


def grouped(separator: str, number: str = PAN) -> str:
    """A number in groups of four."""
    return separator.join(number[at : at + 4] for at in range(0, len(number), 4))


SPELLINGS: dict[str, str] = {
    "bare": PAN,
    "spaces": grouped(" "),
    "hyphens": grouped("-"),
    "dots": grouped("."),
    "underscores": grouped("_"),
    "slashes": grouped("/"),
    "backslashes": grouped("\\"),
    "commas": grouped(","),
    "colons": grouped(":"),
    "bars": grouped("|"),
    "tabs": grouped("\t"),
    "line ends": grouped("\r\n"),
    "en dashes": grouped("\u2013"),
    "no-break spaces": grouped("\u00a0"),
    "zero-width spaces": grouped("\u200b"),
    "soft hyphens": grouped("\u00ad"),
    "zero bytes": grouped("\0"),
    "a space after each digit": " ".join(PAN),
    "odd groups": "4 11-11111.111 11-11_1",
    "brackets": f"({PAN[:6]})({PAN[6:]})",
    "as on an American Express card": f"{AMEX[:4]} {AMEX[4:10]} {AMEX[10:]}",
    "full-width digits": _digits(0xFF10),
    "Arabic-Indic digits": _digits(0x660),
    "Devanagari digits": _digits(0x966),
    "mathematical digits": _digits(0x1D7D8),
    "superscript and circled digits": "\u2074\u00b9\u2460" + PAN[3:],
    "keycap digits": "\ufe0f\u20e3".join(PAN) + "\ufe0f\u20e3",
    "one digit of another script": "\u0664" + PAN[1:],
    "a word before": f"card {PAN}",
    "words around": f"paid with {PAN}, thanks",
    "a name and a sign before": f"pan={PAN}",
    "a label at it": f"PAN{PAN}",
    "a token's prefix": f"tok_{PAN}",
    "an expiry date behind": f"{grouped(' ')} 12/27",
    "a security code behind": f"{PAN} 123",
    "zeros before": "000" + PAN,
    "a sign before": f"+{PAN}",
    "a decimal point": f"{PAN}.00",
    "a spreadsheet's number": "4.111111111111111E+15",
    "JSON in a string": json.dumps({"pan": PAN}),
    "escaped JSON in a string": '{"pan":"\\u0034111111111111111"}',
    "JSON escapes": "".join(f"\\u{ord(digit):04x}" for digit in PAN),
    "percent encoding": grouped("%20"),
    "percent-encoded digits": "".join(f"%{ord(digit):02X}" for digit in PAN),
    "an address of the web": f"https://shop.example/pay?pan={PAN}&cvv=123",
    "character references": "".join(f"&#{ord(digit)};" for digit in PAN),
    "character references without an end": "".join(f"&#{ord(digit)}" for digit in PAN),
    "character references with zeros": "".join(f"&#x000{ord(digit):x};" for digit in PAN),
    "named references": grouped("&nbsp;"),
    "long named references": grouped("&NoBreak;&ThickSpace;"),
    "percent encoding of scripts": "".join(f"%u{ord(digit):04x}" for digit in PAN),
    "escapes in octal": "".join(f"\\{ord(digit):03o}" for digit in PAN),
    "escapes in braces": "".join(f"\\u{{{ord(digit):x}}}" for digit in PAN),
    "long escapes": "".join(f"\\U{ord(digit):08x}" for digit in PAN),
    "a word of another script at it": f"\u5361\u53f7{PAN}\u8bf7",
    "a Cyrillic word at it": f"\u043a\u0430\u0440\u0442\u0430{PAN}",
    "a German label at it": f"Kartennummer{PAN}",
    "a number with a long exponent": "4.111111111111111E+015",
    "a number with its point elsewhere": "4111111111111.111e3",
    "a number that shrinks": "41111111111111110e-1",
    "markup": f"<pan>{PAN}</pan>",
    "a magnetic stripe's first track": f"%B{PAN}^DOE/JANE^27121010000000000000?",
    "a magnetic stripe's second track": f";{PAN}=27121010000000000000?",
    "a chip's second track": f"{PAN}D27121010000000000F",
}
"""Ways to write a card number in a text, and what each is called."""


def places(spelling: str) -> dict[str, Any]:
    """Unknown fields with a text in each place that JSON has."""
    return {
        "a value": {"memo": spelling},
        "a nested value": {"extra": {"cards": [{"note": "x"}, {"pan": spelling}]}},
        "an element": {"notes": ["x", ["y", spelling]]},
        "a key": {"extra": {spelling: True}},
    }


NUMBERS = [
    PAN,
    "-" + PAN,
    PAN + ".0",
    "4.111111111111111e15",
    "4111111111.111111E6",
    "4.111111111111111e+0000015",
    "41111111111111110e-1",
    AMEX,
    "4222222222222",
]
"""Whole numbers of JSON that are card numbers."""

DEALT = [
    '["4111", "1111", "1111", "1111"]',
    "[4111, 1111, 1111, 1111]",
    '["x", "3782", 822463, "10005"]',
    '["\\u0034111", "1111", "1111", "1111"]',
    "[" + ", ".join(PAN) + "]",
    '{"pan1": "4111", "pan2": "1111", "pan3": "1111", "pan4": "1111"}',
    '{"part_0": 4111, "part_1": 1111, "part_2": 1111, "part_3": 1111}',
]
"""Values over which a card number is dealt."""


def card_number(rng: random.Random, issuer: Issuer | None = None) -> str:
    """A number of an issuer, or of any, that passes Luhn."""
    issuer = issuer or rng.choice(ISSUERS)
    first = str(rng.randint(int(issuer.first), int(issuer.last)))
    length = rng.choice(issuer.lengths)
    body = first + "".join(rng.choices("0123456789", k=length - 1 - len(first)))
    return next(body + digit for digit in "0123456789" if passes_luhn(body + digit))


def _ulid(rng: random.Random) -> str:
    return "01J" + "".join(rng.choices("0123456789ABCDEFGHJKMNPQRSTVWXYZ", k=23))


def _hex(length: int) -> Callable[[random.Random], str]:
    return lambda rng: f"{rng.getrandbits(4 * length):0{length}x}"


IDS: dict[str, Callable[[random.Random], str]] = {
    "UUID": lambda rng: str(uuid.UUID(int=rng.getrandbits(128), version=4)),
    "UUID in capitals": lambda rng: str(uuid.UUID(int=rng.getrandbits(128), version=4)).upper(),
    "UUID behind a name": lambda rng: f"txn_{uuid.UUID(int=rng.getrandbits(128), version=4)}",
    "MD5": _hex(32),
    "SHA-1": _hex(40),
    "SHA-256": _hex(64),
    "SHA-256 in capitals": lambda rng: _hex(64)(rng).upper(),
    "digest behind a name": lambda rng: f"tok_{_hex(32)(rng)}",
    "ULID": _ulid,
    "up to 12 digits": lambda rng: str(rng.randrange(10 ** rng.randint(1, 12))),
    "12 digits with zeros": lambda rng: f"{rng.randrange(10**12):012d}",
    "six digits": lambda rng: f"{rng.randrange(10**6):06d}",
    "word with digits": lambda rng: f"{rng.choice(['tok', 'm', 'shop', 'T'])}{rng.randrange(10 ** rng.randint(1, 19))}",
    "words with digits": lambda rng: f"store-{rng.randrange(10**4):04d}-{rng.randrange(10 ** rng.randint(1, 8))}",
    "dated word": lambda rng: f"inv-{rng.randrange(10**4):04d}-{rng.randrange(10**8):08d}-{rng.randrange(10**4):04d}",
}
"""Ids of every usual form that no card number is."""

_PLACES = ["{}, {}", "POINT({} {})", "geo:{},{}", "from {:.6f} {:.6f} on", '{{"lon":{},"lat":{}}}']
_NAMES = ["Bäckerei Müller", "Café №5", "Магазин 24", "三越百货", "مخبز", "H&M 0042", "100% Öko", 'Joe\'s "Grill" 7']


def good_record(rng: random.Random) -> dict[str, Any]:
    """A good transaction with ids, coordinates, times, amounts, names and unknown fields of every usual form."""

    def identifier() -> str:
        return rng.choice(list(IDS.values()))(rng)

    def time() -> dt.datetime:
        return NOON + dt.timedelta(milliseconds=rng.randrange(10 * 365 * 86_400_000))

    def written() -> str:
        text = time().isoformat(timespec=rng.choice(["milliseconds", "microseconds"]))
        return text.replace("+00:00", "Z") if rng.random() < 0.5 else text

    record = transaction(
        transaction_id=identifier(),
        card_token=identifier(),
        customer_id=identifier(),
        merchant_id=identifier(),
        terminal_id=identifier(),
        device_id=identifier(),
        shipping_address_hash=_hex(64)(rng),
        event_time=written(),
        sent_at=written(),
        bin=f"{rng.randrange(10**8):08d}"[: rng.choice([6, 8])],
        mcc=f"{rng.randrange(10**4):04d}",
        amount_minor=rng.randrange(10 ** rng.randint(1, 12)),
        billing_amount_minor=rng.randrange(10 ** rng.randint(1, 12)),
        merchant_lat=rng.uniform(-90, 90),
        merchant_lon=rng.uniform(-180, 180),
        home_lat=rng.uniform(-90, 90),
        home_lon=rng.uniform(-180, 180),
        ip_address=rng.choice(["10.20.30.40", "192.168.100.200", "2001:4860:4860:0000:0000:0000:0000:8888"]),
    )
    unknown: dict[str, Any] = {
        "received_ms": int(time().timestamp() * 1000),
        "authorised_at": written(),
        "fx_rate": rng.random(),
        "trace_number": f"{rng.randrange(10**6):06d}",
        "merchant_name": rng.choice(_NAMES),
        "geo": {"lat": rng.uniform(-90, 90), "point": [rng.uniform(-180, 180), rng.uniform(-90, 90)]},
        "place": rng.choice(_PLACES).format(rng.uniform(-180, 180), rng.uniform(-90, 90)),
        "order": {"id": identifier(), "items": [rng.randrange(10 ** rng.randint(1, 12)) for _ in range(2)]},
    }
    for name in rng.sample(sorted(unknown), rng.randrange(len(unknown) + 1)):
        record[name] = unknown[name]
    return record


def good_records(seed: int, count: int) -> Iterator[bytes]:
    """Good transactions as bytes on the stream, written by senders of several habits."""
    rng = random.Random(seed)
    for _ in range(count):
        compact = rng.random() < 0.5
        separators = (",", ":") if compact else (", ", ": ")
        yield json.dumps(good_record(rng), separators=separators, ensure_ascii=rng.random() < 0.5).encode()


def redacted(number: str = PAN) -> str:
    """What stands in the place of a card number."""
    return f"[card:{hashlib.sha256(number.encode()).hexdigest()[:16]}]"
