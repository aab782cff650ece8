"""A worker's life: until it is ready, what it keeps in memory, and what it leaves on disk."""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import time
from pathlib import Path

from parsl import python_app

from benchmarks.bare import bare_htex
from benchmarks.table import Row, at_most, spread
from benchmarks.tasks import nap
from director import Fleet, Request, sweep

ROUNDS = 5
MANY = 1000
SHORT = {"structure": "alanine-dipeptide", "solvent": "vacuum", "steps": 20, "report_interval_steps": 10}
MD_FILES = 7
"""The artifacts of ``md``, of which there are as many however long it ran."""

MEMORY = """
import sys
from pathlib import Path
from simulations.cache import BuildCache
from simulations.md import TOOL
from simulations.workspace import Resources, Workspace
source, folder, count, capacity = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
cache = BuildCache(capacity) if capacity else BuildCache()
lines = source.read_text().splitlines()
for index in range(count):
    path = folder / f"{index}.pdb"
    path.write_text("\\n".join(
        line[:30] + f"{float(line[30:38]) + index / 1000:8.3f}" + line[38:] if line.startswith("ATOM") else line
        for line in lines) + "\\n")
    space = Workspace(folder / str(index), folder, Resources("here", "here/0"), {"structure": path}, cache)
    inputs = {"structure": "a.pdb", "steps": 1, "platform": "CPU", "minimize": False}
    TOOL.run(TOOL.request.model_validate(inputs), space)
    if (index + 1) % (count // 10) == 0:
        resident = int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6
        print(index + 1, resident, cache.count, flush=True)
"""


def start_up(folder: Path) -> list[Row]:
    """From `Fleet.launch` until a worker has OpenMM loaded, against importing it plus the start of a bare HTEX."""

    async def ours(place: Path) -> float:
        begin = time.perf_counter()
        async with Fleet.launch(nodes=1, run_dir=place, workers_per_node=1) as fleet:
            outcome = await fleet.run("md", **{**SHORT, "steps": 1, "minimize": False})
            took = time.perf_counter() - begin
        assert outcome.result, outcome.error
        # What comes after it is ready: building this system, and its one step.
        return took - sum(outcome.result["wall_s"].values())

    def imported() -> float:
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import openmm.app"], check=True)
        return time.perf_counter() - begin

    def bare(place: Path) -> float:
        begin = time.perf_counter()
        with bare_htex(place, workers=1) as kernel:
            python_app(nap, data_flow_kernel=kernel)(0).result()
            return time.perf_counter() - begin

    rows = [(asyncio.run(ours(folder / f"s{i}")), imported(), bare(folder / f"b{i}")) for i in range(ROUNDS)]
    for row in rows:
        print("  ready, import, bare HTEX (s):", " ".join(f"{value:.2f}" for value in row), flush=True)
    mine = [row[0] for row in rows]
    theirs = [row[1] + row[2] for row in rows]
    ratio = statistics.median(a / b for a, b in zip(mine, theirs, strict=True))
    what = "from launch until a worker is ready for its first MD step; import openmm.app and start of bare HTEX (s)"
    return [at_most(what, spread(mine), spread(theirs), ratio, 1.3)]


def memory(folder: Path) -> list[Row]:
    """Resident memory of a worker while 500 different structures pass through it."""
    source = Path(__file__).parent.parent / "simulations" / "structures" / "alanine-dipeptide.pdb"

    def run(name: str, capacity: float) -> list[tuple[int, float, int]]:
        place = folder / name
        place.mkdir()
        said = subprocess.run(
            [sys.executable, "-c", MEMORY, str(source), str(place), "500", str(capacity)],
            check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip
        found = [line.split() for line in said.splitlines()]
        return [(int(count), float(mb), int(kept)) for count, mb, kept in found]

    usual, small = run("usual", 0), run("small", 20_000)
    half, end = usual[4][1], usual[-1][1]
    rows = [
        Row(f"MB after 500 structures, all kept; after 250 ({usual[-1][2]} things kept)", f"{end:.0f}", f"{half:.0f}")
    ]
    half, end = small[4][1], small[-1][1]
    what = f"MB after 500 structures when only the latest fit ({small[-1][2]} things kept); after 250"
    return [*rows, at_most(what, f"{end:.0f}", f"{half:.0f}", end / half, 1.05)]


def files(folder: Path) -> list[Row]:
    """How many files 1,000 short Requests leave in the run folder, and how many bytes their frames take."""

    async def left(tool: str, requests: list[Request]) -> tuple[int, int]:
        run = folder / tool
        async with Fleet.launch(nodes=1, run_dir=run, workers_per_node=2, threads_per_worker=1) as fleet:
            async for outcome in fleet.map(requests):
                assert outcome.status == "ok", outcome.error
        work = [path for path in (run / "director-0" / "work").rglob("*") if path.is_file()]
        return len(work), sum(path.is_file() for path in run.rglob("*")) - len(work)

    begin = time.perf_counter()
    md, beside = asyncio.run(left("md", [Request(tool="md", inputs={**SHORT, "seed": i + 1}) for i in range(MANY)]))
    took = time.perf_counter() - begin
    mock, _ = asyncio.run(left("mock_md", sweep("mock_md", duration_s=0.0, seed=range(MANY))))
    what = f"files of each of {MANY:,} short md Requests ({took:.0f} s); what its contract has"
    return [
        at_most(what, f"{md / MANY:g}", f"{MD_FILES}", md / MANY / MD_FILES, 1),
        Row(f"files of each of {MANY:,} mock_md Requests", f"{mock / MANY:g}", "0"),
        Row("files of the run beside them, logs included", f"{beside}", ""),
    ]
