"""The client's view of the Directors of one run."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from academy.exchange.client import UserExchangeClient
from academy.identifier import AgentId

from director.call import DirectorLost, WoundDown
from director.calls import Calls
from director.carrier import Carrier
from director.door import Problem, Refused
from director.elsewhere import plan_elsewhere
from director.exchange import ExchangeChoice, ExchangeError, connect
from director.feeding import Feeding
from director.handing_over import HandingOver
from director.launch import LocalSite, Site
from director.launching import (
    LAUNCH_TIMEOUT_S,
    LaunchError,
    Launching,
    Start,
    end_services,
    launch_elsewhere,
    launch_here,
    launch_record,
)
from director.left import Left
from director.link import UNREACHABLE_S, DirectorLink
from director.owned import Owned
from director.plan import allocation_spec, plan, pool_spec
from director.relaunching import MAX_RELAUNCHES
from director.resuming import Changes, plan_again
from director.runfolder import RunFolder, RunRecord
from director.service_partition.finding import Services, find_services
from director.service_partition.owning import OwnServices, ServicesPlan
from director.service_partition.spec import ServiceSpec, read_services
from director.terms import Terms, reuse_spec, walltime_spec
from director.toolbox import ToolFiles, check_cores, read_tools, tools_with
from director.tuning_record import TuningUsed
from simulations.shell import make_tool
from simulations.tool import AnyTool, find_tools

__all__ = ["DirectorLost", "Fleet", "LaunchError", "WoundDown"]

# How long Directors that cannot see that their client is gone stay when nothing is left to run.
LINGER_S = 300.0


class Fleet(HandingOver):
    """The Directors of one run, seen from the client. Made by `launch` or `attach`.

    Attributes:
        folder: The run folder, if it is on this machine's file systems.
        record: What is written down of the run.
        links: The Directors.
        tools: The Tools of the run: those that are installed, and those of its tool files.
        left: What was left of the run when it was resumed; None: it was not.
        calls: Calls that go on while nobody waits for them.
    """

    def __init__(
        self,
        record: RunRecord,
        client: UserExchangeClient[Any],
        *,
        folder: RunFolder | None,
        staging: RunFolder | None = None,
        agent_ids: Sequence[uuid.UUID] | None = None,
        patience_s: float = UNREACHABLE_S,
        left: Left | None = None,
    ) -> None:
        self.folder = folder
        self.record = record
        self._staging = staging or folder
        self.tools: Mapping[str, AnyTool] = tools_with(record.tools)
        self._client = client
        self._owned: Owned | None = None
        self._served: OwnServices | None = None
        self._carrier = None if staging is None else Carrier(self._call_any, staging.staged)
        self._feeding = Feeding()
        self.calls = Calls()
        self._closed = False
        self.left = left
        self.links = [
            DirectorLink(
                index,
                AgentId(uid=agent_id),
                client,
                workers=record.workers[index],
                receive=self._feeding.receive,
                after=left.shelves[index].last if left else 0,
                patience_s=patience_s,
            )
            for index, agent_id in enumerate(agent_ids or record.addresses)
        ]
        self._feeding.begin(self.links)

    # ---- life

    @classmethod
    def launch(
        cls,
        directors: int = 1,
        nodes: int | None = None,
        *,
        run_dir: str | os.PathLike[str],
        allocation: str = "auto",
        shares: Sequence[float] | None = None,
        sizes: Sequence[int] | None = None,
        hosts: Sequence[str] | None = None,
        accelerators: Sequence[str] | None = None,
        workers_per_node: int | None = None,
        threads_per_worker: int | None = None,
        pool: Mapping[str, Any] | None = None,
        site: Site | None = None,
        exchange: ExchangeChoice | None = None,
        wait_s: float = LAUNCH_TIMEOUT_S,
        walltime_s: float | None = None,
        reserve_s: float | None = None,
        reuse: bool = True,
        reuse_from: Sequence[str | os.PathLike[str]] = (),
        relaunches: int = MAX_RELAUNCHES,
        tools: ToolFiles = (),
        services: Sequence[ServiceSpec | Mapping[str, Any]] = (),
        memory_ledger: bool = False,
        tuning: TuningUsed | None = None,
    ) -> Launching:
        """Launches Directors; use as ``async with Fleet.launch(...) as fleet``.

        Args:
            directors: How many.
            nodes: How many nodes they share: of a batch job all that it has, elsewhere so many logical nodes of this
                machine; None: all of the job, or one logical node for each Director.
            run_dir: Folder for the run; made if it is not there. It must not hold a run yet. The nodes of a job must
                see it under the same path.
            allocation: Which nodes: ``auto``, those of the batch job that this runs in, or without one logical nodes;
                or one of ``local``, ``slurm``, ``pbs``, ``lsf``, ``flux``.
            shares: Weights, one per Director; None: even shares.
            sizes: Numbers of nodes, one per Director, instead of weights.
            hosts: Patterns of hostnames, one per Director, instead of weights: ``node[1-3],gpu*``.
            accelerators: Names of each node's accelerators; None: what the scheduler says.
            workers_per_node: Worker processes on each node; None: one per accelerator, or else one per
                ``threads_per_worker`` cores.
            threads_per_worker: Threads that one simulation uses; None: one for each core that its worker owns.
            pool: Further fields of `PoolSpec`, such as ``launcher`` and ``nodes_per_block``.
            site: Where they are launched; None: this machine.
            exchange: Where they answer, if the site is not this machine; None: an exchange on this machine's loopback.
            wait_s: How long to wait for their answers, if the site is not this machine, in s.
            walltime_s: When they must have ended, in s from now, if the job does not end before.
            reserve_s: How long before that all that runs is asked to save what it has done, in s; None: a tenth of
                the time, from 10 to 60 s.
            reuse: Whether an Outcome of equal inputs may stand for a Request.
            reuse_from: Run folders in which such Outcomes are looked for beside this run's, where the Directors run.
            relaunches: How often each Director is launched again that was killed, if the site is this machine.
            tools: Tool files: paths, or what `director.toolbox.read_tools` has read. The run has their Tools beside
                those that are installed.
            services: Servers, such as that of a language model, that are kept on nodes set aside for them while the
                run is open; see `director.service_partition.spec.ServiceSpec`. Relative paths start here.
            memory_ledger: Keep ledgers in memory only. Nothing survives then: for benchmarks.
            tuning: Which measurements the settings of the workers come from, for the run's record.

        Returns:
            Something to await or to enter, which gives the `Fleet`, with all Directors answering.

        Raises:
            Refused: If the nodes cannot be shared so, the run folder is taken, or a tool file cannot be used; nothing
                was started then.
            LaunchError: If a Director, or a service that is required, did not come up; all have been ended then.
        """
        options = {"workers_per_node": workers_per_node, "threads_per_worker": threads_per_worker}
        folder = _folder(run_dir)
        there = site or LocalSite()
        sources = read_tools(tools)
        definitions = tuple(source.definition for source in sources)
        servers = read_services(services, Path.cwd())
        if servers and there.elsewhere:
            message = "are started from the lead node, and this Site launches Directors from elsewhere"
            hint = "Launch the run inside the batch job: director run, or director campaign run, in its script"
            raise Refused([Problem("services", message, hint)])

        def terms() -> Terms:
            stores = reuse_spec(reuse, reuse_from, seen=there.shares_files)
            return Terms(walltime_spec(walltime_s, reserve_s, datetime.now(UTC)), stores, memory_ledger, definitions)

        async def here() -> Fleet:
            what = await asyncio.to_thread(
                plan,
                directors=directors,
                allocation=allocation_spec(allocation, nodes, accelerators),
                shares=shares,
                sizes=sizes,
                hosts=hosts,
                pool=pool_spec(options, pool),
                services=servers,
            )
            serve = ServicesPlan.of(what, os.environ)
            told = terms()
            check_cores(list(map(make_tool, definitions)), what.partitions, what.pool)
            known = {"memory_ledger": memory_ledger, "tuning": tuning, "tools": list(definitions)}
            record = what.record().model_copy(update=known).launched(launch_record(1))
            return await launch_here(Start(record, told, relaunches, sources=sources, services=serve), folder, there)

        async def elsewhere() -> Fleet:
            what = plan_elsewhere(
                directors=directors,
                nodes=nodes,
                accelerators=accelerators,
                pool=pool,
                options=options,
                shares=shares,
                sizes=sizes,
                hosts=hosts,
                run_folder=str(folder.path) if there.shares_files else None,
                linger_s=None if there.shares_files else LINGER_S,
                terms=terms(),
            )
            return await launch_elsewhere(what, folder, there, exchange, wait_s=wait_s, sources=sources)

        return Launching(elsewhere if there.elsewhere else here)

    @classmethod
    def resume(
        cls,
        run_dir: str | os.PathLike[str],
        *,
        allocation: str = "auto",
        nodes: int | None = None,
        shares: Sequence[float] | None = None,
        hosts: Sequence[str] | None = None,
        pool: Mapping[str, Any] | None = None,
        walltime_s: float | None = None,
        reserve_s: float | None = None,
        reuse: bool = True,
        reuse_from: Sequence[str | os.PathLike[str]] = (),
        relaunches: int = MAX_RELAUNCHES,
        idle: bool = False,
    ) -> Launching:
        """Launches the Directors of a run again that are gone, perhaps in another job and on other nodes.

        The run keeps its name, its folder and its number of Directors. Use as ``async with Fleet.resume(...) as
        fleet``, and read what completes now from `remaining`.

        Args:
            run_dir: Folder of the run.
            allocation: Which nodes; see `launch`.
            nodes: How many; None: of a batch job all that it has, of logical nodes as many as before.
            shares: Weights, one per Director; None: shared out as before.
            hosts: Patterns of hostnames, one per Director, instead of weights.
            pool: Fields of `PoolSpec` that are to be other than before.
            walltime_s: See `launch`.
            reserve_s: See `launch`.
            reuse: See `launch`.
            reuse_from: See `launch`.
            relaunches: See `launch`.
            idle: Whether they are launched also if nothing is open: there is more for them to do.

        Returns:
            Something to await or to enter, which gives the `Fleet`, with all Directors answering.

        Raises:
            Refused: If there is no such run, it is alive, nothing is open, or the nodes cannot be shared so; nothing
                was started then.
            LaunchError: If a Director did not come up; all have been ended then.
        """
        folder = _folder(run_dir)

        async def again() -> Fleet:
            stores = reuse_spec(reuse, reuse_from, seen=True)
            terms = Terms(walltime_spec(walltime_s, reserve_s, datetime.now(UTC)), stores)
            left, what = await asyncio.to_thread(
                plan_again,
                folder,
                Changes(allocation, nodes=nodes, shares=shares, hosts=hosts, pool=pool or {}, idle=idle),
                find_tools(),
            )
            serve = ServicesPlan.of(what, os.environ)
            record = what.record(of=left.record).launched(launch_record(left.record.next_launch))
            return await launch_here(Start(record, terms, relaunches, left, services=serve), folder, LocalSite())

        return Launching(again)

    @classmethod
    async def attach(cls, run_dir: str | os.PathLike[str]) -> Self:
        """Connects to a run that another client has launched and holds open.

        Raises:
            Refused: If there is no run in this folder, or it is not open.
            DirectorLost: If its exchange does not answer, or is another machine's.
        """
        folder = _folder(run_dir)
        record = folder.read()
        spec = folder.read_exchange()
        if spec is None:
            raise Refused([Problem("run", f"{folder.path} is not open", "Read it with `director outcomes`")])
        here = socket.gethostname()
        if spec.host != here:  # whoever listens at that address here is somebody else
            raise DirectorLost(f"the exchange of {folder.path} can be reached on {spec.host} only, and this is {here}")
        try:
            client = await connect(spec)
        except ExchangeError as error:
            raise DirectorLost(f"the exchange of {folder.path} does not answer; its client is gone") from error
        return cls(record, client, folder=folder)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def own(self, owned: Owned) -> None:
        """Makes this the Fleet of the client that launched these Directors: they end with it."""
        self._owned = owned
        owned.tell(self.links)

    def serve(self, served: OwnServices | None) -> None:
        """Makes these services end with this Fleet."""
        self._served = served

    @property
    def services(self) -> Services:
        """The services of the run, by name: where agents find them.

        Empty if the run has none, or is not on this machine's file systems.
        """
        if self._served is not None:
            return self._served.services
        if self.folder is None or not self.record.services:
            return Services.none()
        return find_services(self.folder.path, [one.spec.name for one in self.record.services])

    @property
    def lost_service(self) -> str | None:
        """Why the run has failed, if a service that is required is lost for good; else None.

        Only the client that launched the run knows.
        """
        return None if self._served is None else self._served.lost()

    async def ready(self, timeout_s: float) -> None:
        """Waits until all Directors answer.

        Raises:
            LaunchError: If one of them does not.
        """
        try:
            async with asyncio.timeout(timeout_s):
                await asyncio.gather(*(link.call("tools", timeout_s=timeout_s) for link in self.links))
        except (DirectorLost, TimeoutError) as error:
            raise LaunchError(str(error) or f"no Director answered within {timeout_s:g} s") from error
        if self._owned is not None:
            self._owned.are_up()

    async def wind_down(self, reason: str, within_s: float) -> int:
        """See `Steering.wind_down`."""
        if self._owned is not None:
            self._owned.wind_down()
        return await super().wind_down(reason, within_s)

    async def close(self) -> None:
        """Ends the Directors that this client launched, or disconnects from those it did not. May be called twice."""
        if self._closed:
            return
        self._closed = True
        await self.calls.close()
        if self._owned is not None:
            await self._owned.ask_to_end(self.links)
        await asyncio.gather(*(link.close() for link in self.links))
        if self._owned is not None:
            await self._owned.end()
        await end_services(self._served)
        # Last, since the Directors' last answers still go to this client's mailbox.
        with contextlib.suppress(Exception):  # the exchange may be gone already, and with it our mailbox
            await self._client.close()
        for link in self.links:
            link.mark_lost("the Fleet was closed")
        if self._owned is not None and self._owned.exchange is not None:
            await asyncio.to_thread(self._owned.exchange.close)
            if self.folder is not None:
                # Its disk may be what has failed, and that is what the caller is to hear of.
                with contextlib.suppress(OSError, Refused):
                    self.folder.close(datetime.now(UTC), self._owned.exchange.spec)


def _folder(run_dir: str | os.PathLike[str]) -> RunFolder:
    return RunFolder(Path(run_dir).resolve())
