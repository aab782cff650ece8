"""What the atomistic Tools take: everything that can be known without ASE is refused before anything starts."""

import subprocess
import sys
from typing import get_args

import pytest
from ase.collections import g2
from ase.data import chemical_symbols
from pydantic import ValidationError

from director.door import Refused, check
from director.staging import prepare
from simulations.atomistic import ASE_MD, RELAX, SINGLE_POINT, AseMdRequest, RelaxRequest, SinglePointRequest, system
from simulations.atomistic.inputs import _USED, CalculatorName, CrystalName, elements_of
from simulations.atomistic.names import CRYSTALS, ELEMENTS, MOLECULES
from simulations.records import Request

TOOLS = {tool.name: tool for tool in (ASE_MD, RELAX, SINGLE_POINT)}
CU = {"bulk": "Cu", "calculator": "emt"}
MD = {**CU, "ensemble": "NVT", "steps": 10, "timestep_fs": 2.0, "temperature_k": 300.0}


def test_the_names_written_down_are_those_of_ase():
    assert set(g2.names) == MOLECULES
    assert set(chemical_symbols[1:]) == ELEMENTS
    assert set(get_args(CrystalName)) == set(CRYSTALS)
    assert set(get_args(CalculatorName)) == set(_USED)


def test_importing_the_tools_loads_nothing_heavy():
    heavy = "ase", "numpy", "scipy", "rdkit", "tblite", "torch"
    code = f"import simulations.atomistic, sys; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"calculator": "emt"}, "exactly one of structure, molecule, bulk, smiles .* none"),
        ({**CU, "molecule": "H2O"}, "molecule and bulk are given"),
        ({"molecule": "H2o", "calculator": "emt"}, "not in the G2 set; did you mean .*H2O"),
        ({"bulk": "Xx", "calculator": "emt"}, "no chemical element"),
        ({"bulk": "copper", "calculator": "emt"}, "no formula"),
        ({"bulk": "NaCl", "calculator": "emt"}, "give crystal_structure and a_angstrom"),
        ({"bulk": "NaCl", "crystal_structure": "rocksalt", "calculator": "emt"}, "give a_angstrom"),
        ({"bulk": "Cu", "crystal_structure": "rocksalt", "calculator": "emt"}, "built of 2 atoms, but bulk Cu names 1"),
        ({**CU, "crystal_structure": "fcc", "c_angstrom": 5.0}, "has no c_angstrom"),
        ({**CU, "frame": 0}, "frame belongs to structure and has no meaning with bulk"),
        ({"molecule": "H2O", "calculator": "emt", "a_angstrom": 3.6}, "a_angstrom belongs to bulk"),
        ({**CU, "supercell": [0, 1, 1]}, "from 1 to 1000"),
        ({**CU, "supercell": [2, 2]}, "at least 3 items"),
        ({**CU, "charge": 1}, "charge belongs to calculator gfn1 and gfn2 and has no meaning with emt"),
        ({**CU, "lj_epsilon_ev": 0.1}, "lj_epsilon_ev belongs to calculator lj"),
        ({"bulk": "Cu", "calculator": "gfn2", "device": "cpu"}, "device belongs to calculator chgnet and mace"),
        ({"bulk": "Ar", "calculator": "lj"}, "needs lj_epsilon_ev, lj_sigma_angstrom, lj_cutoff_angstrom"),
        ({"bulk": "Cu", "calculator": "chgnet"}, "chgnet needs model, device"),
        ({"bulk": "Cu", "calculator": "mace", "model": "small", "device": "cpu"}, "mace needs model_sha256"),
        ({"bulk": "Cu", "calculator": "chgnet", "model": "9", "device": "cpu"}, "does not come with chgnet"),
        ({"bulk": "Cu", "calculator": "mace", "model": "../x", "device": "cpu", "model_sha256": "0" * 64}, "pattern"),
        ({"bulk": "Cu", "calculator": "EMT"}, "Input should be 'emt'"),
        ({"smiles": "C C", "calculator": "gfn2"}, "pattern"),
        ({**CU, "cell": 1}, "Extra inputs"),
        ({**CU, "a_angstrom": float("nan")}, "finite|greater"),
        ({**CU, "cubic": 1}, "valid boolean"),
    ],
)
def test_what_makes_no_sense_is_refused_and_said(inputs, said):
    with pytest.raises(ValidationError, match=said):
        SinglePointRequest(**inputs)


@pytest.mark.parametrize(
    ("lj", "said"),
    [((1.0, 3.4, 3.0, None), "must be greater than lj_sigma"), ((1.0, 3.4, 8.0, 9.0), "must be less than lj_cutoff")],
)
def test_a_lennard_jones_potential_that_is_none_is_refused(lj, said):
    names = ("lj_epsilon_ev", "lj_sigma_angstrom", "lj_cutoff_angstrom", "lj_smooth_from_angstrom")
    with pytest.raises(ValidationError, match=said):
        SinglePointRequest(bulk="Ar", calculator="lj", **dict(zip(names, lj, strict=True)))


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"pressure_gpa": 1.0}, "pressure_gpa has no meaning if the cell stays"),
        ({"relax_cell": True}, "Input should be 'none'"),
        ({"optimizer": "newton"}, "Input should be 'bfgs'"),
        ({"fmax_ev_per_angstrom": 0.0}, "greater than 0"),
        ({"max_steps": 0}, "greater than or equal to 1"),
    ],
)
def test_a_relaxation_that_makes_no_sense_is_refused(inputs, said):
    with pytest.raises(ValidationError, match=said):
        RelaxRequest(**CU, **inputs)


def test_a_molecule_has_no_cell_to_relax():
    with pytest.raises(ValidationError, match="needs a crystal"):
        RelaxRequest(molecule="H2O", calculator="gfn2", relax_cell="full")


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"ensemble": "NVE", "friction_per_ps": 1.0}, "friction_per_ps has no meaning with ensemble NVE"),
        ({"ensemble": "NPT"}, "Input should be 'NVE' or 'NVT'"),
        ({"velocities": "structure"}, "needs a file with momenta"),
        ({"steps": 0}, "greater than or equal to 1"),
        ({"timestep_fs": -1.0}, "greater than 0"),
        ({"temperature_k": 0.0}, "greater than 0"),
        ({"seed": 0}, "greater than or equal to 1"),
    ],
)
def test_a_simulation_that_makes_no_sense_is_refused(inputs, said):
    with pytest.raises(ValidationError, match=said):
        AseMdRequest(**{**MD, **inputs})


def test_what_is_left_out_is_filled_in_where_it_counts_and_stays_out_elsewhere():
    gfn = SinglePointRequest(molecule="H2O", calculator="gfn2")
    assert (gfn.charge, gfn.electronic_temperature_k, gfn.scf_max_iterations) == (0, 300.0, 250)
    assert SinglePointRequest(**CU).charge is None
    assert RelaxRequest(**CU, relax_cell="full").pressure_gpa == 0.0
    assert AseMdRequest(**MD).friction_per_ps == 10.0
    assert AseMdRequest(**{**MD, "ensemble": "NVE"}).friction_per_ps is None


@pytest.mark.parametrize("tool", TOOLS.values(), ids=list(TOOLS))
def test_complete_inputs_are_read_again_as_they_are(tool):
    request = Request(tool=tool.name, inputs=MD if tool is ASE_MD else CU)
    complete = check(request, TOOLS).request.inputs
    assert tool.request.model_validate(complete).model_dump(mode="json") == complete


def test_a_misspelt_input_is_refused_with_a_guess():
    with pytest.raises(Refused) as caught:
        check(Request(tool="relax", inputs={**CU, "fmax_ev_per_angstroem": 0.1}), TOOLS)
    assert "Did you mean 'fmax_ev_per_angstrom'" in str(caught.value.problems[0])


def test_a_file_that_is_not_there_is_refused(tmp_path):
    inputs = {"structure": "none.cif", "calculator": "emt"}
    with pytest.raises(Refused) as caught:
        prepare([Request(tool="relax", inputs=inputs)], TOOLS, base=tmp_path, confined=True, stage=None)
    assert "does not exist" in caught.value.problems[0].message


@pytest.mark.parametrize(("formula", "atoms"), [("Cu", ["Cu"]), ("CaF2", ["Ca", "F", "F"]), ("NaCl", ["Na", "Cl"])])
def test_formulas_are_read(formula, atoms):
    assert elements_of(formula) == atoms


def test_the_size_tells_apart_what_takes_longer():
    small = SinglePointRequest(**CU)
    large = SinglePointRequest(**CU, supercell=[2, 2, 2])
    other = SinglePointRequest(bulk="Cu", calculator="gfn1")
    assert len({system(small), system(large), system(other), system(SinglePointRequest(**CU, cubic=True))}) == 4
