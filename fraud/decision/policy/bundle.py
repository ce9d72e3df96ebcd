"""A policy's files as one value with a version that follows from their content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

ROOT = "policy.yaml"
"""Name of the file that names the others."""


@dataclass(frozen=True)
class PolicyBundle:
    """All files of one policy version, by the name that the policy uses for them; the root is `policy.yaml`."""

    files: Mapping[str, str]

    @cached_property
    def version(self) -> str:
        """First 12 hexadecimal digits of the SHA-256 of `to_bytes`: equal content, equal version."""
        return hashlib.sha256(self.to_bytes()).hexdigest()[:12]

    def to_bytes(self) -> bytes:
        """The canonical form: JSON with sorted names. A batch pins the version and stores this once."""
        return json.dumps(dict(self.files), sort_keys=True, ensure_ascii=False).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> PolicyBundle:
        """Reads what `to_bytes` wrote."""
        return cls(json.loads(data))
