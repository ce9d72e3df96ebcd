"""YAML in which a key that is given twice is an error: PyYAML lets the last one win, and what came before is gone."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any

import yaml


class _Strict(yaml.CSafeLoader):  # libyaml's is several times faster than the one in Python
    """Refuses a mapping that gives a key twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        given = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if key in given:
                raise yaml.constructor.ConstructorError(None, None, f"{key} is given twice", key_node.start_mark)
            given.add(key)
        return super().construct_mapping(node, deep)


def load(text: str) -> Any:
    """What a document says.

    Raises:
        yaml.YAMLError: it is no YAML, or gives a key twice; with the place.

    >>> load("a: 1")
    {'a': 1}
    """
    return yaml.load(text, _Strict)


def load_all(text: str) -> Iterator[Any]:
    """What each document of a text says; see `load`."""
    yield from yaml.load_all(text, _Strict)
