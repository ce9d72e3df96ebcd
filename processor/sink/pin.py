"""Pins policy and model version of a batch before it scores, so that every attempt of it decides alike."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from adapters.archive import Archive
from fraud.archive_layout import pin_key, policy_key
from fraud.policy.bundle import PolicyBundle


class Pin(NamedTuple):
    """The versions that a batch uses."""

    policy_version: str
    model_version: str | None


class Pins:
    """The pins of a query.

    Args:
        archive: where they are kept.
        query: its name.
    """

    def __init__(self, archive: Archive, query: str) -> None:
        self._archive = archive
        self._query = query
        self._stored: set[str] = set()

    def pin(self, batch_id: int, policy: PolicyBundle, model_version: str | None) -> Pin:
        """Pins the versions at hand, or takes over what another task or attempt pinned first.

        The policy's files are stored under their version before a pin names it, so that a later attempt finds them.
        """
        if policy.version not in self._stored:
            self._archive.put_new(policy_key(policy.version), policy.to_bytes())
            self._stored.add(policy.version)
        key, pin = pin_key(self._query, batch_id), Pin(policy.version, model_version)
        if self._archive.put_new(key, msgspec.json.encode(pin)):
            return pin
        standing = self._archive.get(key)
        assert standing is not None, f"{key} was taken and is gone: nothing may delete from the archive while writing"
        return msgspec.json.decode(standing, type=Pin)


def stored_policy(archive: Archive, version: str) -> PolicyBundle:
    """The files of a pinned policy version."""
    data = archive.get(policy_key(version))
    assert data is not None, f"policy {version} is pinned but not stored"
    return PolicyBundle.from_bytes(data)
