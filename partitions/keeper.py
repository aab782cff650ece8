"""The keeper: starts a worker pool on its node, speaks for it, and ends it when it must end.

A launcher (``srun``, ``mpiexec``, …) starts one keeper on each node of a block. A keeper

- tells the Director where it is and what it sees there, over a line that both ends hold open: on a host that is not in
  its block it starts nothing;
- ends what an earlier block left running on the node;
- starts the worker pool, and passes on what each worker says of itself as it begins;
- signals a worker when the Director asks for it, if that worker still runs what the Director means;
- tells the Director by which signals the scheduler warns, and outlives them with all that it has started, so that what
  runs can be saved: for 25 s after a SIGTERM, which SIGKILL soon follows;
- ends the pool when the line breaks. The Director is then gone, or wants it so; a launcher that was killed, or a
  scheduler that forgets the processes of a job, is no reason for a worker to live on;
- ends the pool when it can no longer work. A pool replaces a worker that dies. But it also has a helper process, and if
  that one dies (the kernel's out-of-memory killer may choose it), the pool lives on and sends heartbeats while its
  tasks are lost. A worker that died is collected by the pool within its heartbeat; a child that stays dead for longer
  is one that the pool does not know how to replace.

If the keeper itself is killed, its guard ends the pool.

All that it needs stands in a file in the run folder, so that it does not matter what a launcher does with environments,
and no secret stands in a command line. It runs as a script with nothing but the standard library, so that it starts in
less than a tenth of a second and costs its node about 20 MB, and its guard 13 MB.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # a script has its own folder on the path, not the package's
    sys.path[0:0] = [str(Path(__file__).resolve().parents[1])]

from partitions import mps
from partitions.allocation import Node
from partitions.bindings import Binding, dump, resolve, shared
from partitions.children import dead_children, longest_dead
from partitions.early_signals import Warned, ignore
from partitions.environment import BINDINGS_VARIABLE, HOST_VARIABLE, REPORTS_VARIABLE
from partitions.guard import BLOCK_MARK_VARIABLE, Guard, end_marked, mark_environment
from partitions.hostlist import first_label
from partitions.json_lines import NotOursError, Unread, line_of
from partitions.line import LineError, dial
from partitions.pool_workers import PoolWorkers

POLL_S = 0.5
DYING_POLL_S = 0.02
DEAD_FOR_S = 4.0
# Slurm's KillWait is 30 s unless a site has chosen another.
KEEP_S = 25.0
REPORT_BYTES = 4096
BROKEN = 70  # EX_SOFTWARE of sysexits.h
WRONG_HOST = 78  # EX_CONFIG
NO_DIRECTOR = 69  # EX_UNAVAILABLE


@dataclass(frozen=True)
class Post:
    """What a keeper does on one node.

    Attributes:
        node: The node.
        bindings: What each of its workers owns.
    """

    node: Node
    bindings: tuple[Binding, ...]


@dataclass(frozen=True)
class Orders:
    """What the keepers of a block are told: the file in the run folder.

    Attributes:
        line: Address and port of the Director's end of the line.
        token: The line's secret.
        block: The block's id.
        mark: What all processes of this Director's blocks carry in their environment, before node and block.
        posts: One for each node of the block.
        logical: Whether the block's one node is a logical node: whatever this machine is called, it is the one.
        mps: Whether accelerators are shared through NVIDIA's MPS, where that is installed.
        pool: Command of the worker pool.
        environment: What to add to its environment.
        keep_s: How long the pool outlives a SIGTERM of the scheduler's, in s.
    """

    line: tuple[str, int]
    token: str
    block: str
    mark: str
    posts: tuple[Post, ...]
    logical: bool
    mps: bool
    pool: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    keep_s: float = KEEP_S

    def dump(self) -> str:
        """The orders as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def load(cls, text: str) -> Orders:
        """Reads what `dump` wrote."""
        raw = json.loads(text)
        posts = tuple(
            Post(
                Node(item["node"]["hostname"], tuple(item["node"]["cores"]), tuple(item["node"]["accelerators"])),
                tuple(Binding(tuple(b["cores"]), b["threads"], b["accelerator"]) for b in item["bindings"]),
            )
            for item in raw.pop("posts")
        )
        line = (str(raw["line"][0]), int(raw["line"][1]))
        return cls(**{**raw, "line": line, "posts": posts, "pool": tuple(raw["pool"])})


def keeper_command(orders: Path) -> list[str]:
    """The command that runs a keeper."""
    return [sys.executable, "-I", "-S", str(Path(__file__).resolve()), str(orders)]


def post_of(hostname: str, posts: Sequence[Post]) -> Post | None:
    """Which of the posts a host has. Pure.

    A scheduler may know a node by its full name and the node itself by the first part of it, or the other way round.
    The first part decides only where it is no other node's as well.
    """
    for post in posts:
        if post.node.hostname.lower() == hostname.lower():
            return post
    short = [post for post in posts if first_label(post.node.hostname) == first_label(hostname)]
    if len(short) == 1 and ("." not in hostname or "." not in short[0].node.hostname):
        return short[0]
    return None


class Keeper:
    """Keeps one worker pool. Made and run by `main`.

    Args:
        orders: What it is told.
        post: Its node.
        line: Connected to the Director.
        folder: A folder of its own on this node, which is not there yet.
        warned: The scheduler's warnings.
    """

    def __init__(self, orders: Orders, post: Post, line: socket.socket, folder: Path, warned: Warned) -> None:
        self._line = line
        self._warned = warned
        self._unread = Unread()
        self._orders, self._post, self._folder = orders, post, folder
        self._mark = f"{orders.mark}.{post.node.hostname}.{orders.block}"
        self._guard: Guard | None = None
        self._reports = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._reports.setblocking(False)

    def start(self) -> None:
        """Ends what an earlier block left here, and starts the pool. Whatever comes of it, `end` is to be called."""
        owned = resolve(
            self._post.bindings,
            granted=self._post.node,
            named=self._orders.logical,
            cores_here=sorted(os.sched_getaffinity(0)),
            environment=os.environ,
        )
        environment = {
            **os.environ,
            **self._orders.environment,
            **mark_environment(self._mark, BLOCK_MARK_VARIABLE),
            HOST_VARIABLE: self._post.node.hostname,
            BINDINGS_VARIABLE: dump(owned),
            REPORTS_VARIABLE: str(self._folder / "reports"),
        }
        end_marked(f"{self._orders.mark}.{self._post.node.hostname}.*", BLOCK_MARK_VARIABLE)
        self._guard = Guard(environment, BLOCK_MARK_VARIABLE, folder=self._folder)
        self._folder.mkdir(mode=0o700)  # after its guard, so that there is none that nobody would remove
        self._reports.bind(str(self._folder / "reports"))
        if self._orders.mps and shared(self._post.bindings):
            environment |= mps.start(environment, self._folder)
        self._pool = subprocess.Popen(
            self._orders.pool,
            env=environment,
            stdin=subprocess.DEVNULL,
            preexec_fn=ignore,  # there are no threads here that it could disturb
        )
        self._workers = PoolWorkers(self._pool.pid)

    def keep(self) -> int:
        """Keeps the pool until it ends or must be ended; returns an exit code."""
        watch = selectors.DefaultSelector()
        watch.register(self._line, selectors.EVENT_READ)
        watch.register(self._reports, selectors.EVENT_READ)
        since: dict[int, float] = {}
        while (code := self._pool.poll()) is None:
            for key, _ in watch.select(DYING_POLL_S if self._workers.dying else POLL_S):
                if key.fileobj is self._line:
                    if not self._listen():
                        return 0
                else:
                    self._pass_on()
            for name in self._workers.dead():
                self._say({"killed": name})
            for number in self._warned.due():
                self._say({"warned": number.name})
            if self._warned.over:
                _say(f"SIGTERM came {self._orders.keep_s:g} s ago: ending the pool")
                return 128 + signal.SIGTERM
            now = time.monotonic()
            since = longest_dead(since, dead_children(self._pool.pid), now)
            if since and now - min(since.values()) >= DEAD_FOR_S:
                _say(f"process {min(since)} of the worker pool died and was not replaced: ending the pool")
                return BROKEN
        return code if code >= 0 else 128 - code

    def _listen(self) -> bool:
        """Does what the Director asks for; returns whether the line holds."""
        try:
            piece = self._line.recv(REPORT_BYTES)
            for said in self._unread.lines(piece):
                # What workers have said meanwhile comes first: they may run something else by now.
                self._pass_on()
                self._workers.obey(said)
        except (OSError, NotOursError, KeyError, TypeError, ValueError) as error:
            _say(f"the line to the Director broke: {type(error).__name__}: {error}")
            return False
        return bool(piece)

    def _pass_on(self) -> None:
        """Passes on what workers have said."""
        while True:
            try:
                report = self._reports.recv(REPORT_BYTES)
            except BlockingIOError:
                return
            if self._workers.note(report):
                self._send(report + b"\n")

    def _say(self, said: Mapping[str, Any]) -> None:
        self._send(line_of(said))

    def _send(self, line: bytes) -> None:
        with contextlib.suppress(OSError):  # the line broke: the next look at it says so
            self._line.sendall(line)

    def end(self) -> None:
        """Ends the pool and all that it has started, and removes the folder."""
        end_marked(self._mark, BLOCK_MARK_VARIABLE)
        shutil.rmtree(self._folder, ignore_errors=True)
        if self._guard is not None:
            self._guard.release()


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def _hello(orders: Orders, post: Post | None, hostname: str) -> dict[str, Any]:
    return {
        "block": orders.block,
        "node": post.node.hostname if post else None,
        "host": hostname,
        "cores": len(os.sched_getaffinity(0)),
    }


def main() -> int:
    """Keeps a pool as the orders, whose path is the argument, say; returns an exit code."""
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(name, lambda number, _: sys.exit(128 + number))
    orders = Orders.load(Path(sys.argv[1]).read_text())
    hostname = socket.gethostname()
    post = orders.posts[0] if orders.logical else post_of(hostname, orders.posts)
    try:
        line = dial(orders.line, orders.token, _hello(orders, post, hostname))
    except (OSError, LineError) as error:
        _say(f"{hostname} cannot reach the Director at {orders.line[0]}:{orders.line[1]}: {error}")
        return NO_DIRECTOR
    if post is None:
        wanted = ", ".join(item.node.hostname for item in orders.posts)
        _say(f"this is {hostname}, but the block's nodes are {wanted}: starting nothing here")
        return WRONG_HOST
    warned = Warned(orders.keep_s)
    warned.listen()  # from here on there is a Director who can make use of it
    keeper = Keeper(orders, post, line, _short_folder() / f"director-keeper-{secrets.token_hex(6)}", warned)
    try:
        keeper.start()
        return keeper.keep()
    finally:
        keeper.end()


def _short_folder() -> Path:
    """A folder of this node. The path of a socket may have 107 characters, and some schedulers name long folders."""
    folder = tempfile.gettempdir()
    return Path(folder if len(folder) <= 60 else "/tmp")  # noqa: S108  (what is made in it is private)


if __name__ == "__main__":
    sys.exit(main())
