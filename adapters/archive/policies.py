"""The policies that decided something, as the archive keeps them."""

from __future__ import annotations

from dataclasses import replace

from adapters.archive.archive import Archive
from adapters.archive.layout import policy_key
from adapters.policy.lists import ListStore
from fraud.decision.policy.bundle import PolicyBundle, lists_version
from fraud.errors import MisconfiguredError


def stored_policy(archive: Archive, version: str, lists: ListStore | None) -> PolicyBundle:
    """The files of a policy version that decided something, with the living lists as they were.

    Args:
        archive: keeps the files.
        version: of the policy with its lists.
        lists: keeps the lists; None where there are none.

    Raises:
        MisconfiguredError: files or lists of this version are not there.
    """
    data = archive.get(policy_key(version))
    if data is None:
        raise MisconfiguredError("archive", f"{archive.address} does not keep policy {version}, which decided")
    bundle, listed = PolicyBundle.from_bytes(data), lists_version(version)
    if not listed:
        return bundle
    if lists is None:
        raise MisconfiguredError("lists.path", f"policy {version} decided with living lists: name their store")
    return replace(bundle, lists=lists.at(listed))
