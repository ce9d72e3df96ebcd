"""A detector of Amazon Fraud Detector as its API exports it, all of whose rules carry over, and events for it."""

from __future__ import annotations

import datetime as dt
import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

DETECTOR, VERSION, EVENT_TYPE, SCORE = "checkout", "2", "card_payment", "checkout_model_insightscore"
_ARN = "arn:aws:frauddetector:eu-central-1:111122223333"
_TIMES = {"createdTime": "2024-02-01T09:00:00.000Z", "lastUpdatedTime": "2024-03-01T09:00:00.000Z"}
_VARIABLES = {
    "order_price": ("FLOAT", "PRICE", "0.0"),
    "card_id": ("STRING", "CATEGORICAL", "none"),
    "card_bin": ("STRING", "CARD_BIN", "000000"),
    "ip": ("STRING", "IP_ADDRESS", "0.0.0.0"),
    "device": ("STRING", "FINGERPRINT", "none"),
    "merchant_id": ("STRING", "CATEGORICAL", "shop"),
    "category_code": ("STRING", "CATEGORICAL", "5999"),
    "billing_country": ("STRING", "BILLING_COUNTRY", "DE"),
    "merchant_country": ("STRING", "CATEGORICAL", "DE"),
    "email": ("STRING", "EMAIL_ADDRESS", "unknown"),
    "logins": ("INTEGER", "NUMERIC", "0"),
}
_RULES: tuple[tuple[str, str, str], ...] = (
    ("very_high_score", f"${SCORE} > 300", "block"),
    ("bad_bin", "$card_bin in @bad_bins", "block"),
    ("high_score", f"${SCORE} > 20 and ${SCORE} <= 300", "verify"),
    ("trusted_ip", "$ip in @trusted_ips and $order_price < 50", "allow"),
    ("large_gambling", '$order_price >= 500.50 and ($category_code == 7995 or $category_code in ["6051", "4829"])',
     "verify"),
    ("no_device", "$device == null and $order_price * 2 > 300", "verify"),
    ("abroad", '!($billing_country == "DE") && $merchant_country == "DE" && $order_price > 300', "verify"),
    ("bad_mail", "$email in @bad_mails and $order_price > 20", "verify"),
    ("new_account", '$logins < 4 and lowercase($email) != "unknown" and $order_price > 100', "verify"),
    ("local_network", 'regex_match("10\\..*", $ip) and uppercase($billing_country) != "DE"', "verify"),
    ("low_score", f"${SCORE} <= 20", "allow"),
)  # fmt: skip
CONSTANTS = {"currency": "EUR", "channel": "ecommerce", "entry_mode": "manual"}
"""What the events do not say."""


def write_export(folder: Path, mode: str = "FIRST_MATCHED") -> None:
    """Writes the API's answers, a file each, as the documentation has them exported."""
    folder.mkdir(parents=True, exist_ok=True)
    rules = [
        {"ruleId": name, "ruleVersion": "1", "detectorId": DETECTOR, "expression": expression, "outcomes": [outcome],
         "language": "DETECTORPL", "arn": f"{_ARN}:rule/{DETECTOR}/{name}/1"} | _TIMES
        for name, expression, outcome in _RULES
    ]  # fmt: skip
    variables = [
        {"name": name, "dataType": kind, "dataSource": "EVENT", "variableType": meaning, "defaultValue": default,
         "arn": f"{_ARN}:variable/{name}"} | _TIMES
        for name, (kind, meaning, default) in _VARIABLES.items()
    ]  # fmt: skip
    variables.append({"name": SCORE, "dataType": "FLOAT", "dataSource": "MODEL_SCORE", "defaultValue": "0.0"} | _TIMES)
    event_type = {
        "name": EVENT_TYPE, "eventVariables": [*_VARIABLES, SCORE], "labels": ["fraud", "legit"],
        "entityTypes": ["customer"], "eventIngestion": "ENABLED", "arn": f"{_ARN}:event-type/{EVENT_TYPE}",
    } | _TIMES  # fmt: skip
    sign_up = {
        "name": "sign_up",
        "eventVariables": ["ip", "device"],
        "labels": [],
        "entityTypes": ["customer"],
    } | _TIMES
    version = {
        "detectorId": DETECTOR, "detectorVersionId": VERSION, "status": "ACTIVE", "ruleExecutionMode": mode,
        "externalModelEndpoints": [], "arn": f"{_ARN}:detector-version/{DETECTOR}/{VERSION}",
        "modelVersions": [
            {"modelId": "checkout_model", "modelType": "TRANSACTION_FRAUD_INSIGHTS", "modelVersionNumber": "1.0",
             "arn": f"{_ARN}:model-version/TRANSACTION_FRAUD_INSIGHTS/checkout_model/1.0"}
        ],
        "rules": [{"detectorId": DETECTOR, "ruleId": name, "ruleVersion": "1"} for name, _, _ in _RULES],
    } | _TIMES  # fmt: skip
    lists: dict[str, tuple[str, list[str]]] = {
        "bad_bins": ("CARD_BIN", ["444444", "555555"]),
        "trusted_ips": ("IP_ADDRESS", ["10.0.0.7", "192.0.2.7"]),
        "bad_mails": ("EMAIL_ADDRESS", ["eve@mail.example"]),
    }
    answers: dict[str, Mapping[str, Any]] = {
        "get-rules": {"ruleDetails": rules},
        "get-variables": {"variables": variables},
        "get-event-types": {"eventTypes": [event_type, sign_up]},
        "get-entity-types": {"entityTypes": [{"name": "customer"} | _TIMES]},
        "get-labels": {"labels": [{"name": name} | _TIMES for name in ("fraud", "legit")]},
        "get-outcomes": {"outcomes": [{"name": name} | _TIMES for name in ("allow", "verify", "block")]},
        "get-lists-metadata": {
            "lists": [{"name": name, "variableType": kind} for name, (kind, _) in lists.items()]
        },
        "get-detector-version": version,
        **{f"get-list-elements-{name}": {"elements": elements} for name, (_, elements) in lists.items()},
    }  # fmt: skip
    for name, answer in answers.items():
        (folder / f"{name}.json").write_text(json.dumps(answer))


def events(count: int, first: dt.datetime, seed: int = 23) -> list[dict[str, Any]]:
    """Events as arguments of `get_event_prediction`, a second apart."""
    chance, own = random.Random(seed), random.Random(seed + 1)
    made = []
    for number in range(count):
        variables = {
            "order_price": f"{chance.choice([9, 40, 120, 400, 900, 3000]) * chance.random():.2f}",
            "card_id": f"card-{chance.randrange(40)}",
            "card_bin": chance.choice(["411111", "422222", "444444"]),
            "ip": chance.choice(["10.0.0.7", "10.1.1.1", "192.0.2.7", "192.0.2.8"]),
            "device": f"device-{chance.randrange(30)}",
            "merchant_id": f"shop-{chance.randrange(9)}",
            "category_code": chance.choice(["5411", "5732", "7995", "6051"]),
            "billing_country": chance.choice(["DE", "DE", "FR", "NG"]),
            "merchant_country": chance.choice(["DE", "FR"]),
            "email": own.choice(["ann@mail.example", "eve@mail.example", "unknown", "Unknown"]),
            "logins": str(own.randrange(6)),
        }
        if own.random() < 0.2:
            del variables[own.choice(["email", "logins"])]
        for optional in ("card_bin", "ip", "device", "billing_country"):
            if chance.random() < 0.1:
                del variables[optional]
        at = first + dt.timedelta(seconds=number)
        made.append(
            {
                "detectorId": DETECTOR,
                "eventId": f"event-{number}",
                "eventTypeName": EVENT_TYPE,
                "eventTimestamp": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "entities": [{"entityType": "customer", "entityId": f"customer-{chance.randrange(60)}"}],
                "eventVariables": variables,
            }
        )
    return made
