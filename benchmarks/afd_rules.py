"""An interpreter of Amazon Fraud Detector's rules, written apart from the importer and the core to compare them with.

It reads what was exported and knows nothing of mappings, policies or transactions: a rule becomes a Python expression
over the event's variables.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_TOKEN = re.compile(
    r"""(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|\$(?P<missing>\w+)\s*(?P<test>==|!=)\s*null\b|\$(?P<variable>\w+)"""
    r"""|@(?P<list>\w+)|(?P<differs>!=)|(?P<negation>!)|(?P<both>&&)|(?P<either>\|\|)""",
    re.ASCII,
)


class _Text(str):
    """A text that is equal to the number that it writes."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return str(self) == (f"{other:.15g}" if isinstance(other, int | float) else other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(str(self))


class Interpreter:
    """The rules of a detector version.

    Args:
        exported: elements of the API's answers, as `fraud import-afd` leaves them in detector.json.
        without: ids of rules that are left out.
    """

    def __init__(self, exported: Mapping[str, Any], without: frozenset[str] = frozenset()) -> None:
        known = {(rule["ruleId"], rule["ruleVersion"]): rule for rule in exported["rules"]}
        version = exported["version"]
        self._rules = [
            (rule["ruleId"], rule["outcomes"], compile(_python(rule["expression"]), rule["ruleId"], "eval"))
            for rule in (known[reference["ruleId"], reference["ruleVersion"]] for reference in version["rules"])
            if rule["ruleId"] not in without
        ]
        self._first_only = version["ruleExecutionMode"] == "FIRST_MATCHED"
        self._variables = {variable["name"]: variable for variable in exported["variables"]}
        self._lists = exported["lists"]

    def results(self, given: Mapping[str, str], scores: Mapping[str, float]) -> list[dict[str, Any]]:
        """The `ruleResults` of an event with these variables, where the model gives these scores."""
        values = {name: self._typed(name, given.get(name)) for name in self._variables} | dict(scores)
        names = {
            "v": values,
            "listed": self._lists,
            "missing": lambda name: name not in given,
            "regex_match": lambda pattern, value: re.fullmatch(pattern, value) is not None,
            "lowercase": lambda value: _Text(value.lower()),
            "uppercase": lambda value: _Text(value.upper()),
            "__builtins__": {},
        }
        found = [
            {"ruleId": rule_id, "outcomes": outcomes} for rule_id, outcomes, code in self._rules if eval(code, names)
        ]
        return found[:1] if self._first_only else found

    def _typed(self, name: str, text: str | None) -> Any:
        variable = self._variables[name]
        value = variable.get("defaultValue", "") if text is None else text
        return float(value) if variable["dataType"] in ("FLOAT", "INTEGER") else _Text(value)


def _python(expression: str) -> str:
    """The rule as a Python expression."""

    def written(found: re.Match[str]) -> str:
        if found["missing"]:
            return f"{'' if found['test'] == '==' else 'not '}missing('{found['missing']}')"
        if found["variable"]:
            return f"v['{found['variable']}']"
        if found["text"]:
            return repr(re.sub(r"""\\(["'])""", r"\1", found["text"][1:-1]))
        if found["list"]:
            return f"listed['{found['list']}']"
        if found["negation"]:
            return " not "
        return " and " if found["both"] else " or " if found["either"] else found[0]

    return _TOKEN.sub(written, expression).strip()
