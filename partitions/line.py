"""The line between a Director and the keepers on its nodes: who is there, what they see, and whether they still are.

Each keeper opens one TCP connection to the Director and both hold it open. The kernels of both ends ask each other
every second whether they are there, so a process that is gone, or a whole node, is noticed without any of our processes
having to run in time. A keeper is let in if it knows the Director's token, which it proves without sending it.

What travels are lines of JSON. From the keeper: who it is, what each worker said as it began, what each has begun,
what it has killed, and by which signals the scheduler has warned it. From the Director: which worker to signal, named
by what it runs, so that a keeper that knows better leaves it alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import secrets
import selectors
import signal
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from partitions.json_lines import MAX_LINE_BYTES, Unread, line_of

SILENT_S = 6
CONNECT_S = 10.0
GREETING_S = 10.0
POLL_S = 1.0
NONCE_BYTES = 32

Signal = Literal["interrupt", "kill"]


class LineError(RuntimeError):
    """The other end is not what it should be."""


def _keep_alive(connection: socket.socket) -> None:
    """Lets the kernel notice within seconds that the other end is gone, also when nothing is being sent."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for option, value in (
        ("TCP_KEEPIDLE", 1),
        ("TCP_KEEPINTVL", 1),
        ("TCP_KEEPCNT", SILENT_S - 1),
        ("TCP_USER_TIMEOUT", SILENT_S * 1000),
    ):
        if hasattr(socket, option):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


def _proof(token: str, nonce: bytes) -> str:
    return hmac.new(token.encode(), nonce, hashlib.sha256).hexdigest()


def dial(address: tuple[str, int], token: str, hello: dict[str, Any]) -> socket.socket:
    """Connects a keeper with its Director.

    Args:
        address: Host and port.
        token: The Director's token.
        hello: What the keeper says of itself: ``block``, ``node``, ``host``, ``cores``.

    Raises:
        OSError: If nobody answers there.
        LineError: If it is no Director that answers.
    """
    connection = socket.create_connection(address, timeout=CONNECT_S)
    nonce = b""
    while len(nonce) < NONCE_BYTES:
        piece = connection.recv(NONCE_BYTES - len(nonce))
        if not piece:
            raise LineError("it hung up")
        nonce += piece
    connection.sendall(line_of({"proof": _proof(token, nonce), **hello}))
    connection.settimeout(None)
    _keep_alive(connection)
    return connection


@dataclass
class KeeperView:
    """A keeper as its Director sees it.

    Attributes:
        block: Its block.
        node: Its node; None if it is on a host that is not in its block.
        host: What its host calls itself.
        cores: How many cores it may use there.
        workers: What each worker said of itself when it began, by rank: ``host``, ``cores``, ``accelerator``, ``pid``.
        running: The name of what each worker has begun last, by rank.
        warned: The signals by which the scheduler has warned it; see `partitions.early_signals`.
    """

    block: str
    node: str | None
    host: str
    cores: int
    workers: dict[int, dict[str, Any]] = field(default_factory=dict)
    running: dict[int, str] = field(default_factory=dict)
    warned: set[signal.Signals] = field(default_factory=set)


@dataclass
class _Caller:
    connection: socket.socket
    nonce: bytes
    since: float
    unread: Unread = field(default_factory=Unread)
    keeper: KeeperView | None = None


class Line:
    """The Director's end.

    Args:
        host: Address to listen on: one that the nodes can reach.
        changed: Called, from the line's own thread, when a keeper has come or gone, or a worker has.
        gone: Called, from the line's own thread, with a keeper that has gone.
        killed: Called, from the line's own thread, with the name of what a worker ran that was killed as was asked.
        warned: Called, from the line's own thread, with a signal when the scheduler has warned a keeper by it.
    """

    def __init__(
        self,
        host: str,
        changed: Callable[[], None] = lambda: None,
        gone: Callable[[KeeperView], None] = lambda keeper: None,
        killed: Callable[[str], None] = lambda name: None,
        warned: Callable[[signal.Signals], None] = lambda number: None,
    ) -> None:
        self.token = secrets.token_hex(32)
        self._changed = changed
        self._gone = gone
        self._killed = killed
        self._warned = warned
        self._server = socket.create_server((host, 0), backlog=1024)
        self._server.setblocking(False)
        self._callers: dict[int, _Caller] = {}
        self._strangers: list[KeeperView] = []
        self._lock = threading.Lock()
        self._watch = selectors.DefaultSelector()
        self._watch.register(self._server, selectors.EVENT_READ)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="line", daemon=True)
        self._thread.start()

    @property
    def address(self) -> tuple[str, int]:
        """Address and port."""
        host, port = self._server.getsockname()[:2]
        return str(host), int(port)

    def keepers(self) -> list[KeeperView]:
        """The keepers that hold the line."""
        with self._lock:
            return [caller.keeper for caller in self._callers.values() if caller.keeper and caller.keeper.node]

    def strangers(self) -> list[KeeperView]:
        """The keepers that found themselves on a host that is not in their block."""
        with self._lock:
            return list(self._strangers)

    def hang_up(self, block: str, node: str | None = None) -> None:
        """Lets the keepers of a block, or only that of one of its nodes, end their pools."""
        with self._lock:
            callers = list(self._callers.values())
        for caller in callers:
            if caller.keeper and caller.keeper.block == block and node in (None, caller.keeper.node):
                self._shut(caller)

    def signal(self, what: Signal, began: str) -> bool:
        """Has the worker signalled that has begun something last, if it still runs that.

        Args:
            what: ``interrupt`` or ``kill``.
            began: The name of what it has begun.

        Returns:
            Whether a keeper was told. False if no worker has begun it, or its keeper is gone.
        """
        with self._lock:
            for caller in self._callers.values():
                for rank, name in caller.keeper.running.items() if caller.keeper else ():
                    if name == began:
                        return self._say(caller, {"signal": what, "rank": rank, "began": began})
        return False

    def _say(self, caller: _Caller, said: dict[str, Any]) -> bool:
        """Sends a line; the lock is held, so that the connection is not closed meanwhile."""
        line = line_of(said)
        try:
            if caller.connection.send(line) == len(line):
                return True
        except BlockingIOError:
            return False
        except OSError:
            pass  # it broke: whoever listens to it finds that
        self._shut(caller)
        return False

    def close(self) -> None:
        """Lets all keepers end their pools. May be called twice."""
        self._closed.set()
        self._thread.join(2 * POLL_S)
        with self._lock:
            callers = list(self._callers.values())
        for caller in callers:
            self._shut(caller)
        self._server.close()

    @staticmethod
    def _shut(caller: _Caller) -> None:
        with contextlib.suppress(OSError):
            caller.connection.shutdown(socket.SHUT_RDWR)

    def _serve(self) -> None:
        while not self._closed.is_set():
            for key, _ in self._watch.select(POLL_S):
                if key.fileobj is self._server:
                    self._take_call()
                else:
                    self._listen(key.data)
            now = time.monotonic()
            for caller in list(self._callers.values()):
                if caller.keeper is None and now - caller.since > GREETING_S:
                    self._drop(caller)

    def _take_call(self) -> None:
        with contextlib.suppress(OSError):  # it hung up already
            connection, _ = self._server.accept()
            connection.setblocking(False)
            _keep_alive(connection)
            caller = _Caller(connection, secrets.token_bytes(NONCE_BYTES), time.monotonic())
            connection.send(caller.nonce)
            with self._lock:
                self._callers[connection.fileno()] = caller
            self._watch.register(connection, selectors.EVENT_READ, caller)

    def _listen(self, caller: _Caller) -> None:
        try:
            piece = caller.connection.recv(MAX_LINE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        try:
            for said in caller.unread.lines(piece):
                self._hear(caller, said)
        except (ValueError, KeyError, TypeError):
            piece = b""  # not one of ours
        if not piece:
            self._drop(caller)

    def _hear(self, caller: _Caller, said: dict[str, Any]) -> None:
        if caller.keeper is None:
            if not hmac.compare_digest(str(said["proof"]), _proof(self.token, caller.nonce)):
                raise ValueError("wrong proof")
            view = KeeperView(said["block"], said["node"], said["host"], said["cores"])
            with self._lock:
                caller.keeper = view
                if view.node is None:
                    self._strangers.append(view)
            self._changed()
        elif "killed" in said:
            self._killed(str(said["killed"]))
        elif "warned" in said:
            number = signal.Signals[said["warned"]]
            with self._lock:
                caller.keeper.warned.add(number)
            self._warned(number)
        elif "began" in said:
            with self._lock:
                caller.keeper.running[int(said["rank"])] = str(said["began"])
        else:
            caller.keeper.workers = {**caller.keeper.workers, int(said["rank"]): said}
            self._changed()

    def _drop(self, caller: _Caller) -> None:
        with contextlib.suppress(KeyError, ValueError):
            self._watch.unregister(caller.connection)
        with self._lock:
            self._callers.pop(caller.connection.fileno(), None)
            caller.connection.close()
        if caller.keeper is not None:
            self._gone(caller.keeper)
            self._changed()
