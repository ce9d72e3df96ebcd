"""Every shipped mapping reads a file in the original's form; the rows are ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pytest

from adapters.recordings.bad_rows import OnBadRow
from adapters.recordings.mapping import MAPPING_FOLDER, load_mapping
from adapters.recordings.reading import RecordingReader
from fraud.records.decode import TRANSACTIONS
from fraud.records.encode import encode


class Form(NamedTuple):
    """A recording of two transactions in somebody's form, and what the first of them is.

    Attributes:
        content: of the file.
        first: fields of the first transaction.
        fraud: what the two say.
        left_out: rows that are no payments by card.
    """

    content: str
    first: dict[str, Any]
    fraud: list[bool | None]
    left_out: int = 0


FORMS = {
    "ulb": Form(
        '"Time","V1","V2","Amount","Class"\n0,-1.35980713,-0.07278117,149.62,"0"\n406,1.19185711,0.26615071,2.69,"1"\n',
        {"transaction_id": "t-2", "amount_minor": 14_962, "event_time": "2013-09-01 00:00:00"},
        [False, True],
    ),
    "paysim": Form(
        "step,type,amount,nameOrig,oldbalanceOrg,newbalanceOrig,nameDest,oldbalanceDest,newbalanceDest,isFraud,isFlaggedFraud\n"
        "1,CASH_OUT,181.0,C840083671,181.0,0.0,C38997010,21182.0,0.0,1,0\n"
        "25,PAYMENT,9839.64,C1231006815,170136.0,160296.36,M1979787155,0.0,0.0,0,0\n",
        {
            "transaction_type": "withdrawal",
            "card_token": "C840083671",
            "amount_minor": 18_100,
            "event_time": "2024-01-01 01:00:00",
        },
        [True, False],
    ),
    "banksim": Form(
        "step,customer,age,gender,zipcodeOri,merchant,zipMerchant,category,amount,fraud\n"
        "0,'C1093826151','4','M','28007','M348934600','28007','es_transportation',4.55,0\n"
        "3,'C352968107','2','M','28007','M348934600','28007','es_tech',39.68,1\n",
        {"card_token": "C1093826151", "merchant_id": "M348934600", "mcc": "4111", "amount_minor": 455},
        [False, True],
    ),
    "tabformer": Form(
        "User,Card,Year,Month,Day,Time,Amount,Use Chip,Merchant Name,Merchant City,Merchant State,Zip,MCC,Errors?,"
        "Is Fraud?\n"
        "0,0,2002,9,1,06:21,$134.09,Swipe Transaction,3527213246127876953,La Verne,CA,91750.0,5300,,No\n"
        "0,1,2002,9,1,06:42,$-38.48,Online Transaction,-727612092139916043,ONLINE,,,5411,,Yes\n",
        {
            "card_token": "card-0-0",
            "customer_id": "customer-0",
            "merchant_id": "merchant3527213246127876953",
            "event_time": "2002-09-01 10:21:00",
            "amount_minor": 13_409,
            "entry_mode": "magstripe",
        },
        [False, True],
    ),
    "stripe": Form(
        "id,Created date (UTC),Amount,Amount Refunded,Currency,Captured,Converted Amount,Converted Currency,Status,"
        "Customer ID,Card Brand,Card Fingerprint,Card Issue Country,Dispute Reason\n"
        "ch_1,2024-06-01 12:00:05,1500.00,0.00,jpy,true,9.21,eur,Paid,cus_1,Visa,fp1,JP,\n"
        "ch_2,2024-06-01 12:10:05,20.00,0.00,eur,true,20.00,eur,Failed,,Visa,fp2,,fraudulent\n"
        "ch_3,2024-06-01 12:20:05,20.00,0.00,eur,true,20.00,eur,Paid,cus_1,,,,\n",
        {"card_token": "fp1", "currency": "JPY", "amount_minor": 1_500, "billing_amount_minor": 921},
        [None, True],
        left_out=1,
    ),
    "adyen": Form(
        "Company Account,Merchant Account,Psp Reference,Merchant Reference,Payment Method,Creation Date,TimeZone,"
        "Currency,Amount,Type,Risk Scoring,Shopper Interaction,Shopper Reference,Issuer Country\n"
        "Shop,Shop_NL,8825408195409505,o-1,visa,2024-06-01 12:00:00,CEST,EUR,12.50,Authorised,10,Ecommerce,a@e.com,NL\n"
        "Shop,Shop_NL,8825408195409506,o-2,mc,2024-06-01 12:05:00,CEST,EUR,99.00,Refused,80,POS,bo@example.com,\n",
        {"event_time": "2024-06-01 10:00:00", "issuer_country": "NL", "authorisation_result": "approved"},
        [None, None],
    ),
    "shopify": Form(
        "Name,Email,Financial Status,Currency,Total,Created at,Lineitem name,Shipping Country,Id,Vendor,Risk Level\n"
        "#1001,an@example.com,paid,EUR,62.00,2024-06-01 12:00:00 +0200,Lamp,DE,5201,Our Shop,High\n"
        "#1001,an@example.com,,,,2024-06-01 12:00:00 +0200,Bulb,,,Our Shop,\n"
        "#1002,bo@example.com,paid,EUR,5.50,2024-06-01 13:00:00 +0200,Bulb,AT,5202,Our Shop,Low\n",
        {
            "event_time": "2024-06-01 10:00:00",
            "amount_minor": 6_200,
            "merchant_country": "DE",
            "transaction_id": "5201",
        },
        [True, False],
        left_out=1,
    ),
    "sparkov_v05": Form(
        "ssn|cc_num|first|last|gender|street|city|state|zip|lat|long|city_pop|job|dob|acct_num|profile|trans_num|trans_date|"
        "trans_time|unix_time|category|amt|is_fraud|merchant|merch_lat|merch_long\n"
        "000-00-0001|4111111111111111|Ann|Lee|F|1 Elm St|Juneau|AK|99801|58.36|-134.5|29164|Glazier|1990-11-17|2611|"
        "adults_2550_female_urban.json|63a5|2019-01-27|23:11:44|1548630704|shopping_pos|803.32|1|fraud_Hoeger|59.2|-134.1\n"
        "000-00-0001|4111111111111111|Ann|Lee|F|1 Elm St|Juneau|AK|99801|58.36|-134.5|29164|Glazier|1990-11-17|2611|"
        "adults_2550_female_urban.json|63a6|2019-01-28|09:01:05|1548666065|grocery_net|12.5|0|fraud_Kuhn|58.9|-134.9\n",
        {"transaction_id": "63a5", "amount_minor": 80_332, "mcc": "5311", "event_time": "2019-01-27 23:11:44"},
        [True, False],
    ),
    "synccfd": Form(
        "TRANSACTION_ID,TX_DATETIME,CUSTOMER_ID,TERMINAL_ID,TX_AMOUNT,TX_TYPE,TX_SHIPP_LAT,TX_SHIPP_LONG,TX_BILL_LAT,"
        "TX_BILL_LONG,TX_TERM_LAT,TX_TERM_LONG,TX_TIME_SECONDS,TX_TIME_DAYS,TX_FRAUD,TX_FRAUD_SCENARIO\n"
        "0,2018-04-01 00:00:31,596,3156,57.16,CNP,-23.5,-46.6,-23.5,-46.6,-22.9,-43.2,31,0,1,3\n"
        "1,2018-04-01 00:02:10,4961,3412,81.51,CP,-8.05,-34.9,-8.05,-34.9,-8.06,-34.9,130,0,0,0\n",
        {
            "transaction_id": "0",
            "card_token": "card-596",
            "merchant_id": "terminal-3156",
            "channel": "ecommerce",
            "entry_mode": "manual",
            "merchant_lat": "-22.9",
            "home_lon": "-46.6",
        },
        [True, False],
    ),
    "iso8583": Form(
        '{"mti": "1100", "fields": {"2": "4111111111111111", "4": "000000012345", "12": "240601120000", "26": "5411", '
        '"37": "415312000001", "39": "000", "41": "TERM0001", "42": "MERCHANT0000001", "49": "978"}}\n'
        '{"mti": "1100", "fields": {"2": "5500005555555559", "4": "000000000500", "12": "240601120100", "26": "5812", '
        '"37": "415312000002", "39": "116", "41": "TERM0001", "42": "MERCHANT0000001", "49": "840"}}\n',
        {"amount_minor": 12_345, "currency": "EUR", "event_time": "2024-06-01 12:00:00", "response_code": "00"},
        [None, None],
    ),
}


@pytest.mark.parametrize("name", FORMS)
def test_a_file_in_the_originals_form_is_read(tmp_path: Path, name: str) -> None:
    form, file = FORMS[name], tmp_path / "original.csv"
    file.write_text(form.content)
    reader = RecordingReader(file, load_mapping(name), "EUR", OnBadRow.DEAD_LETTER)
    (part,) = reader.read()
    first = part.transactions.to_pylist()[0]
    assert {field: str(first[field]).removesuffix("+00:00") for field in form.first} == {
        field: str(value) for field, value in form.first.items()
    }
    assert part.is_fraud.to_pylist() == form.fraud
    assert reader.findings.bad == form.left_out
    assert TRANSACTIONS.decode(encode(part.transactions)).rejects == []


def test_every_shipped_mapping_has_a_file_in_its_form() -> None:
    shipped = {file.stem for file in MAPPING_FOLDER.glob("*.yaml")}
    elsewhere = {"handbook", "sparkov", "ieee_cis", "generated"}  # see test_reading
    assert shipped == elsewhere | set(FORMS)
