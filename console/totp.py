"""One-time codes of an authenticator (RFC 6238): six digits, a new one every 30 seconds."""

from __future__ import annotations

import base64
import hashlib
import hmac
from urllib.parse import quote

STEP_S = 30
DIGITS = 6
_DRIFT = 1
"""Codes before and after the present one that count too, as clocks differ."""


def code(secret: str, step: int) -> str:
    """The code of a step.

    Args:
        secret: in base 32.
        step: number of whole 30 s since the epoch.

    >>> code("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", 59 // 30)
    '287082'
    """
    digest = hmac.digest(base64.b32decode(secret), step.to_bytes(8, "big"), hashlib.sha1)
    start = digest[-1] & 0xF
    number = int.from_bytes(digest[start : start + 4], "big") & 0x7FFFFFFF
    return f"{number % 10**DIGITS:0{DIGITS}d}"


def step_of(secret: str, given: str, now_s: float) -> int | None:
    """The step whose code was given; None where it is none that counts now."""
    present = int(now_s) // STEP_S
    for step in range(present - _DRIFT, present + _DRIFT + 1):
        if hmac.compare_digest(code(secret, step).encode(), given.encode()):
            return step
    return None


def address(name: str, secret: str) -> str:
    """What an authenticator reads, as a picture or typed in.

    >>> address("ann", "GEZDGNBV")
    'otpauth://totp/Fraud%20console:ann?secret=GEZDGNBV&issuer=Fraud%20console'
    """
    return f"otpauth://totp/{quote('Fraud console')}:{quote(name)}?secret={secret}&issuer={quote('Fraud console')}"
