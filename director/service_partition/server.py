"""One server of a service: starting its keeper on its node, watching it, and ending it, as `deciding` says."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from director.service_partition.deciding import Action, Bounds, Life, Phase, Seen, step
from director.service_partition.health import NO_SUCH_QUESTION, Answer, ask, models_in, opinion
from director.service_partition.spec import ServiceSpec
from director.service_partition.state import ServerState, ServicesFolder, State
from director.service_partition.told import ToldService
from partitions.allocation import Node
from partitions.environment import FORWARDED_VARIABLES
from partitions.launchers import Launcher
from partitions.line import Line
from partitions.listening import Listener
from partitions.service_keeper import ServiceOrders, service_keeper_command
from simulations.disk import write_private

logger = logging.getLogger(__name__)

POLL_S = 0.25
# How long a keeper may take beyond what its server may, before what started it is killed.
HANG_UP_S = 6.0
# How long an ended launcher may be ahead of what its keeper has said on the line.
SETTLE_S = 2.0


@dataclass(frozen=True)
class Place:
    """Where servers are started.

    Attributes:
        folder: The services' folder.
        line: This end of the line to the keepers.
        launcher: How programs are started on nodes.
        mark: What all processes of the services carry in their environment.
        environment: Environment of the launchers.
        lead: Name of the lead node.
        logical: Whether nodes are logical nodes of this machine.
        gone: What keepers have said that are gone, by the name of their start.
    """

    folder: ServicesFolder
    line: Line
    launcher: Launcher
    mark: str
    environment: Mapping[str, str]
    lead: str
    logical: bool
    gone: Mapping[str, Mapping[str, Any]]


class Server:
    """A server, looked after by a thread of its own.

    Args:
        told: Its service.
        rank: Which of its servers this is.
        place: Where it is started.
        port: Its port in an earlier life, to be taken again if none is prescribed.
        changed: Called, from the server's thread, when its state has changed.
    """

    def __init__(
        self, told: ToldService, rank: int, place: Place, port: int | None, changed: Callable[[Server], None]
    ) -> None:
        self.spec: ServiceSpec = told.spec
        self.rank = rank
        self.node: Node = told.nodes[rank].node()
        self._told, self._place, self._changed = told, place, changed
        self._port = told.spec.port or port
        self._life = Life(due_s=time.monotonic())
        self._bounds = Bounds.of(told.spec)
        self._process: subprocess.Popen[bytes] | None = None
        self._block = ""
        self._ended_at: float | None = None
        self._next_check = 0.0
        self._introduced = False
        self._trouble = ""
        self._models: list[str] = []
        self._base_url: str | None = None
        self._since = datetime.now(UTC)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"{self.spec.name}-{rank}", daemon=True)

    def start(self) -> None:
        """Starts looking after it."""
        self._thread.start()

    def ask_to_stop(self) -> None:
        """Lets it end. Returns at once."""
        self._stop.set()

    def join(self, timeout_s: float) -> None:
        """Waits until it has ended, but no longer than that."""
        self._thread.join(timeout_s)

    def state(self) -> ServerState:
        """How it is."""
        life = self._life
        words: dict[Phase, State] = {
            Phase.WAITING: "restarting" if life.starts else "starting",
            Phase.STARTING: "restarting" if life.starts > 1 else "starting",
            Phase.UP: "up",
            Phase.UNWELL: "unwell",
            Phase.FAILED: "failed",
        }
        stopped = self._stop.is_set() and life.phase is not Phase.FAILED
        folder = self._place.folder
        return ServerState(
            node=self.node.hostname,
            state="stopped" if stopped else words[life.phase],
            since=self._since,
            base_url=self._base_url,
            port=self._port,
            starts=life.starts,
            reason=life.reason or None,
            models=list(self._models),
            log=folder.relative(folder.log(self.spec.name, self.rank)),
        )

    # ---- life

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                before = self._life
                after, action = step(before, self._look(), time.monotonic(), self._bounds)
                if action is Action.START:
                    self._begin(after.starts)
                elif action is Action.END:
                    self._end()
                self._now(after)
                self._stop.wait(POLL_S)
        except Exception as error:
            logger.exception("service %s on %s cannot be looked after", self.spec.name, self.node.hostname)
            why = f"it could not be looked after: {type(error).__name__}: {error}"
            self._now(Life(Phase.FAILED, reason=why, starts=self._life.starts))
        finally:
            self._end()
            if self._life.phase is not Phase.FAILED:
                self._since = datetime.now(UTC)
            self._changed(self)

    def _now(self, life: Life) -> None:
        before, self._life = self._life, life
        if (life.phase, life.reason, life.starts) != (before.phase, before.reason, before.starts):
            self._since = datetime.now(UTC)
            self._changed(self)

    def _begin(self, starts: int) -> None:
        folder, name = self._place.folder, self.spec.name
        self._block = f"{name}.{self.rank}.{starts}.{os.urandom(4).hex()}"
        self._ended_at, self._next_check, self._introduced = None, 0.0, False
        orders = folder.orders(name, self.rank)
        write_private(orders, self._orders().dump())
        command = self._place.launcher.command([self.node.hostname], service_keeper_command(orders))
        log = os.open(folder.log(name, self.rank), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            at = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
            os.write(log, f"--- start {starts} on {self.node.hostname}, {at}\n".encode())
            self._process = subprocess.Popen(
                command.arguments,
                env={**self._place.environment, **command.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,
            )
        except OSError as error:
            self._process, self._trouble = None, f"{command.arguments[0]} cannot be started: {error}"
        finally:
            os.close(log)

    def _orders(self) -> ServiceOrders:
        spec, place, secrets = self.spec, self._place, self._told.secrets
        here = place.logical or self.node.hostname == place.lead
        values = {
            "node": self.node.hostname,
            "nodes": str(len(self._told.nodes)),
            "rank": str(self.rank),
            "accelerators": str(len(self.node.accelerators)),
            "cores": str(len(self.node.cores)),
            "folder": str(place.folder.service(spec.name)),
            "api_key_file": str(place.folder.key_file(spec.name)),
            **({"model": spec.model} if spec.model is not None else {}),
        }
        environment = {name: str(value) for name, value in spec.environment.items()}
        # A launcher may forward none of these.
        verbatim = {
            name: place.environment[name]
            for name in FORWARDED_VARIABLES
            if name in place.environment and name not in environment
        }
        verbatim |= secrets.variables
        if spec.api_key_variable is not None and secrets.key is not None:
            verbatim[spec.api_key_variable] = secrets.key
        return ServiceOrders(
            line=place.line.address,
            token=place.line.token,
            block=self._block,
            mark=f"{place.mark}.{spec.name}.{self.rank}",
            node=self.node,
            logical=place.logical,
            here=here,
            port=self._port,
            program=tuple(spec.command),
            environment=environment,
            verbatim=verbatim,
            values=values,
            stop_s=spec.stop_s,
        )

    def _end(self) -> None:
        """Ends it with all that it has started. Blocks for as long as it may take to end in order."""
        process, self._process = self._process, None
        if process is None:
            return
        self._place.line.hang_up(self._block)
        give_up = time.monotonic() + self.spec.stop_s + HANG_UP_S
        # What started the keeper may be gone before it, and the other way round.
        while time.monotonic() < give_up and (process.poll() is None or self._said() is not None):
            time.sleep(POLL_S / 5)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self._place.folder.orders(self.spec.name, self.rank).unlink(missing_ok=True)

    # ---- what is seen of it

    def _said(self) -> dict[str, Any] | None:
        """What its keeper has said; None if it does not hold the line."""
        for keeper in self._place.line.keepers():
            if keeper.block == self._block:
                return keeper.workers.get(0, {})
        return None

    def _look(self) -> Seen:
        if self._life.phase in (Phase.WAITING, Phase.FAILED):
            return Seen()
        said = self._said()
        if said is None:
            return self._without_keeper()
        if "ended" in said:
            return Seen(alive=False, reason=f"it ended: {said['ended']}")
        address, port = said.get("address"), said.get("port")
        if address is None or port is None:
            return Seen(reason="its keeper has come")
        self._port = int(port)
        self._base_url = f"http://{address}:{port}{self.spec.base_path.rstrip('/')}"
        match said.get("listening"):
            case Listener.OURS:
                return self._check(str(address), int(port))
            case Listener.EVERYWHERE:
                fault = f"it listens on all addresses of {self.node.hostname}: have it listen on {{host}} alone"
                return Seen(fault=fault)
            case Listener.OTHER:
                return Seen(alive=False, reason=f"port {port} of {address} is another process's")
            case _:
                quiet = self._life.phase is not Phase.STARTING
                return Seen(healthy=False if quiet and self._due() else None, reason=f"nothing listens on port {port}")

    def _without_keeper(self) -> Seen:
        """Its keeper has not come yet, or is gone."""
        farewell = self._place.gone.get(self._block)
        if farewell is not None:
            ended = farewell.get("ended")
            return Seen(alive=False, reason=f"it ended: {ended}" if ended else "its keeper or its node is gone")
        if self._process is None:
            return Seen(alive=False, reason=self._trouble)
        code = self._process.poll()
        if code is None:
            return Seen(reason="its keeper has not come yet")
        now = time.monotonic()
        self._ended_at = self._ended_at or now
        if now - self._ended_at < SETTLE_S:  # what its keeper has said may be on its way
            return Seen()
        return Seen(alive=False, reason=f"what starts it on its node ended with exit code {code}")

    def _due(self) -> bool:
        """Whether it is time for a health check; the next one is then set."""
        now = time.monotonic()
        if now < self._next_check:
            return False
        self._next_check = now + min(self.spec.health_every_s, 1.0 if self._life.phase is Phase.STARTING else 3600.0)
        return True

    def _check(self, address: str, port: int) -> Seen:
        if not self._due():
            return Seen()
        answer = self._ask(address, port, self.spec.health, self._told.secrets.key)
        if not answer.well:
            return Seen(healthy=False, reason=answer.reason)
        return Seen(healthy=True) if self._introduced else self._introduce(address, port)

    def _introduce(self, address: str, port: int) -> Seen:
        """Finds out, once for each start, whether it is what was described."""
        path = self.spec.base_path.rstrip("/")
        key = self._told.secrets.key
        listed = self._ask(address, port, f"{path}/models", key)
        if listed.status is None:
            return Seen(healthy=False, reason=listed.reason)
        if key is not None:
            # A question that names no model is refused by whoever lets one ask. Lists of models are often public.
            chat = f"{path}/chat/completions"
            with_key, without = (self._ask(address, port, chat, one, b"{}") for one in (key, None))
            if with_key.status in NO_SUCH_QUESTION:
                with_key, without = listed, self._ask(address, port, f"{path}/models", None)
            found = opinion(with_key, without)
            if found.unsure or found.fault:
                return Seen(healthy=False, reason=found.unsure, fault=found.fault)
        self._models = models_in(listed.body) if listed.well else []
        if self.spec.model is not None and self._models and self.spec.model not in self._models:
            return Seen(fault=f"it has no model {self.spec.model!r}; it has {', '.join(self._models[:10])}")
        self._introduced = True
        return Seen(healthy=True)

    def _ask(self, address: str, port: int, path: str, key: str | None, body: bytes | None = None) -> Answer:
        return ask(address, port, path, key=key, timeout_s=self.spec.health_timeout_s, body=body)
