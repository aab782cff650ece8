"""The table of molecules is right, and nothing similar is put in the place of what is not there."""

from __future__ import annotations

import pytest

from director.door import Refused
from director.interfaces import molecules
from director.interfaces.embedding import embedded
from director.interfaces.molecules import smiles_of, structure_of

CENTRES = {"l-alanine": "S", "l-serine": "S", "l-cysteine": "R", "l-phenylalanine": "S", "l-lactic acid": "S"}


def test_every_smiles_is_the_canonical_one_with_the_formula_that_stands_beside_it() -> None:
    chem = pytest.importorskip("rdkit.Chem", reason="the extra chem is not installed")
    formula = pytest.importorskip("rdkit.Chem.rdMolDescriptors").CalcMolFormula
    table = molecules.molecules()
    assert len(table) > 200
    for name, row in table.items():
        parsed = chem.MolFromSmiles(row["smiles"])
        assert chem.MolToSmiles(parsed) == row["smiles"], name
        assert formula(parsed) == row["formula"], name
        assert name == name.lower()
    for name, label in {**CENTRES, "(s)-nicotine": "S"}.items():
        parsed = chem.MolFromSmiles(table[name]["smiles"])
        assert [found for _, found in chem.FindMolChiralCenters(parsed)] == [label], name


def test_a_name_is_found_however_it_is_written_and_with_its_other_names() -> None:
    found = smiles_of("  ACETYLSALICYLIC   acid ")
    assert (found["smiles"], found["formula"]) == ("CC(=O)Oc1ccccc1C(=O)O", "C9H8O4")
    assert found["other_names"] == ["aspirin"]


@pytest.mark.parametrize("name", ["alanine", "aspirn", "unobtainium", "CCO"])
def test_a_name_that_is_not_there_is_refused_with_a_guess_that_is_only_a_guess(name: str) -> None:
    with pytest.raises(Refused, match="is not in the table"):
        smiles_of(name)


def test_a_first_geometry_says_how_it_was_made() -> None:
    pytest.importorskip("rdkit", reason="the extra chem is not installed")
    found = embedded("NC(=O)NC", 1)
    assert (found["smiles"], found["formula"], found["n_atoms"], found["charge"]) == ("CNC(N)=O", "C2H6N2O", 11, 0)
    assert found["xyz"].splitlines()[0] == "11"
    assert len(found["xyz"].splitlines()) == 13
    assert "problem" in embedded("C1CC", 1)


async def test_a_geometry_that_takes_too_long_is_given_up_with_its_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(molecules, "EMBED_S", 0.0)
    with pytest.raises(Refused, match="no geometry was found within 0 s"):
        await structure_of("CCO", 1)
