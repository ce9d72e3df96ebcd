from __future__ import annotations

import datetime as dt
from typing import Any

import pyarrow as pa
import pytest

from fraud.decision.decide import decide
from fraud.decision.policy.compiled import CompiledPolicy
from fraud.decision.reasons import sources_of
from fraud.decision.record import VERDICT_FIELDS
from fraud.decision.rules.fields import fields_of
from fraud.decision.scorer import Contribution, RulesOnly
from fraud.declared import Declared
from fraud.entities import Entity, Velocity
from fraud.features import CATALOGUE, catalogue_with
from tests.support.decisions import FixedScorer, featured, policy, rule
from tests.support.records import NOON

LARGE = rule("large", "billing_amount_minor > 1000")
HUGE = rule("huge", "billing_amount_minor > 1000", outcome="decline", severity=90, suppressible=False)
THRESHOLDS = {"review": 0.5, "decline": 0.9}
EXPLAINED = policy(fields=fields_of(CATALOGUE), thresholds=THRESHOLDS)


def listed(kind: str, *entries: Any, of: str = "card", name: str = "the-list") -> dict[str, Any]:
    return {"name": name, "kind": kind, "of": of, "entries": list(entries)}


def one(compiled: CompiledPolicy, score: float | None = 0.0, **row: Any) -> dict[str, Any]:
    """The verdict on one transaction."""
    (verdict,) = decide(featured(row), FixedScorer([score]), compiled).to_pylist()
    return dict(verdict)


@pytest.mark.parametrize(
    ("score", "outcome"), [(0.49, "approve"), (0.5, "review"), (0.89, "review"), (0.9, "decline"), (None, "approve")]
)
def test_score_asks_from_its_thresholds_on(score: float | None, outcome: str) -> None:
    assert one(policy(thresholds=THRESHOLDS), score)["outcome"] == outcome


def test_most_severe_part_wins_and_each_part_is_recorded() -> None:
    verdict = one(policy(thresholds=THRESHOLDS, rules=[LARGE], lists=[listed("watch", "card-1")]), 0.95)

    assert verdict["outcome"] == "decline"
    assert (verdict["lists_outcome"], verdict["rules_outcome"], verdict["model_outcome"]) == (
        "review",
        "review",
        "decline",
    )
    assert verdict["lists"] == ["the-list"]
    assert verdict["rules"] == ["large"]


def test_blocked_entity_is_declined_even_when_it_is_allowed_elsewhere() -> None:
    lists = [listed("block", "DE", of="merchant_country"), listed("allow", "card-1", name="vip")]

    verdict = one(policy(lists=lists))

    assert verdict["outcome"] == "decline"
    assert verdict["reasons"] == ["merchant country DE is on the list the-list"]
    assert verdict["reason_codes"] == ["BLOCK_LIST"]


def test_allow_list_silences_model_and_suppressible_rules_only() -> None:
    compiled = policy(thresholds=THRESHOLDS, rules=[LARGE, HUGE], lists=[listed("allow", "card-1")])

    verdict = one(compiled, 0.99)

    assert verdict["outcome"] == "decline"
    assert verdict["rules"] == ["huge"]
    assert verdict["silenced_rules"] == ["large"]
    assert verdict["model_outcome"] == "approve"
    assert one(policy(thresholds=THRESHOLDS, rules=[LARGE], lists=[listed("allow", "card-1")]), 0.99)["outcome"] == (
        "approve"
    )


def test_list_entry_counts_until_it_expires_in_event_time() -> None:
    compiled = policy(lists=[listed("block", {"value": "card-1", "expires": NOON + dt.timedelta(hours=1)})])

    assert one(compiled, event_time=NOON + dt.timedelta(minutes=59))["outcome"] == "decline"
    assert one(compiled, event_time=NOON + dt.timedelta(minutes=60))["outcome"] == "approve"


def test_long_list_and_short_list_agree() -> None:
    expired = {"value": "card-2", "expires": NOON}
    short = policy(lists=[listed("block", "card-1", expired)])
    long = policy(lists=[listed("block", "card-1", expired, *(f"other-{i}" for i in range(50)))])
    batch = featured({}, {"card_token": "card-2"}, {"card_token": "card-3"})

    outcomes = [decide(batch, RulesOnly(), compiled)["outcome"].to_pylist() for compiled in (short, long)]

    assert outcomes == [["decline", "approve", "approve"]] * 2


def test_list_from_a_file_joins_the_entries() -> None:
    compiled = policy(
        files={"cards.csv": "value,expires,note\ncard-1,2026-01-16T00:00:00Z,stolen\ncard-2,,\n"},
        lists=[{"name": "stolen", "kind": "block", "of": "card", "file": "cards.csv"}],
    )

    outcomes = [one(compiled, card_token=token)["outcome"] for token in ("card-1", "card-2", "card-3")]

    assert outcomes == ["decline", "decline", "approve"]


def test_rule_asks_a_named_list_which_does_nothing_by_itself() -> None:
    compiled = policy(
        lists=[listed("named", "5967", of="mcc", name="risky")], rules=[rule("r", "in_list(mcc, 'risky')")]
    )

    assert one(compiled, mcc="5967")["rules"] == ["r"]
    assert one(compiled, mcc="5967")["lists"] == []
    assert one(compiled)["outcome"] == "approve"


def test_rule_whose_condition_is_null_does_not_fire_and_is_recorded() -> None:
    compiled = policy(rules=[rule("fast", "count_10m > 5")])

    assert (one(compiled)["rules"], one(compiled)["undefined_rules"]) == ([], ["fast"])
    assert (one(compiled, count_10m=6)["rules"], one(compiled, count_10m=6)["undefined_rules"]) == (["fast"], [])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_number_without_order_is_null(value: float) -> None:
    compiled = policy(rules=[rule("fast", "count_10m > 5 OR count_10m <= 5")])

    assert one(compiled, count_10m=value)["undefined_rules"] == ["fast"]


def test_first_segment_that_applies_gives_the_thresholds() -> None:
    compiled = policy(
        thresholds=THRESHOLDS,
        segments=[
            {"name": "online-large", "when": "channel = 'ecommerce' AND billing_amount_minor >= 1000", "review": 0.2},
            {"name": "online", "when": "channel = 'ecommerce'", "review": 0.4},
            {"name": "unknowable", "when": "count_10m > 5", "review": 0.0},
        ],
    )

    named = [
        one(compiled, 0.3, channel="ecommerce"),
        one(compiled, 0.3, channel="ecommerce", billing_amount_minor=1),
        one(compiled, 0.3),
    ]

    assert [(v["segment"], v["outcome"]) for v in named] == [
        ("online-large", "review"),
        ("online", "approve"),
        ("default", "approve"),
    ]
    assert one(compiled, 0.99, channel="ecommerce")["outcome"] == "review", "a segment without decline never declines"


def test_lists_in_shadow_are_recorded_without_effect() -> None:
    def with_list(kind: str, state: str) -> CompiledPolicy:
        trial = {"name": "trial", "kind": kind, "of": "card", "state": state, "entries": ["card-1"]}
        return policy(thresholds={"review": 0.5}, lists=[trial])

    recorded = [
        {name: verdict[name] for name in ("outcome", "lists", "shadow_rules", "shadow_outcome", "reasons")}
        for kind, score in (("block", 0.1), ("watch", 0.1), ("allow", 0.6))
        for verdict in [one(with_list(kind, "shadow"), score, card_token="card-1")]
    ]
    in_shadow = {"lists": [], "shadow_rules": ["list:trial"]}
    assert recorded[:2] == [
        {"outcome": "approve", "shadow_outcome": asked, "reasons": []} | in_shadow for asked in ("decline", "review")
    ]
    assert recorded[2]["outcome"] == "review"
    assert (recorded[2]["shadow_rules"], recorded[2]["shadow_outcome"]) == (["list:trial"], "approve")
    assert one(with_list("block", "draft"), card_token="card-1")["shadow_rules"] == []
    assert one(with_list("block", "shadow"), card_token="card-2")["shadow_rules"] == []


def test_thresholds_in_shadow_are_recorded_where_they_would_have_asked_for_something_else() -> None:
    tried = policy(
        thresholds={"review": 0.3, "decline": 0.8},
        segments=[{"name": "large", "when": "amount_minor > 5000", "review": 0.3}],
        shadow_thresholds={"default": {"review": 0.5, "decline": 0.6}},
    )
    found = {
        score: [one(tried, score, amount_minor=100)[name] for name in ("outcome", "shadow_rules", "shadow_outcome")]
        for score in (0.2, 0.4, 0.55, 0.7, 0.9)
    }
    assert found == {
        0.2: ["approve", [], "approve"],
        0.4: ["review", ["thresholds:approve"], "approve"],
        0.55: ["review", [], "review"],
        0.7: ["review", ["thresholds:decline"], "decline"],
        0.9: ["decline", [], "decline"],
    }
    assert one(tried, 0.4, amount_minor=9000)["shadow_outcome"] == "review", "another segment keeps its own"


def test_shadow_rule_is_recorded_without_effect() -> None:
    verdict = one(policy(rules=[rule("new", "amount_minor > 0", outcome="decline", state="shadow")]))

    assert verdict["outcome"] == "approve"
    assert (verdict["rules"], verdict["shadow_rules"], verdict["shadow_outcome"]) == ([], ["new"], "decline")
    assert verdict["reasons"] == []


def test_challenger_is_recorded_without_effect() -> None:
    compiled = policy(thresholds=THRESHOLDS)

    (verdict,) = decide(featured({}), FixedScorer([0.1]), compiled, FixedScorer([0.95], "m2")).to_pylist()

    assert (verdict["outcome"], verdict["score"], verdict["model_version"]) == ("approve", 0.1, "m1")
    assert (verdict["challenger_outcome"], verdict["challenger_score"], verdict["challenger_version"]) == (
        "decline",
        0.95,
        "m2",
    )


def test_reasons_come_the_most_important_first_with_values() -> None:
    rules = [
        rule("small", "amount_minor > 0", severity=10, text="any amount"),
        rule("fast", "count_10m > 5", severity=80, text="{count_10m} transactions in 10 minutes"),
        rule("never", "count_10m > 50", severity=100, outcome="decline"),
        rule("abroad", "amount_minor > 0", severity=20, outcome="decline", text="paid {amount_minor:money}"),
    ]

    verdict = one(policy(thresholds=THRESHOLDS, rules=rules), 0.6, count_10m=6)

    assert verdict["reasons"][:3] == ["paid EUR 12.34", "6 transactions in 10 minutes", "any amount"]
    assert verdict["reasons"][-1] == "the model takes it for fraud with a probability of 60 %; the limit is 50 %"
    assert verdict["reason_codes"][:3] == ["ABROAD", "FAST", "SMALL"]
    assert verdict["reason_codes"][-1] == "MODEL_SCORE"
    sources = [source.value for source in sources_of(verdict["reason_codes"], len(verdict["rules"]))]
    assert sources == ["rule"] * 3 + ["model"] * (len(sources) - 3)
    assert len(verdict["reason_codes"]) == len(verdict["reasons"])
    assert verdict["severity"] == 80


def test_model_is_asked_to_explain_only_what_its_score_raised() -> None:
    scorer = FixedScorer([0.1, 0.6, 0.2, 0.95])

    verdicts = decide(featured({}, {}, {}, {}), scorer, policy(thresholds=THRESHOLDS, rules=[LARGE])).to_pylist()

    assert scorer.explained == [2]
    assert [len(v["reasons"]) for v in verdicts] == [1, 3, 1, 3]


def test_models_reasons_go_both_ways_the_largest_first_beside_what_is_usual_for_this_card() -> None:
    class Explained(FixedScorer):
        def explain(self, features: pa.RecordBatch) -> list[list[Contribution]]:
            shares = [
                Contribution("card_new_merchant_30d", 0.0, -2.0),
                Contribution("card_count_10m", 6.0, 1.5),
                Contribution("card_speed_kmh", None, -0.1),
            ]
            return [shares for _ in range(features.num_rows)]

    batch = featured({}, {}).append_column("card_count_30d", pa.array([6.0, 36.0]))

    verdicts = decide(batch, Explained([0.1, 0.95]), EXPLAINED).to_pylist()

    assert verdicts[1]["reason_codes"] == [
        "AGAINST_CARD_NEW_MERCHANT_30D", "CARD_COUNT_10M", "AGAINST_CARD_SPEED_KMH", "MODEL_SCORE"
    ]  # fmt: skip
    assert verdicts[1]["reasons"][:3] == [
        "against it: this card has paid at this merchant before, within 30 days",
        "6 payments of this card in 10 minutes; usually about 1 a day",
        "against it: how fast this card would have travelled is not known",
    ]


def test_rules_and_model_say_in_words_what_a_deployment_declares() -> None:
    class Explained(FixedScorer):
        def explain(self, features: pa.RecordBatch) -> list[list[Contribution]]:
            shares = [Contribution("customer_count_1h", 4.0, 2.0), Contribution("customer_cards_1h", 1.0, -1.0)]
            return [shares for _ in range(features.num_rows)]

    customer = Entity("customer", ("customer_id",), "customer", velocity=Velocity(windows="1h 24h"))
    fields = fields_of(catalogue_with(Declared(entities=(customer,))).features)
    texts = "{customer_count_1h:counted}: {customer_count_1h:words}; {customer_cards_24h:words}"
    busy = rule("busy", "customer_count_1h >= 4", text=texts)
    batch = featured({})
    values = {"customer_count_1h": 4.0, "customer_count_24h": 9.0, "customer_cards_1h": 1.0, "customer_cards_24h": None}
    for name, value in values.items():
        batch = batch.append_column(name, pa.array([value], pa.float64()))

    compiled = policy(fields=fields, thresholds=THRESHOLDS, rules=[busy])
    (verdict,) = decide(batch, Explained([0.95]), compiled).to_pylist()

    assert verdict["reasons"][:-1] == [
        "4 payments: 4 payments of this customer in an hour; 9 in 24 hours; "
        "how many cards this customer had in 24 hours is not known",
        "4 payments of this customer in an hour; 9 in 24 hours",
        "against it: 1 card for this customer in an hour",
    ]
    assert sources_of(verdict["reason_codes"], len(verdict["rules"])) == ["rule", "model", "model", "model"]


def test_model_says_nothing_twice() -> None:
    class Explained(FixedScorer):
        def explain(self, features: pa.RecordBatch) -> list[list[Contribution]]:
            shares = [
                Contribution("card_max_24h", None, -1.0),
                Contribution("card_mean_24h", None, -0.9),
                Contribution("tx_is_night", 1.0, 0.5),
            ]
            return [shares for _ in range(features.num_rows)]

    (verdict,) = decide(featured({}), Explained([0.95]), EXPLAINED).to_pylist()

    assert verdict["reasons"][:-1] == [
        "against it: nothing was spent with this card in 24 hours",
        "paid between midnight and 7 o'clock UTC",
    ]
    assert verdict["reason_codes"] == ["AGAINST_CARD_MAX_24H", "TX_IS_NIGHT", "MODEL_SCORE"]


def test_without_a_model_rules_decide_and_the_record_says_so() -> None:
    (verdict,) = decide(featured({}), RulesOnly(), policy(thresholds=THRESHOLDS, rules=[LARGE])).to_pylist()

    assert (verdict["outcome"], verdict["scored_by"], verdict["score"], verdict["model_version"]) == (
        "review",
        "rules_only",
        None,
        None,
    )


def test_verdict_has_the_declared_schema_also_for_an_empty_batch_and_an_empty_policy() -> None:
    for batch in (featured({}), featured({}).slice(0, 0)):
        scorer = FixedScorer([0.1] * batch.num_rows)
        verdict = decide(batch, scorer, policy())
        assert verdict.schema == pa.schema(VERDICT_FIELDS)
        verdict.validate(full=True)
        assert verdict.num_rows == batch.num_rows


def test_policy_with_every_part_decides_an_empty_batch() -> None:
    compiled = policy(
        thresholds=THRESHOLDS,
        rules=[LARGE],
        lists=[listed("block", "card-1")],
        segments=[{"name": "s", "when": "mcc = '5411'", "review": 0.1}],
    )

    assert decide(featured({}).slice(0, 0), FixedScorer([]), compiled).num_rows == 0
