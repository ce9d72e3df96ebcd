"""Reads the YAML that people write: no file can hang or end a program, and each is refused in one way, with its place.

Before anything is built, the text is read once for its shape: how long, how deep, how much its aliases multiply, and
whether a key comes twice. Values that YAML 1.1 reads otherwise than they look are refused rather than guessed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from fraud.errors import MisconfiguredError

MAX_CHARACTERS = 1 << 20
MAX_DEPTH = 32
"""Mappings and lists within each other."""

MAX_REPEATED = 10_000
"""Nodes that aliases add to those written out."""

_MAX_NUMBER = 40
"""Characters of a number."""

_LONGEST_FAULT = 300
_INTEGER, _FLOAT = "tag:yaml.org,2002:int", "tag:yaml.org,2002:float"
_LOOKS_OTHERWISE = re.compile(r"[-+]?0[0-9_]+|.*:.*", re.DOTALL)
"""Octal (010 is 8) and sexagesimal (22:30 is 1350)."""

ModelT = TypeVar("ModelT", bound=BaseModel)


class DocumentError(MisconfiguredError):
    """A file whose content is refused.

    Attributes:
        faults: a line for each, with its place in the file.
    """

    def __init__(self, name: str, faults: Sequence[str]) -> None:
        self.faults = [_printable(fault) for fault in faults]
        more = f" (and {len(faults) - 1} more faults)" if len(faults) > 1 else ""
        super().__init__(name, self.faults[0] + more)


def _printable(text: str) -> str:
    """A text in one line in which everything can be seen, whatever a file's keys and values hold."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def parse_yaml(name: str, text: str) -> Any:
    """The values of a document: dictionaries, lists, texts, numbers that fit into 64 bits, times, None where empty.

    Args:
        name: what people call it, for the error.
        text: the document.

    Raises:
        DocumentError: it is not YAML, or larger, deeper, more repetitive or more ambiguous than a person writes.

    >>> parse_yaml("costs.yaml", "review: 4")
    {'review': 4}
    >>> parse_yaml("costs.yaml", "review: 4\\nreview: 5")
    Traceback (most recent call last):
    fraud.documents.DocumentError: costs.yaml: line 2, column 1: review is given twice
    """
    check_shape(name, text)
    try:
        return yaml.load(text, _Loader)
    except Exception as error:
        raise _refused(name, error) from None


def parse_json(name: str, text: str | bytes) -> Any:
    """The values of a JSON document.

    Raises:
        DocumentError: it is not JSON, or nested deeper than Python reads.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DocumentError(name, [f"not JSON: {error}"[:_LONGEST_FAULT]]) from None


def read_document(name: str, text: str, model: type[ModelT]) -> ModelT:
    """A document as a model; an empty one has the model's defaults.

    Raises:
        DocumentError: it is no document, or does not fit the model; with every fault.
    """
    content = parse_yaml(name, text)
    try:
        return model.model_validate({} if content is None else content)
    except ValidationError as error:
        raise DocumentError(name, explain(error)) from None
    except Exception as error:  # a validator met what it was not written for
        raise DocumentError(name, [f"{type(error).__name__}: {error}"[:_LONGEST_FAULT]]) from None


def explain(error: ValidationError) -> list[str]:
    """What a model refuses, a line for each fault, with its place.

    >>> class Costs(BaseModel):
    ...     review: float
    >>> try:
    ...     Costs.model_validate({"review": "much"})
    ... except ValidationError as error:
    ...     explain(error)
    ["review: Input should be a valid number, unable to parse string as a number, got 'much'"]
    """
    return [_explained(fault) for fault in error.errors()]


def problem_of(fault: ErrorDetails) -> str:
    """What is wrong with a value, and what to write, in the words of a person's file rather than of a program's types.

    >>> class Costs(BaseModel):
    ...     reviews: tuple[int, ...]
    >>> try:
    ...     Costs.model_validate({"reviews": 4})
    ... except ValidationError as error:
    ...     problem_of(error.errors()[0])
    'write a list'
    """
    kind = fault["type"]
    if kind in _EXPECTED:
        return f"write {_EXPECTED[kind]}"
    if kind == "too_long":
        return f"has {fault['ctx']['actual_length']:,}, more than {fault['ctx']['max_length']:,}"
    return fault["msg"].removeprefix("Value error, ")


_EXPECTED = {
    **dict.fromkeys(("tuple_type", "list_type", "set_type", "frozen_set_type"), "a list"),
    **dict.fromkeys(("dict_type", "mapping_type", "model_type", "model_attributes_type"), "keys with values"),
    **dict.fromkeys(("dataclass_type", "dataclass_exact_type"), "keys with values"),
    "string_type": "a text, in quotes where YAML takes it for something else",
}
"""What a value of another type should have been, by pydantic's name for the fault."""


def line_of(text: str, place: Sequence[str | int]) -> int:
    """The line of a value, or of the innermost one around it that the document has; lines count from 1.

    Args:
        text: the document, which is YAML.
        place: keys and numbers on the way to the value.

    >>> line_of("rules:\\n  - id: a\\n  - id: b", ("rules", 1, "id"))
    3
    """
    node = yaml.compose(text, yaml.CSafeLoader)
    line = 1
    for part in place:
        inner = None
        if isinstance(node, yaml.MappingNode):
            inner = next(((key, value) for key, value in node.value if key.value == part), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            inner = (node.value[part], node.value[part])
        if inner is None:
            break
        line, node = inner[0].start_mark.line + 1, inner[1]
    return line


def check_shape(name: str, text: str) -> None:
    """Refuses what `parse_yaml` refuses without building it.

    Raises:
        DocumentError: with the place.
    """
    if len(text) > MAX_CHARACTERS:
        raise DocumentError(name, [f"has {len(text):,} characters, more than {MAX_CHARACTERS:,}"])
    try:
        shape = _Shape()
        for event in yaml.parse(text, yaml.CSafeLoader):
            shape.take(event)
    except Exception as error:
        raise _refused(name, error) from None


class _Open:
    """A mapping or list that is being read."""

    def __init__(self, anchor: str | None, mapping: bool) -> None:
        self.anchor = anchor
        self.mapping = mapping
        self.size = 1
        self.keys: set[str] = set()
        self.at_key = mapping


class _Shape:
    """Counts as the parser goes along, so that nothing is built which is not going to be used."""

    def __init__(self) -> None:
        self._open: list[_Open] = []
        self._sizes: dict[str, int] = {}
        self._repeated = 0

    def take(self, event: yaml.Event) -> None:
        """Takes the next event; raises yaml.MarkedYAMLError for what is refused."""
        if isinstance(event, yaml.ScalarEvent):
            self._node(event, 1, event.value)
            if event.anchor is not None:
                self._sizes[event.anchor] = 1
        elif isinstance(event, yaml.CollectionStartEvent):
            if len(self._open) == MAX_DEPTH:
                raise _fault(event, f"more than {MAX_DEPTH} levels of nesting")
            self._open.append(_Open(event.anchor, isinstance(event, yaml.MappingStartEvent)))
        elif isinstance(event, yaml.CollectionEndEvent):
            closed = self._open.pop()
            if closed.anchor is not None:
                self._sizes[closed.anchor] = closed.size
            self._node(event, closed.size, None)
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event)

    def _alias(self, event: yaml.AliasEvent) -> None:
        if any(within.anchor == event.anchor for within in self._open):
            raise _fault(event, f"*{event.anchor} contains itself")
        size = self._sizes.get(str(event.anchor), 1)
        self._repeated += size
        if self._repeated > MAX_REPEATED:
            raise _fault(event, f"aliases repeat more than {MAX_REPEATED:,} values")
        self._node(event, size, None)

    def _node(self, event: yaml.Event, size: int, text: str | None) -> None:
        """Counts a whole value, or a key, in what it lies in."""
        if not self._open:
            return
        within = self._open[-1]
        within.size += size
        if within.at_key and text is not None:
            if text in within.keys:
                raise _fault(event, f"{text[:80]} is given twice")
            within.keys.add(text)
        within.at_key = within.mapping and not within.at_key


class _Loader(yaml.CSafeLoader):
    """Builds values, and says where one could not be built."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        if node.tag in (_INTEGER, _FLOAT) and isinstance(node, yaml.ScalarNode):
            _check_number(node)
        try:
            value = super().construct_object(node, deep)
        except yaml.YAMLError:
            raise
        except Exception as error:  # e.g. ValueError for a day that its month does not have
            shown = str(getattr(node, "value", ""))[:80]
            raise yaml.MarkedYAMLError(problem=f"{shown}: {error}", problem_mark=node.start_mark) from None
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise yaml.MarkedYAMLError(problem="a number that needs more than 64 bits", problem_mark=node.start_mark)
        return value


def _check_number(node: yaml.ScalarNode) -> None:
    if len(node.value) > _MAX_NUMBER:
        problem = f"a number of {len(node.value):,} characters; a text of digits needs quotes"
        raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
    if _LOOKS_OTHERWISE.fullmatch(node.value):
        problem = f"YAML reads {node.value} as another number; write it as a plain decimal, or in quotes as text"
        raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)


def _fault(event: yaml.Event, problem: str) -> yaml.MarkedYAMLError:
    mark: Any = event.start_mark  # of either parser
    return yaml.MarkedYAMLError(problem=problem, problem_mark=mark)


def _refused(name: str, error: Exception) -> DocumentError:
    """Whatever the parser ended in, as an error of ours."""
    said = str(error) or type(error).__name__
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        said = f"line {mark.line + 1}, column {mark.column + 1}: {error.problem or error.context}"
    ours = type(error) is yaml.MarkedYAMLError
    return DocumentError(name, [" ".join((said if ours else f"not YAML: {said}").split())[:_LONGEST_FAULT]])


def _explained(fault: ErrorDetails) -> str:
    place = ".".join(str(part) for part in fault["loc"])
    if fault["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"{place}: no such key"
    if fault["type"] == "missing":
        return f"{place}: missing"
    given = fault["input"]
    got = f", got {_got(given)}" if fault["type"] != "too_long" else ""
    return f"{place}{': ' if place else ''}{problem_of(fault)}{got}"[:_LONGEST_FAULT]


def _got(given: Any) -> str:
    """A value as its writer sees it; of a list or of keys that it is one, as it may fill pages."""
    if given is None:
        return "nothing"
    if isinstance(given, dict):
        return "keys with values"
    return "a list" if isinstance(given, list | tuple) else repr(given)
