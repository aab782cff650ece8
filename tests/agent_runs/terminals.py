"""A terminal for tests: a program on a pty, what it shows, and keys."""

from __future__ import annotations

import codecs
import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

CONTROL = re.compile(r"\x1b\[[?0-9;]*[A-Za-z]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[=>]")
WHERE = "\x1b[6n"
"""How a program asks where the cursor is. It is told that it is in the last row, so that it moves nothing."""

CTRL_C, CTRL_D, UP, ENTER = "\x03", "\x04", "\x1b[A", "\r"


class OnTerminal:
    """A program on a terminal.

    Args:
        process: The program.
        master: The terminal's other end.
        rows: Its height.
        watch: Is given all that is shown, as it comes.
    """

    def __init__(
        self, process: subprocess.Popen[bytes], master: int, rows: int, watch: Callable[[str], None] = lambda _: None
    ) -> None:
        self.process = process
        self._master = master
        self._rows = rows
        self._watch = watch
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self.raw = ""
        self._seen = 0

    @property
    def text(self) -> str:
        """What was shown, without what only steers a terminal."""
        return CONTROL.sub("", self.raw).replace("\r", "")

    def type(self, keys: str) -> None:
        """Types."""
        os.write(self._master, keys.encode())

    def until(self, what: str, timeout_s: float = 60.0) -> str:
        """Waits until something is shown, after what was waited for before; returns what came until then."""
        give_up = time.monotonic() + timeout_s
        while True:
            place = self.text.find(what, self._seen)
            if place >= 0:
                found = self.text[self._seen : place + len(what)]
                self._seen = place + len(what)
                return found
            if not self._read(give_up - time.monotonic()):
                raise AssertionError(f"{what!r} was not shown; but: {self.text[self._seen :]!r}")

    def ended(self, timeout_s: float = 60.0) -> int:
        """Waits for its end; returns its exit code."""
        give_up = time.monotonic() + timeout_s
        while self._read(give_up - time.monotonic()):
            continue
        return self.process.wait(max(1.0, give_up - time.monotonic()))

    def rest(self, seconds: float) -> None:
        """Looks on for a while."""
        give_up = time.monotonic() + seconds
        while self._read(give_up - time.monotonic()):
            continue

    def _read(self, timeout_s: float) -> bool:
        if timeout_s <= 0 or not select.select([self._master], [], [], timeout_s)[0]:
            return False
        try:
            found = self._decoder.decode(os.read(self._master, 65536))
        except OSError:  # the program has closed its end
            return False
        self.raw += found
        self._watch(found)
        for _ in range(found.count(WHERE)):
            os.write(self._master, f"\x1b[{self._rows};1R".encode())
        return True


@contextlib.contextmanager
def on_terminal(
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    rows: int = 40,
    columns: int = 100,
    cwd: Path | None = None,
    watch: Callable[[str], None] = lambda _: None,
) -> Iterator[OnTerminal]:
    """Runs a program on a terminal of its own; ends it if it has not ended."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def take_terminal() -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    process = subprocess.Popen(  # a session of its own, since a session has one terminal
        list(command),
        stdin=slave,
        stdout=slave,
        stderr=slave,
        cwd=cwd,
        env={**environment, "TERM": "xterm-256color", "COLUMNS": str(columns), "LINES": str(rows)},
        start_new_session=True,
        preexec_fn=take_terminal,
    )
    os.close(slave)
    try:
        yield OnTerminal(process, master, rows, watch)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(master)
