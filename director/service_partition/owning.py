"""The client's side of a run's services: it starts the process that looks after them, and ends it."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from director.ending import GOODBYE
from director.service_partition.finding import Services, ServiceUnavailable
from director.service_partition.server import HANG_UP_S
from director.service_partition.spec import ServiceSpec, forwarded
from director.service_partition.state import ServicesFolder, log_tail
from director.service_partition.told import Secrets, Told, ToldNode, ToldService, told_launcher
from partitions.guard import mark_environment, new_mark
from partitions.launchers import Launcher
from partitions.set_aside import ServicePartition
from simulations.disk import write_private

if TYPE_CHECKING:
    from director.plan import Plan

logger = logging.getLogger(__name__)

RELAUNCHES = 3
RELAUNCH_WAIT_S = 1.0
POLL_S = 0.2
KEY_BYTES = 32
END_S = 40.0


@dataclass(frozen=True)
class ServicesPlan:
    """Services that may be started.

    Attributes:
        specs: The services.
        partitions: Their nodes.
        lead: Name of the lead node, which is this one.
        logical: Whether nodes are logical nodes of this machine.
        address: Address of this node that the other nodes reach; None: found out.
        launcher: How programs are started on nodes.
        variables: For each service, the environment variables that it is to be handed.
        environment: Environment of this process.
    """

    specs: tuple[ServiceSpec, ...]
    partitions: tuple[ServicePartition, ...]
    lead: str
    logical: bool
    address: str | None
    launcher: Launcher
    variables: Mapping[str, Mapping[str, str]] = field(repr=False)
    environment: Mapping[str, str] = field(repr=False)

    @classmethod
    def of(cls, what: Plan, environment: Mapping[str, str]) -> ServicesPlan | None:
        """Those of a run; None if it has none.

        Raises:
            Refused: If a variable that a service wants is not set.
        """
        if not what.services:
            return None
        return cls(
            specs=what.services,
            partitions=what.service_nodes,
            lead=what.allocation.lead.hostname,
            logical=what.allocation.scheduler == "local",
            address=what.pool.address,
            launcher=what.launcher,
            variables=forwarded(what.services, environment),
            environment=dict(environment),
        )


class OwnServices:
    """The services that this client has started: they end with it.

    Args:
        folder: Their folder.
        told: What the process is told that looks after them.
        environment: Environment of that process.
    """

    def __init__(self, folder: ServicesFolder, told: Told, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self.services = Services(folder, tuple(one.spec.name for one in told.services))
        self._told, self._environment = told, dict(environment)
        self._closing = threading.Event()
        self._given_up = False
        self._lock = threading.Lock()
        self._process = self._launch()
        self._follower = threading.Thread(target=self._follow, name="services", daemon=True)
        self._follower.start()

    @classmethod
    def start(cls, run_folder: Path, plan: ServicesPlan) -> OwnServices:
        """Starts services. Returns at once: they take their time to be up.

        Args:
            run_folder: The run folder, which is there.
            plan: The services.

        Raises:
            OSError: If the run folder cannot be written, or the process cannot be started.
        """
        folder = ServicesFolder(run_folder)
        folder.path.mkdir(mode=0o700, exist_ok=True)
        told = []
        for spec, partition in zip(plan.specs, plan.partitions, strict=True):
            folder.service(spec.name).mkdir(mode=0o700, exist_ok=True)
            # What a run that goes on has left of its earlier life would be taken for what is true now.
            folder.state_file(spec.name).unlink(missing_ok=True)
            key = secrets.token_urlsafe(KEY_BYTES) if spec.keyed else None
            if key is not None:
                write_private(folder.key_file(spec.name), key)
            nodes = tuple(
                ToldNode(hostname=node.hostname, cores=node.cores, accelerators=node.accelerators)
                for node in partition.nodes
            )
            variables = plan.variables[spec.name]
            told.append(ToldService(spec=spec, nodes=nodes, secrets=Secrets(key=key, variables=dict(variables))))
        kind, program = told_launcher(plan.launcher)
        everything = Told(
            run_folder=run_folder,
            services=tuple(told),
            mark=new_mark(),
            lead=plan.lead,
            logical=plan.logical,
            address=plan.address,
            launcher=kind,
            launcher_program=program,
        )
        return cls(folder, everything, plan.environment)

    @property
    def log(self) -> Path:
        """What the process that looks after them prints."""
        return self.folder.path / "services.log"

    def _launch(self) -> subprocess.Popen[bytes]:
        with os.fdopen(os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "director.service_partition.process"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env={**self._environment, **mark_environment(new_mark())},
                process_group=0,  # out of reach of a terminal's Ctrl-C, which is for the client
            )
        assert process.stdin is not None  # noqa: S101  (it is a pipe)
        with contextlib.suppress(BrokenPipeError):  # it ended at once: its log says why
            process.stdin.write(self._told.model_dump_json().encode() + b"\n")
            process.stdin.flush()
        return process

    def _follow(self) -> None:
        """Launches the process again if it is killed; the servers are then started again as well."""
        for count in range(RELAUNCHES + 1):
            code = self._process.wait()
            if self._closing.wait(RELAUNCH_WAIT_S) or code == 0:  # it was told to end, by a scheduler perhaps
                return
            if count == RELAUNCHES:
                break
            logger.warning("what looks after the services ended with %s and is launched again: see %s", code, self.log)
            with self._lock:
                if self._closing.is_set():
                    return
                self._process = self._launch()
        self._given_up = True

    def until_up(self) -> None:
        """Waits until all services are up that the run is to wait for. Blocks; `close` ends the wait.

        Raises:
            ServiceUnavailable: If one that is required does not come up.
        """
        for one in self._told.services:
            if not one.spec.wait:
                continue
            give_up = time.monotonic() + self.patience_s(one.spec)
            while not self._closing.is_set():
                if self._settled(one.spec, late=time.monotonic() > give_up):
                    break
                self._closing.wait(POLL_S)

    def _settled(self, spec: ServiceSpec, *, late: bool) -> bool:
        """Whether there is no more need to wait for a service."""
        found = self.folder.read(spec.name)
        if found is not None and found.state == "up":
            return True
        if self._given_up:
            tail = log_tail(self.log)
            raise ServiceUnavailable(f"what looks after the services has ended. The end of {self.log}:\n{tail}")
        if not late and (found is None or found.state not in ("failed", "stopped")):
            return False
        if spec.required:
            raise ServiceUnavailable(self.services[spec.name].trouble())
        logger.warning("%s. The run goes on without it: required is false", self.services[spec.name].trouble())
        return True

    @staticmethod
    def patience_s(spec: ServiceSpec) -> float:
        """How long all of its starts may take together, in s; its own supervisor gives up before."""
        return (spec.restarts + 1) * (spec.start_timeout_s + spec.stop_s + 300.0) + 60.0

    def lost(self) -> str | None:
        """Why the run has failed: the trouble of a required service that is not there any more; None if all are."""
        for one in self._told.services:
            found = self.folder.read(one.spec.name)
            if one.spec.required and (self._given_up or (found is not None and found.state == "failed")):
                return self.services[one.spec.name].trouble()
        return None

    def close(self) -> None:
        """Ends all services. Blocks until they have ended. May be called twice."""
        with self._lock:
            first = not self._closing.is_set()
            self._closing.set()
        stdin = self._process.stdin
        assert stdin is not None  # noqa: S101  (it is a pipe)
        if first:
            with contextlib.suppress(BrokenPipeError, ValueError):
                stdin.write(GOODBYE)
        with contextlib.suppress(BrokenPipeError):
            stdin.close()
        longest_s = max(one.spec.stop_s for one in self._told.services) + HANG_UP_S + END_S
        try:
            self._process.wait(longest_s)
        except subprocess.TimeoutExpired:
            self._process.kill()  # its guard ends what it has started
            self._process.wait()
