"""Inputs that no one should send and somebody does: one table of named records, labels and policy files.

A row says what must become of its input, whatever is killed meanwhile; to try another input, add a row. Rows of records
change a transaction that was on the stream a moment before, so that its times suit the run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from adapters.archive.layout import ArchiveKind
from fraud.decision.policy.bundle import ROOT

Fields = dict[str, Any]
Make = Callable[[Fields], bytes]

DECIDED, REFUSED, LABELLED = ArchiveKind.DECISIONS, ArchiveKind.DEAD_LETTERS, ArchiveKind.LABELS


@dataclass(frozen=True)
class HostileRecord:
    """A record of the stream of transactions or of labels.

    Attributes:
        name: unique.
        ends_in: where in the archive it must be found, once.
        make: its bytes, from the fields of a transaction of its own: id and card are its alone.
        is_label: whether it goes on the stream of labels.
    """

    name: str
    ends_in: ArchiveKind
    make: Make
    is_label: bool = False


@dataclass(frozen=True)
class HostilePolicy:
    """An edit of the policy while the job runs.

    Attributes:
        name: unique.
        accepted: whether it comes into force; otherwise the one before stays.
        edit: the policy's files after it, from those that are in force; None deletes a file.
    """

    name: str
    accepted: bool
    edit: Callable[[Mapping[str, str]], Mapping[str, bytes | None]]


def encoded(fields: Mapping[str, Any]) -> bytes:
    """As JSON, with NaN and infinities as Python writes them."""
    return json.dumps(fields, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _with(**changed: Any) -> Make:
    return lambda fields: encoded(fields | changed)


def _without(*names: str) -> Make:
    return lambda fields: encoded({name: value for name, value in fields.items() if name not in names})


def _raw(data: bytes) -> Make:
    return lambda _: data


def _written(name: str, text: str) -> Make:
    """A value as it is written, where JSON's own writer would write another."""
    return lambda fields: encoded(fields | {name: "\0"}).replace(b'"\\u0000"', text.encode("utf-8", "surrogatepass"))


def _with_answer(fields: Fields) -> bytes:
    """A record with an answer, up to its authentication."""
    return b'{"schema_version":2,"transaction":%b,"answer":{"outcome":"approve"}' % encoded(fields)


_OPTIONAL = (
    "merchant_lat", "merchant_lon", "terminal_id", "device_id", "ip_address", "shipping_address_hash", "avs_result",
    "cvv_result", "three_ds_result", "home_lat", "home_lon",
)  # fmt: skip
_EVERY_SIGN = "".join(map(chr, range(0x21, 0x7F)))
_MOST = 10**12

_ACCEPTED: dict[str, Make] = {
    "payment of nothing": _with(amount_minor=0, billing_amount_minor=0),
    "largest payment": _with(amount_minor=_MOST, billing_amount_minor=_MOST),
    "largest refund": _with(transaction_type="refund", amount_minor=_MOST, billing_amount_minor=_MOST),
    "reversal": _with(transaction_type="reversal"),
    "void": _with(transaction_type="void"),
    "account check": _with(transaction_type="account_check", amount_minor=0, billing_amount_minor=0),
    "account check with an amount": _with(transaction_type="account_check"),
    "declined refund": _with(transaction_type="refund", authorisation_result="declined", response_code="Z3"),
    "no optional field": _without(*_OPTIONAL),
    "every optional field null": _with(**dict.fromkeys(_OPTIONAL)),
    "half a place": _with(channel="pos", merchant_lat=48.0, merchant_lon=None),
    "south pole": _with(channel="pos", merchant_lat=-90, merchant_lon=180, home_lat=90.0, home_lon=-180.0),
    "places without zero": _with(merchant_lat=-0.0, merchant_lon=5e-324, home_lat=1e-308, home_lon=-0.0),
    "longest names": _with(merchant_id="m" * 64, customer_id="c" * 64, device_id="d" * 64, terminal_id="t" * 64),
    "shortest names": _with(merchant_id="m", customer_id="0", device_id="-", terminal_id="."),
    "names of every sign": _with(merchant_id=_EVERY_SIGN[:64], device_id=_EVERY_SIGN[-64:]),
    "names like paths and code": _with(merchant_id="../../etc", customer_id="';--", device_id="<a>", terminal_id="%00"),
    "names like nothing": _with(merchant_id="null", customer_id="None", device_id="NaN", terminal_id="undefined"),
    "names like numbers": _with(merchant_id="1e999", customer_id="-0", device_id="0x1F", terminal_id="1_000"),
    "least category": _with(mcc="0000"),
    "longest BIN": _with(bin="99999999"),
    "unknown country and currency": _with(merchant_country="ZZ", issuer_country="XX", currency="XTS"),
    "address of the next generation": _with(channel="ecommerce", ip_address="2001:db8::ffff:192.0.2.1"),
    "unknown fields": _with(more={"a": [1, {"b": None}], "é": "\U0001f4b3"}, more_again=[[[[[[]]]]]]),
    "unknown fields of every script": _with(note="قهوة 東京 Ёлка ひらがな ελιά ಕನ್ನಡ", sign="\u202e\u200b\ufeff"),
    "names of fields escaped": lambda fields: encoded(fields).replace(b'"mcc"', b'"\\u006d\\u0063\\u0063"'),
    "spaces around everything": lambda fields: b" \n\t" + json.dumps(fields, indent=4).encode() + b"\r\n ",
    "an answer that nobody authenticated": lambda fields: _with_answer(fields) + b"}",
    "an answer that nobody here authenticates": lambda fields: _with_answer(fields) + b',"key":"none","mac":"a"}',
    "a field twice": lambda fields: b'{"mcc": "0000", ' + encoded(fields)[1:],
}  # fmt: skip

_REFUSED: dict[str, Make] = {
    "nothing": _raw(b" "),
    "no JSON": _raw(b"not json"),
    "half of a record": lambda fields: encoded(fields)[: len(encoded(fields)) // 2],
    "two records": lambda fields: encoded(fields) * 2,
    "JSON null": _raw(b"null"),
    "a list": lambda fields: b"[" + encoded(fields) + b"]",
    "a number": _raw(b"9" * 5_000),
    "an empty object": _raw(b"{}"),
    "bytes of no text": _raw(b"\xff\xfe\x00{"),
    "compressed": _raw(bytes.fromhex("1f8b08000000000000ff") + b"\x00" * 20),
    "nested deeply": _raw(b'{"a":' * 3_000 + b"1" + b"}" * 3_000),
    "too long": lambda fields: encoded(fields | {"note": "x" * 16_384}),
    "version of the future": _with(schema_version=99),
    "version as a text": _with(schema_version="1"),
    "half of an answered record": lambda fields: _with_answer(fields),
    "an answer beside no transaction": _raw(b'{"schema_version":2,"transaction":null,"answer":{}}'),
    "no card": _without("card_token"),
    "empty card": _with(card_token=""),
    "card with a line's end": lambda fields: encoded(fields | {"card_token": fields["card_token"] + "\n"}),
    "card with a space": _with(card_token="tok 1"),
    "card of another script": _with(card_token="tok_ö"),
    "a card number": _with(card_token="4111111111111111"),
    "category with a line's end": _with(mcc="5411\n"),
    "category of other digits": _with(mcc="٥٤١١"),
    "category as a number": _with(mcc=5411),
    "country in small letters": _with(merchant_country="de"),
    "unknown type": _with(transaction_type="chargeback"),
    "unknown channel": _with(channel=""),
    "less than nothing": _with(billing_amount_minor=-1),
    "more than the most": _with(amount_minor=_MOST + 1),
    "a number of 400 digits": _written("amount_minor", "9" * 400),
    "an amount as a fraction": _with(amount_minor=12.5),
    "an amount as a text": _with(amount_minor="12"),
    "an amount that is true": _with(amount_minor=True),
    "amount not a number": _written("billing_amount_minor", "NaN"),
    "infinite latitude": _written("merchant_lat", "1e999"),
    "latitude beyond the pole": _with(merchant_lat=90.0001),
    "time without zone": _with(event_time="2026-03-02T12:00:00"),
    "30 February": _with(event_time="2026-02-30T12:00:00Z"),
    "time before 1970": _with(event_time="1969-12-31T23:59:59Z"),
    "time after all": _with(event_time="9999-12-31T23:59:59Z"),
    "time of 1970": _with(event_time="1970-01-02T00:00:00Z"),
    "time of 2099": _with(event_time="2099-01-01T00:00:00Z"),
    "time as a number": _with(event_time=1_772_452_800),
    "half of a sign": _written("merchant_id", '"\\ud83d"'),
}

_TIMES = ("transaction_time", "label_time")


def _label(**changed: Any) -> Make:
    """A label of the transaction."""

    def make(fields: Fields) -> bytes:
        named = {name: fields[name] for name in ("transaction_id", "card_token", "merchant_id")}
        times = dict.fromkeys(_TIMES, fields["event_time"])
        known = {"schema_version": 1, "billing_amount_minor": 1, "verdict": "fraud", "source": "chargeback"}
        carried = {name: fields[name] for name in ("recorded_arrival",) if name in fields}
        return encoded(
            named | times | known | carried | {n: v(fields) if callable(v) else v for n, v in changed.items()}
        )

    return make


def _coarse(fields: Fields) -> str:
    """The event time to the second."""
    return str(fields["event_time"])[:19] + "Z"


_LABELS: dict[str, tuple[ArchiveKind, Make]] = {
    "label of no transaction": (LABELLED, _label()),
    "label of no card": (LABELLED, _label(card_token="nobody")),
    "label to the second": (LABELLED, _label(transaction_time=_coarse)),
    "label before its transaction": (LABELLED, _label(label_time="1970-01-02T00:00:00Z")),
    "label of no fraud": (LABELLED, _label(verdict="legitimate", source="disposition")),
    "label of another merchant": (LABELLED, _label(merchant_id="merchant-elsewhere")),
    "label without a verdict": (REFUSED, _label(verdict=None)),
    "label of an unknown verdict": (REFUSED, _label(verdict="perhaps")),
    "label without a time": (REFUSED, _label(transaction_time="yesterday")),
    "label that is a transaction": (REFUSED, _with()),
}

RECORDS = (
    *(HostileRecord(name, DECIDED, make) for name, make in _ACCEPTED.items()),
    *(HostileRecord(name, REFUSED, make) for name, make in _REFUSED.items()),
    *(HostileRecord(name, where, make, is_label=True) for name, (where, make) in _LABELS.items()),
)
"""The records and labels."""


def _root(text: str | bytes) -> Callable[[Mapping[str, str]], Mapping[str, bytes | None]]:
    data = text if isinstance(text, bytes) else text.encode()
    return lambda _: {ROOT: data}


def _more(text: str) -> Callable[[Mapping[str, str]], Mapping[str, bytes | None]]:
    """The policy with more lines at its end."""
    return lambda files: {ROOT: f"{files[ROOT]}\n{text}\n".encode()}


def _rule(**fields: Any) -> str:
    plain = {"id": "hostile", "description": "tried", "when": "tx_amount > 100", "outcome": "review"}
    return yaml.safe_dump({"rules": [plain | {"reason": "HOSTILE", "text": "tried"} | fields]})


POLICIES = (
    HostilePolicy("a rule more", True, _more(_rule())),
    HostilePolicy("empty file", False, _root("")),
    HostilePolicy("no YAML", False, _root("{[")),
    HostilePolicy("no text", False, _root(b"\xff\xfe\x00\x80")),
    HostilePolicy("a date that is none", False, _more("since: 2026-02-30")),
    HostilePolicy("files as a number", False, _root("thresholds: {}\nrule_files: 5\n")),
    HostilePolicy("a file that is not there", False, _root("thresholds: {}\nrule_files: [rules/none.yaml]\n")),
    HostilePolicy("a file from elsewhere", False, _root("thresholds: {}\nrule_files: [../../settings.yaml]\n")),
    HostilePolicy("a number of 5,000 digits", False, _root("thresholds: {review: " + "9" * 5_000 + "}\n")),
    HostilePolicy("nested deeply", False, _root("a: " + "[" * 2_000 + "]" * 2_000 + "\n")),
    HostilePolicy(
        "aliases that multiply",
        False,
        _root("a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10))),
    ),
    HostilePolicy("a rule on no field", False, _more(_rule(when="no_such_field > 1"))),
    HostilePolicy("a rule about nothing known", False, _more(_rule(about=["everything"]))),
    HostilePolicy("thresholds the wrong way", False, _root("thresholds: {review: 0.9, decline: 0.1}\n")),
    HostilePolicy("a key twice", False, _more("thresholds: {}")),
    HostilePolicy("file gone", False, lambda _: {ROOT: None}),
    HostilePolicy("stricter thresholds", True, lambda files: {
        ROOT: yaml.safe_dump(yaml.safe_load(files[ROOT]) | {"thresholds": {"review": 0.02, "decline": 0.2}}).encode()
    }),
)  # fmt: skip
"""The edits of the policy, in the order in which they are made."""
