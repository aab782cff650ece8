"""What it costs that nothing is lost: accepting, many Requests, restarts, and the journal itself."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from benchmarks.table import Row, at_least, at_most, spread
from director import Fleet, sweep
from simulations.records import Outcome

HERE = Path(__file__).parent.parent
ROUNDS = 3
BATCH = 10_000
ACCEPTED_PER_S = 20_000
MANY = 100_000
WINDOW = 5_000
WARM = 1_000
MEMORY_MB = 500
ANSWER_S = 0.2
OPEN = 1_000
NO_OPS = 5_000
FSYNCS = re.compile(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)(?:\s+\d+)?\s+(?:fsync|fdatasync)$", re.MULTILINE)


def _measured(*words: object) -> dict[str, Any]:
    """What ``benchmarks.in_ledger`` says."""
    command = [sys.executable, "-m", "benchmarks.in_ledger", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=HERE, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


# ---- accepting


def accepting(folder: Path) -> list[Row]:
    """A batch of 10,000 Requests: how fast it is on disk and acknowledged, and how often the disk is waited for."""
    rates = [BATCH / _measured("accept", folder / f"a{index}.sqlite", BATCH)["seconds"] for index in range(ROUNDS)]
    alone = [BATCH / _measured("journal", folder / f"j{index}.sqlite", BATCH)["seconds"] for index in range(ROUNDS)]
    rows = [
        at_least(
            f"a batch of {BATCH:,} accepted: checked, keys made, journaled; bar of {ACCEPTED_PER_S:,} (per s)",
            spread(rates, 0), f"{ACCEPTED_PER_S:,}", statistics.median(rates) / ACCEPTED_PER_S, 1,
        ),
        Row("  of which journaling alone (per s)", spread(alone, 0), ""),
    ]  # fmt: skip
    strace = shutil.which("strace")
    if strace is None:
        return [*rows, Row("  fsyncs of a batch: not counted, strace is not installed", "", "")]
    none, one, many = (_fsyncs(strace, folder / f"f{count}", count) for count in (0, 1, BATCH))
    what = f"  fsyncs of a batch of {BATCH:,}; of a single Request"
    return [*rows, at_most(what, str(many - none), str(one - none), (many - none) / max(one - none, 1), 1)]


def _fsyncs(strace: str, place: Path, count: int) -> int:
    """How often a process that opens a ledger and journals one batch asks the disk to write."""
    place.mkdir()
    summary = place / "strace"
    command = [sys.executable, "-m", "benchmarks.in_ledger", "journal", str(place / "ledger.sqlite"), str(count)]
    subprocess.run(
        [strace, "-f", "-c", "-o", summary, "-e", "trace=fsync,fdatasync", *command],
        check=True, capture_output=True, cwd=HERE,
    )  # fmt: skip
    return sum(int(found) for found in FSYNCS.findall(summary.read_text()))


# ---- many


def many(folder: Path) -> list[Row]:
    """100,000 Requests accepted and completed by one Director, through the real pool: cost, memory, answers."""
    grown = asyncio.run(_in_batches(folder / "batches"))
    at_once = asyncio.run(_at_once(folder / "at-once"))
    early, late = grown["early_s"], grown["late_s"]
    low, high = grown["early_cpu_s"], grown["late_cpu_s"]
    peak = max(grown["peak_mb"], at_once["peak_mb"])
    rows = [
        at_most(
            f"one Request at {MANY:,}, in batches of {WINDOW:,} through the real pool; at {WARM:,} (ms)",
            spread([value * 1e3 for value in late], 3), spread([value * 1e3 for value in early], 3),
            statistics.median(late) / statistics.median(early), 1.2,
        ),
        at_most(
            "  the same in processor time of the Director (ms)",
            spread([value * 1e3 for value in high], 3), spread([value * 1e3 for value in low], 3),
            statistics.median(high) / statistics.median(low), 1.2,
        ),
        Row(f"  {MANY:,} handed over at once (Requests per s); in batches", f"{at_once['rate']:,.0f}",
            f"{grown['rate']:,.0f}"),
        at_most("  greatest memory of the Director in both (MB)", f"{peak:.0f}", str(MEMORY_MB), peak / MEMORY_MB, 1),
    ]  # fmt: skip
    for name, what in (("status", "status"), ("page", "first page of Outcomes")):
        answers = at_once["answers"][name]
        rows.append(
            at_most(
                f"  {what} while {MANY:,} pass: worst of {answers['count']}, median {answers['median']:.3f} (s)",
                f"{answers['worst']:.3f}", f"{ANSWER_S:g}", answers["worst"] / ANSWER_S, 1,
            )
        )  # fmt: skip
    return rows


async def _in_batches(place: Path) -> dict[str, Any]:
    """Batches of the same size, one after the other: cost per Request of the first three and of the last three."""
    wall, processor = [], []
    async with Fleet.launch(nodes=2, run_dir=place, workers_per_node=1) as fleet:
        pid = _director(fleet)
        await _all(fleet.map(sweep("mock_md", duration_s=0.0, seed=range(WARM))), WARM)
        begin = time.perf_counter()
        for first in range(WARM, MANY + 1, WINDOW):
            requests = sweep("mock_md", duration_s=0.0, seed=range(first, first + WINDOW))
            start, cpu = time.perf_counter(), _processor_s(pid)
            await _all(fleet.map(requests), WINDOW)
            wall.append((time.perf_counter() - start) / WINDOW)
            processor.append((_processor_s(pid) - cpu) / WINDOW)
        rate = len(wall) * WINDOW / (time.perf_counter() - begin)
        peak = _peak_mb(pid)
    return {
        "early_s": wall[:3], "late_s": wall[-3:], "early_cpu_s": processor[:3], "late_cpu_s": processor[-3:],
        "peak_mb": peak, "rate": rate,
    }  # fmt: skip


async def _at_once(place: Path) -> dict[str, Any]:
    """All at once, while another client asks."""
    stop = place.with_name("stop")
    async with Fleet.launch(nodes=2, run_dir=place, workers_per_node=1) as fleet:
        await _all(fleet.map(sweep("mock_md", duration_s=0.0, seed=range(WARM))), WARM)
        asking = asyncio.create_task(asyncio.to_thread(_measured, "probe", place, stop))
        requests = sweep("mock_md", duration_s=0.0, seed=range(WARM, WARM + MANY))
        begin = time.perf_counter()
        await _all(fleet.map(requests), MANY)
        rate = MANY / (time.perf_counter() - begin)
        stop.touch()
        answers = await asking
        peak = _peak_mb(_director(fleet))
    return {"rate": rate, "answers": answers, "peak_mb": peak}


async def _all(stream: AsyncIterator[Outcome], count: int) -> None:
    seen = 0
    async for outcome in stream:
        assert outcome.status == "ok", outcome.error
        assert outcome.reused_from is None
        seen += 1
    assert seen == count


def _director(fleet: Fleet) -> int:
    """Process id of the only Director."""
    assert fleet._owned is not None
    return int(fleet._owned.directors[0].pid)  # type: ignore[attr-defined]


def _processor_s(pid: int) -> float:
    """Processor time that a process has used, in s."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / 100


def _peak_mb(pid: int) -> float:
    """Most memory that a process has had, in MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e6


# ---- restarts


def restarting(folder: Path) -> list[Row]:
    """A Director that was killed takes up its ledger: with 100,000 finished Requests, and with 1,000."""
    found: dict[int, list[float]] = {}
    for finished in (1_000, MANY):
        made = folder / f"{finished}.sqlite"
        size = _measured("fill", made, finished, OPEN)
        assert size["bytes"] > 0
        found[finished] = []
        for index in range(ROUNDS):
            copy = folder / f"{finished}-{index}.sqlite"
            shutil.copy(made, copy)
            answer = _measured("restart", copy)
            assert answer["open"] == OPEN + 1
            found[finished].append(answer["seconds"])
    ratio = statistics.median(found[MANY]) / statistics.median(found[1_000])
    what = f"a ledger with {MANY:,} finished and {OPEN:,} open taken up; with 1,000 finished (s)"
    return [at_most(what, spread(found[MANY], 3), spread(found[1_000], 3), ratio, 3)]


# ---- the journal


def journaling(folder: Path) -> list[Row]:
    """5,000 no-ops with the ledger on disk, against the same with one in memory."""

    async def rate(place: Path, *, memory_ledger: bool) -> float:
        launching = Fleet.launch(nodes=2, run_dir=place, workers_per_node=1, memory_ledger=memory_ledger)
        async with launching as fleet:
            await _all(fleet.map(sweep("mock_md", duration_s=0.0, seed=range(50))), 50)
            begin = time.perf_counter()
            await _all(fleet.map(sweep("mock_md", duration_s=0.0, seed=range(50, 50 + NO_OPS))), NO_OPS)
            return NO_OPS / (time.perf_counter() - begin)

    pairs = [
        (
            asyncio.run(rate(folder / f"d{index}", memory_ledger=False)),
            asyncio.run(rate(folder / f"m{index}", memory_ledger=True)),
        )
        for index in range(ROUNDS + 2)
    ]
    disk, memory = zip(*pairs, strict=True)
    ratio = statistics.median(one / other for one, other in pairs)
    what = f"{NO_OPS:,} no-op Requests with the ledger on disk; with one in memory (per s)"
    return [at_least(what, spread(disk, 0), spread(memory, 0), ratio, 0.9)]


def ledger(folder: Path) -> list[Row]:
    """What takes no more than a minute: accepting, restarts, and the journal."""
    rows = []
    for measure in (accepting, restarting, journaling):
        place = folder / measure.__name__
        place.mkdir()
        rows += measure(place)
    return rows
