"""Makes ``data/water.pdb.gz``: a box of TIP3P water at 300 K and 1 bar, from which the test of density starts.

Plain OpenMM, nothing of the product. Run it as ``python tests/physics/make_water_box.py``; it takes some minutes.
"""

import gzip
import io
from pathlib import Path

import openmm as mm
from openmm import app, unit

TARGET = Path(__file__).parent / "data" / "water.pdb.gz"
WIDTH_NM = 2.35
STEPS = 20_000


def main() -> None:
    """Fills a cube, minimises, and equilibrates it for 40 ps."""
    field = app.ForceField("amber14/tip3p.xml")
    box = app.Modeller(app.Topology(), [] * unit.nanometer)
    box.addSolvent(field, boxSize=mm.Vec3(WIDTH_NM, WIDTH_NM, WIDTH_NM) * unit.nanometer)
    system = field.createSystem(box.topology, nonbondedMethod=app.PME, nonbondedCutoff=1.0 * unit.nanometer)
    barostat = mm.MonteCarloBarostat(1.0 * unit.bar, 300 * unit.kelvin, 25)
    barostat.setRandomNumberSeed(7)
    system.addForce(barostat)
    integrator = mm.LangevinMiddleIntegrator(300 * unit.kelvin, 1.0 / unit.picosecond, 2.0 * unit.femtosecond)
    integrator.setRandomNumberSeed(7)
    simulation = app.Simulation(box.topology, system, integrator, mm.Platform.getPlatformByName("CPU"))
    simulation.context.setPositions(box.positions)
    simulation.minimizeEnergy(maxIterations=100)
    simulation.context.setVelocitiesToTemperature(300 * unit.kelvin, 7)
    simulation.step(STEPS)
    state = simulation.context.getState(positions=True, enforcePeriodicBox=True)
    box.topology.setPeriodicBoxVectors(state.getPeriodicBoxVectors())
    text = io.StringIO()
    app.PDBFile.writeFile(box.topology, state.getPositions(), text)
    lines = [line for line in text.getvalue().splitlines(keepends=True) if not line.startswith("REMARK")]
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_bytes(gzip.compress("".join(lines).encode(), 9, mtime=0))


if __name__ == "__main__":
    main()
