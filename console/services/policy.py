"""The policy as its files and lists are now, compiled again only where it changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from fraud.decision.policy.bundle import PolicyBundle
from fraud.decision.policy.compiled import CompiledPolicy


class Store(Protocol):
    """Where the policy lies."""

    def read(self) -> PolicyBundle: ...  # noqa: D102

    def write(self, before: PolicyBundle, after: PolicyBundle) -> bool: ...  # noqa: D102


class PolicyNow:
    """Call it for the policy.

    Args:
        store: of the policy.
        compile_bundle: checks a policy and makes it ready.
    """

    def __init__(self, store: Store, compile_bundle: Callable[[PolicyBundle], CompiledPolicy]) -> None:
        self._store = store
        self._compile = compile_bundle
        self._known: CompiledPolicy | None = None

    def __call__(self) -> CompiledPolicy:
        """Reads it.

        Raises:
            PolicyError: it does not compile.
        """
        bundle = self._store.read()
        known = self._known
        if known is None or known.bundle.files_version != bundle.files_version:
            known = self._known = self._compile(bundle)
        elif known.version != bundle.version:
            known = self._known = known.with_lists(bundle.lists)
        return known
