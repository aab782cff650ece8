"""What the ledger's benchmarks run in processes of their own: ``python -m benchmarks.in_ledger WHAT ...``.

It prints one line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.nothing import NothingPool
from director.engine import Engine
from director.fleet import Fleet
from director.ledger import Accepted, Finished, SqliteLedger, Started
from director.requests import sweep
from partitions.carve import carve, even
from partitions.local import local_allocation
from simulations.records import AttemptRecord, Ending, Outcome, Request, Status, Usage
from simulations.tool import find_tools

CHUNK = 2_000
PAGE = 100
PROBE_PERIOD_S = 0.25
KEY = "{:064x}"


def engine_of(path: Path, pool: NothingPool) -> Engine:
    """An Engine with a ledger on disk."""
    ledger = SqliteLedger(path)
    ledger.claim(int(time.time()))
    partition = carve(local_allocation(1, [0]), even(1))[0]
    return Engine(index=0, partition=partition, tools=find_tools(), ledger=ledger, pool=pool)


async def accept(path: Path, count: int) -> dict[str, Any]:
    """Time in which an Engine accepts a batch: checks it, makes its keys, journals it."""
    engine = engine_of(path, NothingPool(frozen=True))
    await engine.start()
    requests = sweep("mock_md", duration_s=0.0, seed=range(count))
    begin = time.perf_counter()
    verdicts = await engine.submit(requests)
    seconds = time.perf_counter() - begin
    assert not any(verdict.problems for verdict in verdicts)
    await engine.close()
    return {"seconds": seconds, "count": len(verdicts)}


def journal(path: Path, count: int) -> dict[str, Any]:
    """Time in which a ledger alone takes a batch."""
    ledger = SqliteLedger(path)
    ledger.claim(1)
    now = datetime.now(UTC)
    batch = [
        Accepted(Request(tool="mock_md", inputs={"duration_s": 0.0, "seed": index}), KEY.format(index), "1", now)
        for index in range(count)
    ]
    begin = time.perf_counter()
    turned = ledger.turn(accepted=batch)
    seconds = time.perf_counter() - begin
    ledger.close()
    return {"seconds": seconds, "count": len(turned.accepted)}


def fill(path: Path, finished: int, still_open: int) -> dict[str, Any]:
    """Writes a ledger as a Director would have left it that was killed: so many Requests are finished, so many open."""
    ledger = SqliteLedger(path)
    ledger.claim(1)
    now = datetime.now(UTC)
    total = finished + still_open
    for first in range(0, total, CHUNK):
        numbers = range(first, min(first + CHUNK, total))
        requests = {n: Request(id=f"r{n}", tool="mock_md", inputs={"duration_s": 0.0, "seed": n}) for n in numbers}
        ledger.turn(accepted=[Accepted(request, KEY.format(n), "1", now) for n, request in requests.items()])
        done = [n for n in numbers if n < finished]
        ledger.turn(started=[Started(f"r{n}", 1, now) for n in done])
        ledger.turn(finished=[Finished(_outcome(requests[n], KEY.format(n), now), 1) for n in done])
    ledger.close()
    return {"bytes": path.stat().st_size}


def _outcome(request: Request, key: str, now: datetime) -> Outcome:
    place = {"host": "local-0", "worker": "local-0/0"}
    return Outcome(
        id=request.id, key=key, tool=request.tool, tool_version="1", status=Status.OK, inputs=request.inputs,
        result={"mock": True, "slept_s": 0.0, "accelerator": None, **place}, director=0, partition=["local-0"],
        attempts=1, history=[AttemptRecord(epoch=1, started_at=now, ended_at=now, ended=Ending.OK, **place)],
        usage=Usage(queued_s=0, startup_s=0, run_s=0, lost_s=0, node_hours=0), submitted_at=now, started_at=now,
        finished_at=now, versions={"python": "3", "md-director": "0"}, **place,
    )  # fmt: skip


async def restart(path: Path) -> dict[str, Any]:
    """Time in which an Engine opens a ledger and takes up what is open in it, until it takes Requests."""
    begin = time.perf_counter()
    engine = engine_of(path, NothingPool(frozen=True))
    await engine.start()
    await engine.submit([Request(tool="mock_md", inputs={"duration_s": 0.0, "seed": 10**8})])
    seconds = time.perf_counter() - begin
    still_open = len(engine.open_ids())
    await engine.close()
    return {"seconds": seconds, "open": still_open}


async def through_engine(path: Path, sizes: Sequence[int]) -> dict[str, Any]:
    """Time per Request as Requests pass an Engine with a ledger on disk, whose pool ends each at once.

    Args:
        path: The ledger.
        sizes: The windows: after how many Requests each ends. Each has as many Requests as the first.
    """
    pool = NothingPool()
    engine = engine_of(path, pool)
    await engine.start()
    found: dict[str, float] = {}
    window = sizes[0]
    done = 0
    cursor = 0
    while done < sizes[-1]:
        requests = sweep("mock_md", duration_s=0.0, seed=range(done, done + window))
        begin, cpu = time.perf_counter(), time.process_time()
        await engine.submit(requests)
        left = window
        while left:
            page = await engine.outcomes(cursor, CHUNK, 5.0)
            cursor, left = page[-1].seq, left - len(page)
        done += window
        if done in sizes:
            found[str(done)] = (time.perf_counter() - begin) / window
            found[f"cpu {done}"] = (time.process_time() - cpu) / window
    await engine.close()
    return {"seconds": found, "rss_mib": _peak_mib(os.getpid())}


async def probe(run: Path, stop: Path) -> dict[str, Any]:
    """How long ``status`` and the first page of Outcomes take to be answered, until a file appears."""
    found: dict[str, list[float]] = {"status": [], "page": []}
    fleet = await Fleet.attach(run)
    async with fleet:
        link = fleet.links[0]
        while not await asyncio.to_thread(stop.exists):
            begin = time.perf_counter()
            await link.call("status")
            middle = time.perf_counter()
            await link.call("outcomes", 0, PAGE, 0.0)
            found["status"].append(middle - begin)
            found["page"].append(time.perf_counter() - middle)
            await asyncio.sleep(PROBE_PERIOD_S)
    return {
        name: {"median": statistics.median(times), "worst": max(times), "count": len(times)}
        for name, times in found.items()
    }


def _peak_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def main() -> None:
    """Does what the command line says."""
    what, path, *rest = sys.argv[1:]
    numbers = [int(word) for word in rest if word.isdigit()]
    if what == "accept":
        answer = asyncio.run(accept(Path(path), numbers[0]))
    elif what == "journal":
        answer = journal(Path(path), numbers[0])
    elif what == "fill":
        answer = fill(Path(path), numbers[0], numbers[1])
    elif what == "restart":
        answer = asyncio.run(restart(Path(path)))
    elif what == "through":
        answer = asyncio.run(through_engine(Path(path), numbers))
    elif what == "probe":
        answer = asyncio.run(probe(Path(path), Path(rest[0])))
    else:
        raise SystemExit(f"{what} is nothing that can be measured here")
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
