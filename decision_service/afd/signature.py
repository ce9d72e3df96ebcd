"""Verifies AWS Signature Version 4 of a request to the root of the service.

Written after AWS's "Create a signed AWS API request". Only what a JSON client sends is accepted: POST to `/` without a
query, the signature in the header `Authorization`, the hash of the body itself.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from decision_service.afd.errors import ApiError

SERVICE = "frauddetector"
SKEW_S = 300
"""As far as the clocks of caller and service may differ: as with AWS."""

_ALGORITHM = "AWS4-HMAC-SHA256"
_AUTHORIZATION = re.compile(
    rf"{_ALGORITHM} Credential=(?P<key>[A-Za-z0-9]{{16,128}})/(?P<day>\d{{8}})/(?P<region>[a-z0-9-]{{1,32}})/"
    r"(?P<service>[a-z0-9-]{1,32})/aws4_request,\s*SignedHeaders=(?P<headers>[a-z0-9;-]{1,1024}),"
    r"\s*Signature=(?P<signature>[0-9a-f]{64})",
    re.ASCII,
)
_NEEDED = frozenset({"host", "x-amz-date", "x-amz-target"})
_TIME = "%Y%m%dT%H%M%SZ"
_MOST_KEYS = 4_096


class Signed(NamedTuple):
    """What the headers of a request say about its signature.

    Attributes:
        access_key: id of the key.
        day: of the signing key, YYYYMMDD.
        region: as the caller has it; any will do.
        at: when it was signed, as written.
        headers: the canonical headers that are signed.
        names: their names.
        signature: 64 hexadecimal digits.
    """

    access_key: str
    day: str
    region: str
    at: str
    headers: str
    names: str
    signature: str


def headers_of(given: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers by name; several of one name are joined, blanks around and runs of blanks within values removed.

    >>> headers_of([(b"x-a", b" 1  2 "), (b"x-a", b"3")])
    {'x-a': '1 2,3'}
    """
    found: dict[str, str] = {}
    for name, value in given:
        key, text = name.decode("latin-1").lower(), " ".join(value.decode("latin-1").split())
        found[key] = f"{found[key]},{text}" if key in found else text
    return found


def read_signature(headers: Mapping[str, str], now: dt.datetime) -> Signed:
    """What a request says of its signature, before its body is read.

    Args:
        headers: as `headers_of` gives them.
        now: aware time.

    Raises:
        ApiError: it carries none, or one that cannot be of now.
    """
    given = headers.get("authorization", "")
    if not given:
        raise ApiError("MissingAuthenticationTokenException", "the request is not signed (AWS Signature Version 4)")
    found = _AUTHORIZATION.fullmatch(given)
    if found is None:
        raise ApiError("IncompleteSignatureException", f"the header Authorization is none of {_ALGORITHM}")
    if found["service"] != SERVICE:
        raise _mismatch(f"the credential is scoped to {found['service']}, not to {SERVICE}")
    if "x-amz-security-token" in headers:
        raise ApiError("UnrecognizedClientException", "keys of this service have no session token")
    names = found["headers"].split(";")
    if names != sorted(set(names)) or not set(names) >= _NEEDED:
        raise ApiError("IncompleteSignatureException", f"{', '.join(sorted(_NEEDED))} must be signed, in order")
    if any(name not in headers for name in names):
        raise _mismatch("a signed header is missing")
    at = headers["x-amz-date"]
    try:
        signed_at = _time_of(at)
    except ValueError:
        raise ApiError("IncompleteSignatureException", "x-amz-date is no time of the form 20260131T235959Z") from None
    if not at.startswith(found["day"]):
        raise _mismatch("the credential's day is not that of x-amz-date")
    if abs((now - signed_at).total_seconds()) > SKEW_S:
        raise _mismatch(f"the signature is of {at}, the service's time is {now:{_TIME}}: at most {SKEW_S} s apart")
    signed = "".join(f"{name}:{headers[name]}\n" for name in names)
    return Signed(found["key"], found["day"], found["region"], at, signed, found["headers"], found["signature"])


@lru_cache(maxsize=64)
def _time_of(written: str) -> dt.datetime:
    """The time that is written; kept, for many requests are signed in one second."""
    return dt.datetime.strptime(written, _TIME).replace(tzinfo=dt.UTC)


class Verifier:
    """Checks signatures; keeps the signing keys of a day, whose making takes longer than the rest."""

    def __init__(self) -> None:
        self._keys: dict[tuple[bytes, str, str], bytes] = {}

    def verify(self, signed: Signed, secret: bytes, body: bytes) -> None:
        """Checks the signature of a request.

        Args:
            signed: as `read_signature` gave it.
            secret: of the access key.
            body: of the request.

        Raises:
            ApiError: it is another's.
        """
        expected = sign(self._signing_key(secret, signed.day, signed.region), signed, body)
        if not hmac.compare_digest(expected, signed.signature):
            raise _mismatch("the signature is not that of this request with this key's secret")

    def _signing_key(self, secret: bytes, day: str, region: str) -> bytes:
        place = (secret, day, region)
        if (known := self._keys.get(place)) is not None:
            return known
        if len(self._keys) >= _MOST_KEYS:
            self._keys.clear()
        key = self._keys[place] = signing_key(secret, [day, region, SERVICE, "aws4_request"])
        return key


def signing_key(secret: bytes, scope: Sequence[str]) -> bytes:
    """The key that requests of a day, region and service are signed with."""
    key = b"AWS4" + secret
    for part in scope:
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def sign(key: bytes, signed: Signed, body: bytes) -> str:
    """The signature of a request with this key."""
    payload = hashlib.sha256(body).hexdigest()
    request = f"POST\n/\n\n{signed.headers}\n{signed.names}\n{payload}"
    scope = f"{signed.day}/{signed.region}/{SERVICE}/aws4_request"
    text = f"{_ALGORITHM}\n{signed.at}\n{scope}\n{hashlib.sha256(request.encode('latin-1')).hexdigest()}"
    return hmac.digest(key, text.encode(), "sha256").hex()


def _mismatch(message: str) -> ApiError:
    return ApiError("InvalidSignatureException", message)
