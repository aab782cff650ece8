"""The client's view of the Directors of one run."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from academy.exchange.client import UserExchangeClient
from academy.identifier import AgentId

from director import following
from director.call import DirectorLost
from director.carrier import Carrier, fetch
from director.door import Problem, Refused
from director.elsewhere import plan_elsewhere
from director.exchange import ExchangeChoice, ExchangeError, connect
from director.feeding import Feeding
from director.launch import LocalSite, Site
from director.launching import LAUNCH_TIMEOUT_S, LaunchError, Launching, launch_elsewhere, launch_here
from director.link import UNREACHABLE_S, DirectorLink
from director.owned import Owned
from director.plan import allocation_spec, plan, pool_spec
from director.runfolder import RunFolder, RunRecord
from director.staging import prepare
from simulations.records import Outcome, Request
from simulations.tool import AnyTool, find_tools

__all__ = ["DirectorLost", "Fleet", "LaunchError"]


# How long Directors that cannot see that their client is gone stay when nothing is left to run.
LINGER_S = 300.0
CALL_S = 30.0


class Fleet:
    """The Directors of one run, seen from the client. Made by `launch` or `attach`.

    Attributes:
        folder: The run folder, if it is on this machine's file systems.
        record: What is written down of the run.
        tools: The installed Tools.
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
    ) -> None:
        self.folder = folder
        self.record = record
        self._staging = staging or folder
        self.tools: Mapping[str, AnyTool] = find_tools()
        self._client = client
        self._owned: Owned | None = None
        self._carrier = None if staging is None else Carrier(self._call_any, staging.staged)
        self._feeding = Feeding()
        self._closed = False
        self.links = [
            DirectorLink(
                index,
                AgentId(uid=agent_id),
                client,
                workers=record.workers[index],
                receive=self._feeding.receive,
                patience_s=patience_s,
            )
            for index, agent_id in enumerate(agent_ids or map(uuid.UUID, record.agent_ids))
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
        memory_ledger: bool = False,
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
            memory_ledger: Keep ledgers in memory only. Nothing survives then: for benchmarks.

        Returns:
            Something to await or to enter, which gives the `Fleet`, with all Directors answering.

        Raises:
            Refused: If the nodes cannot be shared so, or the run folder is taken; nothing was started then.
            LaunchError: If a Director did not come up; all have been ended then.
        """
        options = {"workers_per_node": workers_per_node, "threads_per_worker": threads_per_worker}
        folder = _folder(run_dir)

        async def here() -> Fleet:
            what = await asyncio.to_thread(
                plan,
                directors=directors,
                allocation=allocation_spec(allocation, nodes, accelerators),
                shares=shares,
                sizes=sizes,
                hosts=hosts,
                pool=pool_spec(options, pool),
            )
            return await launch_here(what, folder, there, memory_ledger=memory_ledger)

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
            )
            return await launch_elsewhere(what, folder, there, exchange, wait_s=wait_s)

        there = site or LocalSite()
        launching = elsewhere if there.elsewhere else here
        return Launching(launching)

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

    async def close(self) -> None:
        """Ends the Directors that this client launched, or disconnects from those it did not. May be called twice."""
        if self._closed:
            return
        self._closed = True
        if self._owned is not None:
            await self._owned.ask_to_end(self.links)
        await asyncio.gather(*(link.close() for link in self.links))
        if self._owned is not None:
            await self._owned.end()
        # Last, since the Directors' last answers still go to this client's mailbox.
        with contextlib.suppress(Exception):  # the exchange may be gone already, and with it our mailbox
            await self._client.close()
        for link in self.links:
            link.mark_lost("the Fleet was closed")
        if self._owned is not None and self._owned.exchange is not None:
            await asyncio.to_thread(self._owned.exchange.close)
            if self.folder is not None:
                self.folder.close(datetime.now(UTC))

    # ---- work

    async def run(self, tool: str, **inputs: Any) -> Outcome:
        """Runs a Tool once, on the Director with the most room, and waits for its Outcome.

        Args:
            tool: Name of the Tool.
            inputs: Its inputs; paths are taken from the current folder.

        Raises:
            Refused: If the Tool or an input is not acceptable; nothing was started then.
            DirectorLost: If the Director is gone; the Request is in its ledger.
        """
        (request,) = self.prepare([Request(tool=tool, inputs=inputs)])
        await self._carry([request])
        return await self._feeding.run(request)

    async def map(self, requests: Sequence[Request], *, base: Path | None = None) -> AsyncIterator[Outcome]:
        """Runs many Requests on all Directors; yields Outcomes in the order in which they complete.

        A Director gets as many as it needs to keep its workers busy, so a fast one takes more.

        Args:
            requests: The Requests.
            base: Folder that relative paths start from, and that all files must lie in; None: the current folder,
                and files may lie anywhere.

        Raises:
            Refused: If any Request is not acceptable; nothing was started then.
            DirectorLost: If a Director is gone; what it had accepted is in its ledger.
        """
        ready = self.prepare(requests, base=base)
        await self._carry(ready)
        stream = self._feeding.map(ready)
        async with contextlib.aclosing(stream):
            async for outcome in stream:
                yield outcome

    def prepare(self, requests: Sequence[Request], *, base: Path | None = None) -> list[Request]:
        """Checks Requests and copies their files into the run folder; see `map`.

        Raises:
            Refused: If any Request is not acceptable.
        """
        stage = self._staging.stage if self._staging else None
        return prepare(requests, self.tools, base=base or Path.cwd(), confined=base is not None, stage=stage)

    async def hand_over(self, requests: Sequence[tuple[int, Request]]) -> None:
        """Gives Requests to Directors, and returns when they are on disk there. Giving one twice runs it once.

        Args:
            requests: Prepared Requests, each with the index of its Director.

        Raises:
            Refused: If a Director refuses one.
            DirectorLost: If a Director is gone; what it had accepted is in its ledger.
        """
        await self._carry([request for _, request in requests])
        await asyncio.gather(*(self.links[index].post(request) for index, request in requests))

    async def fetch(self, path: str, target: Path, progress: Callable[[int, int], None] | None = None) -> int:
        """Fetches an artifact; see `director.carrier.fetch`."""
        return await fetch(self._call_any, path, target, progress)

    async def about(self) -> dict[str, Any]:
        """What run this is, where its folder is, and on which host; see `DirectorAgent.about`."""
        return dict(await self._call_any("about"))

    async def outcomes(self, *, follow: bool = False) -> AsyncIterator[Outcome]:
        """All Outcomes of the run from the first one on, whoever sent the Requests.

        Args:
            follow: Whether to go on until nothing is open any more.

        Raises:
            DirectorLost: If a Director does not answer, after those of all others.
        """
        calls = [link.call for link in self.links]
        async for outcome in following.follow(calls) if follow else following.outcomes_so_far(calls):
            yield outcome

    async def _carry(self, requests: Sequence[Request]) -> None:
        if self._carrier is not None:
            await self._carrier.carry(requests)

    async def _call_any(self, action: str, *arguments: Any) -> Any:
        """Calls a Director that is there; they share the run folder."""
        return await self._feeding.useful()[0].call(action, *arguments)

    async def status(self) -> list[dict[str, Any]]:
        """How the Directors are; see `DirectorAgent.status`. One that is gone says so in ``state`` and ``failure``."""
        return list(await asyncio.gather(*(self._status(link) for link in self.links)))

    async def _status(self, link: DirectorLink) -> dict[str, Any]:
        try:
            return dict(await link.call("status", timeout_s=10.0))
        except DirectorLost as error:
            partition = self.record.partitions[link.index]
            return {"director": link.index, "partition": partition, "state": "lost", "failure": str(error)}

    async def cancel(self, ids: Sequence[str]) -> dict[str, str]:
        """Cancels Requests; says for each id whether it is ``cancelled``, ``stopping``, ``finished`` or ``unknown``."""
        answers = dict.fromkeys(ids, "unknown")
        for answer in await self._call_all("cancel", list(ids)):
            answers.update({name: what for name, what in answer.items() if what != "unknown"})
        return answers

    async def open_ids(self) -> list[str]:
        """Ids of all Requests that have no Outcome."""
        return [name for ids in await self._call_all("open_ids") for name in ids]

    async def drain(self) -> int:
        """Lets the Directors accept nothing more; returns how many Requests are open."""
        return sum(answer["open"] for answer in await self._call_all("drain"))

    async def end(self) -> int:
        """Ends the Directors, whoever launched them; returns how many have heard it."""
        return len(await self._call_all("close"))

    async def _call_all(self, action: str, *arguments: Any) -> list[Any]:
        """Calls all Directors that are there.

        Raises:
            DirectorLost: If none is, or one does not answer.
        """
        there = [link for link in self.links if not link.lost.done()] or self.links
        return list(await asyncio.gather(*(link.call(action, *arguments, timeout_s=CALL_S) for link in there)))


def _folder(run_dir: str | os.PathLike[str]) -> RunFolder:
    return RunFolder(Path(run_dir).resolve())
