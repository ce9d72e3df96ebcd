"""A policy's files as one value with a version that follows from their content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from fraud.decision.policy.living import NO_LISTS, Lists

ROOT = "policy.yaml"
"""Name of the file that names the others."""


LISTS_SIGN = "+"
"""Stands in a version in front of the version of the living lists."""


@dataclass(frozen=True)
class PolicyBundle:
    """All files of one policy version, by the name that the policy uses for them, and the living lists beside them.

    Attributes:
        files: the root is `policy.yaml`.
        lists: the living lists; without any change where there are none.
    """

    files: Mapping[str, str]
    lists: Lists = NO_LISTS

    @cached_property
    def version(self) -> str:
        """Names files and lists: equal content, equal version.

        >>> PolicyBundle({"policy.yaml": ""}, Lists(12, "pfjcihab")).version
        '1d80ef23b0c9+12-pfjcihab'
        """
        return f"{self.files_version}{LISTS_SIGN}{self.lists.version}" if self.lists.version else self.files_version

    @cached_property
    def files_version(self) -> str:
        """First 12 hexadecimal digits of the SHA-256 of `to_bytes`."""
        return hashlib.sha256(self.to_bytes()).hexdigest()[:12]

    def to_bytes(self) -> bytes:
        """The canonical form of the files: JSON with sorted names. A batch pins the version and stores this once."""
        return json.dumps(dict(self.files), sort_keys=True, ensure_ascii=False).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> PolicyBundle:
        """Reads what `to_bytes` wrote: files without lists."""
        return cls(json.loads(data))

    def with_files(self, files: Mapping[str, str]) -> PolicyBundle:
        """The same lists beside these files, in addition to and in place of those that there are."""
        return replace(self, files={**self.files, **files})


def files_version(version: str) -> str:
    """The part of a version that names the files.

    >>> files_version("1d80ef23b0c9+12-pfjcihab")
    '1d80ef23b0c9'
    """
    return version.partition(LISTS_SIGN)[0]


def lists_version(version: str) -> str:
    """The part of a version that names the living lists; empty where there were none.

    >>> lists_version("1d80ef23b0c9+12-pfjcihab"), lists_version("1d80ef23b0c9")
    ('12-pfjcihab', '')
    """
    return version.partition(LISTS_SIGN)[2]
