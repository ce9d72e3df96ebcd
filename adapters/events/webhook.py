"""Events as HTTP requests: signed webhooks."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from fraud.errors import UnavailableError
from fraud.events.event import MEDIA_TYPE, Event, encode_event
from fraud.events.signing import signature_headers

_TIMEOUT_S = 10.0
_LONGEST_ANSWER = 200


class WebhookReceiver:
    """Posts each event, signed after Standard Webhooks. See `adapters.events.receiver.EventReceiver`.

    Any answer but one of success (2xx) is a failure; redirections are not followed.

    Args:
        url: where to.
        secrets: each makes a signature.
        clock: seconds since 1970 UTC.
    """

    at_once = 1

    def __init__(self, url: str, secrets: Sequence[bytes], clock: Callable[[], float]) -> None:
        self._url = url
        self._secrets = secrets
        self._clock = clock

    def require(self) -> None:
        """See `EventReceiver`: whether it answers is seen when the first event is sent."""

    def send(self, events: Sequence[Event]) -> list[tuple[Event, str]]:
        """See `EventReceiver`."""
        for event in events:
            body = encode_event(event)
            signed = signature_headers(self._secrets, event.id, int(self._clock()), body)
            post(self._url, body, {"content-type": f"{MEDIA_TYPE}; charset=utf-8", **signed}, "webhook")
        return []


class _NoRedirection(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


_opener = urllib.request.build_opener(_NoRedirection)


def post(url: str, body: bytes, headers: dict[str, str], service: str) -> None:
    """Sends a POST request; the address, which may hold a secret, is in no message.

    Raises:
        UnavailableError: there was no answer of success.
    """
    where = urlsplit(url).hostname or ""
    request = urllib.request.Request(url, body, {**headers, "user-agent": "card-fraud-streaming"}, method="POST")
    try:
        with _opener.open(request, timeout=_TIMEOUT_S) as answer:
            answer.read(_LONGEST_ANSWER)
    except urllib.error.HTTPError as error:
        with error:
            said = error.read(_LONGEST_ANSWER).decode("utf-8", "replace")
        raise UnavailableError(
            service, "POST", str(error.code), f"{where}: {' '.join(said.split())}", error.code
        ) from None
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise UnavailableError(service, "POST", type(error).__name__, f"{where}: {reason}") from None
