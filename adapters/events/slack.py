"""Events as messages in a chat: webhooks that take what Slack takes."""

from __future__ import annotations

import json
from collections.abc import Sequence

from adapters.events.webhook import post
from fraud.events.event import Event
from fraud.events.wording import message


class SlackReceiver:
    """Posts each event as a message. See `adapters.events.receiver.EventReceiver`.

    Args:
        url: of the incoming webhook; itself a secret.
    """

    at_once = 1

    def __init__(self, url: str) -> None:
        self._url = url

    def require(self) -> None:
        """See `EventReceiver`: whether it answers is seen when the first event is sent."""

    def send(self, events: Sequence[Event]) -> list[tuple[Event, str]]:
        """See `EventReceiver`."""
        for event in events:
            body = json.dumps({"text": escaped(message(event))}, ensure_ascii=False).encode()
            post(self._url, body, {"content-type": "application/json; charset=utf-8"}, "slack")
        return []


def escaped(text: str) -> str:
    """Text of which nothing is a link, a mention or a command of the chat.

    >>> escaped("<!channel> & co")
    '&lt;!channel&gt; &amp; co'
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
