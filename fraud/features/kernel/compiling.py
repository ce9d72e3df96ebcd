"""How the kernel's functions are compiled, and those that Python calls kept on disk.

Numba takes a cached function for current as long as the file that holds it has not changed. Into these functions all
others of the kernel are compiled, and numbers of other files with them; so here a function is current only as long as
no source has changed that could be part of it. The others are not cached: their arguments have types of the kernel's
own, and numba cannot read an index that names a type that is gone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba as nb
from numba.core.caching import CompileResultCacheImpl, FunctionCache

_KERNEL = Path(__file__).parent
_SOURCES = hashlib.sha256(
    b"".join(file.read_bytes() for file in (*sorted(_KERNEL.glob("*.py")), _KERNEL.parent / "aggregates.py"))
).digest()


def _stamped(locator: type[Any]) -> type[Any]:
    """A place for cached functions that takes them for current while `_SOURCES` is the same."""
    return type(locator.__name__, (locator,), {"get_source_stamp": lambda _: _SOURCES})


class _Places(CompileResultCacheImpl):  # type: ignore[misc]
    _locator_classes = tuple(_stamped(locator) for locator in CompileResultCacheImpl._locator_classes)


class _Cache(FunctionCache):  # type: ignore[misc]
    _impl_class = _Places


def cached(function: Callable[..., Any]) -> Any:
    """Compiles a function when it is first called in this environment, for all later processes too."""
    dispatcher = compiled(function)
    dispatcher._cache = _Cache(function)
    return dispatcher


compiled = nb.njit(_nrt=False)
"""Compiles a function that others of the kernel call.

The kernel allocates nothing, so numba's run-time memory is left out, and with it the counting of references at every
slice of an array, which took two thirds of the time. A function that does allocate does not compile.
"""

inlined = nb.njit(forceinline=True, _nrt=False)
"""Compiles a function into its one caller, where handing over `Now` would take longer than what it computes."""
