from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.import_afd import read_export
from fraud.decision.decide import decide
from fraud.decision.policy.bundle import ROOT, PolicyBundle
from fraud.decision.policy.compiler import compile_policy
from fraud.decision.rules.fields import Field, Kind, fields_of
from fraud.migration.convert import Carries, Imported, convert
from fraud.migration.language import UnreadableRuleError, parse_rule
from fraud.migration.mapping import NameMapping, guess_mapping
from fraud.migration.shapes import Detector, detector_of
from tests.support.decisions import FIELDS, FixedScorer, featured

EXPORTED = Path(__file__).parents[2] / "fixtures" / "fraud_detector"


def read(folder: Path) -> Detector:
    return detector_of(str(folder), read_export(folder))


def exported(mode: str = "FIRST_MATCHED") -> Detector:
    detector = read(EXPORTED)
    return detector.model_copy(update={"version": detector.version.model_copy(update={"mode": mode})})


def imported(detector: Detector, mapping: NameMapping | None = None) -> Imported:
    return convert(detector, mapping or guess_mapping(detector), fields_of([]))


def detector_with(*rules: tuple[str, str], mode: str = "ALL_MATCHED", **parts: Any) -> Detector:
    """A detector with rules (expression, outcome) over the exported variables."""
    details = [
        {"ruleId": f"r{i}", "ruleVersion": "1", "expression": expression, "outcomes": [outcome]}
        for i, (expression, outcome) in enumerate(rules)
    ]
    return Detector.model_validate(
        {
            **exported().model_dump(by_alias=True),
            "rules": details,
            "version": {
                "detectorId": "d",
                "detectorVersionId": "1",
                "ruleExecutionMode": mode,
                "rules": [{"ruleId": d["ruleId"], "ruleVersion": "1"} for d in details],
            },
            **parts,
        }
    )


def conditions(result: Imported) -> list[str]:
    return [rule["when"] for rule in yaml.safe_load(result.policy)["rules"]]


def outcomes(result: Imported, score: float | None = None, **row: Any) -> tuple[str, list[str]]:
    compiled = compile_policy(PolicyBundle({ROOT: result.policy}), FIELDS)
    (verdict,) = decide(featured(row), FixedScorer([score]), compiled).to_pylist()
    return verdict["outcome"], verdict["rules"]


def found(result: Imported, subject: str) -> list[tuple[Carries, str]]:
    return [(finding.carries, finding.note) for finding in result.findings if finding.subject == subject]


@pytest.mark.parametrize(
    ("expression", "condition"),
    [
        ("$order_price > 10", "(amount_minor / 100) > 10"),
        ("$order_price + 5 * 2 <= 10.5", "((amount_minor / 100) + (5 * 2)) <= 10.5"),
        ('$card_bin == "411111"', "bin = '411111'"),
        ("$card_bin == 411111", "bin = '411111'"),
        ("$card_bin in [411111, 422222]", "bin IN ('411111', '422222')"),
        ("$card_bin not in ['411111']", "bin NOT IN ('411111')"),
        ("$card_bin in @bad_bins", "in_list(bin, 'bad-bins')"),
        ("$ip in @trusted_ips", "coalesce(in_list(ip_address, 'trusted-ips'), FALSE)"),
        ("!($order_price > 10) and not $card_bin == '411111'", "NOT (amount_minor / 100) > 10 AND NOT bin = '411111'"),
        ("($card_bin == '411111' or $card_bin == '411112') and $order_price < 1",
         "(bin = '411111' OR bin = '411112') AND (amount_minor / 100) < 1"),
        ('$ip == "10.0.0.1"', "coalesce(ip_address, '0.0.0.0') = '10.0.0.1'"),
        ("$ip != null", "ip_address IS NOT NULL"),
        ('uppercase($billing_country) == "DE"', "upper(issuer_country) = 'DE'"),
        ('regex_match("4111.*", $card_bin)', "starts_with(bin, '4111')"),
        ('regex_match("^4111", $card_bin)', "starts_with(bin, '4111')"),
        ('regex_match(".*11", $card_bin)', "ends_with(bin, '11')"),
        ('regex_match(".*11.*", $card_bin)', "contains(bin, '11')"),
        ('regex_match("411111", $card_bin)', "bin = '411111'"),
        (r'regex_match("10\..*", $ip)', "starts_with(coalesce(ip_address, '0.0.0.0'), '10.')"),
        ("$email == 'x'", "coalesce(email, 'unknown') = 'x'"),
        ("lowercase($email) in ['x', 'y']", "lower(coalesce(email, 'unknown')) IN ('x', 'y')"),
        ("$email != null", "email IS NOT NULL"),
        ("$email in @bad_mails", "coalesce(in_list(email, 'bad-mails'), FALSE)"),
        ("$ip == \"it's\"", "coalesce(ip_address, '0.0.0.0') = 'it''s'"),
    ],
)  # fmt: skip
def test_expression_is_written_in_our_language(expression: str, condition: str) -> None:
    assert conditions(imported(detector_with((expression, "block_customer")))) == [condition]


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("$email > 5", "column 1: a text has no order"),
        ("$nothing > 1", "$nothing is not mapped to any of our fields"),
        ('regex_match("[0-9]+", $card_bin)', "the regular expression '[0-9]+'"),
        ("getdayofweek($order_price) == 1", "the function getdayofweek"),
        ("$card_bin > 5", "column 1: a text has no order"),
        ("$channel == 'web'", "column 11: channel is never 'web'"),
        ("$card_bin in @unknown", "the list unknown was not exported"),
        ("$order_price", "a value where a condition was expected"),
        ("$order_price >", "unexpected 'end'"),
        ("$card_model_insightscore * 2 > 900", "it uses the score other than by comparing"),
        ("$card_model_insightscore < 100", "it asks for action on low scores"),
        ("$card_model_insightscore > 900 or $order_price > 1", "it uses the score other than by comparing"),
        ("(" * 3000 + "$order_price > 1" + ")" * 3000, "nested too deep"),
    ],
)
def test_what_has_no_counterpart_is_reported_and_not_imported(expression: str, reason: str) -> None:
    result = imported(detector_with((expression, "block_customer")))

    assert conditions(result) == []
    ((carries, note),) = found(result, "rule r0")
    assert carries is Carries.LOST
    assert note.startswith(reason)


def test_exported_detector_becomes_a_policy_that_compiles() -> None:
    result = imported(exported())

    assert outcomes(result, mcc="7995", amount_minor=50050) == ("review", ["large-gambling"])
    assert outcomes(result, mcc="7995", amount_minor=50049, device_id="d")[1] == []
    assert outcomes(result, bin="444444") == ("decline", ["blocked-bins"])
    assert outcomes(result, bin="411111") == ("approve", [])  # an older version of the rule, not of this detector
    assert outcomes(result, score=0.96) == ("decline", [])
    assert outcomes(result, score=0.8) == ("approve", [])
    assert outcomes(result, score=0.8, amount_minor=200_000, device_id="d") == ("review", [])
    assert outcomes(result, device_id=None, amount_minor=15_100) == ("review", ["no-device"])


def test_first_matched_holds_later_rules_back_where_an_earlier_one_matches() -> None:
    first, all_matched = imported(exported()), imported(exported("ALL_MATCHED"))
    trusted: dict[str, Any] = {"bin": "444444", "ip_address": "10.0.0.7"}

    assert outcomes(first, **trusted) == ("approve", [])
    assert outcomes(all_matched, **trusted) == ("decline", ["blocked-bins"])
    assert outcomes(first, bin="444444", ip_address=None) == ("decline", ["blocked-bins"])


def test_what_changes_is_reported() -> None:
    result = imported(exported())

    assert found(result, "outcome send_to_team_b") == [(Carries.CHANGED, "taken as review (mapping.yaml: outcomes)")]
    assert found(result, "label disputed")[0][0] is Carries.LOST
    assert found(result, "variable email") == [
        (Carries.EXACT, "no field of ours: kept with its event, for rules a text")
    ]
    assert found(result, "rule blocked_bins") == [(Carries.EXACT, "rule blocked-bins")]
    assert "0 to 1000" in found(result, "model scores")[0][1]


def test_a_milder_rule_that_comes_first_keeps_a_score_from_deciding() -> None:
    rules = [("$order_price < 5", "approve"), ("$card_bin == 444444", "verify"),
             ("$card_model_insightscore > 900", "block"), ("$card_model_insightscore > 700", "verify")]  # fmt: skip
    result = imported(detector_with(*rules, mode="FIRST_MATCHED"), NameMapping.model_validate(
        guess_mapping(exported()).model_dump()
        | {"outcomes": {"approve": "approve", "verify": "review", "block": "decline"}}
    ))  # fmt: skip

    assert outcomes(result, score=0.95, amount_minor=499)[0] == "approve"
    assert outcomes(result, score=0.95, amount_minor=500)[0] == "decline"
    assert outcomes(result, score=0.95, amount_minor=500, bin="444444")[0] == "review"
    assert outcomes(result, score=0.75, amount_minor=500)[0] == "review"
    assert outcomes(result, score=0.75, amount_minor=499)[0] == "approve"


@pytest.mark.parametrize(("currency", "amount_minor"), [("EUR", 1001), ("JPY", 11), ("KWD", 10_001)])
def test_a_price_is_in_major_units_of_the_currency_of_its_event(currency: str, amount_minor: int) -> None:
    guess = guess_mapping(exported()).model_dump()
    mapping = NameMapping.model_validate(guess | {"variables": guess["variables"] | {"email": {"field": "currency"}}})
    result = imported(detector_with(("$order_price > 10", "block_customer")), mapping)

    assert outcomes(result, currency=currency, amount_minor=amount_minor)[1] == ["r0"]
    assert outcomes(result, currency=currency, amount_minor=amount_minor - 1)[1] == []


def test_everything_that_was_exported_is_in_the_report() -> None:
    detector = exported()
    result = imported(detector)
    named = [
        *(f"event type {event.name}" for event in detector.event_types),
        *(f"entity type {entity.name}" for entity in detector.entity_types),
        *(f"variable {variable.name}" for variable in detector.variables if "insightscore" not in variable.name),
        *(f"label {label.name}" for label in detector.labels),
        *(f"outcome {outcome.name}" for outcome in detector.outcomes),
        *(f"list {entities.name}" for entities in detector.lists_metadata),
        *(f"rule {reference.rule_id}" for reference in detector.version.rules),
    ]
    assert [subject for subject in named if not found(result, subject)] == []
    assert found(result, "entity type customer") == [(Carries.EXACT, "customer_id")]


def test_an_event_type_becomes_the_mapping_of_its_stored_events() -> None:
    result = imported(exported())

    recording = yaml.safe_load(result.recordings["card-purchase"])
    assert recording["columns"] | {"customer_id": "ENTITY_ID", "amount": "order_price"} == recording["columns"]
    assert recording["label"] == {"column": "EVENT_LABEL", "fraud": ["fraud"]}
    ((carries, note),) = found(result, "event type card_purchase")
    assert carries is Carries.CHANGED
    assert note == (
        "its events do not say card_token, merchant_id, merchant_country, currency, entry_mode: add them under "
        "constants (mapping.yaml)"
    )


def test_corrected_mapping_brings_over_what_the_guess_left_out() -> None:
    detector = exported()
    guess = guess_mapping(detector)
    corrected = NameMapping.model_validate(
        {
            "variables": {**guess.model_dump()["variables"], "email": {"field": "customer_id"}},
            "outcomes": {**guess.outcomes, "send_to_team_b": "decline"},
        }
    )

    result = imported(detector, corrected)

    assert outcomes(result, customer_id="A@MAIL.example", amount_minor=10_001)[1] == ["free-mail"]
    assert outcomes(result, ip_address="10.1.1.1", issuer_country="FR") == ("decline", ["local-network"])


def test_rule_version_that_was_not_exported_is_reported() -> None:
    detector = exported()

    result = imported(detector.model_copy(update={"rules": detector.rules[2:]}))

    assert found(result, "rule trusted_ip") == [(Carries.LOST, "version 1 was not exported")]


def variable(name: str, data_type: str, default: str | None = None) -> dict[str, Any]:
    return {"name": name, "dataType": data_type, "defaultValue": default, "variableType": data_type}


def test_variables_without_a_field_of_ours_are_used_under_their_own_names_and_typed() -> None:
    own = [
        variable("logins", "INTEGER", "0"),
        variable("is_guest", "BOOLEAN", "false"),
        variable("registered", "DATETIME"),
        variable("changed", "DATETIME"),
        variable("mean_30d", "FLOAT"),
        variable("then", "STRING"),
    ]
    rules = [
        ("$logins * 2 > 6", "block"),
        ("$is_guest == true and $logins == 1", "block"),
        ("$is_guest and !($logins > 5)", "block"),
        ("$registered > $changed", "block"),
        ("$mean_30d > 1", "block"),
    ]
    result = convert(
        detector_with(*rules, variables=own),
        NameMapping(),
        fields_of([]) | {"mean_30d": Field("mean_30d", Kind.NUMBER)},
    )

    assert yaml.safe_load(result.policy)["variables"] == {
        "logins": "number",
        "is_guest": "boolean",
        "registered": "time",
        "changed": "time",
    }
    assert conditions(result) == [
        "(coalesce(logins, 0) * 2) > 6",
        "coalesce(is_guest, FALSE) = TRUE AND coalesce(logins, 0) = 1",
        "coalesce(is_guest, FALSE) AND NOT coalesce(logins, 0) > 5",
        "registered > changed",
    ]
    assert found(result, "variable mean_30d")[0][1].startswith("is the name of a field or feature here: map it")
    assert found(result, "variable then")[0][1].startswith("is a word of the language of rules here: map it")
    compile_policy(PolicyBundle({ROOT: result.policy}), FIELDS)


@pytest.mark.parametrize(
    "text", ["", "$", "$a > > 1", "$a in", "$a in [", "$a in [$b]", "f(", "$a not 1", "1 ; 2", "$a # 1"]
)
def test_unreadable_rule_is_refused(text: str) -> None:
    with pytest.raises(UnreadableRuleError):
        parse_rule(text)
