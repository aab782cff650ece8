"""Reading a file that a Request has left, as far as an agent can make use of it: text in pieces, and small pictures.

It is read by a Director, which gives out files of Requests' folders only, wherever a path or a symbolic link leads.
"""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from typing import Any

from director.carrier import checked
from director.door import Problem, Refused

MOST_PICTURE_BYTES = 700_000
"""A picture in base64 must fit into one message; clients of MCP take 1 MiB if they are not told otherwise."""

PNG = b"\x89PNG\r\n\x1a\n"

Get = Callable[[str, int], Awaitable[Any]]
"""Calls the action ``get`` of a Director: path and offset, to ``data`` and ``size``."""


async def read_artifact(get: Get, path: str, offset: int, limit_bytes: int) -> dict[str, Any]:
    """Reads an artifact.

    Args:
        get: Asks a Director for a piece.
        path: Relative to the run folder.
        offset: Of a text: where to begin, in bytes.
        limit_bytes: Of a text: how many bytes at most.

    Returns:
        ``path``, ``size_bytes``, and ``text`` with ``next_offset`` (null at the end), or ``image`` (``mime_type`` and
        ``data`` in base64).

    Raises:
        Refused: If there is no such artifact, or it is neither text nor a small picture.
        DirectorLost: If the Director does not answer.
    """
    first = checked(await get(path, offset))
    size = int(first["size"])
    data = base64.b64decode(first["data"])
    head = data if offset == 0 else base64.b64decode(checked(await get(path, 0))["data"])
    if head.startswith(PNG):
        if size > MOST_PICTURE_BYTES:
            raise _unfit(path, f"is a picture of {size} bytes, and at most {MOST_PICTURE_BYTES} are sent")
        picture = await _all(get, path, head, size)
        return {
            "status": "ok",
            "path": path,
            "size_bytes": size,
            "image": {"mime_type": "image/png", "data": base64.b64encode(picture).decode()},
        }
    text, used = text_of(data[:limit_bytes], last=offset + len(data[:limit_bytes]) >= size)
    if text is None:
        raise _unfit(path, f"is no text, and no PNG; it has {size} bytes")
    end = offset + used
    return {
        "status": "ok",
        "path": path,
        "size_bytes": size,
        "text": text,
        "next_offset": end if end < size else None,
    }


async def _all(get: Get, path: str, head: bytes, size: int) -> bytes:
    data = head
    while len(data) < size and (piece := base64.b64decode(checked(await get(path, len(data)))["data"])):
        data += piece
        if len(data) > MOST_PICTURE_BYTES:
            raise _unfit(path, "grows while it is read")
    return data


def text_of(data: bytes, *, last: bool) -> tuple[str | None, int]:
    """The text of a piece of a file, and how many of its bytes that is. Pure.

    Args:
        data: The piece. It may begin and end within a character.
        last: Whether the file ends here.

    Returns:
        The text, None if it is none; and the number of bytes, up to the last whole character.
    """
    if b"\0" in data:
        return None, 0
    begin = 0
    while begin < min(3, len(data)) and data[begin] & 0xC0 == 0x80:
        begin += 1
    for cut in range(1 if last else 4):
        try:
            return data[begin : len(data) - cut].decode(), len(data) - cut
        except UnicodeDecodeError:
            continue
    return None, 0


def _unfit(path: str, what: str) -> Refused:
    return Refused([Problem("path", f"{path!r} {what}", "A person can fetch it with `director fetch`")])
