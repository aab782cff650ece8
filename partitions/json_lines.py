"""What travels on the line between Director and keepers: JSON objects, one a line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

MAX_LINE_BYTES = 65_536


class NotOursError(ValueError):
    """What has come is no line of JSON of a bearable length: the other end is not one of ours."""


def line_of(said: Mapping[str, Any]) -> bytes:
    """A JSON object as a line."""
    return json.dumps(said).encode() + b"\n"


class Unread:
    """Bytes that have come and are not yet a whole line."""

    def __init__(self) -> None:
        self._bytes = b""

    def lines(self, piece: bytes) -> list[dict[str, Any]]:
        """Takes what has come, and returns the lines that it completes.

        Raises:
            NotOursError: If a line is no JSON object, or is too long.
        """
        *whole, self._bytes = (self._bytes + piece).split(b"\n")
        if len(self._bytes) > MAX_LINE_BYTES:
            raise NotOursError(f"a line of more than {MAX_LINE_BYTES} bytes")
        try:
            said = [json.loads(line) for line in whole]
        except (ValueError, RecursionError) as error:  # the latter where it is nested too deeply
            raise NotOursError(f"a line that is not JSON: {error}") from None
        if not all(isinstance(item, dict) for item in said):
            raise NotOursError("a line that is no JSON object")
        return said
