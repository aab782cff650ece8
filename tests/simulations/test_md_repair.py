"""Repair of a user's structure: what was asked for is added, everything is reported, nothing happens by itself."""

import json

import numpy as np
import pdbfixer.pdbfixer
import pytest
from openmm import app

from simulations.cache import BuildCache
from simulations.errors import Paused, ToolError
from simulations.md import TOOL, MdRequest
from simulations.md.molecule import find_molecule
from simulations.md.repairs import SHOWN, RepairReport
from simulations.md.structure import STRUCTURES, Source
from simulations.md.system import prepare
from simulations.workspace import Resources, Workspace
from tests.simulations.test_md_build import WATER
from tests.simulations.test_md_run import Ticking

SEQUENCE = "GLY TYR ASP PRO GLU THR GLY THR TRP GLY"
LIGAND = (
    "HETATM  200  C1  LIG B  42      20.000  20.000  20.000  1.00  0.00           C\n"
    "HETATM  201  O1  LIG B  42      21.200  20.000  20.000  1.00  0.00           O\n"
)
PLAIN = [line for line in (STRUCTURES / "chignolin.pdb").read_text().splitlines() if line.startswith("ATOM")]
HEAVY = [line for line in PLAIN if line[76:78].strip() != "H"]


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*arguments):
        pytest.fail(f"PDBFixer went to the network for {arguments}")

    monkeypatch.setattr(pdbfixer.pdbfixer, "urlopen", refuse)


def pdb(lines, sequence="", after=""):
    names = sequence.split()
    seqres = [f"SEQRES   1 A {len(names):4d}  {' '.join(names)}\n"] if names else []
    return Source(
        "x.pdb", ".pdb", "".join([*seqres, *(line + "\n" for line in lines), "TER\n", after, "END\n"]).encode()
    )


def without(lines, residue, *atoms):
    """Lines without a residue, or without some of its atoms."""
    return [at for at in lines if int(at[22:26]) != residue or (atoms and at[12:16].strip() not in atoms)]


def find(source, **inputs):
    return find_molecule(MdRequest(structure="x.pdb", steps=1, **inputs), source)


def names(molecule):
    return sorted((atom.residue.index, atom.name) for atom in molecule.topology.atoms())


def refused(source, **inputs):
    with pytest.raises(ToolError) as caught:
        find(source, **inputs)
    return caught.value


def test_added_hydrogens_are_those_that_were_missing_and_all_are_reported():
    whole, repaired = find(pdb(PLAIN)), find(pdb(HEAVY), repair="hydrogens")
    assert names(repaired) == names(whole)
    said = repaired.repairs.result()
    assert (said.hydrogens_added, said.heavy_atoms_added) == (len(PLAIN) - len(HEAVY), 0)
    assert said.changes[0] == "GLY 1 (chain A): hydrogens H, H2, H3, HA2, HA3 added"
    assert (len(said.changes), said.changes_not_shown) == (10, 0)
    atoms = list(repaired.topology.atoms())
    kept = [atom.index for atom in atoms if atom.element.symbol != "H"]
    read = np.array([[float(line[at : at + 8]) for at in (30, 38, 46)] for line in HEAVY]) / 10
    assert repaired.positions[kept] == pytest.approx(read, abs=1e-6)  # what was there has not moved


def test_repairs_are_the_same_every_time():
    source = pdb(without(without(HEAVY, 9, "CZ2", "CH2", "NE1"), 10, "OXT"))
    first, second = (find(source, repair="missing_atoms") for _ in range(2))
    assert np.array_equal(first.positions, second.positions)
    assert first.repairs == second.repairs


def test_nothing_is_reported_where_nothing_was_to_be_repaired_and_zeros_where_nothing_was_missing():
    assert find(pdb(PLAIN)).repairs is None
    said = find(pdb(PLAIN), repair="missing_atoms").repairs.result().model_dump()
    assert said.pop("changes") == []
    assert set(said.values()) == {0}


def test_protonation_follows_the_ph():
    acid, base = (find(pdb(HEAVY), repair="hydrogens", ph=ph) for ph in (2.0, 7.0))
    assert {(2, "HD2"), (4, "HE2")} <= set(names(acid))
    assert len(names(acid)) == len(names(base)) + 2


def test_missing_heavy_atoms_are_named_with_the_option_that_adds_them():
    source = pdb(without(HEAVY, 9, "CZ2", "CH2"))
    error = refused(source, repair="hydrogens")
    assert error.kind == "MissingAtoms"
    assert "TRP 9 (chain A): CZ2, CH2" in error.message
    assert "repair missing_atoms" in error.hint
    with pytest.raises(ToolError) as caught:
        prepare(MdRequest(structure="x.pdb", steps=1), pdb(without(PLAIN, 9, "CZ2", "CH2")), BuildCache())
    assert caught.value.kind == "UnknownResidue"
    assert "TRP 9 (chain A) lacks CZ2, CH2" in caught.value.message
    assert "repair missing_atoms" in caught.value.hint


def test_missing_heavy_atoms_and_chain_ends_are_added_where_they_belong():
    whole = find(pdb(PLAIN))
    repaired = find(pdb(without(without(HEAVY, 2, "CE1", "CZ", "OH"), 10, "OXT")), repair="missing_atoms")
    assert names(repaired) == names(whole)
    said = repaired.repairs.result()
    assert said.heavy_atoms_added == 4
    assert said.changes[:2] == [
        "TYR 2 (chain A): heavy atoms CE1, CZ, OH added",
        "GLY 10 (chain A): heavy atoms OXT added",
    ]
    at = {atom.name: repaired.positions[atom.index] for atom in list(repaired.topology.residues())[1].atoms()}
    for first, second in (("CZ", "OH"), ("CE1", "CZ"), ("CD1", "CE1"), ("CE2", "CZ")):
        assert np.linalg.norm(at[first] - at[second]) == pytest.approx(0.138, abs=0.015)


def test_a_gap_is_refused_by_its_sequence_and_by_its_distance():
    cut = without(HEAVY, 5)
    error = refused(pdb(cut, SEQUENCE), repair="missing_atoms")
    assert error.kind == "MissingResidues"
    assert "GLU between PRO 4 (chain A) and THR 6 (chain A)" in error.message
    assert "missing_residues loops" in error.hint
    for inputs in ({}, {"repair": "hydrogens"}, {"repair": "missing_atoms", "missing_residues": "loops"}):
        error = refused(pdb(cut), **inputs)  # its sequence is not told
        assert error.kind == "MissingResidues"
        assert "PRO 4 (chain A) and THR 6 (chain A)" in error.message
        assert "SEQRES" in error.hint


def test_a_loop_is_built_only_if_asked_for_and_ends_are_left_out_until_all_is():
    cut = without(without(HEAVY, 5), 1)
    loops = find(pdb(cut, SEQUENCE), repair="missing_atoms", missing_residues="loops")
    said = loops.repairs.result()
    assert (said.residues_built, said.residues_left_out) == (1, 1)
    assert said.changes[:2] == [
        "GLY before TYR 2 (chain A): not in the coordinates, left out",
        "GLU between PRO 4 (chain A) and THR 6 (chain A): built",
    ]
    assert [residue.name for residue in loops.topology.residues()] == SEQUENCE.split()[1:]
    everything = find(pdb(cut, SEQUENCE), repair="missing_atoms", missing_residues="all")
    assert names(everything) == names(find(pdb(PLAIN)))


def test_pieces_that_are_separate_chains_have_no_gap():
    pieces = [*without(PLAIN, 5)]
    end = next(index for index, line in enumerate(pieces) if int(line[22:26]) == 6)
    assert find(pdb([*pieces[:end], "TER", *pieces[end:]])).topology.getNumChains() == 2


def test_modified_residues_are_kept_and_reported_until_they_are_to_be_replaced():
    lines = [line for line in HEAVY if int(line[22:26]) != 6 or line[12:16].strip() in ("N", "CA", "C", "O", "CB")]
    selenium = [line.replace("THR A   6", "MSE A   6") for line in lines]
    kept = find(pdb(selenium), repair="missing_atoms")
    assert "MSE 6 (chain A): kept, not replaced by MET" in kept.repairs.result().changes
    replaced = find(pdb(selenium), repair="missing_atoms", nonstandard="replace")
    assert "MSE 6 (chain A): replaced by MET" in replaced.repairs.result().changes
    assert (5, "SD") in names(replaced)
    assert replaced.repairs.result().residues_replaced == 1


def test_heterogens_are_kept_and_reported_or_removed_and_reported():
    source = pdb(PLAIN, after=LIGAND + WATER)
    kept = find(source, repair="hydrogens").repairs.result()
    assert kept.changes == ["LIG 42 (chain B): kept"]
    dry = find(source, heterogens="remove")
    assert names(dry) == names(find(pdb(PLAIN)))
    assert dry.repairs.result().changes == ["LIG 42 (chain B): removed", "water: removed (1)"]
    wet = find(source, heterogens="keep_water")
    assert [residue.name for residue in wet.topology.residues()][-1] == "HOH"
    assert wet.repairs.result().heterogens_removed == 1
    assert refused(pdb([], after=WATER), heterogens="remove").kind == "BadStructure"


def test_caps_and_modified_amino_acids_are_no_heterogens():
    capped = Source("a.pdb", ".pdb", (STRUCTURES / "alanine-dipeptide.pdb").read_bytes())
    assert find(capped, heterogens="remove").topology.getNumAtoms() == 22
    modified = [line.replace("THR A   6", "XXX A   6") for line in PLAIN]
    assert find(pdb(modified), heterogens="remove").topology.getNumAtoms() == len(PLAIN)


def test_a_cell_keeps_its_angles():
    cell = "CRYST1   40.000   50.000   60.000  80.00  70.00  60.00 P 1           1\n"
    source = pdb(without(HEAVY, 10, "OXT"))
    source = Source("x.pdb", ".pdb", cell.encode() + source.content)
    whole, repaired = find(source), find(source, repair="missing_atoms")
    vectors = [np.array(one.topology.getPeriodicBoxVectors()._value) for one in (whole, repaired)]
    assert vectors[1] == pytest.approx(vectors[0])
    assert abs(vectors[0][2, 0]) > 1


def test_mmcif_is_repaired_as_pdb_is(tmp_path):
    whole = find(pdb(HEAVY))
    with (tmp_path / "x.cif").open("w") as stream:
        app.PDBxFile.writeFile(whole.topology, whole.positions * 10, stream, keepIds=True)
    cif = Source("x.cif", ".cif", (tmp_path / "x.cif").read_bytes())
    repaired = find(cif, repair="missing_atoms")
    assert names(repaired) == names(find(pdb(PLAIN)))


def test_a_long_list_is_cut_in_the_result_and_whole_in_the_artifact():
    many = RepairReport(hydrogens=tuple(f"ALA {i} (chain A): hydrogens HA added" for i in range(50)), n_hydrogens=50)
    said = many.result()
    assert (len(said.changes), said.changes_not_shown, said.hydrogens_added) == (SHOWN, 50 - SHOWN, 50)
    assert len(json.loads(many.text())["hydrogens"]) == 50
    assert RepairReport.restored(json.loads(json.dumps(many.plain()))) == many


def test_the_result_has_the_repairs_also_after_an_interruption(tmp_path):
    path = tmp_path / "x.pdb"
    path.write_bytes(pdb(without(HEAVY, 10, "OXT")).content)
    inputs = {"structure": "x.pdb", "steps": 30, "repair": "missing_atoms", "minimize_max_iterations": 50}
    request = MdRequest(**inputs, platform="Reference", solvent="vacuum", timestep_fs=1.0)

    def attempt(epoch):
        resources = Resources("host", "host/0")
        return Workspace(tmp_path / "work", tmp_path, resources, {"structure": path}, clock=Ticking(), epoch=epoch)

    first = attempt(1)
    first.progress = lambda *_, **__: first.path("stop.1").write_text("pause")
    with pytest.raises(Paused):
        TOOL.run(request, first)
    second = attempt(2)
    result = TOOL.run(request, second)
    assert (result.resumed, result.repairs.heavy_atoms_added) == (1, 1)
    report = json.loads((tmp_path / second.artifacts["repair_report"]).read_text())
    assert report["heavy_atoms"] == ["GLY 10 (chain A): heavy atoms OXT added"]
    assert report["summary"]["hydrogens_added"] == result.repairs.hydrogens_added == len(PLAIN) - len(HEAVY)
