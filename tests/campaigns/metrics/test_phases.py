"""Crystals in metrics: what is one structure, what is stable beside everything, and what a user says is known."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from ase import Atoms

from campaigns import reading
from campaigns.crystals import Crystal
from campaigns.errors import NotAcceptable
from campaigns.metrics.known import KnownFile, read_known
from campaigns.metrics.of_campaign import score_label
from campaigns.metrics.whole import results_of, write_results

EXAMPLES = Path(__file__).parents[3] / "examples" / "campaigns"
FACE_CENTRED = [(0, 0, 0), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)]
ENVIRONMENT = {"elements": ["Cu", "Au"], "stability_tolerance": 0.005}


def alloy(species, lattice=3.8, turned=0.0):
    atoms = Atoms(species, scaled_positions=FACE_CENTRED, cell=[lattice] * 3, pbc=True)
    atoms.rotate(turned, "z", rotate_cell=True)
    return Crystal.from_ase(atoms)


def evaluation(index, crystal, energy, *, success=True):
    details = {"formation_energy_ev_per_atom": energy, "structure": crystal.to_json()}
    return reading.Evaluation(
        index, f"id-{index}", index, alloy(crystal.species, 4.4).to_json(), "ok", -energy, success, details=details
    )


def a_campaign(episodes, environment=ENVIRONMENT):
    """Of one system; ``episodes`` has the evaluations of each policy's only episode."""
    policies = tuple(
        reading.PolicyRuns(name, (reading.Episode("default", name, 1, tuple(found), ended="budget"),))
        for name, found in episodes.items()
    )
    config = {"budget": {"evaluations": 4}, "environment": environment}
    return reading.Campaign("alloys", "stable", 1, Path("nowhere"), config, (reading.SystemRuns("default", policies),))


CU3AU, CUAU, CUAU3 = ["Au", "Cu", "Cu", "Cu"], ["Au", "Au", "Cu", "Cu"], ["Cu", "Au", "Au", "Au"]


def test_a_structure_found_twice_is_one_discovery_however_it_lies_and_is_scaled():
    found = [
        evaluation(0, alloy(CU3AU), -0.01),
        evaluation(1, alloy(CU3AU, 3.75, turned=30.0), -0.01),
        evaluation(2, alloy(CUAU), -0.007),
    ]
    results = results_of(a_campaign({"random": found}))
    (row,) = results.summary.rows
    assert row.numbers["discoveries"] == 2
    assert len(set(results.phases["default"].names.values())) == 2


def test_known_is_what_is_stable_beside_everything_that_any_policy_evaluated():
    one = [evaluation(0, alloy(CU3AU), -0.001), evaluation(1, alloy(CUAU), -0.0005)]
    two = [evaluation(0, alloy(CUAU, 3.9), -0.0005), evaluation(1, alloy(CUAU3), 0.02, success=False)]
    pool = results_of(a_campaign({"random": one, "ucb": two}))
    assert pool.summary.known["default"].formulas == {"AuCu", "AuCu3"}
    # A third policy finds what lowers the hull far below what the others took for stable.
    deep = [evaluation(0, alloy(CUAU, 3.85), -0.2)]
    lower = results_of(a_campaign({"random": one, "deep": deep}, {**ENVIRONMENT, "stability_tolerance": 0.001}))
    assert lower.summary.known["default"].formulas == {"AuCu"}
    random = lower.summary.rows[0].numbers
    assert (random["recall_formula"], random["precision_formula"]) == (1.0, 0.5)


def test_known_crystals_of_the_user_are_found_by_their_structure(tmp_path):
    known = read_known(EXAMPLES / "cu-au-known.json")
    found = [evaluation(0, alloy(CUAU), -0.01), evaluation(1, alloy(CU3AU), -0.004)]  # L1_0, and L1_2 for D0_22
    results = results_of(a_campaign({"random": found}), known=known)
    numbers = results.summary.rows[0].numbers
    assert (numbers["recall_structure"], numbers["precision_structure"], numbers["novelty"]) == (0.5, 0.5, 0.5)
    paths = write_results(results, tmp_path)
    assert "phases.png" in [path.name for path in paths]
    assert json.loads((tmp_path / "summary.json").read_text())["known"]["default"]["formulas"] == ["AuCu", "AuCu3"]


def test_a_known_file_that_is_none_is_refused_with_its_form(tmp_path):
    path = tmp_path / "known.json"
    path.write_text('{"systems": {"default": {"candidates": 3}}}')
    with pytest.raises(NotAcceptable, match=r"systems.default.candidates.*Write"):
        read_known(path)
    with pytest.raises(NotAcceptable, match="cannot be read"):
        read_known(tmp_path / "none.json")


def test_shipped_files_of_what_is_known_are_such_files():
    for path in EXAMPLES.glob("*-known.json"):
        assert KnownFile.model_validate_json(path.read_bytes()).systems["default"].candidates


def test_a_score_is_called_by_the_number_that_it_is_where_that_is_beyond_doubt():
    found = [evaluation(0, alloy(CUAU), -0.01), evaluation(1, alloy(CU3AU), 0.004)]
    assert score_label(a_campaign({"random": found})) == "−formation_energy_ev_per_atom"
    twice = [
        replace(one, details={**one.details, "again": one.details["formation_energy_ev_per_atom"]}) for one in found
    ]
    assert score_label(a_campaign({"random": twice})) == "score"
    assert score_label(a_campaign({"random": []})) == "score"
