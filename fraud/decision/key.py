"""The decision key: the one name of a decision, wherever one is stored, shown, labelled or passed on."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import pyarrow as pa

from fraud.records.schema import milliseconds, milliseconds_of

KEY_LETTERS = 40
_FORM = re.compile(rf"[a-p]{{{KEY_LETTERS}}}")
_LETTERS = str.maketrans("0123456789abcdef", "abcdefghijklmnop")


class Subject(NamedTuple):
    """What a decision is about: a transaction of a card at an instant. Only decisions on the same record have one.

    A transaction id by itself names nothing: other cards have the same, and a card has it again after 24 hours.

    Attributes:
        card_token: the card, exactly as the record spells it.
        transaction_id: unique for its card within 24 hours.
        event_ms: the record's `event_time`, in UTC milliseconds.
    """

    card_token: str
    transaction_id: str
    event_ms: int

    @classmethod
    def of(cls, transaction: Mapping[str, Any]) -> Subject:
        """That of one transaction or decision as Python values, `event_time` an aware datetime."""
        return cls(transaction["card_token"], transaction["transaction_id"], milliseconds_of(transaction["event_time"]))

    @property
    def key(self) -> str:
        """The decision key: 40 letters from a to p.

        It is made of the record alone, so that it can be known before the record has a place in a stream, and is the
        same in every process and version: SHA-256 over the text

            event_ms, space, length of card_token in bytes, space, card_token, transaction_id

        in UTF-8, of which the first 160 bits are written as letters, each four bits from a (0) to p (15). The length
        makes the text of any two subjects differ, whatever stands in their ids. Letters alone are safe in addresses,
        file names and any store, and are never taken for a card number. The token cannot be read from the key; who has
        a subject can compute its key, in SQL too (docs/data-contract.md).

        >>> Subject("tok-1", "t-1", 1_768_478_400_000).key
        'pfmmcegnbfcpapphnjpicgjjcbidfokklpepgcba'
        """
        card = self.card_token.encode()
        text = b"%d %d %b%b" % (self.event_ms, len(card), card, self.transaction_id.encode())
        return hashlib.sha256(text).hexdigest()[:KEY_LETTERS].translate(_LETTERS)


def is_key(text: str) -> bool:
    """Whether a text has the form of a decision key.

    >>> is_key("t-1"), is_key("a" * 40), is_key("a" * 40 + "\\n")
    (False, True, False)
    """
    return _FORM.fullmatch(text) is not None


def subjects_of(columns: pa.RecordBatch | pa.Table, time: str = "event_time") -> list[Subject]:
    """The subject of each row of transactions, decisions or labels.

    Args:
        columns: `card_token`, `transaction_id` and a time, at least.
        time: the column of the transaction's time: `transaction_time` of labels.
    """
    cards, ids = columns["card_token"].to_pylist(), columns["transaction_id"].to_pylist()
    return list(map(Subject, cards, ids, milliseconds(columns[time]).tolist()))
