"""Services beside any command: they are kept on nodes of their own while it runs on the lead node."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from director.batch import MAX_FILE_BYTES
from director.carving import for_services, granted, launcher_of, owners_of, settled
from director.document import read_document
from director.door import Problem, Refused, problems_of
from director.plan import allocation_spec, pool_spec, refusing
from director.service_partition.owning import OwnServices, ServicesPlan
from director.service_partition.spec import ServiceSpec, check_nodes, forwarded, read_services
from director.service_partition.state import ServicesFolder
from director.spec import SharesSpec
from partitions.allocation import Allocation
from partitions.guard import Guard, end_marked, mark_environment, new_mark
from partitions.hostlist import compress
from partitions.set_aside import ASIDE_VARIABLE
from partitions.surroundings import Surroundings

FORWARDED_SIGNALS = (signal.SIGTERM, signal.SIGHUP)
POLL_S = 0.1
PREFIX = "DIRECTOR_LLM_"
ONE_MODEL = (
    *(f"{PREFIX}{name}" for name in ("BASE_URL", "MODEL", "API_KEY", "API_KEY_FILE")),
    "OPENAI_BASE_URL",
    "OPENAI_API_KEY",
)
# A command that is told to end may save what runs; schedulers kill 10 to 30 s after SIGTERM anyway.
END_S = 60.0


class ServicesFile(BaseModel):
    """What ``director serve`` reads: services, and what batch files say of nodes."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    nodes: int | None = Field(default=None, ge=1, le=1024, description="As in a batch file.")
    accelerators: list[str] | None = Field(default=None, description="As in a batch file.")
    pool: dict[str, Any] = Field(
        default_factory=dict, description="As in a batch file; launcher, launcher_program and address count."
    )
    services: list[ServiceSpec] = Field(min_length=1, max_length=100, description="The services.")


@dataclass(frozen=True)
class Beside:
    """Services that may be started beside a command.

    Attributes:
        plan: The services.
        allocation: All nodes.
        left: Names of the nodes that are left for the command.
    """

    plan: ServicesPlan
    allocation: Allocation
    left: tuple[str, ...]

    @property
    def cores(self) -> set[int]:
        """Ids of the cores of this machine that are left for the command, where nodes are logical nodes of it."""
        return {core for node in self.allocation.nodes if node.hostname in self.left for core in node.cores}

    @property
    def variables(self) -> dict[str, str]:
        """What tells Directors that the command launches which nodes are taken."""
        if self.plan.logical:
            return {}
        taken = [name for partition in self.plan.partitions for name in partition.hostnames]
        before = self.plan.environment.get(ASIDE_VARIABLE)
        return {ASIDE_VARIABLE: ",".join(([before] if before else []) + [compress(taken)])}


def read_services_file(path: Path) -> tuple[ServicesFile, tuple[ServiceSpec, ...]]:
    """Reads a file of services.

    Returns:
        What it says, and its services with paths that no longer depend on its folder.

    Raises:
        Refused: With everything that is wrong with it.
    """
    document = read_document(path, MAX_FILE_BYTES)
    if not isinstance(document, dict):
        raise Refused([Problem(str(path), "is not a mapping", "Begin with `services:`")])
    try:
        file = ServicesFile.model_validate(document)
    except ValidationError as error:
        raise Refused(problems_of(error, ServicesFile)) from None
    return file, read_services(file.services, path.resolve().parent)


def plan_beside(
    file: ServicesFile, services: Sequence[ServiceSpec], *, allocation: str, nodes: int | None, around: Surroundings
) -> Beside:
    """Plans services beside a command. Nothing is started.

    Args:
        file: What the file says of nodes.
        services: The services.
        allocation: Which nodes: ``auto``, or a kind of `AllocationSpec`.
        nodes: How many, instead of what the file says.
        around: The environment of the job.

    Raises:
        Refused: If nodes or variables cannot be had.
    """
    aside = tuple(service.aside for service in services)
    shares = SharesSpec(values=(1.0,), aside=aside)  # whatever runs beside them needs one node at least
    pool = pool_spec({}, file.pool)
    spec = allocation_spec(allocation, nodes or file.nodes, file.accelerators)
    with refusing("Correct nodes or services"):
        found = granted(settled(spec, owners_of(shares), around.environment), around)
        partitions = for_services(found, shares)
    check_nodes(services, partitions)
    taken = {name for partition in partitions for name in partition.hostnames}
    if found.lead.hostname in taken:
        message = f"names the lead node {found.lead.hostname}, on which the command runs"
        raise Refused([Problem("services.hosts", message, "Name other nodes")])
    with refusing("Correct launcher or launcher_program"):
        launcher = launcher_of(found, pool, around)
    plan = ServicesPlan(
        specs=tuple(services),
        partitions=tuple(partitions),
        lead=found.lead.hostname,
        logical=found.scheduler == "local",
        address=pool.address,
        launcher=launcher,
        variables=forwarded(services, around.environment),
        environment=dict(around.environment),
    )
    return Beside(plan, found, tuple(node.hostname for node in found.nodes if node.hostname not in taken))


def start_beside(what: Beside, folder: Path) -> OwnServices:
    """Starts the services.

    Raises:
        Refused: If the folder holds services already, or cannot be written.
        OSError: If the process that looks after them cannot be started.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if ServicesFolder(folder).names():
            message = f"{folder} already holds services"
            raise Refused([Problem("run-dir", message, "Name another folder")])
        return OwnServices.start(folder.resolve(), what.plan)
    except OSError as error:
        reason = f"{folder} cannot be written ({error.strerror})"
        raise Refused([Problem("run-dir", reason, "Name a folder you may write to")]) from None


def command_environment(what: Beside, served: OwnServices, agent: str | None) -> dict[str, str]:
    """The environment of the command.

    Each service that is up is named by variables of its own, as teams of agents read them.

    Args:
        what: What was planned.
        served: The services.
        agent: Name of the one that agents use which know one model only; None: nothing is set for these.

    Raises:
        ServiceUnavailable: If that is not up.
    """
    environment = {**what.plan.environment, **what.variables}
    for name, service in served.services.items():
        if service.base_urls:
            middle = "".join(letter for letter in name.upper() if letter.isalnum())
            environment |= {
                own.replace(PREFIX, f"{PREFIX}{middle}_"): value for own, value in service.variables().items()
            }
    if agent is None:
        return environment
    service = served.services.named(agent)
    key = service.key
    # A key of another endpoint would be sent to this one.
    for own in ONE_MODEL:
        environment.pop(own, None)
    openai = {"OPENAI_BASE_URL": service.base_url, **({"OPENAI_API_KEY": key} if key else {})}
    return {**environment, **service.variables(), **openai}


def run_beside(
    what: Beside, command: Sequence[str], environment: Mapping[str, str], lost: Callable[[], str | None]
) -> tuple[int, str | None]:
    """Runs the command, passes signals on to it, and waits for its end.

    Args:
        what: What was planned.
        command: Program and arguments.
        environment: Its environment.
        lost: Why it is to be ended, since a service that is required is lost; None: it is not.

    Returns:
        Its exit code, 128 and the number of a signal that ended it; and why it was ended, if it was.

    Raises:
        OSError: If it cannot be started.
    """
    marked = {**environment, **mark_environment(new_mark())}
    guard = Guard(marked)  # if this process is killed, the command ends too
    cores = what.cores if what.plan.logical else set()

    def settle() -> None:
        if cores:
            os.sched_setaffinity(0, cores)

    try:
        process = subprocess.Popen(list(command), env=marked, preexec_fn=settle)
        with _passed_on(process):
            code, reason = _wait(process, lost)
    finally:
        end_marked(guard.mark)
        guard.release()
    return (code if code >= 0 else 128 - code), reason


def _wait(process: subprocess.Popen[bytes], lost: Callable[[], str | None]) -> tuple[int, str | None]:
    reason, give_up = None, float("inf")
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(POLL_S), reason
        if reason is None and (reason := lost()) is not None:
            process.terminate()
            give_up = time.monotonic() + END_S
        if time.monotonic() > give_up:
            process.kill()


@contextlib.contextmanager
def _passed_on(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Passes signals on. Ctrl-C reaches the command by itself, and a scheduler's early signal does as well."""

    def pass_on(number: int, _: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)

    def leave(number: int, _: object) -> None:
        pass

    before = {number: signal.signal(number, pass_on) for number in FORWARDED_SIGNALS}
    before |= {number: signal.signal(number, leave) for number in (signal.SIGINT, signal.SIGUSR1)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
