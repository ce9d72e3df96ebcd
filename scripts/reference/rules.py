"""The reference page of rules: the language, the document's keys, the shipped rules. Generated, so it is current."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel

from fraud.backtest.costs import CostSheet
from fraud.decision.policy.compiled import CompiledPolicy
from fraud.decision.policy.document import (
    ENTITY_FIELDS,
    TEXT,
    ConfirmedList,
    EntityList,
    ListEntry,
    PolicyDocument,
    Segment,
    Thresholds,
    VelocityLimit,
)
from fraud.decision.rules.functions import FUNCTIONS
from fraud.decision.rules.rule import Measured, Rule
from fraud.decision.rules.text import FORMAT_NAMES

_DOCUMENTS: tuple[tuple[str, type[BaseModel]], ...] = (
    ("Policy", PolicyDocument),
    ("Rule", Rule),
    ("Velocity limit", VelocityLimit),
    ("What a backtest measured of a rule", Measured),
    ("Thresholds", Thresholds),
    ("Segment", Segment),
    ("List", EntityList),
    ("List entry", ListEntry),
    ("List of confirmed fraud", ConfirmedList),
    ("Cost sheet of a backtest", CostSheet),
)


def rules_page(shipped: CompiledPolicy) -> str:
    """The page, in Markdown."""
    lines = [
        "# Rules: reference",
        "",
        "Generated from the code and from `config/policy.yaml`. How to work with rules: [rules](../rules.md).",
        "",
        "## Functions",
        "",
        "| function | result | meaning |",
        "|---|---|---|",
        *_functions(),
        "",
        f"Formats of values in texts: {', '.join(f'`{name}`' for name in FORMAT_NAMES)}.",
        "",
        f"Lists may be of: {', '.join(f'{name} (`{field}`)' for name, field in ENTITY_FIELDS.items())}; named ones"
        f" also of {TEXT}: of whatever field or variable a rule asks them for.",
    ]
    for title, document in _DOCUMENTS:
        lines += ["", f"## {title}", "", (document.__doc__ or "").strip(), "", "| key | meaning |", "|---|---|"]
        lines += [f"| `{name}` | {field.description or ''} |" for name, field in document.model_fields.items()]
    lines += ["", "## Shipped rules", ""]
    lines += [
        "| rule | state | for | asks for | severity | reason | looks for |",
        "|---|---|---|---|---|---|---|",
        *_rules(shipped),
    ]
    return "\n".join(lines) + "\n"


def _functions() -> Iterator[str]:
    for name, function in FUNCTIONS.items():
        arguments = ", ".join([*function.arguments, *(["…"] if function.repeats else [])])
        yield f"| `{name}({arguments})` | {function.result} | {function.meaning} |"
    yield "| `coalesce(a, b, …)` | as its values | the first that is not null |"
    yield "| `in_list(field, 'list')` | boolean | whether the field's value is on the list at event time |"


def _found(rule: Rule) -> str:
    """What was measured of a rule, in words."""
    found = rule.measured
    if found is None:
        return ""
    precise = f", {found.true_cases / found.cases:.0%} true" if found.cases else ""
    return f"<br>{found.data}: {found.cases} cases{precise}; only it {found.only_cases}, {found.only_true_cases} true"


def _rules(shipped: CompiledPolicy) -> Iterator[str]:
    everything = [compiled.rule for compiled in (*shipped.rules, *shipped.idle_rules)]
    for rule in everything:
        condition = " ".join(rule.when.split()).replace("|", "\\|")
        about = f"; about {' and '.join(rule.about).replace('_', ' ')}" if rule.about else ""
        looks_for = f"{rule.description}<br>`{condition}`{about}{_found(rule)}"
        cells = (f"`{rule.id}`", rule.state, rule.purpose, rule.outcome, rule.severity, f"`{rule.reason}`", looks_for)
        yield f"| {' | '.join(map(str, cells))} |"
