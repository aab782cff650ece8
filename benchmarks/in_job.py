"""What the cluster's benchmarks run inside a job, on its lead node: ``python -m benchmarks.in_job WHAT FOLDER …``.

Prints one JSON document.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from parsl import python_app

from benchmarks.bare import bare_htex
from benchmarks.tasks import nap
from director import Fleet, sweep


async def ours(folder: Path, count: int, begun: float) -> dict[str, Any]:
    """Two Directors, two nodes each; no-ops through both at once."""
    async with Fleet.launch(2, run_dir=folder, workers_per_node=1, pool=_pool()) as fleet:
        await fleet.run("mock_md", duration_s=0.0)
        first_s = time.time() - begun
        await _all_up(fleet)
        async for _ in fleet.map(sweep("mock_md", duration_s=0.0, seed=range(100))):
            pass
        begin = time.perf_counter()
        async for outcome in fleet.map(sweep("mock_md", duration_s=0.0, seed=range(count))):
            assert outcome.status == "ok", outcome.error
        return {"first_s": first_s, "rate": count / (time.perf_counter() - begin)}


def _pool() -> dict[str, Any]:
    launcher = os.environ.get("BENCH_LAUNCHER")
    return {"launcher": launcher} if launcher else {}


async def _all_up(fleet: Fleet) -> None:
    # A Director that has no time to answer, while 64 nodes start on a few cores, has not all of its nodes up.
    starting = [{"state": "starting"}]
    while any(node["state"] != "up" for status in await fleet.status() for node in status.get("nodes", starting)):
        await asyncio.sleep(0.05)


def bare(folder: Path, count: int, begun: float) -> dict[str, Any]:
    """Two bare HTEXs, two nodes each, in a process each, as two Directors are; started and measured together."""
    halves = [["node1", "node2"], ["node3", "node4"]]
    folder.mkdir(parents=True)
    command = [sys.executable, "-m", "benchmarks.in_job"]
    children = [
        subprocess.Popen(
            [*command, "half", str(folder / str(index)), str(count // 2), str(begun), *nodes],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for index, nodes in enumerate(halves)
    ]  # fmt: skip
    firsts = [json.loads(child.stdout.readline()) for child in children if child.stdout]
    begin = time.perf_counter()
    for child in children:
        assert child.stdin
        child.stdin.write("go\n")
        child.stdin.flush()
    for child in children:
        assert child.stdout
        child.stdout.readline()
    seconds = time.perf_counter() - begin
    for child in children:
        child.communicate()
    return {"first_s": min(first["first_s"] for first in firsts), "rate": count / seconds}


def half(folder: Path, count: int, begun: float, nodes: list[str]) -> None:
    """One of the two, in its own process."""
    with bare_htex(folder, 1, nodes) as kernel:
        app = python_app(nap, data_flow_kernel=kernel)
        app(0).result()
        first_s = time.time() - begun
        for future in [app(0) for _ in range(100)]:
            future.result()
        print(json.dumps({"first_s": first_s}), flush=True)
        sys.stdin.readline()
        for future in [app(0) for _ in range(count)]:
            future.result()
        print("done", flush=True)


async def start_up(folder: Path, nodes_per_block: int) -> dict[str, Any]:
    """One Director on all nodes: the time until all are up, and the memory of what runs on the lead node for them."""
    begin = time.perf_counter()
    pool = {"nodes_per_block": nodes_per_block, "startup_timeout_s": 500}
    async with Fleet.launch(1, run_dir=folder, workers_per_node=1, pool=pool) as fleet:
        await _all_up(fleet)
        return {"seconds": time.perf_counter() - begin, "launchers_mib": _launchers_mib(), "director_mib": _mib(
            [pid for pid in _pids() if "director.process" in _command(pid)])}  # fmt: skip


def _launchers_mib() -> float:
    return _mib([pid for pid in _pids() if Path(_command(pid).split("\0")[0]).name.startswith(("srun", "mpiexec"))])


def _mib(pids: list[int]) -> float:
    """Memory of processes, with what they share counted once."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _command(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text()
    return ""


def main() -> None:
    """Does what the command line says."""
    what, folder, number, *rest = sys.argv[1:]
    if what == "ours":
        print(json.dumps(asyncio.run(ours(Path(folder), int(number), float(rest[0])))))
    elif what == "bare":
        print(json.dumps(bare(Path(folder), int(number), float(rest[0]))))
    elif what == "half":
        half(Path(folder), int(number), float(rest[0]), rest[1:])
    else:
        print(json.dumps(asyncio.run(start_up(Path(folder), int(number)))))


if __name__ == "__main__":
    main()
