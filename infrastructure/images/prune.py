"""Uninstalls what the programs do not need from the environment that runs this: `python prune.py PYPROJECT [NAME ...]`.

The lock holds the development tools, too. What stays follows from the dependencies in `pyproject.toml`, without those
named, and from what these require themselves.
"""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path


def name_of(requirement: str) -> str:
    """The distribution that a requirement names, in its normal form.

    >>> name_of("Uvicorn[standard]>=0.3; python_version > '3'")
    'uvicorn'
    """
    return re.sub(r"[-_.]+", "-", re.split(r"[\s\[<>=!~;(]", requirement.strip(), maxsplit=1)[0]).lower()


def needed(roots: set[str], requires: dict[str, list[str]]) -> set[str]:
    """The roots and all that they require, as far as it is installed.

    >>> sorted(needed({"a"}, {"a": ["b", "absent"], "b": ["a"], "c": []}))
    ['a', 'b']
    """
    found: set[str] = set()
    waiting = set(roots)
    while waiting:
        name = waiting.pop()
        if name in requires and name not in found:
            found.add(name)
            waiting.update(requires[name])
    return found


def main(pyproject: Path, without: set[str]) -> None:
    """Uninstalls the rest."""
    project = tomllib.loads(pyproject.read_text())["project"]
    requires = {
        name_of(found.metadata["Name"]): [name_of(each) for each in found.requires or [] if "extra ==" not in each]
        for found in importlib.metadata.distributions()
    }
    keep = needed({name_of(each) for each in project["dependencies"]} - without, requires) | {"pip"}
    rest = sorted(requires.keys() - keep)
    subprocess.run([sys.executable, "-m", "pip", "uninstall", "--yes", "--quiet", *rest], check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), set(sys.argv[2:]))
