"""Molecular dynamics with ASE: what is written is what was simulated, and interruptions leave no trace."""

import contextlib
import csv
import json
import os
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import units
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms
from ase.md.verlet import VelocityVerlet
from hypothesis import given
from hypothesis import strategies as st

from simulations.atomistic.integrators import degrees_of_freedom, set_velocities, temperature_k
from simulations.atomistic.models import AseMdRequest
from simulations.atomistic.statistics import RunningSlope, RunningStatistics
from simulations.errors import Cancelled, Paused, ToolError
from simulations.workspace import Resources, Workspace
from tests.simulations.atomistic_runs import Ticking, run, run_paused, workspace

CU = {
    "bulk": "Cu",
    "cubic": True,
    "supercell": [2, 1, 1],
    "calculator": "emt",
    "timestep_fs": 4.0,
    "temperature_k": 600.0,
}
NVT = {**CU, "ensemble": "NVT", "steps": 47, "report_interval_steps": 10}
NVE = {**CU, "ensemble": "NVE", "steps": 40, "report_interval_steps": 5}


def table(folder):
    with (folder / "work" / "state.csv").open() as stream:
        return list(csv.DictReader(stream))


def test_frames_table_and_averages_tell_the_same(tmp_path):
    place = workspace(tmp_path)
    found = run("ase_md", place, **NVT)
    frames = ase.io.read(tmp_path / place.artifacts["trajectory"], ":")
    rows = table(tmp_path)
    assert [int(row["step"]) for row in rows] == [10, 20, 30, 40, 47]
    assert [frame.info["step"] for frame in frames] == [10, 20, 30, 40, 47]
    assert found.n_frames == len(rows) == len(frames)
    for name in ("potential_energy_ev", "kinetic_energy_ev", "total_energy_ev", "temperature_k", "pressure_gpa"):
        values = np.array([float(row[name]) for row in rows])
        assert getattr(found, name).mean == pytest.approx(values.mean(), rel=1e-8)
        assert getattr(found, name).std == pytest.approx(values.std(), rel=1e-6)
    assert [frame.get_potential_energy() for frame in frames] == pytest.approx(
        [float(row["potential_energy_ev"]) for row in rows], abs=1e-6
    )
    assert found.simulated_ns == pytest.approx(47 * 4e-6)
    assert float(rows[-1]["time_ps"]) == pytest.approx(0.188)
    assert place.course.amount == pytest.approx(found.simulated_ns)
    assert found.energy_drift_ev_per_atom_per_ps is None


def test_the_last_structure_has_what_another_run_needs(tmp_path):
    place = workspace(tmp_path)
    run("ase_md", place, **NVT)
    final = ase.io.read(tmp_path / place.artifacts["final_structure"])
    row = table(tmp_path)[-1]
    assert final.get_kinetic_energy() == pytest.approx(float(row["kinetic_energy_ev"]), abs=1e-6)
    assert final.get_potential_energy() == pytest.approx(float(row["potential_energy_ev"]), abs=1e-6)
    assert final.get_forces().shape == (8, 3)


def test_nve_goes_on_from_the_last_structure_of_another_run(tmp_path):
    def part(name, **inputs):
        return run("ase_md", workspace(tmp_path / name, **inputs.pop("more", {})), **inputs)

    whole = part("whole", **{**NVE, "steps": 20})
    part("first", **{**NVE, "steps": 10})
    given = {"structure": tmp_path / "first/work/final.extxyz"}
    rest = {"structure": "final.extxyz", "velocities": "structure", "calculator": "emt", "ensemble": "NVE", "steps": 10,
            "timestep_fs": 4.0, "temperature_k": 600.0, "report_interval_steps": 5}  # fmt: skip
    part("rest", more={"inputs": given}, **rest)
    ours, theirs = (float(table(tmp_path / name)[-1]["potential_energy_ev"]) for name in ("rest", "whole"))
    assert ours == pytest.approx(theirs, abs=1e-5)
    assert whole.n_frames == 4


def test_nve_is_velocity_verlet_as_ase_has_it(tmp_path):
    found = run("ase_md", workspace(tmp_path), **NVE)
    atoms = bulk("Cu", cubic=True).repeat((2, 1, 1))
    first = np.random.default_rng(np.random.SeedSequence(1).spawn(2)[0])
    set_velocities(atoms, AseMdRequest(**NVE), first)
    atoms.calc = EMT()
    VelocityVerlet(atoms, timestep=4 * units.fs).run(40)
    row = table(tmp_path)[-1]
    assert float(row["potential_energy_ev"]) == pytest.approx(atoms.get_potential_energy(), abs=1e-9)
    assert float(row["kinetic_energy_ev"]) == pytest.approx(atoms.get_kinetic_energy(), abs=1e-9)
    total = [float(row["total_energy_ev"]) for row in table(tmp_path)]
    slope = np.polyfit(0.02 * np.arange(1, 9), total, 1)[0]
    assert found.energy_drift_ev_per_atom_per_ps == pytest.approx(slope / 8, rel=1e-4)
    assert max(total) - min(total) < 0.01


def test_the_seed_decides(tmp_path):
    first, again, other = (
        run("ase_md", workspace(tmp_path / name), **NVT, seed=seed).potential_energy_ev.mean
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert first == again != other


@pytest.mark.parametrize("ensemble", ["NVT", "NVE"])
@pytest.mark.parametrize("steps_each", [[3], [0, 0], [1, 20, 9]])
def test_a_run_that_paused_is_byte_by_byte_that_which_did_not(tmp_path, ensemble, steps_each):
    asked = {**NVT, "ensemble": ensemble}
    whole = run("ase_md", workspace(tmp_path / "whole"), **asked)
    parts, place = run_paused("ase_md", tmp_path / "parts", steps_each, **asked)
    assert (parts.resumed, parts.exact, place.notes) == (len(steps_each), True, [])
    ignored = {"resumed", "wall_s", "ns_per_day"}
    assert parts.model_dump(exclude=ignored) == whole.model_dump(exclude=ignored)
    for name in ("trajectory.extxyz", "state.csv", "final.extxyz"):
        assert (tmp_path / "parts/work" / name).read_bytes() == (tmp_path / "whole/work" / name).read_bytes()


def test_a_molecule_with_gfn_goes_on_and_does_not_say_that_it_is_exact(tmp_path):
    asked = {"molecule": "H2O", "calculator": "gfn2", "ensemble": "NVT", "steps": 20, "timestep_fs": 0.5,
             "temperature_k": 300.0, "report_interval_steps": 5}  # fmt: skip
    whole = run("ase_md", workspace(tmp_path / "whole"), **asked)
    parts, _ = run_paused("ase_md", tmp_path / "parts", [5], **asked)
    assert (whole.exact, parts.exact) == (True, False)
    assert parts.degrees_of_freedom == 6
    assert parts.total_energy_ev.mean == pytest.approx(whole.total_energy_ev.mean, abs=1e-3)
    assert (parts.pressure_gpa, parts.cell) == (None, None)


@pytest.mark.parametrize("damage", ["another", "table", "trajectory"])
def test_a_checkpoint_of_no_use_is_passed_over_with_a_note(tmp_path, damage):
    asked = dict(NVT)
    with pytest.raises(Paused):
        run("ase_md", stopped(tmp_path), **asked)
    if damage == "another":
        asked["temperature_k"] = 601.0
    else:
        (tmp_path / "work" / {"table": "state.csv", "trajectory": "trajectory.extxyz"}[damage]).write_bytes(b"")
    place = workspace(tmp_path, 2)
    assert run("ase_md", place, **asked).resumed == 0
    assert "was passed over" in place.notes[0]
    assert len(table(tmp_path)) == 5


def stopped(folder):
    place = workspace(folder, clock=Ticking())
    asked = iter([False] * 15)
    place.pause_asked = lambda: next(asked, True)
    return place


def test_a_run_that_was_lost_at_its_end_is_not_computed_again(tmp_path, monkeypatch):
    place = workspace(tmp_path, clock=Ticking())
    whole = run("ase_md", place, **NVT)
    monkeypatch.setattr("ase.md.langevin.Langevin.step", lambda *arguments: pytest.fail("it was computed again"))
    again = run("ase_md", workspace(tmp_path, 2), **NVT)
    assert again.resumed == 1
    assert again.potential_energy_ev == whole.potential_energy_ev


HOT = {"bulk": "Cu", "cubic": True, "calculator": "emt", "timestep_fs": 50.0, "temperature_k": 50_000.0}
DENSE = {
    "bulk": "Ar",
    "a_angstrom": 1.0,
    "supercell": [2, 2, 2],
    "calculator": "lj",
    "lj_epsilon_ev": 10.0,
    "lj_sigma_angstrom": 3.4,
    "lj_cutoff_angstrom": 4.0,
    "timestep_fs": 50.0,
    "temperature_k": 1e4,
}


@pytest.mark.parametrize("inputs", [HOT, DENSE], ids=["hot", "dense"])
def test_atoms_that_blow_up_are_a_failure_with_their_step(tmp_path, inputs):
    with pytest.raises(ToolError, match="blew up") as caught:
        run("ase_md", workspace(tmp_path), **inputs, ensemble="NVE", steps=200)
    assert caught.value.kind == "SimulationDiverged"
    assert caught.value.details["step"] == caught.value.details["last_good_step"] + 1 >= 1


def test_a_field_that_does_not_converge_is_a_failure_with_its_step(tmp_path):
    with pytest.raises(ToolError, match="at step 0") as caught:
        run("ase_md", workspace(tmp_path), molecule="H2O", calculator="gfn2", scf_max_iterations=2, ensemble="NVE",
            steps=5, timestep_fs=0.5, temperature_k=300.0)  # fmt: skip
    assert (caught.value.kind, caught.value.details) == ("NotConverged", {"step": 0})


def test_one_atom_alone_does_not_move(tmp_path):
    with pytest.raises(ToolError, match="no atom can move") as caught:
        run("ase_md", workspace(tmp_path), **{**NVT, "cubic": False, "supercell": None})
    assert caught.value.kind == "NothingMoves"


def test_a_file_without_velocities_has_none_to_begin_with(tmp_path):
    ase.io.write(tmp_path / "a.xyz", bulk("Cu", cubic=True), format="extxyz")
    place = Workspace(tmp_path / "work", tmp_path, Resources("h", "h/0"), inputs={"structure": tmp_path / "a.xyz"})
    asked = {key: value for key, value in NVT.items() if key not in ("bulk", "cubic", "supercell")}
    with pytest.raises(ToolError, match="has no momenta"):
        run("ase_md", place, structure="a.xyz", velocities="structure", **asked)


@pytest.mark.parametrize("ensemble", ["NVE", "NVT"])
def test_atoms_that_the_file_fixes_stay_where_they_are(tmp_path, ensemble):
    atoms = bulk("Cu", cubic=True).repeat((2, 1, 1))
    atoms.set_constraint(FixAtoms([0, 3]))
    ase.io.write(tmp_path / "a.extxyz", atoms)
    place = Workspace(tmp_path / "work", tmp_path, Resources("h", "h/0"), inputs={"structure": tmp_path / "a.extxyz"})
    asked = {key: value for key, value in NVT.items() if key not in ("bulk", "cubic", "supercell")}
    found = run("ase_md", place, structure="a.extxyz", **{**asked, "ensemble": ensemble})
    final = ase.io.read(tmp_path / place.artifacts["final_structure"])
    moved = np.linalg.norm(final.positions - atoms.positions, axis=1)
    assert (found.n_fixed, found.degrees_of_freedom) == (2, 18)
    assert (moved[[0, 3]] < 1e-7).all()
    assert np.delete(moved, [0, 3]).min() > 1e-3


@pytest.mark.parametrize("ensemble", ["NVE", "NVT"])
def test_the_centre_of_mass_stays_where_it_is(tmp_path, ensemble):
    place = workspace(tmp_path)
    run("ase_md", place, **{**NVT, "ensemble": ensemble})
    frames = ase.io.read(tmp_path / place.artifacts["trajectory"], ":")
    centres = np.array([frame.get_center_of_mass() for frame in frames])
    assert np.ptp(centres, axis=0).max() < 1e-6


def test_one_that_is_told_to_stop_stops(tmp_path):
    place = workspace(tmp_path, clock=Ticking())
    place.progress = lambda report, amount=None: place.path("stop.1").write_text("cancel")
    with pytest.raises(Cancelled):
        run("ase_md", place, **NVT)


def test_how_far_it_is_can_be_read_while_it_runs(tmp_path):
    place = workspace(tmp_path, clock=Ticking())
    seen = []
    write = place._write_progress

    def watched():
        write()
        seen.append(json.loads((tmp_path / "work" / "progress.json").read_text()))

    place._write_progress = watched
    run("ase_md", place, **NVT)
    assert [item["step"] for item in seen[:3]] == [1, 2, 3]
    assert all(item["steps"] == 47 and item["temperature_k"] > 0 for item in seen)


def test_first_velocities_have_the_temperature_that_was_asked_for():
    """The kinetic energy of f degrees of freedom has the relative standard deviation √(2/f)."""
    request = AseMdRequest(**NVT)
    temperatures = []
    for seed in range(200):
        atoms = bulk("Cu", cubic=True).repeat((2, 1, 1))
        set_velocities(atoms, request, np.random.default_rng(seed))
        assert np.abs(atoms.get_momenta().sum(axis=0)).max() < 1e-10
        temperatures.append(temperature_k(atoms.get_kinetic_energy(), degrees_of_freedom(atoms)))
    dof = 3 * 8 - 3
    assert np.mean(temperatures) == pytest.approx(600, abs=4 * 600 * np.sqrt(2 / dof / 200))
    assert np.std(temperatures) == pytest.approx(600 * np.sqrt(2 / dof), rel=0.2)


numbers = st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=50)


@given(numbers, st.integers(0, 50))
def test_averages_are_those_of_numpy_however_they_were_interrupted(values, cut):
    statistics = RunningStatistics()
    for index, value in enumerate(values):
        if index == cut:
            statistics = RunningStatistics.restored(json.loads(json.dumps(statistics.state)))
        statistics.add(value)
    assert statistics.result().mean == pytest.approx(np.mean(values), abs=1e-6)
    assert statistics.result().std == pytest.approx(np.std(values), abs=1e-5)


@given(numbers, st.integers(0, 50))
def test_a_slope_is_that_of_the_least_squares_line_however_it_was_interrupted(values, cut):
    slope = RunningSlope()
    for index, value in enumerate(values):
        if index == cut:
            slope = RunningSlope.restored(json.loads(json.dumps(slope.state)))
        slope.add(0.5 * index, value)
    expected = np.polyfit(0.5 * np.arange(len(values)), values, 1)[0]
    assert slope.result() == pytest.approx(expected, rel=1e-6, abs=1e-5 * (1 + max(map(abs, values))))


def test_one_point_has_no_slope():
    slope = RunningSlope()
    slope.add(1.0, 2.0)
    assert slope.result() is None


class Killed(BaseException):
    """Ends an attempt as a kill does: nothing that comes after is done."""


@pytest.mark.parametrize("strike", range(2, 60, 11))
def test_a_run_that_ends_at_any_write_is_byte_by_byte_that_which_did_not(tmp_path, monkeypatch, strike):
    """Ends the first attempt at its n-th synchronisation or renaming, the second at its n-th again."""
    run("ase_md", workspace(tmp_path / "whole"), **NVT)
    left = [0]

    def struck(does):
        def does_or_ends(*arguments):
            left[0] -= 1
            if left[0] == 0:
                raise Killed
            return does(*arguments)

        return does_or_ends

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", struck(os.fsync))
        patched.setattr(Path, "replace", struck(Path.replace))
        for epoch in (1, 2, 3):
            left[0] = strike if epoch < 3 else 0
            place = workspace(tmp_path / "parts", epoch, clock=Ticking())
            with contextlib.suppress(Killed):
                found = run("ase_md", place, **NVT, checkpoint_interval_s=20.0)
    assert found.exact
    for name in ("trajectory.extxyz", "state.csv", "final.extxyz"):
        assert (tmp_path / "parts/work" / name).read_bytes() == (tmp_path / "whole/work" / name).read_bytes()
