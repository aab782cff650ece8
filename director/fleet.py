"""The client's view of the Directors of one run."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import socket
import uuid
from collections.abc import AsyncIterator, Callable, Generator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from academy.exchange.client import UserExchangeClient
from academy.identifier import AgentId

from director.door import Problem, Refused
from director.exchange import LoopbackExchange
from director.launch import Launched, LocalSite, Site
from director.link import DirectorLink, DirectorLost, seen, window
from director.plan import Plan, allocation_spec, plan, pool_spec
from director.runfolder import RunFolder, RunRecord
from director.staging import prepare
from director.starting import connect, start
from simulations.records import Outcome, Request
from simulations.tool import AnyTool, find_tools

__all__ = ["DirectorLost", "Fleet", "LaunchError"]

LAUNCH_TIMEOUT_S = 120.0
CLOSE_TIMEOUT_S = 4.0


class LaunchError(RuntimeError):
    """A Director did not come up. The message says why."""


class _Launching:
    """What `Fleet.launch` returns: ``await`` it, or use it with ``async with``."""

    def __init__(self, launch: Callable[[], Any]) -> None:
        self._launch = launch
        self._fleet: Fleet | None = None

    def __await__(self) -> Generator[Any, None, Fleet]:
        fleet: Fleet = yield from self._launch().__await__()
        return fleet

    async def __aenter__(self) -> Fleet:
        self._fleet = await self
        return self._fleet

    async def __aexit__(self, *_: object) -> None:
        if self._fleet is not None:
            await self._fleet.close()


class Fleet:
    """The Directors of one run, seen from the client. Made by `launch` or `attach`.

    Attributes:
        folder: The run folder.
        record: What is written down of the run.
        tools: The installed Tools.
    """

    def __init__(self, folder: RunFolder, record: RunRecord, client: UserExchangeClient[Any]) -> None:
        self.folder = folder
        self.record = record
        self.tools: Mapping[str, AnyTool] = find_tools()
        self._client = client
        self._exchange: LoopbackExchange | None = None
        self._directors: list[Launched] = []
        self._waiting: dict[str, asyncio.Future[Outcome]] = {}
        self._closed = False
        self.links = [
            DirectorLink(
                index, AgentId(uid=uuid.UUID(agent_id)), client, workers=record.workers[index], receive=self._receive
            )
            for index, agent_id in enumerate(record.agent_ids)
        ]
        for link in self.links:
            link.lost.add_done_callback(functools.partial(self._on_lost, link))

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
        memory_ledger: bool = False,
    ) -> _Launching:
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
            memory_ledger: Keep ledgers in memory only. Nothing survives then: for benchmarks.

        Returns:
            Something to await or to enter, which gives the `Fleet`, with all Directors answering.

        Raises:
            Refused: If the nodes cannot be shared so, or the run folder is taken; nothing was started then.
            LaunchError: If a Director did not come up; all have been ended then.
        """

        async def launching() -> Fleet:
            options = {"workers_per_node": workers_per_node, "threads_per_worker": threads_per_worker}
            what = await asyncio.to_thread(
                plan,
                directors=directors,
                allocation=allocation_spec(allocation, nodes, accelerators),
                shares=shares,
                sizes=sizes,
                hosts=hosts,
                pool=pool_spec(options, pool),
            )
            return await cls._launch(what, _folder(run_dir), site or LocalSite(), memory_ledger)

        return _Launching(launching)

    @classmethod
    async def _launch(cls, what: Plan, folder: RunFolder, site: Site, memory_ledger: bool) -> Self:
        record = what.record()
        folder.create(record)
        up = await start(record, folder, site, memory_ledger=memory_ledger)
        fleet = cls(folder, record, up.client)
        fleet._own(up.exchange, up.directors)
        try:
            await fleet._ready()
        except BaseException:
            await fleet.close()
            raise
        return fleet

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
        except OSError as error:
            raise DirectorLost(f"the exchange of {folder.path} does not answer; its client is gone") from error
        return cls(folder, record, client)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _own(self, exchange: LoopbackExchange, directors: list[Launched]) -> None:
        self._exchange, self._directors = exchange, directors
        loop = asyncio.get_running_loop()
        for link, director in zip(self.links, directors, strict=True):

            def ended(done: Any, link: DirectorLink = link) -> None:
                summary = done.result()
                reason = summary.get("error") or f"Director {link.index} ended: {summary.get('reason')}"
                with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
                    loop.call_soon_threadsafe(link.mark_lost, reason)

            director.ended.add_done_callback(ended)

    async def _ready(self) -> None:
        try:
            async with asyncio.timeout(LAUNCH_TIMEOUT_S):
                await asyncio.gather(*(link.call("tools", timeout_s=LAUNCH_TIMEOUT_S) for link in self.links))
        except (DirectorLost, TimeoutError) as error:
            raise LaunchError(str(error) or f"no Director answered within {LAUNCH_TIMEOUT_S:g} s") from error

    async def close(self) -> None:
        """Ends the Directors that this client launched, or disconnects from those it did not. May be called twice."""
        if self._closed:
            return
        self._closed = True
        await asyncio.gather(*(link.close() for link in self.links))
        for director in self._directors:
            director.let_go()
        ends = [asyncio.wrap_future(director.ended) for director in self._directors]
        if ends:
            _, late = await asyncio.wait(ends, timeout=CLOSE_TIMEOUT_S)
            for director in self._directors if late else []:
                director.kill()
            await asyncio.gather(*ends)
        # Last, since the Directors' last answers still go to this client's mailbox.
        with contextlib.suppress(Exception):  # the exchange may be gone already, and with it our mailbox
            await self._client.close()
        for link in self.links:
            link.mark_lost("the Fleet was closed")
        if self._exchange is not None:
            await asyncio.to_thread(self._exchange.close)
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
        link = min(self._useful(), key=lambda link: len(link.outstanding) / link.workers)
        outcome = self._wait_for(request)
        try:
            await link.post(request)
            return await outcome
        finally:
            self._waiting.pop(request.id, None)

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
        done: asyncio.Queue[asyncio.Future[Outcome]] = asyncio.Queue()
        for request in ready:
            self._wait_for(request).add_done_callback(done.put_nowait)
        room = asyncio.Event()
        feeder = asyncio.create_task(self._feed(ready, room), name="feeder")
        try:
            for _ in ready:
                waiting = asyncio.create_task(done.get())
                await asyncio.wait((waiting, feeder), return_when=asyncio.FIRST_COMPLETED)
                if not waiting.done() and feeder.done():
                    feeder.result()  # raises what went wrong
                room.set()
                yield (await waiting).result()
        finally:
            feeder.cancel()
            for request in ready:
                self._waiting.pop(request.id, None)

    def prepare(self, requests: Sequence[Request], *, base: Path | None = None) -> list[Request]:
        """Checks Requests and copies their files into the run folder; see `map`.

        Raises:
            Refused: If any Request is not acceptable.
        """
        return prepare(
            requests, self.tools, base=base or Path.cwd(), confined=base is not None, stage=self.folder.stage
        )

    async def _feed(self, requests: Sequence[Request], room: asyncio.Event) -> None:
        """Hands Requests out, always to the Director that is furthest below its window."""
        alone = len(self.links) == 1
        acknowledged: list[asyncio.Future[None]] = []
        for request in requests:
            while True:
                room.clear()
                link = min(
                    self._useful(), key=lambda link: len(link.outstanding) / window(link.rate.per_s, link.workers)
                )
                if alone or len(link.outstanding) < window(link.rate.per_s, link.workers):
                    break
                await room.wait()
            acknowledged.append(link.post(request))
        await asyncio.gather(*acknowledged)

    def _useful(self) -> list[DirectorLink]:
        """The Directors that can run something; all, if none can, so that it is they who say why."""
        there = [link for link in self.links if not link.lost.done()]
        return [link for link in there if link.hopeless is None] or there or self.links

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
        for answer in await asyncio.gather(*(link.call("cancel", list(ids)) for link in self.links)):
            answers.update({name: what for name, what in answer.items() if what != "unknown"})
        return answers

    async def drain(self) -> int:
        """Lets the Directors accept nothing more; returns how many Requests are open."""
        return sum(answer["open"] for answer in await asyncio.gather(*(link.call("drain") for link in self.links)))

    def _wait_for(self, request: Request) -> asyncio.Future[Outcome]:
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        future.add_done_callback(seen)
        self._waiting[request.id] = future
        return future

    def _receive(self, outcome: Outcome) -> None:
        future = self._waiting.pop(outcome.id, None)
        if future is not None and not future.done():
            future.set_result(outcome)

    def _on_lost(self, link: DirectorLink, lost: asyncio.Future[str]) -> None:
        for name in list(link.outstanding):
            future = self._waiting.pop(name, None)
            if future is not None and not future.done():
                future.set_exception(DirectorLost(lost.result()))


def _folder(run_dir: str | os.PathLike[str]) -> RunFolder:
    return RunFolder(Path(run_dir).resolve())
