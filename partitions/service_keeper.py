"""The service keeper: starts a server on its node, says where it listens, and ends it when it must end.

It is to a service what `partitions.keeper` is to a worker pool, and is started by the same launchers. It

- ends what an earlier one left running on the node, and waits until the port is free again;
- chooses the address: that of the node by which it reaches the lead node, or loopback on the lead node itself; and a
  free port, if none was chosen;
- starts the program with these filled into its arguments, without a shell;
- says who listens there. Only if it is this program, and on this address alone, does anybody talk to it: an API key is
  never sent to a stranger's server, and no port is open on an address where nobody asked for it;
- ends the program when the line breaks, and when the scheduler sends SIGTERM. It outlives the early signal, and so does
  the program.

If the keeper itself is killed, its guard ends the program. It runs as a script with nothing but the standard library.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # a script has its own folder on the path, not the package's
    sys.path[0:0] = [str(Path(__file__).resolve().parents[1])]

from partitions.address import LOOPBACK
from partitions.allocation import Node
from partitions.bindings import node_environment, visible
from partitions.early_signals import Warned
from partitions.filling import filled
from partitions.guard import BLOCK_MARK_VARIABLE, Guard, end_marked, mark_environment, marked
from partitions.json_lines import line_of
from partitions.keeper import NO_DIRECTOR, WRONG_HOST, Post, post_of
from partitions.line import LineError, dial
from partitions.listening import Listener, listener

POLL_S = 0.5
LOOK_S = 5.0
LOOK_AGAIN = 3
PORT_FREE_S = 15.0
PORT_POLL_S = 0.2
NOT_FOUND = 127  # as a shell says it
PORT_TAKEN = 71  # EX_OSERR of sysexits.h


@dataclass(frozen=True)
class ServiceOrders:
    """What a service keeper is told: a file in the run folder that only its owner can read.

    Attributes:
        line: Address and port of the other end of the line.
        token: The line's secret.
        block: Name of this start.
        mark: What all processes of the run's services carry in their environment, before service, node and start.
        node: The node.
        logical: Whether it is a logical node: whatever this machine is called, it is the one.
        here: Whether the node is the lead node, so that the server need listen on loopback only.
        port: The port; None: a free one is chosen.
        program: Program and arguments, with names in braces to be filled in.
        environment: What to add to the environment, likewise.
        verbatim: What to add to it as it is.
        values: What is filled in, beside ``host`` and ``port``.
        stop_s: How long the program may take to end by itself, in s.
        port_wait_s: How long to wait for a port that is still taken, in s.
    """

    line: tuple[str, int]
    token: str
    block: str
    mark: str
    node: Node
    logical: bool
    here: bool
    port: int | None
    program: tuple[str, ...]
    environment: Mapping[str, str]
    verbatim: Mapping[str, str]
    values: Mapping[str, str]
    stop_s: float
    port_wait_s: float = PORT_FREE_S

    def dump(self) -> str:
        """The orders as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def load(cls, text: str) -> ServiceOrders:
        """Reads what `dump` wrote."""
        raw = json.loads(text)
        node = raw["node"]
        return cls(
            **{
                **raw,
                "line": (str(raw["line"][0]), int(raw["line"][1])),
                "node": Node(node["hostname"], tuple(node["cores"]), tuple(node["accelerators"])),
                "program": tuple(raw["program"]),
            }
        )


def service_keeper_command(orders: Path) -> list[str]:
    """The command that runs a service keeper."""
    return [sys.executable, "-I", "-S", str(Path(__file__).resolve()), str(orders)]


class PortTakenError(RuntimeError):
    """The port that was asked for is not to be had. The message says where."""


def free_port(address: str, wanted: int | None, within_s: float = PORT_FREE_S) -> int:
    """A port of an address on which nobody listens.

    Args:
        address: An address of this machine.
        wanted: The port; None: any.
        within_s: How long to wait for one that is still taken, in s.

    Raises:
        PortTakenError: If it stays taken.
        OSError: If the address is not this machine's.
    """
    give_up = time.monotonic() + within_s
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do, after a predecessor
            try:
                probe.bind((address, wanted or 0))
                return int(probe.getsockname()[1])
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
        if time.monotonic() > give_up:
            raise PortTakenError(f"port {wanted} of {address} is taken by another process")
        time.sleep(PORT_POLL_S)


class ServiceKeeper:
    """Keeps one server. Made and run by `main`.

    Args:
        orders: What it is told.
        line: Connected to the other end.
        warned: The scheduler's warnings.
    """

    def __init__(self, orders: ServiceOrders, line: socket.socket, warned: Warned) -> None:
        self._orders, self._line, self._warned = orders, line, warned
        self._mark = f"{orders.mark}.{orders.node.hostname}.{orders.block}"
        self._guard: Guard | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self._address = LOOPBACK if orders.logical or orders.here else str(line.getsockname()[0])
        self._port = 0
        self._told: dict[str, Any] = {}
        self._looked = 0.0

    def start(self) -> None:
        """Ends what an earlier one left here, and starts the server. Whatever comes of it, `end` is to be called.

        Raises:
            PortTakenError: If the port is not to be had.
            OSError: If the program cannot be started.
        """
        orders = self._orders
        end_marked(f"{orders.mark}.{orders.node.hostname}.*", BLOCK_MARK_VARIABLE)
        self._port = free_port(self._address, orders.port, orders.port_wait_s)
        values = {**orders.values, "host": self._address, "port": str(self._port)}
        environment = {
            **os.environ,
            **node_environment(visible(orders.node, named=orders.logical, environment=os.environ)),
            **{name: filled(text, values) for name, text in orders.environment.items()},
            **orders.verbatim,
            **mark_environment(self._mark, BLOCK_MARK_VARIABLE),
        }
        self._guard = Guard(environment, BLOCK_MARK_VARIABLE)
        self._server = subprocess.Popen(
            [filled(text, values) for text in orders.program],
            env=environment,
            stdin=subprocess.DEVNULL,
            process_group=0,
            preexec_fn=self._settle,  # there are no threads here that it could disturb
        )
        self._tell(Listener.NOBODY)

    def _settle(self) -> None:
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        if self._orders.logical and self._orders.node.cores:
            os.sched_setaffinity(0, self._orders.node.cores)

    def keep(self) -> int:
        """Keeps the server until it ends or must be ended; returns an exit code."""
        assert self._server is not None  # noqa: S101  (it was started)
        watch = selectors.DefaultSelector()
        watch.register(self._line, selectors.EVENT_READ)
        while (code := self._server.poll()) is None:
            for _ in watch.select(POLL_S):
                with contextlib.suppress(OSError):
                    if self._line.recv(4096):
                        continue  # nothing is asked of a service keeper
                return 0
            for number in self._warned.due():
                self._send({"warned": number.name})
            if self._warned.over:
                self._send({"rank": 0, **self._told, "ended": "the scheduler sent SIGTERM"})
                return 128 + signal.SIGTERM
            self._look()
        how = f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
        self._send({"rank": 0, **self._told, "ended": how})
        return code if code >= 0 else 128 - code

    def _look(self) -> None:
        """Looks who listens: often while nobody does, and now and then afterwards."""
        settled = self._told.get("listening") == Listener.OURS
        now = time.monotonic()
        if settled and now - self._looked < LOOK_S:
            return
        self._looked = now
        who = self._listener()
        for _ in range(LOOK_AGAIN if settled else 0):
            if who is Listener.OURS:
                break
            # The kernel's table can be read with lines missing while other sockets come and go.
            time.sleep(PORT_POLL_S)
            who = self._listener()
        self._tell(who)

    def _listener(self) -> Listener:
        return listener(self._address, self._port, marked(self._mark, BLOCK_MARK_VARIABLE))

    def _tell(self, who: Listener) -> None:
        told = {"address": self._address, "port": self._port, "listening": str(who)}
        if told != self._told:
            self._told = told
            self._send({"rank": 0, **told})

    def refuse(self, why: str) -> None:
        """Says why the server was not started."""
        self._send({"rank": 0, "listening": str(Listener.NOBODY), "ended": why})

    def _send(self, said: Mapping[str, Any]) -> None:
        with contextlib.suppress(OSError):  # the line broke: the next look at it says so
            self._line.sendall(line_of(said))

    def end(self) -> None:
        """Ends the server and all that it has started: in order if it does so in time."""
        if self._server is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._server.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._server.wait(self._orders.stop_s)
        end_marked(self._mark, BLOCK_MARK_VARIABLE)
        if self._guard is not None:
            self._guard.release()


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def main() -> int:
    """Keeps a server as the orders, whose path is the argument, say; returns an exit code."""
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(name, lambda number, _: sys.exit(128 + number))
    orders = ServiceOrders.load(Path(sys.argv[1]).read_text())
    hostname = socket.gethostname()
    right = orders.logical or post_of(hostname, (Post(orders.node, ()),)) is not None
    hello = {
        "block": orders.block,
        "node": orders.node.hostname if right else None,
        "host": hostname,
        "cores": len(os.sched_getaffinity(0)),
    }
    try:
        line = dial(orders.line, orders.token, hello)
    except (OSError, LineError) as error:
        _say(f"{hostname} cannot reach the lead node at {orders.line[0]}:{orders.line[1]}: {error}")
        return NO_DIRECTOR
    if not right:
        _say(f"this is {hostname}, but the service's node is {orders.node.hostname}: starting nothing here")
        return WRONG_HOST
    warned = Warned(0.0)
    warned.listen()
    keeper = ServiceKeeper(orders, line, warned)
    try:
        keeper.start()
        return keeper.keep()
    except PortTakenError as error:
        _say(str(error))
        keeper.refuse(str(error))
        return PORT_TAKEN
    except OSError as error:
        _say(f"{orders.program[0]} cannot be started on {hostname}: {error}")
        keeper.refuse(f"{orders.program[0]} cannot be started: {error.strerror or error}")
        return NOT_FOUND
    finally:
        keeper.end()


if __name__ == "__main__":
    sys.exit(main())
