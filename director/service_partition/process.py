"""The process that looks after a run's services: ``python -m director.service_partition.process``.

It runs on the lead node, beside the Directors, and is told everything by one line of JSON on standard input. Standard
input stays open as a lifeline: when it closes, the run's client is gone, and the services end. If this process itself
is killed, its guard ends what it has started, and the keepers on the nodes end their servers, since their line breaks.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
import threading
import time
from datetime import UTC, datetime
from typing import Any

from director.ending import watch_lifeline
from director.service_partition.server import HANG_UP_S, Place, Server
from director.service_partition.state import BEAT_S, ServicesFolder, ServiceState, best
from director.service_partition.told import Told, ToldService
from partitions.address import LOOPBACK, address_for
from partitions.guard import Guard, end_marked
from partitions.line import KeeperView, Line

logger = logging.getLogger(__name__)

JOIN_S = 30.0


class Services:
    """Looks after all services of a run.

    Args:
        told: What there is to look after.
        environment: Environment of this process.

    Raises:
        OSError: If no address is found that the nodes can reach, or the folder cannot be written.
    """

    def __init__(self, told: Told, environment: dict[str, str]) -> None:
        self._told = told
        self._folder = ServicesFolder(told.run_folder)
        self._lock = threading.Lock()
        self._written: dict[str, ServiceState] = {}
        self._gone: dict[str, dict[str, Any]] = {}
        names = [node.hostname for one in told.services for node in one.nodes]
        address = LOOPBACK if told.logical else told.address or address_for(names, socket.gethostname())
        self._line = Line(address, gone=self._note_gone)
        place = Place(
            folder=self._folder,
            line=self._line,
            launcher=told.how(),
            mark=told.mark,
            environment=environment,
            lead=told.lead,
            logical=told.logical,
            gone=self._gone,
        )
        self._servers: dict[str, list[Server]] = {}
        for one in told.services:
            ports = self._ports_before(one)
            self._servers[one.spec.name] = [
                Server(one, rank, place, ports.get(node.hostname), self._changed) for rank, node in enumerate(one.nodes)
            ]

    def _ports_before(self, one: ToldService) -> dict[str, int]:
        """Ports of an earlier process that looked after them, so that agents find their servers again."""
        with contextlib.suppress(ValueError):  # of another version
            before = self._folder.read(one.spec.name)
            return {server.node: server.port for server in before.servers if server.port} if before else {}
        return {}

    def _note_gone(self, keeper: KeeperView) -> None:
        self._gone[keeper.block] = dict(keeper.workers.get(0, {}))

    def start(self) -> None:
        """Starts all servers."""
        self._folder.beat()
        for servers in self._servers.values():
            for server in servers:
                self._changed(server)
                server.start()

    def beat(self) -> None:
        """Says that they are looked after."""
        self._folder.beat()

    def close(self, reason: str) -> None:
        """Ends all servers, in order where they do so in time."""
        every = [server for servers in self._servers.values() for server in servers]
        for server in every:
            server.ask_to_stop()
        longest_s = max(one.spec.stop_s for one in self._told.services)
        give_up = time.monotonic() + longest_s + HANG_UP_S + JOIN_S
        for server in every:
            server.join(max(0.0, give_up - time.monotonic()))
        self._line.close()
        self._event({"kind": "ended", "reason": reason})
        for one in self._told.services:
            self._folder.key_file(one.spec.name).unlink(missing_ok=True)

    def _changed(self, server: Server) -> None:
        """Writes down how a service is, and what has happened."""
        name = server.spec.name
        with self._lock:
            before = self._written.get(name)
            now = self._state(name)
            if before == now:
                return
            self._written[name] = now
            self._folder.write(now)
            mine = now.servers[server.rank]
            old = before.servers[server.rank] if before else None
            if old is None or (old.state, old.reason, old.starts) != (mine.state, mine.reason, mine.starts):
                said = mine.model_dump(mode="json", include={"node", "state", "reason", "base_url", "starts"})
                self._event({"kind": "server", "service": name, **said})
                logger.info("%s on %s: %s %s", name, mine.node, mine.state, mine.reason or mine.base_url or "")

    def _state(self, name: str) -> ServiceState:
        servers = [server.state() for server in self._servers[name]]
        spec = self._servers[name][0].spec
        models = [model for server in servers for model in server.models]
        return ServiceState(
            name=name,
            state=best([server.state for server in servers]),
            required=spec.required,
            model=spec.model or next(iter(models), None),
            key_file=self._folder.relative(self._folder.key_file(name)) if spec.keyed else None,
            servers=servers,
        )

    def _event(self, what: dict[str, Any]) -> None:
        self._folder.note({"at": datetime.now(UTC).isoformat(), **what})


def main() -> int:
    """Looks after services until asked to end; returns an exit code."""
    told = Told.model_validate_json(sys.stdin.buffer.readline())
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    os.umask(0o077)
    environment = dict(os.environ)
    guard = Guard(environment)
    asked = threading.Event()
    reasons: list[str] = []

    def ask(reason: str) -> None:
        reasons.append(reason)
        asked.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: ask(f"signal {signal.Signals(number).name}"))
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # what runs is saved now, and agents may be needed for that
    watch_lifeline(ask)
    services = Services(told, environment)
    try:
        services.start()
        while not asked.wait(BEAT_S):
            services.beat()
    finally:
        services.close(reasons[0] if reasons else "an error")
        end_marked(guard.mark, spare=os.getpid())
        guard.release()
    return 0


if __name__ == "__main__":
    sys.exit(main())
