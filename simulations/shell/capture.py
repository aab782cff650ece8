"""What a program prints, kept in a file of bounded size: its beginning and its end."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

TAIL_LINES = 15
TAIL_CHARACTERS = 2000


class Capture:
    """Takes what a program prints. The file is made with the first byte, so one that prints nothing leaves none.

    Args:
        make: Makes the file's path.
        most_bytes: How much is kept: half of it from the beginning, half from the end.
    """

    def __init__(self, make: Callable[[], Path], most_bytes: int) -> None:
        self._make = make
        self._room = most_bytes // 2
        self._most_tail = most_bytes - most_bytes // 2
        self._tail: deque[bytes] = deque()
        self._tail_bytes = 0
        self._left_out = 0
        self._head_end = b""
        self._file: BinaryIO | None = None

    def feed(self, data: bytes) -> None:
        """Takes what was printed next.

        Raises:
            OSError: If it cannot be written.
        """
        if not data:
            return
        if self._file is None:
            self._file = self._make().open("wb", buffering=0)
        head, rest = data[: self._room], data[self._room :]
        if head:
            self._file.write(head)
            self._room -= len(head)
            self._head_end = (self._head_end + head)[-4 * TAIL_CHARACTERS :]
        if rest:
            self._tail.append(rest)
            self._tail_bytes += len(rest)
        while self._tail and self._tail_bytes - len(self._tail[0]) >= self._most_tail:
            dropped = len(self._tail.popleft())
            self._tail_bytes -= dropped
            self._left_out += dropped

    def close(self) -> None:
        """Writes the end, with a line before it that says how much is missing. May be called twice.

        Raises:
            OSError: If it cannot be written.
        """
        if self._file is None:
            return
        file, self._file = self._file, None
        with file:
            if self._left_out:
                file.write(f"\n[... {self._left_out:,} bytes were left out here ...]\n".encode())
            for piece in self._tail:
                file.write(piece)

    def last_lines(self) -> str:
        """The last lines of what was printed; empty if there is nothing."""
        text = (self._head_end + b"".join(self._tail))[-4 * TAIL_CHARACTERS :].decode(errors="replace")
        return "\n".join(text.strip().splitlines()[-TAIL_LINES:])[-TAIL_CHARACTERS:]
