"""The shipped references are what the Tool computes."""

from __future__ import annotations

import json
from importlib import resources

import pytest

from campaigns.crystals.evaluating import ToolSettings, evaluate_here
from campaigns.crystals.references import (
    FILE,
    SHIPPED,
    NoReferenceError,
    compute,
    main,
    references_for,
    shipped,
)

ARGON = {"lj_epsilon_ev": 0.0104, "lj_sigma_angstrom": 3.4, "lj_cutoff_angstrom": 10.2}


def settings_of(calculator, inputs=None, tool="relax"):
    return ToolSettings(tool, calculator, inputs, "test")


def test_those_for_emt_are_what_the_command_computes_anew_and_all_else_stays(tmp_path):
    path = tmp_path / FILE
    path.write_text(resources.files("campaigns.crystals").joinpath(FILE).read_text())
    before = json.loads(path.read_text())
    main(["emt", "--to", str(path)])
    after = json.loads(path.read_text())
    assert [entry["method"] for entry in after["methods"]] == [entry["method"] for entry in before["methods"]]
    assert after["methods"][1:] == before["methods"][1:]
    stored, again = before["methods"][0]["elements"], after["methods"][0]["elements"]
    assert list(again) == list(stored) == ["Ag", "Al", "Au", "Cu", "Ni", "Pd", "Pt"]
    for element, reference in again.items():
        assert reference["crystal_structure"] == stored[element]["crystal_structure"]
        assert reference["energy_ev_per_atom"] == pytest.approx(stored[element]["energy_ev_per_atom"], abs=1e-6)
        assert reference["energy_ev_per_atom"] <= min(reference["tried"].values()) + 1e-6


def test_that_for_lennard_jones_is_what_is_computed_anew():
    settings = settings_of("lj", ARGON)
    again = compute("Ar", settings)
    assert again.crystal_structure == "hcp"  # lower than fcc, as for all Lennard-Jones crystals at no pressure
    assert again.energy_ev_per_atom == pytest.approx(shipped(settings.method)["Ar"].energy_ev_per_atom, abs=1e-6)


def test_all_that_are_said_to_be_shipped_are():
    for calculator, inputs, elements in SHIPPED:
        found = shipped(settings_of(calculator, inputs).method)
        assert list(found) == list(elements)
        assert all(reference.crystal.reduced_formula == element for element, reference in found.items())
        # Each of the simple crystals was relaxed: what was left out could have been lower.
        assert all(isinstance(one, float) for reference in found.values() for one in reference.tried.values())


def test_the_energy_of_a_relaxed_reference_is_that_of_a_single_point():
    settings = settings_of("emt", tool="single_point")
    reference = shipped(settings.method)["Cu"]
    found = evaluate_here(settings, reference.crystal)
    assert found["energy_per_atom_ev"] == pytest.approx(reference.energy_ev_per_atom, abs=1e-9)


def test_one_that_is_missing_is_named_with_what_to_do():
    with pytest.raises(NoReferenceError, match="no reference for O with calculator emt: there are some for Ag, Al"):
        references_for(["Cu", "O"], settings_of("emt"), "shipped")
    other = settings_of("lj", {**ARGON, "lj_epsilon_ev": 0.02, "lj_cutoff_angstrom": 6.0})
    with pytest.raises(NoReferenceError, match=r"there are none for this method.*references: computed"):
        references_for(["Ar"], other, "shipped")
    assert references_for(["Ar"], other, "computed")[0].energy_ev_per_atom < -0.1
    assert references_for(["Ar"], other, {"Ar": -0.1})[0].energy_ev_per_atom == -0.1


@pytest.mark.parametrize("source", ["elsewhere", {"Ar": "cold"}, {"Ar": float("nan")}, {"Ar": True}])
def test_a_source_that_is_none_is_refused(source):
    with pytest.raises(ValueError, match="references"):
        references_for(["Ar"], settings_of("lj", ARGON), source)


def test_how_it_runs_is_no_part_of_the_method():
    one = settings_of("chgnet", {"model": "0.3.0", "device": "cpu"})
    other = settings_of("chgnet", {"model": "0.3.0", "device": "cuda", "max_steps": 7})
    assert one.method == other.method == {"calculator": "chgnet", "model": "0.3.0"}
