"""Signatures of webhooks after Standard Webhooks: who gets a request can check who sent it, and when."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence

PREFIX = "whsec_"
MIN_BYTES, MAX_BYTES = 24, 64


def parse_secrets(text: bytes) -> list[bytes]:
    """The secrets of a webhook, one a line; while one is replaced by another, there are two.

    Raises:
        ValueError: there is none, or one has another form; nothing of it is repeated.
    """
    found = []
    for number, line in enumerate(text.split(), 1):
        try:
            key = base64.b64decode(line.decode().removeprefix(PREFIX), validate=True)
        except (UnicodeDecodeError, binascii.Error):
            key = b""
        if not line.startswith(PREFIX.encode()) or not MIN_BYTES <= len(key) <= MAX_BYTES:
            raise ValueError(f"line {number} is not {PREFIX} and {MIN_BYTES} to {MAX_BYTES} bytes in base64")
        found.append(key)
    if not found:
        raise ValueError("is empty")
    return found


def signature_headers(secrets: Sequence[bytes], event_id: str, at_s: int, body: bytes) -> dict[str, str]:
    """The headers that sign a request.

    Args:
        secrets: each makes a signature.
        event_id: stays the same whenever the event is sent again.
        at_s: when this request is sent, in seconds since 1970 UTC.
        body: of the request.
    """
    signed = b"%b.%d.%b" % (event_id.encode(), at_s, body)
    made = (base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode() for secret in secrets)
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(at_s),
        "webhook-signature": " ".join(f"v1,{each}" for each in made),
    }
