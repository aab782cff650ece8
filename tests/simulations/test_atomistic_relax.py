"""Relaxations come to the minimum, say whether they did, and go on as if they had never been interrupted."""

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms
from ase.units import GPa

from simulations.errors import Cancelled, Paused, ToolError
from tests.simulations.atomistic_runs import Ticking, run, run_paused, workspace

OPTIMIZERS = ["bfgs", "lbfgs", "lbfgslinesearch", "fire"]


def rattled(path):
    """Cu3Au, disturbed."""
    atoms = bulk("Cu", a=3.7, cubic=True)
    atoms.symbols[0] = "Au"
    atoms.rattle(0.1, seed=5)
    ase.io.write(path, atoms)
    return {"structure": path.name}, {"inputs": {"structure": path}}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_comes_to_the_same_minimum(tmp_path, optimizer):
    inputs, more = rattled(tmp_path / "a.extxyz")
    place = workspace(tmp_path, **more)
    found = run("relax", place, **inputs, calculator="emt", optimizer=optimizer, relax_cell="full",
                fmax_ev_per_angstrom=1e-3)  # fmt: skip
    assert found.converged
    assert found.fmax_reached_ev_per_angstrom < 1e-3
    assert found.energy_ev == pytest.approx(-0.0620, abs=1e-4)
    assert found.energy_ev < found.energy_before_ev
    assert found.cell.volume_angstrom3 == pytest.approx(51.16, abs=0.3)
    relaxed = ase.io.read(tmp_path / place.artifacts["relaxed_structure"])
    again = Atoms(relaxed.numbers, relaxed.positions, cell=relaxed.cell, pbc=True, calculator=EMT())
    assert again.get_potential_energy() == pytest.approx(found.energy_ev, abs=1e-6)
    assert found.enthalpy_ev == found.energy_ev
    frames = ase.io.read(tmp_path / place.artifacts["trajectory"], ":")
    assert len(frames) == found.n_frames == found.steps + 1
    assert [frame.info["step"] for frame in frames] == list(range(found.steps + 1))
    assert frames[0].get_potential_energy() == pytest.approx(found.energy_before_ev, abs=1e-6)


def test_a_structure_that_is_relaxed_already_takes_no_step(tmp_path):
    found = run("relax", workspace(tmp_path), bulk="Cu", calculator="emt")
    assert (found.steps, found.n_frames, found.converged) == (0, 1, True)
    assert found.cell == found.cell_before


def test_the_relaxed_structure_stands_in_the_result_unless_it_is_large(tmp_path):
    inputs, more = rattled(tmp_path / "a.extxyz")
    place = workspace(tmp_path, **more)
    found = run("relax", place, **inputs, calculator="emt", relax_cell="full", fmax_ev_per_angstrom=0.05)
    said, written = found.structure, ase.io.read(tmp_path / place.artifacts["relaxed_structure"])
    assert said.symbols == written.get_chemical_symbols()
    assert np.allclose(said.positions_angstrom, written.positions, atol=1e-7)
    assert np.allclose(said.cell_angstrom, written.cell.array, atol=1e-7)
    exact = Atoms(said.symbols, said.positions_angstrom, cell=said.cell_angstrom, pbc=True, calculator=EMT())
    assert exact.get_potential_energy() == pytest.approx(found.energy_ev, abs=1e-12)
    small = run("relax", workspace(tmp_path / "small"), molecule="H2", calculator="emt")
    assert small.structure.cell_angstrom is None
    large = run("relax", workspace(tmp_path / "large"), bulk="Cu", supercell=[6, 6, 6], calculator="emt",
                fmax_ev_per_angstrom=1.0)  # fmt: skip
    assert (large.n_atoms, large.structure) == (216, None)


def test_a_pressure_is_reached(tmp_path):
    found = run("relax", workspace(tmp_path), bulk="Cu", calculator="emt", relax_cell="hydrostatic", pressure_gpa=10.0,
                fmax_ev_per_angstrom=1e-5)  # fmt: skip
    assert found.stress_gpa[:3] == pytest.approx([-10.0] * 3, abs=1e-3)
    assert found.enthalpy_ev == pytest.approx(found.energy_ev + 10 * GPa * found.cell.volume_angstrom3)


def test_only_the_volume_is_relaxed_if_that_is_asked_for(tmp_path):
    atoms = bulk("Cu", cubic=True)
    atoms.set_cell(atoms.cell.array * [1.0, 1.0, 1.05], scale_atoms=True)
    ase.io.write(tmp_path / "a.extxyz", atoms)
    ratios = {}
    for how in ("hydrostatic", "full"):
        place = workspace(tmp_path / how, inputs={"structure": tmp_path / "a.extxyz"})
        found = run("relax", place, structure="a.extxyz", calculator="emt", relax_cell=how, fmax_ev_per_angstrom=1e-4,
                    optimizer="bfgs")  # fmt: skip
        lengths = found.cell.lengths_angstrom
        ratios[how] = lengths[2] / lengths[0]
    assert ratios["hydrostatic"] == pytest.approx(1.05, abs=1e-6)
    assert ratios["full"] == pytest.approx(1.0, abs=1e-3)


def test_atoms_that_the_file_fixes_stay_where_they_are(tmp_path):
    slab = fcc111("Cu", (1, 1, 4), vacuum=6.0)
    slab.info.clear()
    slab.set_constraint(FixAtoms([0, 1]))
    slab.rattle(0.05, seed=2)
    ase.io.write(tmp_path / "a.extxyz", slab)
    place = workspace(tmp_path, inputs={"structure": tmp_path / "a.extxyz"})
    found = run("relax", place, structure="a.extxyz", calculator="emt")
    relaxed = ase.io.read(tmp_path / place.artifacts["relaxed_structure"])
    moved = np.linalg.norm(relaxed.positions - slab.positions, axis=1)
    assert (found.n_fixed, found.stress_gpa, found.cell) == (2, None, None)
    assert (moved[:2] < 1e-7).all()
    assert (moved[2:] > 1e-3).all()


def test_too_few_steps_are_a_failure_that_leaves_its_structure(tmp_path):
    inputs, more = rattled(tmp_path / "a.extxyz")
    place = workspace(tmp_path, **more)
    with pytest.raises(ToolError, match="not converged after 2 steps") as caught:
        run("relax", place, **inputs, calculator="emt", max_steps=2)
    assert caught.value.kind == "NotConverged"
    assert caught.value.details["step"] == 2
    assert caught.value.details["fmax_ev_per_angstrom"] > 0.01
    assert set(place.artifacts) == {"trajectory", "last_structure"}
    assert ase.io.read(tmp_path / place.artifacts["last_structure"]).info["converged"] == False  # noqa: E712
    assert len(ase.io.read(tmp_path / place.artifacts["trajectory"], ":")) == 3


def test_too_few_steps_are_a_result_that_says_so_if_that_is_allowed(tmp_path):
    inputs, more = rattled(tmp_path / "a.extxyz")
    found = run("relax", workspace(tmp_path, **more), **inputs, calculator="emt", max_steps=2,
                require_convergence=False)  # fmt: skip
    assert (found.converged, found.steps) == (False, 2)
    assert found.fmax_reached_ev_per_angstrom > 0.01


def test_a_field_that_does_not_converge_is_a_failure_with_its_step(tmp_path):
    with pytest.raises(ToolError, match="at step 0") as caught:
        run("relax", workspace(tmp_path), molecule="H2O", calculator="gfn2", scf_max_iterations=2)
    assert (caught.value.kind, caught.value.details) == ("NotConverged", {"step": 0})


def test_a_molecule_has_no_cell_to_relax_also_if_it_comes_from_a_file(tmp_path):
    ase.io.write(tmp_path / "a.xyz", molecule("H2O"), format="xyz")
    place = workspace(tmp_path, inputs={"structure": tmp_path / "a.xyz"})
    with pytest.raises(ToolError, match="periodic in all three directions"):
        run("relax", place, structure="a.xyz", calculator="gfn2", relax_cell="full")


def test_fixed_atoms_and_a_cell_that_moves_do_not_go_together(tmp_path):
    atoms = bulk("Cu", cubic=True)
    atoms.set_constraint(FixAtoms([0]))
    ase.io.write(tmp_path / "a.extxyz", atoms)
    place = workspace(tmp_path, inputs={"structure": tmp_path / "a.extxyz"})
    with pytest.raises(ToolError, match="cannot be combined with atoms that the file fixes"):
        run("relax", place, structure="a.extxyz", calculator="emt", relax_cell="full")


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("cell", ["none", "full"])
def test_a_relaxation_that_paused_is_step_by_step_that_which_did_not(tmp_path, optimizer, cell):
    inputs, more = rattled(tmp_path / "a.extxyz")
    asked = {**inputs, "calculator": "emt", "optimizer": optimizer, "relax_cell": cell, "fmax_ev_per_angstrom": 1e-3}
    whole = run("relax", workspace(tmp_path / "whole", **more), **asked)
    parts, place = run_paused("relax", tmp_path / "parts", [2, 0, 3], more, **asked)
    assert (parts.resumed, parts.exact, place.notes) == (3, True, [])
    assert place.course.exact
    ignored = {"resumed", "wall_s"}
    assert parts.model_dump(exclude=ignored) == whole.model_dump(exclude=ignored)
    for name in ("trajectory.extxyz", "relaxed.extxyz"):
        assert (tmp_path / "parts/work" / name).read_bytes() == (tmp_path / "whole/work" / name).read_bytes()


def test_a_relaxation_with_gfn_goes_on_and_does_not_say_that_it_is_exact(tmp_path):
    asked = {"smiles": "CO", "calculator": "gfn2"}
    whole = run("relax", workspace(tmp_path / "whole"), **asked)
    parts, _ = run_paused("relax", tmp_path / "parts", [2], **asked)
    assert (whole.exact, parts.exact, parts.resumed) == (True, False, 1)
    assert parts.energy_ev == pytest.approx(whole.energy_ev, abs=1e-4)


@pytest.mark.parametrize("damage", ["another", "shorter", "changed", "gone"])
def test_a_checkpoint_of_no_use_is_passed_over_with_a_note(tmp_path, damage):
    inputs, more = rattled(tmp_path / "a.extxyz")
    asked = {**inputs, "calculator": "emt", "fmax_ev_per_angstrom": 1e-3}
    with pytest.raises(Paused):
        run("relax", stopped(tmp_path, more), **asked)
    trajectory = tmp_path / "work" / "trajectory.extxyz"
    content = trajectory.read_bytes()
    if damage == "another":
        asked["fmax_ev_per_angstrom"] = 2e-3
    elif damage == "gone":
        trajectory.unlink()
    else:
        trajectory.write_bytes(content[:-5] if damage == "shorter" else content.replace(b"step=0", b"step=9"))
    place = workspace(tmp_path, 2, **more)
    found = run("relax", place, **asked)
    assert found.resumed == 0
    assert "was passed over" in place.notes[0]
    assert len(ase.io.read(trajectory, ":")) == found.n_frames


def stopped(folder, more):
    place = workspace(folder, clock=Ticking(), **more)
    asked = iter([False, False, True])
    place.pause_asked = lambda: next(asked, True)
    return place


def test_frames_that_came_after_the_checkpoint_are_cut_off(tmp_path):
    inputs, more = rattled(tmp_path / "a.extxyz")
    asked = {**inputs, "calculator": "emt", "fmax_ev_per_angstrom": 1e-3}
    with pytest.raises(Paused):
        run("relax", stopped(tmp_path, more), **asked)
    with (tmp_path / "work" / "trajectory.extxyz").open("ab") as stream:
        stream.write(b"4\nhalf a frame of a killed attempt")
    found = run("relax", workspace(tmp_path, 2, **more), **asked)
    assert found.resumed == 1
    assert len(ase.io.read(tmp_path / "work" / "trajectory.extxyz", ":")) == found.n_frames


@pytest.mark.parametrize("when", ["before", "within"])
def test_one_that_is_told_to_stop_stops(tmp_path, when):
    inputs, more = rattled(tmp_path / "a.extxyz")
    place = workspace(tmp_path, clock=Ticking(), **more)
    if when == "before":
        place.path("stop.1").write_text("cancel")
    else:
        place.progress = lambda report, amount=None: place.path("stop.1").write_text("cancel")
    with pytest.raises(Cancelled):
        run("relax", place, **inputs, calculator="emt", fmax_ev_per_angstrom=1e-6)
