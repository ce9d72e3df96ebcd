"""An interpreter of Amazon Fraud Detector's rule expressions, for tests alone: it shares no code with the importer.

It walks the text of a rule with an event's variables at hand. A missing variable has its default; what has no value (a
division by zero) is unknown, and so is what depends on it; an unknown rule does not match.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

_LEXEME = re.compile(
    r"""\s*("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|\d+\.?\d*|[$@]?[A-Za-z_]\w*|&&|\|\||[<>=!]=|[-+*/%()<>!,\[\]])"""
)
_ORDER: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Rules:
    """The rules of an exported detector version.

    Args:
        exported: elements of the API's answers.
    """

    def __init__(self, exported: Mapping[str, Any]) -> None:
        version = exported["version"]
        by_id = {(rule["ruleId"], rule["ruleVersion"]): rule for rule in exported["rules"]}
        self._rules = [by_id[each["ruleId"], each["ruleVersion"]] for each in version["rules"]]
        self._stops = version["ruleExecutionMode"] == "FIRST_MATCHED"
        self._variables = {each["name"]: each for each in exported["variables"]}
        self._lists = exported["lists"]

    def matched(self, given: Mapping[str, str], scores: Mapping[str, float]) -> list[str]:
        """Ids of the rules that match an event with these variables and scores."""
        found = []
        for rule in self._rules:
            if _Walk(rule["expression"], self, given, scores).value() is True:
                found.append(rule["ruleId"])
                if self._stops:
                    break
        return found

    def value(self, name: str, given: Mapping[str, str], scores: Mapping[str, float]) -> Any:
        """A variable as a rule sees it."""
        if name in scores:
            return scores[name]
        variable = self._variables[name]
        text = given.get(name, variable["defaultValue"])
        if variable["dataType"] in ("FLOAT", "INTEGER"):
            return float(text)
        return text.lower() == "true" if variable["dataType"] == "BOOLEAN" else text

    def elements(self, name: str) -> Sequence[str]:
        """The elements of a list."""
        return self._lists[name]  # type: ignore[no-any-return]


class _Walk:
    def __init__(self, text: str, rules: Rules, given: Mapping[str, str], scores: Mapping[str, float]) -> None:
        self._lexemes, place = [], 0
        while place < len(text.rstrip()):
            found = _LEXEME.match(text, place)
            assert found is not None, text[place:]
            self._lexemes.append(found[1])
            place = found.end()
        self._at = 0
        self._rules, self._given, self._scores = rules, given, scores

    def value(self) -> Any:
        found = self._either()
        assert self._at == len(self._lexemes), self._lexemes[self._at :]
        return found

    def _next(self, *wanted: str) -> str | None:
        if self._at < len(self._lexemes) and self._lexemes[self._at].lower() in wanted:
            self._at += 1
            return self._lexemes[self._at - 1].lower()
        return None

    def _either(self) -> Any:
        parts = [self._both()]
        while self._next("or", "||"):
            parts.append(self._both())
        if len(parts) == 1:
            return parts[0]
        return True if True in parts else None if None in parts else False

    def _both(self) -> Any:
        parts = [self._unless()]
        while self._next("and", "&&"):
            parts.append(self._unless())
        if len(parts) == 1:
            return parts[0]
        return False if False in parts else None if None in parts else True

    def _unless(self) -> Any:
        if self._next("!", "not"):
            inner = self._unless()
            return None if inner is None else not inner
        return self._compared()

    def _compared(self) -> Any:
        begins = self._at
        left = self._sum()
        if (sign := self._next("==", "!=", "<", "<=", ">", ">=")) is not None:
            if self._next("null"):
                name = self._lexemes[begins].removeprefix("$")
                return (name not in self._given) is (sign == "==")
            return _compare(sign, left, self._sum())
        turned = self._next("not") is not None
        if self._next("in"):
            among = self._among()
            return any(_compare("==", left, each) for each in among) is not turned
        return left

    def _among(self) -> Sequence[Any]:
        lexeme = self._lexemes[self._at]
        if lexeme.startswith("@"):
            self._at += 1
            return self._rules.elements(lexeme[1:])
        assert self._next("[")
        found = [self._sum()]
        while self._next(","):
            found.append(self._sum())
        assert self._next("]")
        return found

    def _sum(self) -> Any:
        left = self._product()
        while (sign := self._next("+", "-")) is not None:
            right = self._product()
            left = None if left is None or right is None else left + right if sign == "+" else left - right
        return left

    def _product(self) -> Any:
        left = self._single()
        while (sign := self._next("*", "/", "%")) is not None:
            right = self._single()
            if left is None or right is None or (sign != "*" and right == 0):
                left = None
            else:
                left = left * right if sign == "*" else left / right if sign == "/" else left % right
        return left

    def _single(self) -> Any:
        if self._next("-"):
            inner = self._single()
            return None if inner is None else -inner
        if self._next("("):
            inner = self._either()
            assert self._next(")")
            return inner
        lexeme = self._lexemes[self._at]
        self._at += 1
        if lexeme[0] in "\"'":
            return re.sub(r"""\\(["'])""", r"\1", lexeme[1:-1])
        if lexeme[0].isdigit():
            return float(lexeme)
        if lexeme[0] == "$":
            return self._rules.value(lexeme[1:], self._given, self._scores)
        if lexeme.lower() in ("true", "false"):
            return lexeme.lower() == "true"
        return self._called(lexeme.lower())

    def _called(self, name: str) -> Any:
        assert self._next("(")
        arguments = [self._either()]
        while self._next(","):
            arguments.append(self._either())
        assert self._next(")")
        if name == "regex_match":
            pattern, text = arguments
            return re.fullmatch(pattern, text) is not None
        (text,) = arguments
        return {"lowercase": text.lower(), "uppercase": text.upper()}[name]


def _compare(sign: str, left: Any, right: Any) -> bool | None:
    if left is None or right is None:
        return None
    if isinstance(left, str) is not isinstance(right, str):
        left, right = (each if isinstance(each, str) else f"{each:.15g}" for each in (left, right))
    if sign in ("==", "!="):
        return (left == right) is (sign == "==")
    return _ORDER[sign](left, right)
