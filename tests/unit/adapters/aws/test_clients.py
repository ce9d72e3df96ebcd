"""What the clients do beyond boto3: retries are counted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from adapters.aws.clients import Retries, aws_client
from fraud.errors import UnavailableError
from fraud.settings import Aws
from tests.support.servers import serving


@contextmanager
def answering(*statuses: int) -> Iterator[str]:
    """A server that answers with these statuses in turn."""
    left = iter(statuses)

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(next(left))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with serving(Handler) as url:
        yield url


def test_calls_tried_again_are_counted_until_taken() -> None:
    with answering(503, 503, 200, 200) as url:
        client = aws_client("s3", Aws(endpoint_url=url))
        retries = Retries(client)
        for _ in range(2):
            client.put_object(Bucket="b", Key="k", Body=b"x")
    assert (retries.take(), retries.take()) == (2, 0)


def test_one_attempt_means_one() -> None:
    with answering(503, 200) as url:
        client = aws_client("s3", Aws(endpoint_url=url), max_attempts=1)
        retries = Retries(client)
        with pytest.raises(UnavailableError, match="s3 PutObject: 503"):
            client.put_object(Bucket="b", Key="k", Body=b"x")
        client.put_object(Bucket="b", Key="k", Body=b"x")
    assert retries.take() == 0


def test_kinesis_may_have_an_address_of_its_own() -> None:
    aws = Aws(endpoint_url="http://127.0.0.1:1", kinesis_endpoint_url="http://127.0.0.1:2")
    addresses = {name: aws_client(name, aws).meta.endpoint_url for name in ("kinesis", "dynamodb", "s3")}
    assert addresses == dict.fromkeys(addresses, "http://127.0.0.1:1") | {"kinesis": "http://127.0.0.1:2"}
