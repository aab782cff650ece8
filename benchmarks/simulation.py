"""What the ``md`` Tool saves where many short Requests are made of few structures."""

from __future__ import annotations

import os
import time
from pathlib import Path

from benchmarks.table import Row, at_least
from simulations.cache import BuildCache
from simulations.md import TOOL
from simulations.workspace import Resources, Workspace

SHIPPED = Path(__file__).parent.parent / "simulations" / "structures"
STEPS = 200
REQUESTS = 200
BUILT = 20
"""How many the function that builds each time is given; its time is multiplied."""


def _structures(folder: Path) -> list[Path]:
    """Five structures; one that was moved is another one to a Tool that goes by content."""
    found = []
    for name in ("alanine-dipeptide", "ala10", "chignolin"):
        lines = (SHIPPED / f"{name}.pdb").read_text().splitlines()
        for shift in (0.0, 1.0):
            path = folder / f"{name}-{shift:g}.pdb"
            path.write_text("\n".join(_moved(line, shift) for line in lines) + "\n")
            found.append(path)
    return found[:5]


def _moved(line: str, shift_angstrom: float) -> str:
    if not line.startswith(("ATOM", "HETATM")):
        return line
    return f"{line[:30]}{float(line[30:38]) + shift_angstrom:8.3f}{line[38:]}"


def _tool(folder: Path, structures: list[Path]) -> float:
    """Seconds for the Requests in this process, on one core, with what a worker keeps."""
    cache = BuildCache()
    begin = time.perf_counter()
    for index in range(REQUESTS):
        space = Workspace(
            folder=folder / str(index),
            run_folder=folder,
            resources=Resources("here", "here/0"),
            inputs={"structure": structures[index % len(structures)]},
            cache=cache,
        )
        inputs = {"structure": "a.pdb", "steps": STEPS, "seed": index + 1, "platform": "CPU"}
        TOOL.run(TOOL.request.model_validate(inputs), space)
    return time.perf_counter() - begin


def _script(structures: list[Path], count: int) -> float:
    """Seconds for so many with a function that builds everything each time, from OpenMM's own obc2.xml."""
    import openmm as mm
    from openmm import app, unit

    begin = time.perf_counter()
    for index in range(count):
        pdb = app.PDBFile(str(structures[index % len(structures)]))
        field = app.ForceField("amber14-all.xml", "implicit/obc2.xml")
        system = field.createSystem(pdb.topology, nonbondedMethod=app.NoCutoff, constraints=app.HBonds)
        integrator = mm.LangevinMiddleIntegrator(300 * unit.kelvin, 1 / unit.picosecond, 2 * unit.femtosecond)
        integrator.setRandomNumberSeed(index + 1)
        platform = mm.Platform.getPlatformByName("CPU")
        simulation = app.Simulation(pdb.topology, system, integrator, platform, {"Threads": "1"})
        simulation.context.setPositions(pdb.positions)
        simulation.minimizeEnergy(maxIterations=1000)
        simulation.context.setVelocitiesToTemperature(300 * unit.kelvin, index + 1)
        simulation.step(STEPS)
        simulation.context.getState(energy=True, positions=True)
    return time.perf_counter() - begin


def short_requests(folder: Path) -> list[Row]:
    """200 Requests of 200 steps on five structures, against functions that build everything each time."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        structures = _structures(folder)
        _script(structures, 1)  # what is loaded once is nobody's
        script = 0.0
        halves = []
        for half in range(2):  # before and after, so that a machine that is busy for a while favours neither
            halves.append(_script(structures, BUILT // 2))
            if half == 0:
                mine = _tool(folder / "work", structures)
        script = sum(halves) * REQUESTS / BUILT
    finally:
        os.sched_setaffinity(0, before)
    what = f"{REQUESTS} Requests × {STEPS} steps on {len(structures)} structures; OpenMM function that builds each time"
    return [at_least(f"{what} (s, from {BUILT} of them)", f"{mine:.1f}", f"{script:.1f}", script / mine, 5)]
