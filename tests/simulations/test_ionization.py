"""``ionization_energy``: its numbers, what it refuses, and how it is interrupted."""

from __future__ import annotations

import json
import pickle
import sys

import numpy as np
import pytest
from ase.data import covalent_radii
from ase.io import read
from ase.units import Bohr, Hartree
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from simulations.errors import Cancelled, Paused, ToolError
from simulations.ionization import TOOL, IonizationRequest
from simulations.ionization import molecule as molecule_module
from simulations.ionization.bonds import changed_bonds
from simulations.ionization.molecule import first_geometries, read_molecule
from simulations.workspace import Resources, Stop, Workspace, stop_file

pytest.importorskip("rdkit")
pytest.importorskip("tblite.ase")

REFERENCES_EV = {"CNC(N)=O": 14.1157, "CC1=C(O)N=C(O)N1": 12.8056, "c1ccccc1": 14.2155}
"""GFN2-xTB, by tblite from geometries of the same kind, without this Tool."""


def attempt(folder, epoch=1, **more):
    return Workspace(folder / "director-0" / "work" / "r1", folder, Resources("host", "host/0"), epoch=epoch, **more)


def compute(folder, smiles, **inputs):
    return TOOL.run(IonizationRequest(smiles=smiles, **inputs), attempt(folder))


def refused(smiles, **inputs):
    with pytest.raises(ToolError) as caught:
        read_molecule(smiles, inputs.get("max_atoms", 200))
    return caught.value


@pytest.mark.parametrize(("smiles", "expected_ev"), REFERENCES_EV.items())
def test_vertical_ionization_energies_are_those_of_gfn2(smiles, expected_ev, tmp_path):
    result = compute(tmp_path, smiles)
    assert result.ionization_energy_ev == pytest.approx(expected_ev, abs=1e-3)
    assert result.ionization_energy_ev == result.cation_energy_ev - result.neutral_energy_ev
    assert result.converged
    assert result.max_force_ev_per_angstrom <= 0.005
    assert "raw" in result.method


@pytest.mark.parametrize("smiles", REFERENCES_EV)
def test_another_implementation_of_gfn2_agrees_at_the_same_geometry(smiles, tmp_path):
    xtb = pytest.importorskip("xtb.interface", reason="PyPI xtb is not installed")
    result = compute(tmp_path, smiles)
    atoms = read(attempt(tmp_path).folder / "relaxed.xyz")
    energies = []
    for charge in (0, 1):
        single = xtb.Calculator(xtb.Param.GFN2xTB, atoms.numbers, atoms.positions / Bohr, float(charge), charge)
        single.set_verbosity(xtb.VERBOSITY_MUTED)
        energies.append(single.singlepoint().get_energy() * Hartree)
    assert energies[1] - energies[0] == pytest.approx(result.ionization_energy_ev, abs=1e-3)


def test_the_same_inputs_give_the_same_numbers(tmp_path):
    first, second = (compute(tmp_path / name, "CCO", seed=7) for name in ("a", "b"))
    assert first == second


def test_however_a_molecule_is_written_its_smiles_is_canonical(tmp_path):
    results = [compute(tmp_path / str(i), smiles) for i, smiles in enumerate(["OCC", "CCO", "C(O)C"])]
    assert {result.smiles for result in results} == {"CCO"}
    assert {(result.formula, result.n_atoms) for result in results} == {("C2H6O", 9)}


def test_the_relaxed_geometry_is_left(tmp_path):
    workspace = attempt(tmp_path)
    result = TOOL.run(IonizationRequest(smiles="O"), workspace)
    atoms = read(tmp_path / workspace.artifacts["relaxed_structure"])
    assert atoms.get_chemical_formula() == "H2O" == result.formula
    assert atoms.get_potential_energy() == pytest.approx(result.neutral_energy_ev)
    assert atoms.info["smiles"] == "O"
    # GFN2-xTB's own water: 0.96 Å, 107°.
    assert atoms.get_distance(0, 1) == pytest.approx(0.96, abs=0.01)
    assert atoms.get_angle(1, 0, 2) == pytest.approx(107, abs=1.5)


def test_of_several_conformers_the_lowest_is_relaxed(tmp_path):
    one, several = (compute(tmp_path / str(n), "OCCO", conformers=n) for n in (1, 12))
    assert (one.conformers, several.conformers) == (1, 12)
    assert several.neutral_energy_ev < one.neutral_energy_ev - 0.01
    assert compute(tmp_path / "again", "OCCO", conformers=12) == several


def test_configurations_that_the_smiles_leaves_open_are_counted(tmp_path):
    assert compute(tmp_path / "open", "CC=CC").unspecified_stereo == 1
    assert compute(tmp_path / "given", "C/C=C/C").unspecified_stereo == 0


@pytest.mark.parametrize(
    ("smiles", "kind", "says"),
    [
        ("C1CC", "BadSmiles", "no SMILES"),
        ("nonsense", "BadSmiles", "no SMILES"),
        ("C(C)(C)(C)(C)C", "BadSmiles", "valence"),
        ("c1ccc1c", "BadSmiles", "aromatic"),
        ("[Na+].[Cl-]", "SeveralMolecules", "2 molecules"),
        ("[NH4+]", "ChargedMolecule", r"charge \+1"),
        ("[CH3]", "OpenShell", "1 unpaired electron:"),
        ("[CH2]", "OpenShell", "2 unpaired electrons:"),
        ("O=O", "OpenShell", "triplet ground state"),
        ("[Cu]", "OpenShell", "unpaired|odd number"),
        ("*C", "UnsupportedElement", r"\*"),
        ("[U]", "UnsupportedElement", "U"),
        ("C" * 80, "MoleculeTooLarge", "242 atoms"),
    ],
)
def test_what_has_no_unambiguous_answer_is_refused(smiles, kind, says):
    error = refused(smiles)
    assert error.kind == kind
    assert error.hint
    with pytest.raises(ToolError, match=says):
        raise error


def test_text_after_a_space_is_refused_not_ignored():
    with pytest.raises(ValidationError, match="pattern"):
        IonizationRequest(smiles="CCO ethanol")


def test_a_molecule_without_a_geometry_is_an_error_and_no_other_way_is_tried():
    request = IonizationRequest(smiles="C1#CC1")
    with pytest.raises(ToolError, match="no geometry") as caught:
        first_geometries(read_molecule(request.smiles, 200), request)
    assert caught.value.kind == "EmbeddingFailed"
    assert caught.value.details == {"seed": 1, "conformers": 1}


def test_another_force_field_is_used_only_if_it_is_named(tmp_path):
    with pytest.raises(ToolError, match="MMFF94 has no parameters") as caught:
        compute(tmp_path / "mmff", "[H][H]")
    assert caught.value.kind == "NotParametrised"
    uff = compute(tmp_path / "uff", "[H][H]", force_field="UFF")
    none = compute(tmp_path / "none", "[H][H]", force_field="none")
    assert (uff.force_field, uff.force_field_converged) == ("UFF", True)
    assert (none.force_field, none.force_field_converged) == ("none", None)
    assert uff.ionization_energy_ev == pytest.approx(none.ionization_energy_ev, abs=2e-3)


def test_too_few_steps_are_a_failure_with_numbers(tmp_path):
    with pytest.raises(ToolError, match="had not converged after 2 steps") as caught:
        compute(tmp_path, "CCO", max_steps=2)
    assert caught.value.kind == "NotConverged"
    assert caught.value.details["steps"] == 2
    assert caught.value.details["max_force_ev_per_angstrom"] > 0.005


def test_a_molecule_that_becomes_another_one_is_an_error_and_its_geometry_is_left(tmp_path):
    workspace = attempt(tmp_path)
    with pytest.raises(ToolError, match="bonds formed: O3-H7") as caught:
        TOOL.run(IonizationRequest(smiles="[NH3+]CC(=O)[O-]"), workspace)
    assert caught.value.kind == "Rearranged"
    assert read(tmp_path / workspace.artifacts["relaxed_structure"]).get_chemical_formula() == "C2H5NO2"


def test_an_exception_of_rdkit_that_cannot_be_pickled_never_leaves(monkeypatch):
    from rdkit import Chem

    def raising(*_):
        Chem.MolToSmiles("no molecule at all")

    with pytest.raises(Exception, match="Python argument types") as original:
        raising()
    assert "Boost" in str(type(original.value))
    monkeypatch.setattr(molecule_module, "_parse", raising)
    error = refused("CCO")
    assert error.kind == "RdkitFailed"
    assert error.__cause__ is None
    assert pickle.loads(pickle.dumps(error.args)) == error.args  # noqa: S301


def read_or_error(smiles, max_atoms):
    try:
        return read_molecule(smiles, max_atoms)
    except ToolError as error:
        return error


@settings(max_examples=200)
@given(st.text(alphabet="CNOFclnos123[]()=#+-@H/\\.*%", min_size=1, max_size=24))
def test_any_text_is_a_molecule_or_an_error_of_ours(smiles):
    answer = read_or_error(smiles, max_atoms=40)
    if isinstance(answer, ToolError):
        assert answer.kind != "RdkitFailed", smiles
        assert answer.hint
    else:
        assert len(answer.numbers) <= 40
        assert sum(answer.numbers) % 2 == 0
        assert read_molecule(answer.smiles, 40).smiles == answer.smiles


@pytest.mark.parametrize("module", ["rdkit.Chem", "tblite.ase"])
def test_a_missing_package_names_the_extra(module, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ToolError, match=module.partition(".")[0]) as caught:
        compute(tmp_path, "O")
    assert caught.value.kind == "MissingExtra"
    assert "chem" in caught.value.hint


# Being interrupted


def stop_after(workspace, looks, stop):
    """Asks an attempt to stop when it has looked so often: it looks before each evaluation."""
    look, counted = workspace.flag, iter(range(10**6))

    def flag():
        if next(counted) == looks:
            workspace.path(stop_file(workspace.epoch)).write_text(stop.value)
        return look()

    workspace.flag = flag
    return workspace


@pytest.mark.parametrize("looks", [1, 2, 30])
def test_it_pauses_also_within_a_step_and_goes_on_to_the_same_energy(looks, tmp_path):
    request = IonizationRequest(smiles="CNC(N)=O")
    first = stop_after(attempt(tmp_path / "run"), looks, Stop.PAUSE)
    with pytest.raises(Paused):
        TOOL.run(request, first)
    again = attempt(tmp_path / "run", epoch=2)
    result = TOOL.run(request, again)
    assert result.resumed == 1
    assert (again.course.from_amount, again.course.exact) == (first.course.saved_amount, False)
    assert again.course.from_amount < looks
    assert again.course.amount == result.relaxation_steps > again.course.from_amount
    whole = TOOL.run(request, attempt(tmp_path / "whole"))
    assert result.ionization_energy_ev == pytest.approx(whole.ionization_energy_ev, abs=1e-3)


def test_it_ends_when_it_is_cancelled(tmp_path):
    workspace = stop_after(attempt(tmp_path), 3, Stop.CANCEL)
    with pytest.raises(Cancelled):
        TOOL.run(IonizationRequest(smiles="CCO"), workspace)
    assert "relaxed_structure" not in workspace.artifacts


def test_it_saves_once_a_minute(tmp_path):
    now = iter(range(0, 10**9, 40))
    workspace = attempt(tmp_path, clock=lambda: float(next(now)))
    TOOL.run(IonizationRequest(smiles="CCO"), workspace)
    assert workspace.course.saved_amount > 0


@pytest.mark.parametrize(
    "change",
    [{"positions": [[0, 0, 0]]}, {"positions": None}, {"inputs": {}}, {"steps": "x"}, {"positions": [[float("nan")]]}],
)
def test_a_checkpoint_that_is_of_no_use_is_passed_over_with_a_note(change, tmp_path):
    request = IonizationRequest(smiles="O")
    document = {"inputs": request.model_dump(mode="json"), "positions": np.zeros((3, 3)).tolist(), "steps": 1}
    document |= {"resumed": 0, "conformers": 1, "force_field_converged": True, **change}
    attempt(tmp_path).save(1, json.dumps(document).encode())
    workspace = attempt(tmp_path, epoch=2)
    assert TOOL.run(request, workspace).resumed == 0
    assert "passed over" in workspace.notes[0]


# Bonds


def radii(*symbols):
    numbers = {"H": 1, "C": 6, "O": 8}
    return covalent_radii[[numbers[symbol] for symbol in symbols]]


@pytest.mark.parametrize(
    ("distance_ang", "broken", "formed"),
    [(0.97, [], []), (1.3, [], []), (1.6, [(0, 1)], [])],
)
def test_a_bond_breaks_when_it_is_far_longer_than_bonds_are(distance_ang, broken, formed):
    positions = np.array([[0.0, 0, 0], [distance_ang, 0, 0]])
    assert changed_bonds([(1, 0)], positions, radii("O", "H")) == (broken, formed)


def test_a_hydrogen_bond_is_none_and_a_transferred_proton_is():
    near, there = np.array([[0.0, 0, 0], [1.6, 0, 0]]), np.array([[0.0, 0, 0], [1.0, 0, 0]])
    assert changed_bonds([], near, radii("O", "H")) == ([], [])
    assert changed_bonds([], there, radii("O", "H")) == ([], [(0, 1)])
