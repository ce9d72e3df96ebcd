"""Reads files of confirmed fraud, as schemes report it to issuers (TC40, SAFE), as labels."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import NamedTuple

import msgspec

from fraud.errors import MisconfiguredError
from fraud.money import minor_digits
from fraud.records.card_number import find_card_number
from fraud.records.label import Label, Verdict, parse_label

NEEDED = ("transaction_id", "card_token", "merchant_id", "transaction_time", "amount", "reported_at")
COLUMNS = (*NEEDED, "terminal_id", "device_id", "verdict")
"""What a line says of a payment. `amount` is in major units of the base currency; `verdict` is fraud without it."""

_encode = msgspec.json.Encoder().encode


class Confirmed(NamedTuple):
    """A line.

    Attributes:
        line: its number in the file.
        label: what it says; None where it cannot be read.
        device_id: of the payment, where the file has it.
        problem: why it cannot be read, without its values; empty where it can.
    """

    line: int
    label: Label | None
    device_id: str | None = None
    problem: str = ""


def read_confirmed(text: str, place: str, names: Mapping[str, str], base_currency: str) -> Iterator[Confirmed]:
    """The lines of a CSV file.

    Args:
        text: of the file.
        place: its name, for messages.
        names: by our name of a column that of the file, where it is another one.
        base_currency: of amounts.

    Raises:
        MisconfiguredError: a column is missing, or a name is none of ours.
    """
    if unknown := sorted(set(names) - set(COLUMNS)):
        raise MisconfiguredError(f"--column {unknown[0]}", f"is none of {', '.join(COLUMNS)}")
    rows = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")))
    column = {name: names.get(name, name) for name in COLUMNS}
    if missing := [column[name] for name in NEEDED if column[name] not in (rows.fieldnames or [])]:
        way = f"has no column {', '.join(missing)}: name what stands for it, as in --column {NEEDED[0]}=REFERENCE"
        raise MisconfiguredError(f"{place}, line 1", way)
    for row in rows:
        said = {name: (row.get(found) or "").strip() for name, found in column.items()}
        yield _confirmed(rows.line_num, said, base_currency)


def _confirmed(line: int, said: Mapping[str, str], base_currency: str) -> Confirmed:
    try:
        minor = Decimal(said["amount"]).scaleb(minor_digits(base_currency))
        amount_minor = int(minor) if minor == minor.to_integral_value() else -1
    except (InvalidOperation, ValueError, OverflowError):
        amount_minor = -1
    if amount_minor < 0:
        return Confirmed(line, None, problem=f"amount: is no amount of {base_currency} in major units")
    verdict: Verdict | str = said["verdict"] or "fraud"
    record = _encode(
        {
            "schema_version": 1,
            "transaction_id": said["transaction_id"],
            "card_token": said["card_token"],
            "merchant_id": said["merchant_id"],
            "terminal_id": said["terminal_id"] or None,
            "transaction_time": said["transaction_time"],
            "billing_amount_minor": amount_minor,
            "verdict": verdict,
            "source": "chargeback",
            "label_time": said["reported_at"],
        }
    )
    found = find_card_number(record)
    if found is not None:
        return Confirmed(line, None, problem="holds a card number: put the card's token in its place")
    try:
        return Confirmed(line, parse_label(record), said["device_id"] or None)
    except (msgspec.DecodeError, RecursionError) as error:
        return Confirmed(line, None, problem=str(error))
