"""Which messages have been seen, and which calls have no answer yet.

A message that may not have arrived is sent again, so one may arrive twice. Academy would run such a call twice, and
stop listening at a second answer.
"""

from __future__ import annotations

import uuid
from collections import OrderedDict
from typing import Any

from academy.message import Header, Message, UserErrorResponse
from academy.serialize import SerializationStrategy

REMEMBERED_CALLS = 20_000


class Once:
    """Lets each call and each answer through once.

    Args:
        remembered: How many of the latest calls to remember.
    """

    def __init__(self, remembered: int = REMEMBERED_CALLS) -> None:
        self._remembered = remembered
        self._seen: OrderedDict[uuid.UUID, None] = OrderedDict()
        self._asked: dict[uuid.UUID, Header] = {}

    def asked(self, message: Message[Any]) -> None:
        """Notes that a call is about to be sent."""
        if message.is_request():
            self._asked[message.tag] = message.header

    def not_asked(self, message: Message[Any]) -> None:
        """Notes that it could not be sent."""
        self._asked.pop(message.tag, None)

    def is_new(self, message: Message[Any]) -> bool:
        """Whether a message is the first with this call, or the first answer to a call that waits for one."""
        if message.is_response():
            return self._asked.pop(message.tag, None) is not None
        if message.tag in self._seen:
            return False
        self._seen[message.tag] = None
        if len(self._seen) > self._remembered:
            self._seen.popitem(last=False)
        return True

    def give_up(self, error: Exception) -> list[Message[Any]]:
        """Answers every call that waits with an error; what still comes for it is then no longer new."""
        asked, self._asked = self._asked, {}
        body = UserErrorResponse(serialization=SerializationStrategy.JSON, exception=error, kind="user-error-response")
        return [Message(header=header.create_response_header(), body=body) for header in asked.values()]
