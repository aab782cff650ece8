"""Films the way from a laptop to the nodes of a Slurm job: the commands of the README, and what they really print.

As root, on Debian with the packages of ``make test-globus``, from the folder of the repository:

    .venv/bin/python docs/film/record.py docs/_static/film.svg

What is not as it came: the paths of the two users' homes, which lie in a temporary folder, are shortened to
``/home/you``, and long waits are cut; the clock above shows the real time.
"""

from __future__ import annotations

import codecs
import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]

from picture import Frame, write_film  # noqa: E402
from terminal import Terminal  # noqa: E402

from tests.cluster.cluster import LOGIN_ADDRESS  # noqa: E402
from tests.docs.pages import FACILITY, LAPTOP, walked  # noqa: E402
from tests.globus import endpoints  # noqa: E402
from tests.globus.product import Product  # noqa: E402
from tests.globus.stack import Stack  # noqa: E402
from tests.globus.walk import RUN_ID, START, Walk  # noqa: E402

COLUMNS, ROWS = 104, 28
FILMED = re.compile(r"director (endpoint configure|submit|watch|outcomes|fetch)|globus-compute-endpoint start")
TITLES = {FACILITY: "login node of the cluster", LAPTOP: "laptop"}
ABOUT = (
    "Film of a terminal: an endpoint is configured and started on a cluster; on a laptop, a batch is submitted, "
    "watched while it runs on four nodes, and its Outcomes are read."
)
ONLINE_SHOWN_S = 1.5
TYPING_S, READING_S = 1.6, 2.0
SHORTEST_S, LONGEST_S = 0.45, 1.2
LONGEST_COMMAND_S = 300.0


class Camera:
    """Keeps what is to be seen, and for how long.

    Args:
        walk: Who types.
    """

    def __init__(self, walk: Walk) -> None:
        self._walk = walk
        self._begin = time.monotonic()
        self._terminal = Terminal(COLUMNS, ROWS)
        self._side = ""
        self.frames: list[Frame] = []

    def type(self, text: str, side: str) -> None:
        """Films a command and what it prints."""
        if side != self._side:
            self._terminal = Terminal(COLUMNS, ROWS)
            self._side = side
        else:
            self._terminal.write("\r\n")
        self._terminal.write(f"\x1b[1;32m$\x1b[0m \x1b[1m{_folded(text)}\x1b[0m\r\n")
        self._take(TYPING_S)
        printed = ""
        last = time.monotonic()
        with self._running(text, side) as master:
            for piece in _read(master, ONLINE_SHOWN_S if text.startswith(START) else None):
                printed += piece
                self._terminal.write(self._homely(piece))
                now = time.monotonic()
                if now - last >= SHORTEST_S:
                    self._take(min(now - last, LONGEST_S))
                    last = now
        if found := RUN_ID.search(printed):
            self._walk.run_id = found[1]
        self._take(READING_S)

    def _take(self, seconds: float) -> None:
        since = int(time.monotonic() - self._begin)
        clock = f"{since // 60}:{since % 60:02d}"
        self.frames.append(Frame(seconds, TITLES[self._side], clock, self._terminal.shown()))

    def _homely(self, text: str) -> str:
        for home in (self._walk.facility, self._walk.laptop):
            text = text.replace(str(home), "/home/you")
        return text

    @contextlib.contextmanager
    def _running(self, text: str, side: str) -> Iterator[int]:
        """A command, on a terminal whose other end is given."""
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        account, home, cwd = self._walk.who(side)
        try:
            if text.startswith(START):
                process = self._walk.start_endpoint(text, stdout=slave)
            else:
                process = self._walk.stack.popen_as_user(
                    ["bash", "-c", text],
                    account=account,
                    home=home,
                    cwd=cwd,
                    environment={**self._walk.variables(side), "TERM": "xterm-256color", "COLUMNS": str(COLUMNS)},
                    stdout=slave,
                    stderr=slave,
                )
            os.close(slave)
            yield master
            if not text.startswith(START):
                code = process.wait(LONGEST_COMMAND_S)
                if code:
                    raise SystemExit(f"{text} ended with exit code {code}")
        finally:
            if not text.startswith(START):  # the endpoint goes on, and may print
                os.close(master)


def _folded(text: str) -> str:
    """A command as people write it when it is too long for one line: it goes on with an option."""
    first, *options = re.split(r" (?=--)", text)
    lines = [first]
    for option in options:
        if len(lines[-1]) + len(option) > COLUMNS - 6:
            lines.append(f"   {option}")
        else:
            lines[-1] += f" {option}"
    return " \\\r\n ".join(lines)


def _read(master: int, at_most_s: float | None) -> Iterator[str]:
    """What comes, piece by piece, until nobody writes any more, or for so long."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    give_up = time.monotonic() + (at_most_s or LONGEST_COMMAND_S)
    while (left := give_up - time.monotonic()) > 0:
        if not select.select([master], [], [], left)[0]:
            break
        try:
            found = os.read(master, 65536)
        except OSError:  # the other end is closed
            return
        yield decoder.decode(found)
    if at_most_s is None:
        raise SystemExit(f"a command took longer than {LONGEST_COMMAND_S:g} s")


def record(folder: Path) -> list[Frame]:
    """Walks the way of the README, and films it."""
    steps = [(command.text, block.side) for block in walked(ROOT / "README.md") for command in block.commands()]
    with (
        Stack(folder / "stack", endpoints.slurm, nodes=4, slurm=True) as stack,
        Product(stack, LOGIN_ADDRESS) as product,
        Walk(stack, product, "film") as walk,
    ):
        camera = Camera(walk)
        for text, side in steps:
            if FILMED.match(text):
                camera.type(walk.filled(text), side)
        return camera.frames


if __name__ == "__main__":
    write_film(record, Path(sys.argv[1]), COLUMNS, ROWS, ABOUT)
