"""What reasoners cost beside their models and simulations: time for each tool call, and memory of many at once."""

from __future__ import annotations

import asyncio
import itertools
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.table import Row
from campaigns.language import Message, Reply, ToolFace
from campaigns.llm import LanguageSettings, OpenAIModel
from campaigns.reasoner import Limits, Steps, ToolSubject, run_crew
from simulations.mock_md import TOOL
from simulations.records import Outcome, Request, Status
from tests.llm.talk import Answer, Call, Chat

MANY = 50
ROUNDS = 8
CALLS = 1
DELAY_S = 1.0
OVERHEAD_MS = 20.0
MEMORY_MB = 1024.0


def agents(folder: Path) -> list[Row]:
    """One reasoner, and fifty at once in one process, with the real client, LangGraph and its SQLite file.

    The model is the loopback server in a process of its own. Simulations take no time: what is left is the overhead.
    """
    one = _measured(folder / "one", 1, 0.0)
    many = _measured(folder / "many", MANY, DELAY_S)
    each_ms = statistics.median(one["overhead_ms"])
    busy_ms = statistics.median(many["overhead_ms"])
    return [
        Row("overhead of an agent per tool call, model and simulation excluded (p50)", f"{each_ms:.1f} ms", "", each_ms,
            f"≤ {OVERHEAD_MS:g} ms", each_ms <= OVERHEAD_MS),
        Row(f"  the same with {MANY} reasoners at once, each model {DELAY_S:g} s per reply", f"{busy_ms:.1f} ms", ""),
        Row(f"memory of one process with {MANY} reasoners at work", f"{many['memory_mb']:.0f} MB",
            f"{one['memory_mb']:.0f} MB with one", many["memory_mb"], f"≤ {MEMORY_MB:g} MB",
            many["memory_mb"] <= MEMORY_MB),
        Row("  of these asking their models at the same time", f"{many['at_once']} of {MANY}", ""),
    ]  # fmt: skip


def mind(chat: Chat) -> Answer:
    """Asks for durations that nobody else asks for, by the reasoner's number."""
    if not chat.user.partition("Call the tool now")[1] or "Conclude this round" in chat.user:
        return Answer("A thought.")
    name = chat.system.removeprefix("You are ").partition(",")[0]
    known = sum('"status": "ok"' in text for text in chat.texts("tool"))
    own = next(line for line in chat.user.splitlines() if line.startswith("Your results (data), "))
    done = int(own.partition(" of ")[2].partition(",")[0]) + known
    first = 1000 * int(name.rpartition("-")[2]) + done
    return Answer(calls=tuple(Call("mock_md", {"duration_s": first + n}) for n in range(CALLS)))


def _measured(folder: Path, count: int, delay_s: float) -> dict[str, Any]:
    """Runs reasoners in a process of their own."""
    folder.mkdir(parents=True)
    command = [sys.executable, "-m", "tests.llm.server", "--port", "0", "--mind", "benchmarks.agents:mind",
               "--delay-s", str(delay_s)]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            url = server.stdout.readline().strip()
            inner = [sys.executable, "-m", "benchmarks.agents", str(folder), str(count), url]
            done = subprocess.run(inner, stdout=subprocess.PIPE, text=True, check=True, timeout=600)
        finally:
            server.terminate()
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


class _Timed:
    """A model whose questions are timed."""

    def __init__(self, model: OpenAIModel, times: list[tuple[float, float, bool]]) -> None:
        self._model = model
        self._times = times

    def reply(self, messages: Sequence[Message], tools: Sequence[ToolFace] = (), *, choice: str | None = None) -> Reply:
        began = time.perf_counter()
        answer = self._model.reply(messages, tools, choice=choice)
        self._times.append((began, time.perf_counter(), bool(answer.message.tool_calls)))
        return answer


class _AtOnce:
    """An evaluation that takes no time."""

    def __init__(self) -> None:
        self._done: asyncio.Queue[Outcome] = asyncio.Queue()

    async def submit(self, requests: Sequence[Request]) -> None:
        now = datetime.now(UTC)
        for request in requests:
            self._done.put_nowait(
                Outcome(id=request.id, key="0" * 64, tool=request.tool, tool_version="1", status=Status.OK,
                        inputs=request.inputs, result={"slept_s": request.inputs["duration_s"]}, director=0,
                        partition=["here"], submitted_at=now, finished_at=now)
            )  # fmt: skip

    async def next(self) -> Outcome:
        return await self._done.get()

    async def close(self) -> None:
        """Has nothing to end."""


def overheads_ms(times: Sequence[tuple[float, float, bool]]) -> list[float]:
    """Time from a reply with tool calls to the next question, for each of its calls, in ms."""
    pairs = itertools.pairwise(times)
    return [1000 * (after[0] - before[1]) / CALLS for before, after in pairs if before[2]]


def inner(folder: Path, count: int, url: str) -> None:
    """Measures in this process; writes what it found as JSON."""
    names = [f"reasoner-{index}" for index in range(count)]
    times: dict[str, list[tuple[float, float, bool]]] = {name: [] for name in names}
    settings = LanguageSettings(base_url=url, model="any", timeout_s=300)
    steps = Steps(
        ToolSubject(TOOL, varied=("duration_s",), objective="slept_s"),
        Limits(rounds=ROUNDS, calls_per_round=CALLS),
        folder,
    )

    def model_of(name: str) -> _Timed:
        return _Timed(OpenAIModel(settings, agent=name), times[name])

    seeds = {name: {"duration_s": 1000.0 * index} for index, name in enumerate(names)}
    ended = asyncio.run(run_crew(steps, seeds, model_of, _AtOnce(), folder / "steps.sqlite"))
    assert all(not one.failure and len(one.state["entries"]) == ROUNDS * CALLS for one in ended)
    rows = [one for per in times.values() for one in overheads_ms(per[3:])]  # the first ones load what is needed
    marks = sorted([(began, 1) for per in times.values() for began, _, _ in per]
                   + [(end, -1) for per in times.values() for _, end, _ in per])  # fmt: skip
    open_, most = 0, 0
    for _, change in marks:
        open_ += change
        most = max(most, open_)
    print(json.dumps({"overhead_ms": rows, "memory_mb": peak_mb(), "at_once": most}))


def peak_mb() -> float:
    """The most memory that this process has had, in MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("this system does not say how much memory a process has had")


if __name__ == "__main__":
    inner(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
