"""What the ``md`` Tool costs beside plain OpenMM."""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.table import Row, at_least, spread
from director import Fleet, Request
from simulations.cache import BuildCache
from simulations.md import TOOL
from simulations.workspace import Resources, Workspace

STRUCTURE = Path(__file__).parent.parent / "simulations" / "structures" / "ala10.pdb"
LONG_STEPS = 30_000
REPORT_STEPS = 1_000
ROUNDS = 5
SHORT_STEPS = 200
SHORTS = 50

# A plain script as a chemist would write it: one thread, one core, the reporters that come with OpenMM.
RAW = """
import os, sys, time
os.sched_setaffinity(0, [int(sys.argv[1])])
import openmm as mm
from openmm import app, unit
steps, report, pdb, folder = int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], sys.argv[5]
system_xml = open(os.path.join(folder, "system.xml")).read()
system = mm.XmlSerializer.deserialize(system_xml)
structure = app.PDBFile(pdb)
integrator = mm.LangevinMiddleIntegrator(300 * unit.kelvin, 1 / unit.picosecond, 2 * unit.femtosecond)
integrator.setRandomNumberSeed(1)
platform = mm.Platform.getPlatformByName("CPU")
simulation = app.Simulation(structure.topology, system, integrator, platform, {"Threads": "1"})
simulation.context.setPositions(structure.positions)
simulation.minimizeEnergy()
simulation.context.setVelocitiesToTemperature(300 * unit.kelvin, 1)
out = os.path.join(folder, "raw" + sys.argv[1])
simulation.reporters.append(app.DCDReporter(out + ".dcd", report))
simulation.reporters.append(app.StateDataReporter(out + ".csv", report, step=True, potentialEnergy=True,
                                                  kineticEnergy=True, temperature=True, speed=True))
print("ready", flush=True)
sys.stdin.readline()
begin = time.perf_counter()
simulation.step(steps)
print(steps * 2e-6 / (time.perf_counter() - begin) * 86400, flush=True)
"""


def side_by_side(folder: Path) -> list[Row]:
    """Two simulations at once on two one-thread workers, against two isolated raw OpenMM scripts at once."""
    _write_system(folder)
    inputs = {
        "structure": "ala10", "steps": LONG_STEPS, "report_interval_steps": REPORT_STEPS, "platform": "CPU",
    }  # fmt: skip

    async def ours(place: Path) -> float:
        async with Fleet.launch(nodes=2, run_dir=place, workers_per_node=1) as fleet:
            warm = [Request(tool="md", inputs={**inputs, "steps": 100, "seed": seed}) for seed in (1, 2)]
            assert [outcome.status.value async for outcome in fleet.map(warm)] == ["ok", "ok"]
            both = [Request(tool="md", inputs={**inputs, "seed": seed}) for seed in (3, 4)]
            return sum([outcome.result["ns_per_day"] async for outcome in fleet.map(both) if outcome.result])

    def raw() -> float:
        cores = (sorted(os.sched_getaffinity(0)) * 2)[:2]
        scripts = [
            subprocess.Popen(
                [sys.executable, "-c", RAW, str(core), str(LONG_STEPS), str(REPORT_STEPS), str(STRUCTURE), str(folder)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )
            for core in cores
        ]  # fmt: skip
        for script in scripts:
            assert script.stdout and script.stdout.readline() == "ready\n"  # noqa: PT018
        for script in scripts:
            assert script.stdin
            script.stdin.write("go\n")
            script.stdin.flush()
        return sum(float(script.communicate()[0]) for script in scripts)

    pairs = [(asyncio.run(ours(folder / f"m{i}")), raw()) for i in range(ROUNDS)]
    mine, theirs = zip(*pairs, strict=True)
    ratio = statistics.median(a / b for a, b in pairs)
    what = f"two simulations at once (ala10, {LONG_STEPS:,} steps), one thread each; two raw OpenMM scripts (ns/day)"
    return [at_least(what, spread(mine, 0), spread(theirs, 0), ratio, 0.95)]


def _write_system(folder: Path) -> None:
    """Leaves the Tool's own system for the raw scripts, so that both integrate the same forces."""
    from openmm import XmlSerializer

    from simulations.md.models import MdRequest
    from simulations.md.structure import find_source
    from simulations.md.system import prepare

    request = MdRequest(structure="ala10", steps=1)
    system = prepare(request, find_source("ala10", {}), BuildCache()).system
    (folder / "system.xml").write_text(XmlSerializer.serialize(system))


def _tool(folder: Path, cache: Callable[[], BuildCache], structure: str) -> float:
    """Seconds for 50 short Requests in this process, on one core."""
    begin = time.perf_counter()
    for index in range(SHORTS):
        space = Workspace(
            folder=folder / str(index), run_folder=folder, resources=Resources("here", "here/0"), cache=cache()
        )
        inputs = {"structure": structure, "steps": SHORT_STEPS, "seed": index + 1, "platform": "CPU"}
        TOOL.run(TOOL.request.model_validate(inputs), space)
    return time.perf_counter() - begin


def _script(structure: str) -> float:
    """Seconds for the same with a function that builds everything each time, from OpenMM's own obc2.xml."""
    import openmm as mm
    from openmm import app, unit

    begin = time.perf_counter()
    for index in range(SHORTS):
        pdb = app.PDBFile(str(STRUCTURE.with_name(structure + ".pdb")))
        field = app.ForceField("amber14-all.xml", "implicit/obc2.xml")
        system = field.createSystem(pdb.topology, nonbondedMethod=app.NoCutoff, constraints=app.HBonds)
        integrator = mm.LangevinMiddleIntegrator(300 * unit.kelvin, 1 / unit.picosecond, 2 * unit.femtosecond)
        integrator.setRandomNumberSeed(index + 1)
        platform = mm.Platform.getPlatformByName("CPU")
        simulation = app.Simulation(pdb.topology, system, integrator, platform, {"Threads": "1"})
        simulation.context.setPositions(pdb.positions)
        simulation.minimizeEnergy(maxIterations=1000)
        simulation.context.setVelocitiesToTemperature(300 * unit.kelvin, index + 1)
        simulation.step(SHORT_STEPS)
        simulation.context.getState(energy=True, positions=True)
    return time.perf_counter() - begin


def short_requests(folder: Path) -> list[Row]:
    """50 Requests of 200 steps on one structure, against functions that build everything each time."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    rows = []
    try:
        for structure in ("alanine-dipeptide", "ala10"):
            cache = BuildCache()
            kept = _tool(folder / f"kept-{structure}", lambda cache=cache: cache, structure)  # type: ignore[misc]
            built = _tool(folder / f"built-{structure}", BuildCache, structure)
            script = _script(structure)
            what = f"50 Requests × 200 steps, {structure}; "
            rows.append(at_least(what + "OpenMM function that builds each time (s)",
                                 f"{kept:.2f}", f"{script:.2f}", script / kept, 3))  # fmt: skip
            rows.append(Row(what + "our Tool without what its worker keeps (s)",
                            f"{kept:.2f}", f"{built:.2f}", built / kept))  # fmt: skip
    finally:
        os.sched_setaffinity(0, before)
    return rows
