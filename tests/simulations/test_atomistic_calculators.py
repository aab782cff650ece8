"""The calculators give what their own packages give, refuse what they cannot do, and say what is missing."""

import json
import sys

import ase.io
import numpy as np
import pytest
import threadpoolctl
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from ase.calculators.emt import parameters as emt_parameters
from tblite.interface import Calculator as TBLite

from simulations.atomistic.calculators import Engine, lowest_multiplicity, memory_of, remember
from simulations.atomistic.evaluation import evaluate
from simulations.errors import Cancelled, ToolError
from simulations.threads import threaded_libraries, use_threads
from simulations.workspace import Resources, Workspace
from tests.simulations.atomistic_runs import run, workspace

BOHR_ANGSTROM = 0.529177210544  # CODATA 2022
HARTREE_EV = 27.211386245981
LJ = {"calculator": "lj", "lj_epsilon_ev": 0.0103, "lj_sigma_angstrom": 3.4, "lj_cutoff_angstrom": 10.2}


def given(tmp_path, atoms, **more):
    path = tmp_path / "given.extxyz"
    ase.io.write(path, atoms)
    return workspace(tmp_path, inputs={"structure": path}, **more)


def test_emt_is_that_of_ase(tmp_path):
    atoms = bulk("Cu", cubic=True).repeat(2)
    atoms.rattle(0.1, seed=1)
    place = given(tmp_path, atoms)
    found = run("single_point", place, structure="given.extxyz", calculator="emt")
    atoms.calc = EMT()
    assert found.energy_ev == pytest.approx(atoms.get_potential_energy(), abs=1e-6)
    forces = atoms.get_forces()
    assert found.max_force_ev_per_angstrom == pytest.approx(np.linalg.norm(forces, axis=1).max(), abs=1e-6)
    assert found.stress_gpa == pytest.approx(list(atoms.get_stress() * 160.21766208), abs=1e-5)
    kept = ase.io.read(tmp_path / place.artifacts["structure"])
    assert kept.get_potential_energy() == pytest.approx(found.energy_ev, abs=1e-6)
    assert kept.get_forces() == pytest.approx(forces, abs=1e-6)
    assert kept.get_stress() == pytest.approx(atoms.get_stress(), abs=1e-8)


@pytest.mark.parametrize("method", ["gfn1", "gfn2"])
def test_gfn_is_that_of_tblite_itself(tmp_path, method):
    water = molecule("H2O")
    direct = TBLite({"gfn1": "GFN1-xTB", "gfn2": "GFN2-xTB"}[method], water.numbers, water.positions / BOHR_ANGSTROM)
    direct.set("verbosity", 0)
    expected = direct.singlepoint()
    found = run("single_point", workspace(tmp_path), molecule="H2O", calculator=method)
    assert found.energy_ev == pytest.approx(expected["energy"] * HARTREE_EV, abs=1e-5)
    force = np.linalg.norm(expected["gradient"], axis=1).max() * HARTREE_EV / BOHR_ANGSTROM
    assert found.max_force_ev_per_angstrom == pytest.approx(force, abs=1e-5)
    assert (found.charge, found.multiplicity, found.stress_gpa) == (0, 1, None)


@pytest.mark.parametrize(
    ("inputs", "charge", "multiplicity"),
    [
        ({"molecule": "OH"}, 0, 2),
        ({"molecule": "H2O", "charge": 1}, 1, 2),
        ({"molecule": "O2", "multiplicity": 3}, 0, 3),
    ],
)
def test_charge_and_multiplicity_are_as_asked_or_the_lowest_that_is_possible(tmp_path, inputs, charge, multiplicity):
    found = run("single_point", workspace(tmp_path), calculator="gfn2", **inputs)
    assert (found.charge, found.multiplicity) == (charge, multiplicity)


def test_triplet_oxygen_lies_below_singlet_oxygen_if_spins_are_polarized(tmp_path):
    low, high = (
        run(
            "single_point",
            workspace(tmp_path / str(spin)),
            molecule="O2",
            calculator="gfn2",
            multiplicity=spin,
            spin_polarized=True,
        )
        for spin in (3, 1)
    )
    assert low.energy_ev < high.energy_ev - 0.5
    assert low.method == "spGFN2-xTB (tblite)"


@pytest.mark.parametrize(("electrons", "multiplicity"), [(0, 1), (1, 2), (10, 1), (29, 2)])
def test_the_lowest_multiplicity_has_at_most_one_unpaired_electron(electrons, multiplicity):
    assert lowest_multiplicity(electrons) == multiplicity


@pytest.mark.parametrize("inputs", [{"multiplicity": 2}, {"charge": 1, "multiplicity": 1}, {"charge": 11}])
def test_a_number_of_electrons_that_cannot_be_is_refused(tmp_path, inputs):
    with pytest.raises(ToolError, match="cannot have multiplicity") as caught:
        run("single_point", workspace(tmp_path), molecule="H2O", calculator="gfn2", **inputs)
    assert caught.value.kind == "BadCharge"


def test_gfn_takes_no_slab_that_is_periodic_in_two_directions_only(tmp_path):
    place = given(
        tmp_path, Atoms("C2", positions=[[0, 0, 0], [0, 1.42, 0]], cell=[2.5, 4.3, 10], pbc=[True, True, False])
    )
    with pytest.raises(ToolError, match="periodic in 2 of three directions") as caught:
        run("single_point", place, structure="given.extxyz", calculator="gfn2")
    assert caught.value.kind == "BadStructure"


def test_a_field_that_does_not_converge_is_an_error(tmp_path):
    with pytest.raises(ToolError, match="has not converged: SCF not converged in 2 cycles") as caught:
        run("single_point", workspace(tmp_path), molecule="H2O", calculator="gfn2", scf_max_iterations=2)
    assert caught.value.kind == "NotConverged"
    assert "scf_max_iterations" in caught.value.hint


def test_the_lennard_jones_dimer_is_at_its_analytic_minimum(tmp_path):
    epsilon, sigma, cutoff = (LJ[f"lj_{name}"] for name in ("epsilon_ev", "sigma_angstrom", "cutoff_angstrom"))
    place = given(tmp_path, Atoms("Ar2", positions=[[0, 0, 0], [0, 0, 3.6]]))
    found = run("relax", place, structure="given.extxyz", fmax_ev_per_angstrom=1e-8, optimizer="bfgs", **LJ)
    shift = 4 * epsilon * ((sigma / cutoff) ** 12 - (sigma / cutoff) ** 6)
    relaxed = ase.io.read(tmp_path / place.artifacts["relaxed_structure"])
    assert relaxed.get_distance(0, 1) == pytest.approx(2 ** (1 / 6) * sigma, abs=1e-6)
    assert found.energy_ev == pytest.approx(-epsilon - shift, abs=1e-12)


def test_a_smoothed_lennard_jones_potential_is_not_shifted(tmp_path):
    place = given(tmp_path, Atoms("Ar2", positions=[[0, 0, 0], [0, 0, 2 ** (1 / 6) * 3.4]]))
    found = run("single_point", place, structure="given.extxyz", lj_smooth_from_angstrom=6.0, **LJ)
    assert found.energy_ev == pytest.approx(-LJ["lj_epsilon_ev"], abs=1e-9)
    assert "smoothed" in found.method


@pytest.mark.parametrize("inputs", [{"calculator": "emt", "bulk": "Au"}, {**LJ, "bulk": "Ar"}])
def test_the_energy_of_a_supercell_is_that_of_its_cells(tmp_path, inputs):
    one = run("single_point", workspace(tmp_path / "1"), **inputs)
    many = run("single_point", workspace(tmp_path / "12"), supercell=[3, 2, 2], **inputs)
    assert many.n_atoms == 12 * one.n_atoms
    assert many.energy_per_atom_ev == pytest.approx(one.energy_per_atom_ev, abs=1e-10)
    assert many.pressure_gpa == pytest.approx(one.pressure_gpa, abs=1e-8)


@pytest.mark.parametrize(
    ("inputs", "element", "listed"),
    [
        ({"calculator": "emt", "bulk": "Fe"}, "Fe", "Al, Ni, Cu, Pd, Ag, Pt, Au"),
        (
            {"calculator": "gfn2", "bulk": "Ra", "crystal_structure": "bcc", "a_angstrom": 5.1},
            "Ra",
            "hydrogen to radon",
        ),
    ],
)
def test_an_element_without_parameters_is_named_with_those_that_have_some(tmp_path, inputs, element, listed):
    with pytest.raises(ToolError, match=f"no parameters for {element}") as caught:
        run("single_point", workspace(tmp_path), **inputs)
    assert caught.value.kind == "UnsupportedElement"
    assert listed in caught.value.hint


def test_the_elements_of_emt_are_those_that_ase_has_parameters_for(tmp_path):
    for element in emt_parameters:
        run("single_point", workspace(tmp_path / element), bulk=element, crystal_structure="fcc", a_angstrom=4.0,
            calculator="emt")  # fmt: skip


@pytest.mark.parametrize(
    ("missing", "inputs", "extra"),
    [
        ("tblite.ase", {"calculator": "gfn2"}, "chem"),
        ("rdkit.Chem.AllChem", {"calculator": "emt", "molecule": None, "smiles": "C"}, "chem"),
        ("torch", {"calculator": "chgnet", "model": "0.3.0", "device": "cpu"}, "chgnet"),
        ("torch", {"calculator": "mace", "model": "small", "model_sha256": "0" * 64, "device": "cpu"}, "mace"),
    ],
)
def test_a_missing_extra_is_named_with_how_to_get_it(tmp_path, monkeypatch, missing, inputs, extra):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ToolError) as caught:
        run("single_point", workspace(tmp_path), **{"molecule": "CH4", **inputs})
    assert caught.value.kind == "MissingExtra"
    assert f'pip install "md-director[{extra}]"' in caught.value.hint


def test_atoms_at_the_same_place_are_refused(tmp_path):
    place = given(tmp_path, Atoms("H2", positions=[[0, 0, 0], [0, 0, 0.001]]))
    with pytest.raises(ToolError, match="atoms 0 and 1") as caught:
        run("single_point", place, structure="given.extxyz", calculator="gfn2")
    assert caught.value.kind == "BadStructure"


class Failing:
    """A calculator whose numbers are none, or that fails."""

    def __init__(self, energy=float("nan"), error=None):
        self.energy = energy
        self.error = error

    def get_potential_energy(self, atoms, force_consistent=False):
        if self.error:
            raise self.error
        return self.energy

    def get_forces(self, atoms):
        return np.zeros((len(atoms), 3))


@pytest.mark.parametrize(
    ("calculator", "kind"),
    [
        (Failing(), "CalculationFailed"),
        (Failing(error=ValueError("no neighbour")), "CalculationFailed"),
        (Failing(error=MemoryError()), "OutOfMemory"),
        (Failing(error=type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory")), "OutOfMemory"),
    ],
)
def test_numbers_that_are_none_are_an_error_and_so_is_a_calculator_that_fails(calculator, kind):
    atoms = molecule("H2O")
    atoms.calc = calculator
    with pytest.raises(ToolError, match="at step 7") as caught:
        evaluate(atoms, Engine(calculator, "it"), step=7)
    assert (caught.value.kind, caught.value.details) == (kind, {"step": 7})


def test_a_calculator_that_remembers_gives_the_last_digit_again():
    moved = bulk("Cu", cubic=True).repeat(2)
    moved.calc = EMT()
    moved.get_forces()
    moved.rattle(0.02, seed=3)  # less than the list's skin: its order is that of the first positions
    kept = memory_of(moved.calc)
    again = Atoms(moved.numbers, moved.positions, cell=moved.cell, pbc=True)
    again.calc = EMT()
    remember(again.calc, kept, again)
    assert (again.get_forces() == moved.get_forces()).all()
    assert json.dumps({name: array.tolist() for name, array in kept.items()})


def test_libraries_with_threads_of_their_own_are_found():
    lines = ("/usr/lib/libgomp.so.1.0.0", "/x/_decomp_lu.so", "/a/libomp-ab12.so", "/n/libscipy_openblas64_-f.so")
    maps = "".join(f"7f00-7f01 r-xp 0 08:01 1 {line}\n" for line in (*lines, *lines))
    assert threaded_libraries(maps) == [
        "/a/libomp-ab12.so",
        "/n/libscipy_openblas64_-f.so",
        "/usr/lib/libgomp.so.1.0.0",
    ]


def test_the_libraries_that_are_loaded_use_as_many_threads_as_the_worker_owns(tmp_path):
    place = Workspace(tmp_path / "work", tmp_path, Resources("host", "host/0", threads=3))
    try:
        run("single_point", place, molecule="H2O", calculator="gfn2")
        told = [item["num_threads"] for item in threadpoolctl.threadpool_info()]
        assert told == [3] * len(told)
        assert len(told) >= 2
    finally:
        use_threads(1)


def test_one_that_is_cancelled_computes_nothing(tmp_path):
    place = workspace(tmp_path)
    place.path("stop.1").write_text("cancel")
    with pytest.raises(Cancelled):
        run("single_point", place, molecule="H2O", calculator="gfn2")
    assert place.artifacts == {}


def test_nothing_is_printed(tmp_path, capfd):
    place = Workspace(tmp_path / "work", tmp_path, Resources("host", "host/0", threads=1))
    run("single_point", place, molecule="H2O", calculator="gfn2")
    assert capfd.readouterr() == ("", "")
