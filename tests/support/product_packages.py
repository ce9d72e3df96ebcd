"""The product without what only development installs, as `make demo` and the images have it."""

from __future__ import annotations

import importlib.metadata
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]


def pinned(lock: Path) -> dict[str, str]:
    """The packages of a lock file, with their versions."""
    return dict(re.findall(r"^([a-z][a-z0-9.-]*)==(\S+)", lock.read_text(), re.MULTILINE))


def tools() -> frozenset[str]:
    """The modules that none of the product's packages provides, and the product itself does not."""
    product = pinned(ROOT / "requirements.txt").keys() | {"card-fraud-streaming", "pip"}
    return frozenset(
        module
        for module, providers in importlib.metadata.packages_distributions().items()
        if not {re.sub(r"[-_.]+", "-", each).lower() for each in providers} & product
    )


def without_tools(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment whose Python programs do not find them."""
    folder = str(Path(__file__).parent / "without_tools")
    path = os.pathsep.join(filter(None, [folder, environment.get("PYTHONPATH", "")]))
    return {
        **environment,
        "PYTHONPATH": path,
        "WITHOUT_TOOLS": ",".join(sorted(tools())),
        "WITHOUT_TOOLS_IN": sys.prefix,
    }
