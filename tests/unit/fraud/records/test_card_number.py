"""Card numbers are found however they are written, and nothing else is."""

from __future__ import annotations

import html
import json
import random
import re
import unicodedata
import urllib.parse

import pytest

from fraud.records.card_number import (
    ISSUERS,
    Issuer,
    find_card_number,
    is_card_number,
    passes_luhn,
    redact,
    redact_text,
)
from fraud.records.dead_letter import Reason, dead_letters
from fraud.records.decode import LABELS, MAX_RECORD_BYTES, TRANSACTIONS
from fraud.records.intake import decode_records
from tests.support.card_numbers import (
    AMEX,
    DEALT,
    IDS,
    NUMBERS,
    PAN,
    SPELLINGS,
    card_number,
    good_records,
    grouped,
    places,
    redacted,
)
from tests.support.records import label, stream_records, transaction, wire


def readable(data: bytes, number: str) -> bool:
    """Whether someone who undoes every usual way of writing can read a number: shares no code with what is tested."""
    text = data.decode("utf-8", "replace")
    for _ in range(3):
        if number in digits_of(text):
            return True
        text = re.sub(
            r"(?:\\u|%u)([0-9a-fA-F]{4})|\\U([0-9a-fA-F]{8})|\\u\{([0-9a-fA-F]+)\}",
            lambda code: chr(int(code[1] or code[2] or code[3], 16)),
            text,
        )
        text = re.sub(r"\\([0-3][0-7]{2})", lambda code: chr(int(code[1], 8)), text)
        text = html.unescape(urllib.parse.unquote(text))
    return number in digits_of(text)


def digits_of(text: str) -> str:
    plain = unicodedata.normalize("NFKC", text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    return "".join(str(unicodedata.digit(char)) for char in plain if unicodedata.digit(char, None) is not None)


def wire_as(record: dict[str, object], ascii_only: bool) -> bytes:
    return json.dumps(json.loads(wire(record)), ensure_ascii=ascii_only).encode()


@pytest.mark.parametrize("ascii_only", [True, False])
@pytest.mark.parametrize("place", sorted(places("")))
@pytest.mark.parametrize("name", SPELLINGS)
def test_every_spelling_is_refused_and_redacted_in_every_place(name: str, place: str, ascii_only: bool) -> None:
    number = AMEX if "American" in name else PAN
    record = wire_as(transaction(**places(SPELLINGS[name])[place]), ascii_only)
    good, refused = decode_records(TRANSACTIONS, stream_records([record]))
    assert good.num_rows == 0
    (letter,) = refused.to_pylist()
    assert (letter["reason"], letter["replayable"]) == (Reason.CARD_NUMBER, False)
    assert number == AMEX or readable(record, number)
    for kept in (letter["data"], letter["detail"].encode(), letter["field"].encode()):
        assert not readable(kept, number)
    assert b"[card:" in letter["data"]
    assert json.loads(letter["data"])["transaction_id"] == "t-1", "what is kept is still a document"


@pytest.mark.parametrize("name", SPELLINGS)
def test_every_spelling_is_refused_where_a_token_belongs(name: str) -> None:
    for decoder, plain in ((TRANSACTIONS, transaction()), (LABELS, label())):
        (reject,) = decoder.decode([wire(plain | {"card_token": SPELLINGS[name]})]).rejects
        assert (reject.reason, reject.field) == (Reason.CARD_NUMBER, "card_token")


@pytest.mark.parametrize(
    "written", [b"4111111111111111", rb"\u0034111111111111111", b"4111-1111-1111-1111", b"4111.1111.1111.1111"]
)
def test_a_token_written_as_a_card_number_on_the_wire_is_refused(written: bytes) -> None:
    (reject,) = TRANSACTIONS.decode([wire(transaction(card_token="TOKEN")).replace(b"TOKEN", written)]).rejects
    assert (reject.reason, reject.field) == (Reason.CARD_NUMBER, "card_token")


@pytest.mark.parametrize("field", ["transaction_id", "customer_id", "merchant_id", "terminal_id", "device_id", "bin"])
def test_a_card_number_is_refused_by_the_name_of_its_field(field: str) -> None:
    (reject,) = TRANSACTIONS.decode([wire(transaction(**{field: PAN}))]).rejects
    assert (reject.reason, reject.field) == (Reason.CARD_NUMBER, field)


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("field", ["amount_minor", "memo", "home_lat"])
def test_whole_numbers_are_card_numbers_too(number: str, field: str) -> None:
    record = wire(transaction(**{field: "HERE"})).replace(b'"HERE"', number.encode())
    (reject,) = TRANSACTIONS.decode([record]).rejects
    assert (reject.reason, reject.field) == (Reason.CARD_NUMBER, field)
    assert json.loads(redact(record))[field].startswith("[card:")


@pytest.mark.parametrize("dealt", DEALT)
def test_a_card_number_dealt_over_neighbouring_values_is_found(dealt: str) -> None:
    record = wire(transaction(memo="HERE")).replace(b'"HERE"', dealt.encode())
    (reject,) = TRANSACTIONS.decode([record]).rejects
    assert reject.reason == Reason.CARD_NUMBER
    kept = redact(record)
    assert json.loads(kept)["card_token"] == "card-1"
    assert not any(readable(kept, number) for number in (PAN, AMEX))


@pytest.mark.parametrize("name", SPELLINGS)
def test_bytes_that_cannot_be_decoded_are_redacted_likewise(name: str) -> None:
    whole = wire_as(transaction(memo=SPELLINGS[name]), True)
    number = AMEX if "American" in name else PAN
    for broken in (whole[:-1], whole[:-2], b"\xff" + whole, SPELLINGS[name].encode()):
        (reject,) = TRANSACTIONS.decode([broken]).rejects
        assert reject.reason == Reason.CARD_NUMBER
        assert not readable(redact(broken), number)
        assert find_card_number(redact(broken)) is None


def test_a_document_in_another_encoding_is_redacted() -> None:
    broken = wire(transaction(memo=grouped("-"))).decode().encode("utf-16")
    assert TRANSACTIONS.decode([broken]).rejects[0].reason == Reason.CARD_NUMBER
    assert not readable(redact(broken), PAN)


def test_a_record_too_large_to_decode_is_redacted() -> None:
    record = wire(transaction(memo=PAN, padding="x" * MAX_RECORD_BYTES))
    decoded = TRANSACTIONS.decode([record])
    assert decoded.rejects[0].reason == Reason.OVERSIZE
    (kept,) = dead_letters(stream_records([record]), decoded.rejects)["data"].to_pylist()
    assert PAN.encode() not in kept


def test_a_repeated_key_hides_nothing() -> None:
    record = b'{"memo":"4111111111111111",' + wire(transaction(memo="x"))[1:]
    (reject,) = TRANSACTIONS.decode([record]).rejects
    assert reject.reason == Reason.CARD_NUMBER


def test_a_refusal_names_place_and_characters_and_the_corrected_record_is_accepted() -> None:
    extra = {"cards": [{"note": "old"}, {"note": f"paid with {PAN}"}]}
    (reject,) = TRANSACTIONS.decode([wire(transaction(extra=extra))]).rejects
    assert reject.field == "extra.cards[1].note"
    assert "characters 11 to 26" in reject.detail
    assert "send the record again with a token in its place" in reject.detail
    extra["cards"][1]["note"] = "paid with tok_4f1c"
    assert TRANSACTIONS.decode([wire(transaction(extra=extra))]).batch.num_rows == 1


def test_redaction_keeps_all_else_and_names_the_number_by_its_digest() -> None:
    assert redact(f"a {PAN} b 4111111111111112".encode()) == f"a {redacted()} b 4111111111111112".encode()
    assert redact_text(f"é {grouped('-')} ü") == f"é {redacted()} ü"
    record = wire(transaction())
    assert redact(record) == record
    assert redact(b"\xff\x00 no text") == b"\xff\x00 no text"


def test_a_bare_id_in_an_issuers_range_is_refused_and_the_documented_prefix_avoids_it() -> None:
    assert TRANSACTIONS.decode([wire(transaction(terminal_id="4000001234567899"))]).rejects
    assert TRANSACTIONS.decode([wire(transaction(terminal_id="m4000001234567899"))]).batch.num_rows == 1


@pytest.mark.parametrize(
    "text",
    [
        "4111111111111112",  # no Luhn
        "424242424242",  # 12 digits, passes Luhn
        "42424242424242424242",  # 20 digits
        "41111111111111111111111111111111",  # longer still
        "7000000000000005",  # nobody's range
        "1768478400003",  # milliseconds
        "1768478400000007",  # microseconds
        "0x4111111111111111",
        "m4111111111111111",
        "4111111111111111ab",
        "9f4111111111111111c0ffee9f4111111111111111",
        "41111111-1111-4111-8111-1111111111ab",
        "inv-5411-20260115-0001",
        "arn:aws:kinesis:eu-west-4:111111111111:stream/x",
        "2001:4860:4860:0000:0000:0000:0000:8888",
        "2026-01-15T12:56:00.123456+02:00",
        "52.4111111111111111",
        "52.520006612345678, 13.404954123456789",
        "at 52.4111111111111111 north",
        "+4917012345675",
    ],
)
def test_what_looks_alike_is_none(text: str) -> None:
    assert find_card_number(text.encode()) is None
    for place in places(text).values():
        assert TRANSACTIONS.decode([wire(transaction(**place))]).rejects == []


@pytest.mark.parametrize("values", ["[5411, 5812]", "[123456, 7890123, 41]", '["41111111", "11111111"]', "[4, 1, 1]"])
def test_neighbouring_ids_are_not_read_as_one(values: str) -> None:
    record = wire(transaction(memo="HERE")).replace(b'"HERE"', values.encode())
    assert TRANSACTIONS.decode([record]).rejects == []


@pytest.mark.parametrize("issuer", ISSUERS, ids=lambda issuer: f"{issuer.scheme} {issuer.first}")
def test_each_issuers_numbers_are_found_and_no_number_beside_them(issuer: Issuer) -> None:
    rng = random.Random(1)
    for _ in range(50):
        number = card_number(rng, issuer)
        assert is_card_number(number)
        assert not is_card_number(number[:-1] + str((int(number[-1]) + 1) % 10))


@pytest.mark.parametrize("digits", [PAN, "378282246310005", "6304000000000000", "4222222222222"])
def test_luhn_accepts_known_test_card_numbers(digits: str) -> None:
    assert passes_luhn(digits)


def test_good_records_are_not_refused() -> None:
    count = 20_000
    rejects = TRANSACTIONS.decode(good_records(1, count)).rejects
    assert rejects == []


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_million_good_records_are_not_refused() -> None:
    count = refused = 0
    for seed in range(100):
        decoded = TRANSACTIONS.decode(good_records(1000 + seed, 10_000))
        count, refused = count + decoded.batch.num_rows, refused + len(decoded.rejects)
    print(f"{count:,} good records accepted, {refused} refused")
    assert (count, refused) == (1_000_000, 0)


def test_the_corpus_holds_what_it_claims() -> None:
    assert len(SPELLINGS) >= 30
    assert len(IDS) >= 10


@pytest.mark.parametrize("text", ["\ud800", "\udc80 and \udfff", f"\ud83d{PAN}\udc00"])
def test_halves_of_a_sign_stop_no_redaction(text: str) -> None:
    assert redact_text(text) == text.replace(PAN, redacted())
