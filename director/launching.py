"""Launching a Fleet: on nodes that are known here, or somewhere else."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Generator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from academy.identifier import AgentId

from director.agent import DirectorAgent
from director.door import Problem, Refused
from director.elsewhere import RunPlan
from director.exchange import ExchangeChoice, register, settle
from director.launch import Launched, Site
from director.owned import Owned
from director.plan import director_specs
from director.runfolder import LaunchRecord, RunFolder, RunRecord
from director.service_partition.finding import ServiceUnavailable
from director.service_partition.owning import OwnServices, ServicesPlan
from director.spec import DirectorSpec, ExchangeSpec
from director.starting import start
from director.terms import Terms
from director.toolbox import stage_tools
from simulations.shell import ToolSource

if TYPE_CHECKING:
    from director.fleet import Fleet
    from director.left import Left
    from director.link import DirectorLink

LAUNCH_TIMEOUT_S = 120.0
JOB_VARIABLES = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "FLUX_JOB_ID")


class LaunchError(RuntimeError):
    """A Director did not come up. The message says why."""


class Launching:
    """What `Fleet.launch` returns: ``await`` it, or use it with ``async with``."""

    def __init__(self, launch: Callable[[], Awaitable[Fleet]]) -> None:
        self._launch = launch
        self._fleet: Fleet | None = None

    def __await__(self) -> Generator[None, None, Fleet]:
        return self._launch().__await__()

    async def __aenter__(self) -> Fleet:
        self._fleet = await self
        return self._fleet

    async def __aexit__(self, *_: object) -> None:
        if self._fleet is not None:
            await self._fleet.close()


@dataclass(frozen=True)
class Start:
    """How a Fleet is launched on this machine.

    Attributes:
        record: The run, with this launching.
        terms: What its Directors are told beside that.
        relaunches: How often a Director that is killed is launched again.
        left: What is left of the run, if it goes on; None: it is a new one.
        sources: The tool files of a new run.
        services: Its services; None: it has none.
    """

    record: RunRecord
    terms: Terms
    relaunches: int = 0
    left: Left | None = None
    sources: Sequence[ToolSource] = ()
    services: ServicesPlan | None = None


def launch_record(number: int, directors: list[int] | None = None) -> LaunchRecord:
    """What is written down of a launching that is made here and now."""
    return LaunchRecord(
        number=number,
        at=datetime.now(UTC),
        host=socket.gethostname(),
        job_id=next((os.environ[name] for name in JOB_VARIABLES if name in os.environ), None),
        directors=directors,
    )


async def launch_here(start_: Start, folder: RunFolder, site: Site) -> Fleet:
    """Launches Directors on an Allocation that is known here.

    Args:
        start_: The run.
        folder: Its folder, which is made for a new run. That of a run that goes on is written to when all of its
            Directors are up: of two clients that resume a run, one gets none of them, and must leave it as it is.
        site: Where the Directors run.

    Raises:
        Refused: If the run folder is taken; nothing was started then.
        LaunchError: If a Director or a required service did not come up; all have been ended then.
        OSError: If the run folder cannot be written; all have been ended then.
    """
    from director.fleet import Fleet

    record, terms, left = start_.record, start_.terms, start_.left
    if left is None:
        folder.create(record)
        stage_tools(start_.sources, folder.inputs)

    def specs(exchange: ExchangeSpec) -> list[DirectorSpec]:
        return director_specs(record, str(folder.path), exchange, terms)

    # First, since they take the longest; but those of a run that goes on when its Directors are sure that it is theirs.
    served = await start_services(folder.path, start_.services) if left is None else None
    try:
        up = await start(specs, site, None)
    except BaseException:
        await end_services(served)
        raise
    fleet = Fleet(record, up.client, folder=folder, left=left)
    fleet.serve(served)

    writing = asyncio.Lock()

    async def relaunch(link: DirectorLink) -> Launched:
        async with writing:  # so that two that were killed together are both written down
            launched = await asyncio.to_thread(_written, folder, link.index)
            fleet.record = launched
        spec = director_specs(launched, str(folder.path), up.spec, terms)[link.index]
        address: AgentId[Any] = AgentId(uid=spec.agent_id)
        await register(up.client, DirectorAgent, address)
        director = await asyncio.to_thread(site.launch, spec)
        link.move(address)
        return director

    fleet.own(
        Owned(
            up.directors,
            site,
            up.exchange,
            relaunch=relaunch,
            relaunches=0 if terms.memory_ledger else start_.relaunches,
            catch_up=None if terms.memory_ledger else fleet.catch_up,
        )
    )
    try:
        if left is None:
            folder.write_exchange(up.spec)
        await fleet.ready(LAUNCH_TIMEOUT_S)
        if left is not None:
            folder.reopen(record, up.spec)
            served = await start_services(folder.path, start_.services)
            fleet.serve(served)
        await services_up(served)
    except BaseException:
        await fleet.close()
        raise
    return fleet


async def start_services(run_folder: Path, plan: ServicesPlan | None) -> OwnServices | None:
    """Starts a run's services, if it has any. See `OwnServices.start`."""
    return None if plan is None else await asyncio.to_thread(OwnServices.start, run_folder, plan)


async def services_up(served: OwnServices | None) -> None:
    """Waits until services are up.

    Raises:
        LaunchError: If one that is required does not come up.
    """
    if served is None:
        return
    try:
        await asyncio.to_thread(served.until_up)
    except ServiceUnavailable as error:
        raise LaunchError(str(error)) from error


async def end_services(served: OwnServices | None) -> None:
    """Ends services, and waits until they have ended."""
    if served is not None:
        await asyncio.to_thread(served.close)


def _written(folder: RunFolder, index: int) -> RunRecord:
    """Writes down that a Director is launched again."""
    return folder.note_launch(launch_record(folder.read().next_launch, [index]))


async def launch_elsewhere(
    what: RunPlan,
    folder: RunFolder,
    site: Site,
    exchange: ExchangeChoice | None,
    *,
    wait_s: float,
    sources: Sequence[ToolSource] = (),
) -> Fleet:
    """Launches Directors that find their nodes themselves.

    Args:
        what: The run.
        folder: Its folder, which the Directors make; where they do not see it, users' files are staged in it.
        site: Where they run.
        exchange: The exchange; None: one on this machine's loopback.
        wait_s: How long to wait for their answers, in s.
        sources: The run's tool files.

    Raises:
        Refused: If the run folder is taken; nothing was started then.
        ExchangeError: If the exchange cannot be reached; nothing was started then.
        LaunchError: If a Director did not come up; all have been ended then.
    """
    from director.fleet import Fleet
    from director.remote import await_directors

    if folder.record_file.exists():
        message = f"{folder.path} already holds a run"
        raise Refused([Problem("run-dir", message, "Name another folder for this run")])
    own = exchange is None or exchange.kind == "loopback"
    if own and not site.shares_files:
        message = "that of this machine's loopback cannot be reached from a facility"
        raise Refused([Problem("exchange", message, "Name one: choose_exchange('hosted', None, os.environ)")])
    launches = dict.fromkeys(range(what.directors), 1)
    shipped = {
        staged.stored_name: source.paths[name] for source in sources for name, staged in source.definition.files.items()
    }
    try:
        given = settle(exchange, what.run_id) if exchange is not None and not own else None
        up = await start(
            lambda spec: what.specs(spec, launches, (), lambda file: shipped[file.stored_name]), site, given
        )
    except BaseException:
        await asyncio.to_thread(site.close)
        raise
    try:
        found = await await_directors(
            up.client, what.run_id, {index: (1, one) for index, one in enumerate(up.directors)}, wait_s=wait_s
        )
    except BaseException:
        for director in up.directors:
            director.kill()
        await up.client.close()
        await asyncio.to_thread(site.close)
        if up.exchange is not None:
            await asyncio.to_thread(up.exchange.close)
        raise
    about = found[0].about
    assert about is not None  # noqa: S101  (`await_directors` gives those that answered)
    if site.shares_files:
        fleet = Fleet(about.record, up.client, folder=folder)
        folder.write_exchange(up.spec)
    else:
        folder.inputs.mkdir(parents=True, exist_ok=True, mode=0o700)
        fleet = Fleet(about.record, up.client, folder=None, staging=folder)
    fleet.own(Owned(up.directors, site, up.exchange))
    return fleet
