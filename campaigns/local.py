"""Simulations without Directors: the installed Tools in a few processes of this machine.

An Outcome is written into the folder by the process that made it, so what is finished stays finished, whatever ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import socket
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from campaigns.errors import Fault, NotAcceptable, nearest
from campaigns.local_worker import Task, outcome_file
from simulations.disk import replace_file
from simulations.records import ErrorInfo, Outcome, Request, StagedFile, Status
from simulations.tool import AnyTool, find_tools, request_key

MAX_ATTEMPTS = 3
CLOSE_S = 5.0
LINE_BYTES = 16_000_000


class LocalEvaluate:
    """Runs Requests in processes of this machine.

    A Request whose ``reuse`` is set and that equals one that has ended ``ok`` takes its result. One whose process dies
    is begun again, three times in all. What runs when this is closed, or killed, is run again when it is handed over
    again, from its checkpoint if it has one.

    Args:
        folder: Where Outcomes and the files of Requests are kept.
        base: Folder that paths in inputs start from, and that all files lie in.
        workers: How many processes; None: one for each core that this process may use.
    """

    def __init__(self, folder: Path | str, base: Path | str, workers: int | None = None) -> None:
        self._folder = Path(folder).resolve()
        self._base = Path(base).resolve()
        self._count = workers or len(os.sched_getaffinity(0))
        self._tools = find_tools()
        self._done: asyncio.Queue[Outcome] = asyncio.Queue()
        self._waiting: deque[Task] = deque()
        self._known: set[str] = set()
        self._ok: dict[str, str] | None = None
        self._twins: dict[str, list[Task]] = {}
        self._there = asyncio.Event()
        self._workers: list[asyncio.Task[None]] = []
        self._processes: set[asyncio.subprocess.Process] = set()
        self._failure: BaseException | None = None
        self._failed = asyncio.Event()

    async def submit(self, requests: Sequence[Request]) -> None:
        """See `campaigns.evaluate.Evaluate.submit`. What runs is written down by whoever hands it over again.

        Raises:
            NotAcceptable: If a Request is refused.
        """
        tasks = await asyncio.to_thread(self._prepared, requests)
        for task in tasks:
            if task.request.id not in self._known:
                self._known.add(task.request.id)
                await self._take(task)
        if not self._workers:
            self._workers = [asyncio.create_task(self._work(rank), name="worker") for rank in range(self._count)]

    async def _take(self, task: Task) -> None:
        outcome = await asyncio.to_thread(self._kept, task.request.id)
        if outcome is None and task.request.reuse:
            outcome = await asyncio.to_thread(self._reused, task)
        if outcome is not None:
            self._done.put_nowait(outcome)
        elif task.request.reuse and task.key in self._twins:
            self._twins[task.key].append(task)  # an equal one runs; it takes that one's result
        else:
            if task.request.reuse:
                self._twins[task.key] = []
            self._waiting.append(task)
            self._there.set()

    async def next(self) -> Outcome:
        """See `campaigns.evaluate.Evaluate.next`.

        Raises:
            RuntimeError: If processes cannot be started.
        """
        outcome = asyncio.create_task(self._done.get())
        failed = asyncio.create_task(self._failed.wait())
        try:
            await asyncio.wait((outcome, failed), return_when=asyncio.FIRST_COMPLETED)
            if outcome.done():
                return outcome.result()
            raise RuntimeError(f"simulations cannot be run: {self._failure}") from self._failure
        finally:
            outcome.cancel()
            failed.cancel()

    async def close(self) -> None:
        """Ends all processes. What ran is run again when it is handed over again."""
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        self._workers = []
        for process in list(self._processes):
            await _end(process)

    # ---- the door

    def _prepared(self, requests: Sequence[Request]) -> list[Task]:
        faults: list[Fault] = []
        tasks = []
        for index, request in enumerate(requests):
            try:
                tasks.append(self._task(request))
            except NotAcceptable as refusal:
                where = f"requests[{index}]" if len(requests) > 1 else ""
                faults += [Fault(f"{where}.{one.where}".lstrip("."), one.message, one.hint) for one in refusal.faults]
        if faults:
            raise NotAcceptable(faults)
        return tasks

    def _task(self, request: Request) -> Task:
        tool = self._tools.get(request.tool)
        if tool is None:
            hint = nearest(request.tool, self._tools, "Installed tools")
            raise NotAcceptable([Fault("tool", f"{request.tool!r} is not known", hint)])
        files = self._staged(request, tool)
        try:
            inputs = tool.request.model_validate(request.inputs).model_dump(mode="json")
        except ValidationError as error:
            raise NotAcceptable(_faults(error)) from None
        complete = request.model_copy(update={"inputs": inputs, "files": files})
        return Task(complete, request_key(tool, inputs, files), tool.version)

    def _staged(self, request: Request, tool: AnyTool) -> dict[str, StagedFile]:
        found = dict(request.files)
        for field, shipped in tool.file_inputs.items():
            value = request.inputs.get(field)
            if isinstance(value, str) and value not in shipped and field not in found:
                found[field] = self._stage(f"inputs.{field}", value)
        return found

    def _stage(self, where: str, value: str) -> StagedFile:
        path = (self._base / value).resolve()
        if not path.is_relative_to(self._base):
            raise NotAcceptable([Fault(where, f"{value!r} lies outside of {self._base}", "Name a file in that folder")])
        try:
            content = path.read_bytes()
        except OSError as error:
            hint = "See to what wrote it"
            raise NotAcceptable([Fault(where, f"{path} cannot be read ({error.strerror})", hint)]) from None
        staged = StagedFile(name=value, sha256=hashlib.sha256(content).hexdigest(), suffix=path.suffix)
        copy = self._folder / "inputs" / staged.stored_name
        if not copy.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            replace_file(copy, [content], copy.with_name(f"{copy.name}.partial"))
        return staged

    # ---- what is there already

    def _kept(self, name: str) -> Outcome | None:
        try:
            return Outcome.model_validate_json(outcome_file(self._folder, name).read_bytes())
        except FileNotFoundError:
            return None

    def _reused(self, task: Task) -> Outcome | None:
        if self._ok is None:
            self._ok = self._all_ok()
        source = self._ok.get(task.key)
        found = self._kept(source) if source is not None else None
        return None if found is None else self._write(_as(found, task))

    def _all_ok(self) -> dict[str, str]:
        found = {}
        for path in sorted((self._folder / "outcomes").glob("*.json")):
            outcome = Outcome.model_validate_json(path.read_bytes())
            if outcome.status is Status.OK and outcome.reused_from is None:
                found[outcome.key] = outcome.id
        return found

    def _write(self, outcome: Outcome) -> Outcome:
        path = outcome_file(self._folder, outcome.id)
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, [outcome.model_dump_json().encode()], path.with_suffix(".partial"))
        return outcome

    # ---- processes

    async def _work(self, rank: int) -> None:
        """One place for a process, which is started when there is something to do, and again if it dies."""
        process: asyncio.subprocess.Process | None = None
        try:
            while True:
                while not self._waiting:
                    self._there.clear()
                    await self._there.wait()
                task = self._waiting.popleft()
                if process is None or process.returncode is not None:
                    process = await self._start(rank)
                outcome, process = await self._run(task, process)
                if outcome is not None:
                    await self._ended(task, outcome)
        except (OSError, ValueError, RuntimeError) as error:
            self._failure = error
            self._failed.set()
        finally:
            if process is not None:
                await _end(process)
                self._processes.discard(process)

    async def _start(self, rank: int) -> asyncio.subprocess.Process:
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / f"worker-{rank}.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "campaigns.local_worker",
                str(self._folder),
                f"{socket.gethostname()}/{rank}",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                start_new_session=True,  # Ctrl-C at a terminal is for whoever started it
                limit=LINE_BYTES,
                env=_environment(os.environ),
            )
        self._processes.add(process)
        return process

    async def _run(
        self, task: Task, process: asyncio.subprocess.Process
    ) -> tuple[Outcome | None, asyncio.subprocess.Process]:
        assert process.stdin is not None  # noqa: S101  (they are pipes)
        assert process.stdout is not None  # noqa: S101
        left_s = _left_s(task.request)
        if left_s is not None and left_s <= 0:
            return await asyncio.to_thread(self._timed_out, task), process
        try:
            process.stdin.write(json.dumps(task.document()).encode() + b"\n")
            await process.stdin.drain()
            async with asyncio.timeout(left_s):
                line = await process.stdout.readline()
        except TimeoutError:
            await _end(process)
            return await asyncio.to_thread(self._timed_out, task), process
        except (BrokenPipeError, ConnectionResetError):
            line = b""
        if line:
            return await asyncio.to_thread(self._kept, task.request.id), process
        await _end(process)
        self._processes.discard(process)
        if task.attempt < MAX_ATTEMPTS:
            self._waiting.appendleft(task.again())
            self._there.set()
            return None, process
        message = f"the process that ran it ended {MAX_ATTEMPTS} times, the last time with code {process.returncode}"
        hint = f"See what it wrote: {self._folder}/worker-*.log"
        return await asyncio.to_thread(self._write, _not_ok(task, Status.FAILED, "WorkerLost", message, hint)), process

    def _timed_out(self, task: Task) -> Outcome:
        message = f"it took longer than its {task.request.timeout_s} s, or its deadline is over"
        return self._write(_not_ok(task, Status.TIMEOUT, "Timeout", message, "Give it more time, or less to do"))

    async def _ended(self, task: Task, outcome: Outcome) -> None:
        self._done.put_nowait(outcome)
        if not task.request.reuse:
            return
        twins = self._twins.pop(task.key, [])
        if outcome.status is Status.OK:
            if self._ok is not None:
                self._ok[task.key] = task.request.id
            for twin in twins:
                self._done.put_nowait(await asyncio.to_thread(self._write, _as(outcome, twin)))
        elif twins:  # what failed stands for nothing but itself
            self._twins[task.key] = twins[1:]
            self._waiting.append(twins[0])
            self._there.set()


def _environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What a process of ours is told: one thread each, since there is one for each core."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return {**threads, **environment}


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(CLOSE_S):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _left_s(request: Request) -> float | None:
    """How long a Request may still take, in s; None: as long as it likes."""
    found = [] if request.timeout_s is None else [request.timeout_s]
    if request.deadline is not None:
        found.append((request.deadline - datetime.now(UTC)).total_seconds())
    return min(found) if found else None


def _not_ok(task: Task, status: Status, kind: str, message: str, hint: str) -> Outcome:
    now = datetime.now(UTC)
    return Outcome(
        id=task.request.id,
        key=task.key,
        tool=task.request.tool,
        tool_version=task.tool_version,
        status=status,
        inputs=task.request.inputs,
        error=ErrorInfo(type=kind, message=message, hint=hint),
        director=-1,
        partition=[socket.gethostname()],
        attempts=task.attempt,
        submitted_at=task.submitted_at,
        finished_at=now,
    )


def _as(found: Outcome, task: Task) -> Outcome:
    """An Outcome that stands for another Request with equal inputs."""
    now = datetime.now(UTC)
    changes: dict[str, Any] = {
        "id": task.request.id,
        "reused_from": found.id,
        "usage": None,
        "attempts": 0,
        "history": [],
        "submitted_at": task.submitted_at,
        "started_at": None,
        "finished_at": now,
    }
    return found.model_copy(update=changes)


def _faults(error: ValidationError) -> list[Fault]:
    found = []
    for item in error.errors(include_url=False):
        where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in ("inputs", *item["loc"]))
        found.append(Fault(where.lstrip("."), f"{item['msg']}, got {item['input']!r}", "Correct the value"))
    return found
