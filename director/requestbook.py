"""What a run's client had to hand over, written down before it does: so that another one can do it in its place.

One line of JSON for each Request. A line that was cut off, as when a disk was full or a machine lost its power, is no
line, and none of its Requests had been handed over then.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from pydantic import ValidationError

from director.door import Problem, Refused
from simulations.records import Request


class RequestBook:
    """The Requests of a run, in the order in which they were prepared.

    Args:
        path: The file; made with the first Requests.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, requests: Sequence[Request]) -> None:
        """Writes Requests down. They are on disk when this returns. Blocks.

        Raises:
            OSError: If they cannot be written.
        """
        if not requests:
            return
        text = "".join(f"{request.model_dump_json()}\n" for request in requests).encode()
        new = not self._path.exists()
        with os.fdopen(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as stream:
            _to_the_end_of_what_is_whole(stream)
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        if new:
            _sync_folder(self._path.parent)

    def read(self) -> list[Request]:
        """Reads the Requests; of several with one id the first. Blocks.

        Raises:
            Refused: If a line in the middle is no Request.
        """
        try:
            body = self._path.read_bytes()
        except FileNotFoundError:
            return []
        found: dict[str, Request] = {}
        for request in self._parsed(body[: _whole(body)]):
            found.setdefault(request.id, request)
        return list(found.values())

    def _parsed(self, body: bytes) -> Iterator[Request]:
        for number, line in enumerate(body.split(b"\n")[:-1], 1):
            try:
                yield Request.model_validate_json(line)
            except ValidationError as error:
                message = f"line {number} is no request ({error.errors()[0]['msg']})"
                hint = "Restore the file from a copy, or take the line out: its request is then not handed over"
                raise Refused([Problem(str(self._path), message, hint)]) from None


def _to_the_end_of_what_is_whole(stream: BinaryIO) -> None:
    size = stream.seek(0, os.SEEK_END)
    if not size:
        return
    stream.seek(size - 1)
    if stream.read() != b"\n":
        stream.seek(0)
        stream.truncate(_whole(stream.read()))
        stream.seek(0, os.SEEK_END)


def _whole(body: bytes) -> int:
    """How many bytes are whole lines."""
    return body.rfind(b"\n") + 1


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
