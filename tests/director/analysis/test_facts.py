"""What a structure file says of itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from director.analysis.facts import UnreadableStructure, structure_facts

ROOT = Path(__file__).resolve().parents[3]

CIF = """data_TEST
_struct.title 'A tri''peptide of tests'
_cell.length_a 10
loop_
_atom_site.group_PDB
_atom_site.id
_atom_site.type_symbol
_atom_site.label_atom_id
_atom_site.label_alt_id
_atom_site.label_comp_id
_atom_site.label_asym_id
_atom_site.label_seq_id
_atom_site.pdbx_PDB_ins_code
_atom_site.auth_seq_id
_atom_site.auth_comp_id
_atom_site.auth_asym_id
_atom_site.pdbx_PDB_model_num
ATOM 1 N N . ALA A 1 ? 7 ALA X 1
ATOM 2 C "C1'" . ALA A 1 ? 7 ALA X 1
ATOM 3 C CA A GLY A 2 ? 8 GLY X 1
ATOM 4 C CA B GLY A 2 ? 8 GLY X 1
HETATM 5 O O . HOH B . ? 1 HOH W 1
HETATM 6 ZN ZN . ZN C . ? 2 ZN X 1
ATOM 7 N N . ALA A 1 ? 7 ALA X 2
#
_other.thing 1
"""


def test_a_pdb_file_is_counted() -> None:
    text = (ROOT / "docs/examples/structures/peptide.pdb").read_text()
    facts = structure_facts("peptide.pdb", text)
    assert (facts["atoms"], facts["hydrogens"], facts["residues"]) == (22, 12, 3)
    assert facts["amino_acids"] == {"ACE": 1, "ALA": 1, "NME": 1}
    assert facts["chains"] == {"A": 3}


def test_an_mmcif_file_is_counted_without_other_models_and_alternate_places() -> None:
    facts = structure_facts("test.cif", CIF)
    assert facts["title"] == "A tri''peptide of tests"
    assert (facts["atoms"], facts["residues"], facts["waters"]) == (5, 4, 1)
    assert facts["amino_acids"] == {"ALA": 1, "GLY": 1}
    assert facts["other_residues"] == {"ZN": 1}
    assert facts["chains"] == {"X": 3}
    assert facts["box"] is True


@pytest.mark.parametrize(("name", "text"), [("a.pdb", "nothing"), ("a.cif", "data_x"), ("a.xyz", "1\n\nH 0 0 0")])
def test_what_holds_no_atoms_is_refused(name: str, text: str) -> None:
    with pytest.raises(UnreadableStructure):
        structure_facts(name, text)
