"""Records that the decoder accepts and that are odd in every other way, and bytes that come from anywhere."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

from hypothesis import strategies as st

from tests.support.records import NOON, label, transaction

PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))
IDENTIFIERS = st.text(
    st.sampled_from(PRINTABLE.translate({ord(digit): None for digit in "0123456789"})), min_size=1, max_size=64
)
AMOUNTS = st.sampled_from([0, 1, 99, 10**12 - 1, 10**12]) | st.integers(0, 10**12)
LATITUDES = st.sampled_from([-90.0, 90.0, 0.0, -0.0, 5e-324, 1e-160, -1e-9, 48.1]) | st.floats(-90, 90)
LONGITUDES = st.sampled_from([-180, 180.0, 0.0, -0.0, 5e-324, -1e-160, 11.5]) | st.floats(-180, 180)
CHECKS = st.sampled_from(["match", "partial", "no_match", "unavailable"])
GAPS = st.sampled_from([0.0, 1e-3, 1.0, 86_400.0, 130 * 86_400.0, 268 * 86_400.0, 401 * 86_400.0, 9 * 365 * 86_400.0])
EDGES = ["1970-01-01T00:00:00Z", "1970-01-01T00:00:00.001Z", "2261-12-31T23:59:59.999999Z", "1970-01-01T14:00:00+14:00"]
ANY_TEXT = st.text(max_size=30) | st.sampled_from(
    ["", "\n", "\u2028", "\U0001f4b3", "naïve café", "мир", "支付", "\x00"]
)
UNKNOWN = st.dictionaries(
    ANY_TEXT.map(lambda name: f"x-{name}"),
    st.none() | st.booleans() | ANY_TEXT | st.floats(-1e300, 1e300) | st.lists(ANY_TEXT, max_size=3),
    max_size=2,
)


def _optional(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A value, null, or `...` for a field that is left out."""
    return values | st.none() | st.just(...)


_TRANSACTION = st.fixed_dictionaries(
    {
        "transaction_id": IDENTIFIERS,
        "card_token": st.sampled_from(["card", "a:b", "a", "'\\\"`"]) | IDENTIFIERS,
        "customer_id": IDENTIFIERS,
        "merchant_id": st.sampled_from(["m", "b:c"]) | IDENTIFIERS,
        "transaction_type": st.sampled_from(["purchase", "withdrawal", "refund", "reversal"]),
        "authorisation_result": st.sampled_from(["approved", "declined"]),
        "response_code": st.sampled_from(["00", "ZZ", "51"]),
        "bin": st.sampled_from(["000000", "99999999", "411111"]),
        "card_last_four": _optional(st.sampled_from(["0000", "9999"])),
        "mcc": st.sampled_from(["0000", "9999", "5411"]),
        "issuer_country": st.sampled_from(["AA", "ZZ", "DE"]),
        "merchant_country": st.sampled_from(["AA", "ZZ", "DE"]),
        "currency": st.sampled_from(["XXX", "JPY", "KWD", "EUR"]),
        "channel": st.sampled_from(["pos", "atm", "ecommerce", "moto"]),
        "entry_mode": st.sampled_from(["chip", "magstripe", "credential_on_file"]),
        "amount_minor": AMOUNTS,
        "billing_amount_minor": AMOUNTS,
        "merchant_lat": _optional(LATITUDES),
        "merchant_lon": _optional(LONGITUDES),
        "home_lat": _optional(LATITUDES),
        "home_lon": _optional(LONGITUDES),
        "terminal_id": _optional(IDENTIFIERS),
        "device_id": _optional(IDENTIFIERS),
        "ip_address": _optional(st.sampled_from(["::", "0.0.0.0", "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255"])),
        "shipping_address_hash": _optional(IDENTIFIERS),
        "avs_result": _optional(CHECKS),
        "cvv_result": _optional(CHECKS),
        "three_ds_result": _optional(st.sampled_from(["authenticated", "attempted", "failed", "not_enrolled"])),
        "sent_at": st.sampled_from([*EDGES, NOON.isoformat()]),
    }
)


@st.composite
def accepted(draw: st.DrawFn, most: int = 6) -> list[tuple[str, bytes]]:
    """A stream of records that are all within the contract, as ("transactions" or "labels", bytes).

    The times go on by nothing, by months or by years, or lie at the ends of what is allowed.
    """
    now = NOON
    stream: list[tuple[str, bytes]] = []
    sent: list[dict[str, Any]] = []
    for _ in range(draw(st.integers(1, most))):
        now += dt.timedelta(seconds=draw(GAPS))
        if sent and draw(st.integers(0, 3)) == 0:
            of = draw(st.sampled_from(sent))
            verdict = draw(st.sampled_from(["fraud", "legitimate"]))
            stream.append(("labels", _written(draw, _label_of(of, verdict) | draw(UNKNOWN))))
            continue
        time = draw(st.just(now.isoformat(timespec="microseconds")) | st.sampled_from(EDGES))
        fields = {name: value for name, value in draw(_TRANSACTION).items() if value is not ...}
        record = transaction(**{"event_time": time, **fields})
        if draw(st.booleans()):
            record.pop("schema_version")
        sent.append(record)
        stream.append(("transactions", _written(draw, record | draw(UNKNOWN))))
    return stream


def _label_of(record: dict[str, Any], verdict: str) -> dict[str, Any]:
    names = ("transaction_id", "card_token", "merchant_id", "billing_amount_minor")
    return label(**{name: record[name] for name in names}, transaction_time=record["event_time"], verdict=verdict)


def _written(draw: st.DrawFn, record: dict[str, Any]) -> bytes:
    """One of the many spellings of a record in JSON."""
    fields = draw(st.permutations([*record.items()]))
    spaced = draw(st.sampled_from([None, 1, "\r\n\t"]))
    ascii_only = draw(st.booleans())
    return json.dumps(dict(fields), ensure_ascii=ascii_only, indent=spaced, default=lambda t: t.isoformat()).encode()
