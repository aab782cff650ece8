"""What the ``md`` Tool costs beside plain OpenMM scripts: long runs, and a node whose cores are all busy."""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.table import Row, at_least, spread
from director import Fleet, Request

ROUNDS = 10
"""Who goes first changes with every round: a machine that gets slower or faster favours neither."""
NODE_ROUNDS = 4
FRAMES = 10
CHECKPOINT_S = 4.0
"""In every run there is at least one checkpoint beside that at the end; usually there is one in five minutes."""
SHIPPED = Path(__file__).parent.parent / "simulations" / "structures"

# A plain script as a chemist would write it: one thread, one core, the reporters that come with OpenMM.
RAW = """
import os, sys, time
core, folder, name = int(sys.argv[1]), sys.argv[2], sys.argv[3]
os.sched_setaffinity(0, [core])
import openmm as mm
from openmm import app, unit
system = mm.XmlSerializer.deserialize(open(os.path.join(folder, name + ".xml")).read())
structure = app.PDBFile(os.path.join(folder, name + ".pdb"))
integrator = mm.LangevinMiddleIntegrator(300 * unit.kelvin, 1 / unit.picosecond, 2 * unit.femtosecond)
integrator.setRandomNumberSeed(1)
platform = mm.Platform.getPlatformByName("CPU")
simulation = app.Simulation(structure.topology, system, integrator, platform, {"Threads": "1"})
simulation.context.setPositions(structure.positions)
simulation.minimizeEnergy(maxIterations=50)
simulation.context.setVelocitiesToTemperature(300 * unit.kelvin, 1)
simulation.step(2)
print("ready", flush=True)
for line in sys.stdin:
    steps, report, checkpoint = map(int, line.split())
    out = os.path.join(folder, "raw-" + name + str(core))
    simulation.reporters[:] = [
        app.DCDReporter(out + ".dcd", report),
        app.StateDataReporter(out + ".csv", report, step=True, potentialEnergy=True, kineticEnergy=True,
                              temperature=True, speed=True),
        app.CheckpointReporter(out + ".chk", checkpoint),
    ]
    begin = time.perf_counter()
    simulation.step(steps)
    print(time.perf_counter() - begin, flush=True)
"""


@dataclass(frozen=True)
class Case:
    """A system, and how long it is run.

    Attributes:
        name: Of its files.
        title: What it is.
        solvent: Of the Tool's request.
        steps: Steps of each run: some six seconds on one core.
    """

    name: str
    title: str
    solvent: str
    steps: int

    @property
    def report(self) -> int:
        """Steps between two frames."""
        return self.steps // FRAMES

    def inputs(self, **more: object) -> dict[str, object]:
        """Inputs of the Tool."""
        return {
            "structure": f"{self.name}.pdb", "solvent": self.solvent, "steps": self.steps, "platform": "CPU",
            "report_interval_steps": self.report, "checkpoint_interval_s": CHECKPOINT_S, "minimize_max_iterations": 50,
            **more,
        }  # fmt: skip


CASES = (
    Case("peptide", "peptide of 112 atoms, implicit solvent", "implicit", 16_000),
    Case("small", "peptide in water, about 1,000 atoms", "explicit", 2_000),
    Case("protein", "protein in water, 8,867 atoms (of OpenMM's wheel)", "explicit", 200),
)


class Raw:
    """A plain OpenMM script that waits for the word to go.

    Args:
        core: The core that it is pinned to.
        folder: Where its system lies.
        name: Which that is.
    """

    def __init__(self, core: int, folder: Path, name: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", RAW, str(core), str(folder), name],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def ready(self) -> None:
        """Waits until it is."""
        assert self._process.stdout
        assert self._process.stdout.readline() == "ready\n"

    def go(self, case: Case) -> None:
        """Begins a run."""
        assert self._process.stdin
        # Ours writes a checkpoint every few seconds and at the end; this one twice.
        self._process.stdin.write(f"{case.steps} {case.report} {case.steps // 2}\n")
        self._process.stdin.flush()

    def seconds(self) -> float:
        """Waits for its end; returns how long the steps took, reports included."""
        assert self._process.stdout
        return float(self._process.stdout.readline())

    def close(self) -> None:
        """Ends it."""
        self._process.kill()
        self._process.wait()


def _ns_per_day(case: Case, seconds: float) -> float:
    return case.steps * 2e-6 / seconds * 86_400


def prepare(folder: Path, case: Case) -> None:
    """Leaves a structure, and the system that plain OpenMM makes of it with the Tool's defaults."""
    import openmm as mm
    from openmm import app, unit

    from simulations.md.implicit import use_compiled_obc2

    field = app.ForceField(
        "amber14-all.xml", "amber14/tip3p.xml" if case.solvent == "explicit" else "implicit/obc2.xml"
    )
    if case.name == "protein":
        text = (Path(app.__file__).parent / "data" / "test.pdb").read_text()
    else:
        source = "ala10" if case.name == "peptide" else "alanine-dipeptide"
        text = (SHIPPED / f"{source}.pdb").read_text()
    path = folder / f"{case.name}.pdb"
    path.write_text(text)
    pdb = app.PDBFile(str(path))
    if case.name == "small":
        modeller = app.Modeller(pdb.topology, pdb.positions)
        modeller.addSolvent(field, model="tip3p", boxSize=mm.Vec3(2.2, 2.2, 2.2) * unit.nanometer)
        with path.open("w") as stream:
            app.PDBFile.writeFile(modeller.topology, modeller.positions, stream, keepIds=True)
        pdb = app.PDBFile(str(path))
    if case.solvent == "explicit":
        settings = {"nonbondedMethod": app.PME, "nonbondedCutoff": 1.0 * unit.nanometer}
    else:
        settings = {"nonbondedMethod": app.NoCutoff}
    system = field.createSystem(pdb.topology, constraints=app.HBonds, **settings)
    if case.solvent == "implicit":
        # The Tool's own, which is several times faster; the reference is not to be slow for want of it.
        use_compiled_obc2(system)
    (folder / f"{case.name}.xml").write_text(mm.XmlSerializer.serialize(system))


def long_runs(folder: Path) -> list[Row]:
    """ns/day of one simulation through a Director, against a raw script with the same settings, in turn."""
    rows = []
    core = min(os.sched_getaffinity(0))
    for case in CASES:
        prepare(folder, case)
        raw = Raw(core, folder, case.name)
        try:
            raw.ready()
            pairs = asyncio.run(_in_turn(folder, case, raw))
        finally:
            raw.close()
        mine, theirs, whole = zip(*pairs, strict=True)
        ratio = statistics.median(a / b for a, b in zip(mine, theirs, strict=True))
        rows.append(
            at_least(f"{case.title}: ns/day through a Director; raw OpenMM script", spread(mine, 1), spread(theirs, 1),
                     ratio, 0.97)
        )  # fmt: skip
        ratio = statistics.median(a / b for a, b in zip(whole, theirs, strict=True))
        rows.append(Row("  the same by the time from asking to the Outcome", spread(whole, 1), "", ratio))
        print(f"  {case.title}: {rows[-2].ratio:.3f}", flush=True)
    return rows


async def _in_turn(folder: Path, case: Case, raw: Raw) -> list[tuple[float, float, float]]:
    found = []
    launching = Fleet.launch(nodes=1, run_dir=folder / f"run-{case.name}", workers_per_node=1, threads_per_worker=1)
    async with launching as fleet:
        await _outcomes(fleet, folder, [case.inputs(steps=2)])  # the worker keeps what it builds
        for turn in range(ROUNDS):
            theirs = await _raw(case, raw) if turn % 2 else 0.0
            begin = time.perf_counter()
            (ours,) = await _outcomes(fleet, folder, [case.inputs(seed=turn + 2)])
            whole = _ns_per_day(case, time.perf_counter() - begin)
            found.append((ours, theirs or await _raw(case, raw), whole))
    return found


async def _raw(case: Case, raw: Raw) -> float:
    raw.go(case)
    return _ns_per_day(case, await asyncio.to_thread(raw.seconds))


async def _outcomes(fleet: Fleet, base: Path, inputs: list[dict[str, object]]) -> list[float]:
    """ns/day of each Request."""
    found = []
    async for outcome in fleet.map([Request(tool="md", inputs=one) for one in inputs], base=base):
        assert outcome.result, outcome.error
        found.append(outcome.result["ns_per_day"])
    return found


def node(folder: Path) -> list[Row]:
    """All cores busy with one-thread workers, against as many isolated raw scripts at once."""
    cores = sorted(os.sched_getaffinity(0))
    case = CASES[1]
    prepare(folder, case)
    raws = [Raw(core, folder, case.name) for core in cores]
    try:
        for raw in raws:
            raw.ready()
        pairs = asyncio.run(_together(folder, case, raws))
    finally:
        for raw in raws:
            raw.close()
    mine, theirs = zip(*pairs, strict=True)
    ratio = statistics.median(a / b for a, b in pairs)
    what = f"{len(cores)} cores, one simulation on each ({case.title}); as many raw OpenMM scripts (ns/day together)"
    return [at_least(what, spread(mine, 1), spread(theirs, 1), ratio, 0.95)]


async def _together(folder: Path, case: Case, raws: list[Raw]) -> list[tuple[float, float]]:
    found = []
    launching = Fleet.launch(nodes=1, run_dir=folder / "run", workers_per_node=len(raws), threads_per_worker=1)
    async with launching as fleet:
        await _outcomes(fleet, folder, [case.inputs(steps=2, seed=seed + 1) for seed in range(len(raws))])
        for turn in range(NODE_ROUNDS):
            seeds = range(10 + turn * len(raws), 10 + (turn + 1) * len(raws))
            ours = sum(await _outcomes(fleet, folder, [case.inputs(seed=seed) for seed in seeds]))
            for raw in raws:
                raw.go(case)
            theirs = [await asyncio.to_thread(raw.seconds) for raw in raws]
            found.append((ours, sum(_ns_per_day(case, seconds) for seconds in theirs)))
    return found
