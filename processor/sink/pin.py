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


def pin_batch(archive: Archive, query: str, batch_id: int, policy: PolicyBundle, model_version: str | None) -> Pin:
    """Pins the versions at hand, or takes over what another task or attempt pinned first.

    The policy's files are stored under their version before the pin names it, so that a later attempt finds them.
    """
    key = pin_key(query, batch_id)
    standing = archive.get(key)
    if standing is None:
        archive.put_new(policy_key(policy.version), policy.to_bytes())
        pin = Pin(policy.version, model_version)
        if archive.put_new(key, msgspec.json.encode(pin)):
            return pin
        standing = archive.get(key)
        assert standing is not None
    return msgspec.json.decode(standing, type=Pin)


def stored_policy(archive: Archive, version: str) -> PolicyBundle:
    """The files of a pinned policy version."""
    data = archive.get(policy_key(version))
    assert data is not None, f"policy {version} is pinned but not stored"
    return PolicyBundle.from_bytes(data)
