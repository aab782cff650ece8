"""The Director as an Academy agent: its face to people, scripts and other agents.

Actions take and return JSON values only, and report what went wrong as data: an exception object that cannot be
serialised would leave the caller waiting.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, TypeVar

from academy.agent import Agent, action
from pydantic import ValidationError

from director.door import Problem, Refused, problems_of
from director.engine import Engine, utc_now
from director.ledger import Entry
from director.news import Verdict
from director.reasoning.spawning import Spawned
from director.runfolder import RunFolder
from director.spec import ExchangeSpec
from director.transfer import Transfer
from simulations.records import Course, Request, StagedFile
from simulations.workspace import PROGRESS_FILE

T = TypeVar("T")
PAGE_BYTES = 100_000
"""As `director.link.LETTER_BYTES`."""
MAX_WAIT_S = 60.0
MAX_PAGE = 10_000
CLOSE_WITHIN_S = 1.5
MOST_WIND_DOWN_S = 3600.0


class DirectorAgent(Agent):
    """Owns a Partition and runs Tools on it.

    Args:
        engine: What does the work.
        folder: The run folder.
        stop: Called when a client asks the Director to end, with the reason and the seconds that it may take.
        exchange: Where reasoners find the run that this Director launches; None: it launches none.
    """

    def __init__(
        self,
        engine: Engine,
        folder: RunFolder,
        stop: Callable[[str, float], None],
        exchange: ExchangeSpec | None = None,
    ) -> None:
        super().__init__()
        self._engine = engine
        self._folder = folder
        self._work = folder.work(engine.place.director)
        self._transfer = Transfer(folder)
        self._stop = stop
        self._spawned = Spawned(engine.place.director, folder.path, exchange)

    async def agent_on_shutdown(self) -> None:
        """Ends what was launched beside this Director."""
        self._spawned.close()

    @action
    async def about(self) -> dict[str, Any]:
        """What run this is.

        Returns:
            ``record`` (the run's record), ``run_folder`` (its path where the Directors are), ``host`` and ``tools``
            (name and version of each).
        """
        return {
            "record": (await self._beside(self._folder.read)).model_dump(mode="json"),
            "run_folder": str(self._folder.path),
            "host": socket.gethostname(),
            "tools": {tool.name: tool.version for tool in self._engine.tools.values()},
        }

    @action
    async def missing(self, files: list[dict[str, Any]]) -> dict[str, Any]:
        """Which of these files the run folder does not have.

        Args:
            files: Staged files: ``name``, ``sha256``, ``suffix``.

        Returns:
            ``missing``: the names under which they would be stored, or ``refused``.
        """
        return await self._moved(lambda: {"missing": self._transfer.missing(_files(files))})

    @action
    async def put(self, file: dict[str, Any], sender: str, offset: int, data: str) -> dict[str, Any]:
        """Takes one piece of a user's file.

        Args:
            file: The staged file.
            sender: A word of the sender's own.
            offset: Where the piece begins, in bytes.
            data: The piece in base64; empty after the last one.

        Returns:
            ``complete``, or ``refused``.
        """
        return await self._moved(lambda: {"complete": self._transfer.put(_files([file])[0], sender, offset, data)})

    @action
    async def get(self, path: str, offset: int = 0) -> dict[str, Any]:
        """One piece of an artifact.

        Args:
            path: Relative to the run folder, as an Outcome's ``artifacts`` name it.
            offset: Where to begin, in bytes.

        Returns:
            ``data`` (base64, empty at the end) and ``size`` (bytes in all), or ``refused``.
        """
        return await self._moved(lambda: self._transfer.get(path, offset))

    @action
    async def md_sim(self, request: dict[str, Any]) -> dict[str, Any]:
        """Runs one molecular dynamics simulation and waits for it.

        Args:
            request: Inputs of the Tool ``md``.

        Returns:
            The Outcome, or ``{"refused": [problems]}``.
        """
        return await self.run("md", request)

    @action
    async def md_sim_batch(self, requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Runs molecular dynamics simulations side by side and waits for all of them.

        An answer must fit into one message of the exchange (a few hundred Outcomes). For more, use ``submit`` and
        ``outcomes``, as `director.Fleet` does.

        Args:
            requests: Inputs of the Tool ``md``, one mapping for each simulation.

        Returns:
            For each, in order, what ``md_sim`` returns. If one is refused, none is run.
        """
        return await self._run_all([{"tool": "md", "inputs": inputs} for inputs in requests])

    @action
    async def run(self, tool: str, request: dict[str, Any]) -> dict[str, Any]:
        """Runs a Tool once and waits for it.

        Args:
            tool: Name of the Tool.
            request: Its inputs.

        Returns:
            The Outcome, or ``{"refused": [problems]}``.
        """
        return (await self._run_all([{"tool": tool, "inputs": request}]))[0]

    @action
    async def submit(self, requests: list[dict[str, Any]]) -> dict[str, Any]:
        """Accepts Requests; when this returns, they are on disk. Sending one twice runs it once.

        Args:
            requests: Requests: ``id`` (optional), ``tool``, ``inputs``, ``files``.

        Returns:
            ``ids``: for each Request, in order, its id, or null if it was refused; ``refused``: for each refused one
            ``index``, ``id`` and ``problems``.
        """
        verdicts = await self._submit(requests)
        refused = [
            {"index": index, "id": verdict.id, "problems": [asdict(problem) for problem in verdict.problems]}
            for index, verdict in enumerate(verdicts)
            if verdict.problems
        ]
        return {"ids": [None if verdict.problems else verdict.id for verdict in verdicts], "refused": refused}

    @action
    async def outcomes(self, after: int = 0, limit: int = 1000, wait_s: float = 0.0) -> dict[str, Any]:
        """A page of Outcomes, in the order in which they were journaled.

        Args:
            after: The ``next`` of the page before; 0 to begin.
            limit: How many Outcomes at most; a page is also bounded in size.
            wait_s: How long to wait for the first one, in seconds, at most 60.

        Returns:
            ``outcomes``, ``next`` (the cursor for the next page), ``failure`` (null, or why the Director cannot
            go on), ``hopeless`` (null, or why it has no workers: what it is sent fails) and ``open`` (how many Requests
            have no Outcome).
        """
        limit = max(1, min(limit, MAX_PAGE))
        entries = await self._engine.outcomes(max(0, after), limit, max(0.0, min(wait_s, MAX_WAIT_S)))
        page: list[Entry] = []
        size = 0
        for entry in entries:
            size += len(entry.body)
            if page and size > PAGE_BYTES:
                break
            page.append(entry)
        return {
            "outcomes": [json.loads(entry.body) for entry in page],
            "next": page[-1].seq if page else after,
            "failure": self._engine.failure,
            "hopeless": self._engine.pool.hopeless,
            "open": self._engine.idleness().open,
        }

    @action
    async def status(self) -> dict[str, Any]:
        """How the Director is.

        Returns:
            ``director``, ``partition``, ``state``, ``workers``, ``workers_up``, ``nodes``, ``queued``, ``running``,
            ``finished`` (a count for each status), ``ns_per_day`` (of what runs now), ``eta_s``, ``progress`` (for each
            Request that has reported any), ``failure``, ``paused``, ``walltime`` (null, or ``deadline``, ``reserve_s``
            and ``left_s``, the time until what runs is asked to stop), ``waiting`` (why Requests do not run: a count
            for each reason), ``accounting`` (see `director.accounting.Totals`) and ``rates`` (how fast what kind of
            Request was).
        """
        engine = self._engine
        nodes = engine.nodes()
        counts = engine.counts()
        up = sum(node.workers for node in nodes)
        walltime = engine.walltime
        epochs = engine.running()
        progress = await self._beside(lambda: self._progress(epochs)) if epochs else {}
        speeds = [item["ns_per_day"] for item in progress.values() if item.get("ns_per_day")]
        return {
            "director": engine.place.director,
            "partition": list(engine.place.hostnames),
            "state": _state(engine, up),
            "workers": engine.pool.workers,
            "workers_up": up,
            "nodes": [asdict(node) for node in nodes],
            "queued": counts.queued,
            "running": counts.running,
            "finished": dict(counts.finished),
            "ns_per_day": sum(speeds) or None,
            "eta_s": engine.eta_s(),
            "progress": progress,
            "failure": engine.failure,
            "paused": engine.paused,
            "walltime": walltime
            and {
                "deadline": walltime.deadline.isoformat(),
                "reserve_s": walltime.reserve_s,
                "left_s": walltime.left_s(utc_now()),
            },
            "waiting": engine.waiting(),
            "accounting": engine.totals(_courses(progress)).model_dump(mode="json"),
            "rates": engine.timing.rates(),
        }

    @action
    async def cancel(self, ids: list[str]) -> dict[str, str]:
        """Cancels Requests.

        Args:
            ids: Their ids.

        Returns:
            For each id ``cancelled``, ``stopping``, ``finished`` or ``unknown``.
        """
        return await self._engine.cancel(ids)

    @action
    async def open_ids(self) -> list[str]:
        """Ids of the Requests that have no Outcome."""
        return self._engine.open_ids()

    @action
    async def drain(self) -> dict[str, int]:
        """Accepts nothing more; what was accepted is still run.

        Returns:
            ``open``: how many Requests are not finished.
        """
        await self._engine.drain()
        counts = self._engine.counts()
        return {"open": counts.queued + counts.running}

    @action
    async def pause(self) -> dict[str, int]:
        """Starts nothing more, and asks what runs to save what it has done and stop. `unpause` goes on.

        Returns:
            ``running``: how many Requests have not stopped yet; those whose Tools save nothing run on to their end.
        """
        await self._engine.pause()
        return {"running": self._engine.counts().running}

    @action
    async def unpause(self) -> dict[str, int]:
        """Goes on after `pause`.

        Returns:
            ``open``: how many Requests are not finished.
        """
        await self._engine.unpause()
        return {"open": len(self._engine.open_ids())}

    @action
    async def prioritize(self, ids: list[str], priority: int) -> dict[str, str]:
        """Gives Requests another priority: of two that wait, the one with the higher priority starts first.

        Args:
            ids: Their ids.
            priority: From -1000 to 1000; 0 is what Requests have that were given none.

        Returns:
            For each id ``changed``, ``finished`` or ``unknown``.
        """
        return await self._engine.prioritize(ids, max(-1000, min(priority, 1000)))

    @action
    async def tools(self) -> list[dict[str, Any]]:
        """The Tools that this Director can run.

        Returns:
            For each ``name``, ``version``, ``summary``, and the JSON schemas ``request`` and ``result``.
        """
        return [tool.schema() for tool in self._engine.tools.values()]

    @action
    async def spawn_reasoner(self, work: dict[str, Any]) -> dict[str, Any]:
        """Launches a reasoner in a process of its own on this Director's machine. Asking twice launches it once.

        Args:
            work: A `director.reasoning.agent_spec.AgentWork`. Its model's key is taken from the environment here.

        Returns:
            ``pid``, or ``refused``.
        """
        return await self._beside(lambda: self._spawned.spawn(work))

    @action
    async def reasoners(self) -> dict[str, dict[str, Any]]:
        """The reasoners that this Director has launched.

        Returns:
            For each, by its name: ``address``, ``pid`` and ``end`` (its summary; null while it is at work).
        """
        return self._spawned.all()

    @action
    async def stop_reasoner(self, name: str) -> bool:
        """Asks a reasoner to end; what it has done is kept.

        Args:
            name: Its name.

        Returns:
            Whether this Director has launched one of that name.
        """
        return await self._beside(lambda: self._spawned.stop(name))

    @action
    async def close(self) -> None:
        """Ends the Director within a few seconds, also what runs. What is open stays in its ledger."""
        self._stop("closed by its client", CLOSE_WITHIN_S)

    @action
    async def wind_down(self, reason: str, within_s: float) -> None:
        """Ends the Director when all that runs has saved what it has done. Returns at once.

        Args:
            reason: Why, for its summary.
            within_s: How long that may take, in s, at most an hour.
        """
        self._stop(reason[:200], max(0.0, min(within_s, MOST_WIND_DOWN_S)))

    async def _submit(self, requests: list[dict[str, Any]]) -> list[Verdict]:
        verdicts: list[Verdict | None] = []
        well_formed = []
        for item in requests:
            try:
                request = Request.model_validate(item)
            except ValidationError as error:
                problems = problems_of(error, Request)
                verdicts.append(Verdict(str(item.get("id")) if isinstance(item, dict) else "", tuple(problems)))
            else:
                verdicts.append(None)
                well_formed.append(request)
        answers = iter(await self._engine.submit(well_formed))
        return [verdict or next(answers) for verdict in verdicts]

    async def _run_all(self, requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
        begin = self._engine.last_seq
        parsed = []
        for item in requests:
            try:
                parsed.append(Request(tool=item["tool"], inputs=item["inputs"]))
            except ValidationError as error:
                refusal = _refusal(problems_of(error, Request))
                return [refusal for _ in requests]
        try:
            self._engine.check_all(parsed)
        except Refused as refusal:
            return [_refusal(refusal.problems) for _ in requests]
        verdicts = await self._engine.submit(parsed)
        if any(verdict.problems for verdict in verdicts):
            return [_refusal(verdict.problems) for verdict in verdicts]
        found: dict[str, dict[str, Any]] = {}
        ids = {request.id for request in parsed}
        while len(found) < len(ids) and not self._engine.failure:
            for entry in await self._engine.outcomes(begin, MAX_PAGE, MAX_WAIT_S):
                begin = entry.seq
                if entry.id in ids:
                    found[entry.id] = json.loads(entry.body)
        failure = Problem("director", self._engine.failure or "", "See the Director's log in the run folder")
        return [found.get(request.id) or _refusal([failure]) for request in parsed]

    async def _beside(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(None, work)

    async def _moved(self, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Moves a piece of a file; what goes wrong is data."""
        try:
            return await self._beside(work)
        except Refused as refusal:
            return _refusal(refusal.problems)
        except ValidationError as error:
            return _refusal(problems_of(error, StagedFile))
        except (OSError, ValueError) as error:
            return _refusal([Problem("file", f"cannot be moved ({error})", "See the Director's disk and its quota")])

    def _progress(self, epochs: Mapping[str, int]) -> dict[str, dict[str, Any]]:
        found = {}
        for name, epoch in epochs.items():
            # Not every Tool reports, and a short one has nothing to say.
            with contextlib.suppress(OSError, ValueError):
                said = json.loads((self._work / name / PROGRESS_FILE).read_bytes())
                if isinstance(said, dict) and said.get("epoch") == epoch:
                    found[name] = said
        return found


def _courses(progress: Mapping[str, Mapping[str, Any]]) -> dict[str, Course]:
    found = {}
    for name, said in progress.items():
        with contextlib.suppress(ValidationError):
            found[name] = Course.model_validate({field: said[field] for field in Course.model_fields if field in said})
    return found


def _state(engine: Engine, workers_up: int) -> str:
    if engine.failure:
        return "failed"
    if engine.ending:
        return "ending"
    if engine.paused:
        return "paused"
    if engine.draining:
        return "draining"
    return "up" if workers_up else "starting"


def _files(documents: list[dict[str, Any]]) -> list[StagedFile]:
    return [StagedFile.model_validate(document) for document in documents]


def _refusal(problems: tuple[Problem, ...] | list[Problem]) -> dict[str, Any]:
    return {"refused": [asdict(problem) for problem in problems]}
