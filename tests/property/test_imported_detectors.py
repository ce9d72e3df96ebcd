"""Imported detectors agree with an interpreter of Amazon's rule expressions that knows nothing of the importer.

Events go through the reader of events, the decision core with the imported policy, and what says a decision in the
detector's words: everything but the network.
"""

from __future__ import annotations

import datetime as dt
import json
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from benchmarks.afd_detector import CONSTANTS
from cli.import_afd import read_export
from decision_service.afd.detector import open_detector
from decision_service.afd.verify import Verified, verify
from fraud.decision.policy.bundle import ROOT, PolicyBundle
from fraud.decision.policy.compiler import compile_policy
from fraud.decision.rules.fields import fields_of
from fraud.features import CATALOGUE
from fraud.migration.convert import Carries
from fraud.settings import Job, Settings
from tests.support.afd_interpreter import Rules
from tests.support.frauddetector import imported
from tests.support.records import NOON

SCORE = "shop_model_insightscore"
FIELDS = fields_of(CATALOGUE)
KINDS = {
    "order_price": ("FLOAT", "PRICE", "0.0"), "money": ("STRING", "CURRENCY_CODE", "EUR"),
    "card_id": ("STRING", "CATEGORICAL", "none"), "card_bin": ("STRING", "CARD_BIN", "000000"),
    "ip": ("STRING", "IP_ADDRESS", "0.0.0.0"), "device": ("STRING", "FINGERPRINT", "none"),
    "merchant_id": ("STRING", "CATEGORICAL", "shop"), "category_code": ("STRING", "CATEGORICAL", "5999"),
    "billing_country": ("STRING", "BILLING_COUNTRY", "DE"), "merchant_country": ("STRING", "CATEGORICAL", "DE"),
    "email": ("STRING", "EMAIL_ADDRESS", "unknown"), "logins": ("INTEGER", "NUMERIC", "0"),
    "tax": ("FLOAT", "NUMERIC", "0.5"), "is_guest": ("BOOLEAN", "CATEGORICAL", "false"),
}  # fmt: skip
VALUES: Mapping[str, tuple[str, ...]] = {
    "card_bin": ("411111", "422222", "444444", "55555555"), "ip": ("10.0.0.7", "10.1.1.1", "192.0.2.7", "2001:db8::1"),
    "device": ("d-1", "d-2", "none", "D-1"), "category_code": ("5411", "7995", "6051", "0742"),
    "billing_country": ("DE", "FR", "NG"), "merchant_country": ("DE", "FR"),
    "email": ("ann@mail.example", "EVE@mail.example", "it's", 'O"Neil', "411111", "100", "1e2", "", "Ünal"),
    "logins": ("0", "1", "2", "7", "-3"), "tax": ("0", "0.5", "1.25", "19", "-2.5"), "is_guest": ("true", "false"),
    "money": ("EUR", "USD", "JPY", "KWD"),
}  # fmt: skip
OPTIONAL = ("card_bin", "ip", "device", "billing_country", "email", "logins", "tax", "is_guest", "category_code")
LISTS = {
    "bad_bins": ("CARD_BIN", ["444444", "555555"]),
    "trusted_ips": ("IP_ADDRESS", ["10.0.0.7", "192.0.2.0"]),
    "bad_mails": ("EMAIL_ADDRESS", ["EVE@mail.example", "unknown"]),
}
SHOP = [
    ("trusted", "$ip in @trusted_ips and $order_price < 500 and $logins >= 2", "allow"),
    ("bad_bin", "$card_bin in @bad_bins || $email in @bad_mails && $is_guest == true", "block"),
    ("very_high", f"${SCORE} > 900", "block"),
    ("guest", "$is_guest and !($logins > 1) and $order_price + $tax * 2 >= 100.5", "verify"),
    ("gambling", '$category_code == 7995 or $category_code in ["6051", 4829]', "verify"),
    ("no_device", "$device == null and $order_price > 20", "verify"),
    ("high", f"${SCORE} >= 700 and ${SCORE} <= 900", "verify"),
    ("low", f"${SCORE} < 50", "allow"),
]
TRAVEL = [
    ("local", 'regex_match("10\\..*", $ip) and uppercase($billing_country) != "DE"', "block"),
    ("mail", 'lowercase($email) in ["ann@mail.example", "o\\"neil"] and not ($merchant_country == "DE")', "verify"),
    ("tax", "$order_price / $tax > 40 or $tax == 0 and $order_price >= 250.25", "verify"),
    ("cents", "$order_price % 10 < 1 and $logins * 3 - 1 > 4", "verify"),
    ("known", "$email != null and $card_bin not in @bad_bins and $order_price < 3", "allow"),
    ("abroad", '$billing_country != "DE" && $merchant_country == "DE" && $order_price > 300', "verify"),
    ("score", f"${SCORE} > 850 and $order_price > 100", "block"),
    ("number", "$email == 100", "verify"),
]


def condition(chance: random.Random, depth: int) -> str:
    """A condition over the variables, written in one of the ways that the language has."""
    if depth and chance.random() < 0.5:
        sign = chance.choice([" and ", " or ", " && ", " || "])
        parts = [condition(chance, depth - 1) for _ in range(chance.choice([2, 2, 3]))]
        return "(" + sign.join(parts) + ")" if chance.random() < 0.6 else sign.join(parts)
    if depth and chance.random() < 0.2:
        return f"{chance.choice(['!', 'not '])}({condition(chance, depth - 1)})"
    kind = chance.choice(["number", "number", "text", "list", "null", "truth", "match"])
    text = chance.choice(["card_bin", "ip", "device", "category_code", "billing_country", "email"])
    if kind == "number":
        return f"{amount(chance, depth)} {chance.choice(['<', '<=', '>', '>=', '==', '!='])} {amount(chance, 0)}"
    if kind == "null":
        return f"${chance.choice(['ip', 'device', 'email', 'logins'])} {chance.choice(['==', '!='])} null"
    if kind == "truth":
        return chance.choice(["$is_guest", "$is_guest == true", "$is_guest != true", "$is_guest == FALSE"])
    if kind == "list":
        name, variable = chance.choice([("bad_bins", "card_bin"), ("trusted_ips", "ip"), ("bad_mails", "email")])
        return f"${variable} {chance.choice(['in', 'not in'])} @{name}"
    value = chance.choice([value for value in VALUES[text] if value and value != 'O"Neil'])
    if kind == "match":
        before, after = chance.choice([("", ""), ("", ".*"), (".*", ""), (".*", ".*")])
        part = value if not before + after or chance.random() < 0.5 else value[:2]
        part = part.replace(".", "\\.")
        return f'regex_match("{before}{part}{after}", ${text})'
    if chance.random() < 0.4:
        others = [f'"{each}"' for each in VALUES[text] if each and '"' not in each]
        return f"${text} {chance.choice(['in', 'not in'])} [{', '.join(chance.sample(others, 2))}]"
    called = chance.choice(["lowercase($%s)", "uppercase($%s)", "$%s", "$%s"]) % text
    value = value.lower() if called[0] == "l" else value.upper() if called[0] == "u" else value
    return f'{called} {chance.choice(["==", "!="])} "{value}"'


def amount(chance: random.Random, depth: int) -> str:
    if depth and chance.random() < 0.4:
        return f"({amount(chance, depth - 1)} {chance.choice('+-*/')} {amount(chance, depth - 1)})"
    literal = chance.choice(["0", "1", "2.5", "50", "120.75", "400"])
    return chance.choice(["$order_price", "$order_price", "$logins", "$tax", literal])


def written(seed: int) -> list[tuple[str, str, str]]:
    """Rules of a detector that nobody would write."""
    chance = random.Random(seed)
    return [(f"r{n}", condition(chance, 2), chance.choice(["verify", "block", "allow"])) for n in range(14)]


DETECTORS = {
    "shop": (SHOP, "FIRST_MATCHED"),
    "travel": (TRAVEL, "FIRST_MATCHED"),
    "all": ([*SHOP, *TRAVEL], "ALL_MATCHED"),
    "random-all": (written(7), "ALL_MATCHED"),
    "random-first": (written(9), "FIRST_MATCHED"),
}


def export(folder: Path, rules: list[tuple[str, str, str]], mode: str) -> None:
    folder.mkdir()
    details = [
        {"ruleId": name, "ruleVersion": "1", "expression": text, "outcomes": [outcome]} for name, text, outcome in rules
    ]
    variables = [
        {"name": name, "dataType": data, "dataSource": "EVENT", "variableType": of, "defaultValue": default}
        for name, (data, of, default) in KINDS.items()
    ]
    variables.append({"name": SCORE, "dataType": "FLOAT", "dataSource": "MODEL_SCORE", "defaultValue": "0.0"})
    event_type = {"name": "order", "eventVariables": [*KINDS, SCORE], "entityTypes": ["customer"]}
    references = [{"ruleId": name, "ruleVersion": "1"} for name, _, _ in rules]
    answers: dict[str, Any] = {
        "get-rules": {"ruleDetails": details},
        "get-variables": {"variables": variables},
        "get-event-types": {"eventTypes": [event_type]},
        "get-entity-types": {"entityTypes": [{"name": "customer"}]},
        "get-outcomes": {"outcomes": [{"name": name} for name in ("allow", "verify", "block")]},
        "get-lists-metadata": {"lists": [{"name": name, "variableType": of} for name, (of, _) in LISTS.items()]},
        "get-detector-version": {
            "detectorId": "d", "detectorVersionId": "1", "ruleExecutionMode": mode, "rules": references,
        },
        **{f"get-list-elements-{name}": {"elements": elements} for name, (_, elements) in LISTS.items()},
    }  # fmt: skip
    for name, answer in answers.items():
        (folder / f"{name}.json").write_text(json.dumps(answer))


def price(chance: random.Random, currency: str) -> str:
    whole = chance.choice([0, 2, 9, 25, 50, 120, 400, 3000])
    return {"JPY": f"{whole}", "KWD": f"{whole}.{chance.randrange(1000):03d}"}.get(
        currency, f"{whole}.{chance.choice([0, 50, 75, chance.randrange(100)]):02d}"
    )


def recorded(rules: Rules, count: int, seed: int) -> Iterator[bytes]:
    """Events with the answers of the interpreter, as a recording has them."""
    chance = random.Random(seed)
    for number in range(count):
        said = {name: chance.choice(values) for name, values in VALUES.items()}
        said |= {"order_price": price(chance, said["money"]), "merchant_id": "shop-1"}
        said["card_id"] = f"card-{number % 97}"
        for name in OPTIONAL:
            if chance.random() < 0.15 or not said[name]:
                del said[name]
        score = chance.choice([chance.uniform(0, 1000), chance.uniform(880, 920)])
        at = NOON + dt.timedelta(seconds=number)
        request = {
            "detectorId": "d", "eventId": f"e-{number}", "eventTypeName": "order",
            "eventTimestamp": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "entities": [{"entityType": "customer", "entityId": f"c-{number % 31}"}], "eventVariables": said,
        }  # fmt: skip
        matched = [{"ruleId": rule} for rule in rules.matched(said, {SCORE: score})]
        response = {"ruleResults": matched, "modelScores": [{"scores": {SCORE: score}}]}
        yield json.dumps({"request": request, "response": response}).encode()


def compared(folder: Path, name: str, count: int, seed: int) -> tuple[Verified, list[str], Counter[str]]:
    """What a comparison finds, the rules that do not carry over, and how often each rule matched."""
    rules, mode = DETECTORS[name]
    export(folder / "exported", rules, mode)
    constants = {key: value for key, value in CONSTANTS.items() if key != "currency"}
    rates = {"USD": 0.9, "JPY": 0.006, "KWD": 3.0}
    out = imported(folder / "exported", folder / "imported", constants=constants, rates=rates)
    served = open_detector(out, "EUR", FIELDS)
    lost = [f.subject for f in served.imported.findings if f.carries is Carries.LOST and f.subject.startswith("rule ")]
    policy = compile_policy(PolicyBundle({ROOT: (out / "policy.yaml").read_text()}), FIELDS)
    lines = list(recorded(Rules(read_export(folder / "exported")), count, seed))
    matches = Counter(each["ruleId"] for line in lines for each in json.loads(line)["response"]["ruleResults"])
    settings = Settings(job=Job(max_age_s=None, max_ahead_s=None))
    return verify(served, policy, lines, name, settings), lost, matches


@pytest.mark.parametrize("name", DETECTORS)
def test_fuzzed_events_match_the_same_rules(tmp_path: Path, name: str) -> None:
    found, lost, _ = compared(tmp_path, name, 120, 1)
    assert (found.lines(), lost) == (["120 answers compared: 120 alike, 0 differ"], [])


@pytest.mark.long
def test_10_000_fuzzed_events_through_five_detectors_match_the_same_rules(tmp_path: Path) -> None:
    found = []
    for name, (rules, mode) in DETECTORS.items():
        (tmp_path / name).mkdir()
        verified, lost, matches = compared(tmp_path / name, name, 2_000, 2)
        found += verified.lines()
        assert lost == []
        if mode == "ALL_MATCHED":
            assert len(matches) > len(rules) * 0.7
    assert found == ["2,000 answers compared: 2,000 alike, 0 differ"] * 5
