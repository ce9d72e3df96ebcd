"""Signature Version 4 against botocore's own signer, and what a request may not change without its noticing."""

from __future__ import annotations

import datetime as dt

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from decision_service.afd.errors import ApiError
from decision_service.afd.signature import Verifier, headers_of, read_signature

KEY, SECRET = "FDAKAAAAAAAAAAAAAAAA", "secret/of+the test"
BODY = b'{"name": "x"}'


def signed(body: bytes = BODY, secret: str = SECRET, service: str = "frauddetector", meta: str = "a") -> dict[str, str]:
    headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "A.GetLabels", "Host": "127.0.0.1:8095"}
    headers["X-Amz-Meta"] = meta
    request = AWSRequest("POST", "http://127.0.0.1:8095/", headers, body)
    SigV4Auth(Credentials(KEY, secret), service, "eu-west-1").add_auth(request)
    return headers_of((name.lower().encode(), str(value).encode()) for name, value in request.headers.items())


def time_of(headers: dict[str, str]) -> dt.datetime:
    return dt.datetime.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=dt.UTC)


def verify(headers: dict[str, str], body: bytes = BODY, later_s: float = 0.0, at: dt.datetime | None = None) -> str:
    at = at or time_of(headers)
    read = read_signature(headers, at + dt.timedelta(seconds=later_s))
    Verifier().verify(read, SECRET.encode(), body)
    return read.access_key


def code_of(headers: dict[str, str], body: bytes = BODY, later_s: float = 0.0, at: dt.datetime | None = None) -> str:
    with pytest.raises(ApiError) as caught:
        verify(headers, body, later_s, at)
    return caught.value.code


def test_what_botocore_signs_is_accepted() -> None:
    assert verify(signed()) == KEY
    assert verify(signed(meta="  two   blanks ")) == KEY


def test_headers_may_come_in_any_order_and_unsigned_ones_beside() -> None:
    headers = signed()
    assert verify(dict(reversed(headers.items())) | {"accept-encoding": "identity"}) == KEY


@pytest.mark.parametrize("name", ["x-amz-target", "host", "x-amz-date", "content-type"])
def test_a_signed_header_cannot_be_changed(name: str) -> None:
    headers = signed()
    other = headers["x-amz-date"][:-2] + ("1Z" if headers["x-amz-date"][-2] != "1" else "2Z")
    assert code_of(headers | {name: other}, at=time_of(headers)) == "InvalidSignatureException"


def test_neither_body_nor_secret_can_be_changed() -> None:
    assert code_of(signed(), b'{"name": "y"}') == "InvalidSignatureException"
    assert code_of(signed(secret="another")) == "InvalidSignatureException"


def test_a_signature_is_good_for_five_minutes() -> None:
    assert verify(signed(), later_s=290) == KEY
    assert code_of(signed(), later_s=310) == "InvalidSignatureException"
    assert code_of(signed(), later_s=-310) == "InvalidSignatureException"


def test_a_signature_for_another_service_or_without_the_target_is_refused() -> None:
    assert code_of(signed(service="s3")) == "InvalidSignatureException"
    headers = signed()
    headers["authorization"] = headers["authorization"].replace(";x-amz-target", "")
    assert code_of(headers) == "IncompleteSignatureException"


def test_temporary_credentials_are_refused() -> None:
    assert code_of(signed() | {"x-amz-security-token": "t"}) == "UnrecognizedClientException"


@pytest.mark.parametrize("given", ["", "Bearer x", "AWS4-HMAC-SHA256 Credential=x"])
def test_what_is_no_signature_is_refused(given: str) -> None:
    expected = "IncompleteSignatureException" if given else "MissingAuthenticationTokenException"
    assert code_of(signed() | {"authorization": given}) == expected
