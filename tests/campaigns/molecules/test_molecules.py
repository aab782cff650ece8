"""Campaigns over a list of molecules: what is refused, how it is scored, and that the pipeline finds what there is."""

import json
from pathlib import Path

import pytest

import campaigns.molecules
from campaigns import View, Workflow
from campaigns.components import Exhausted, Plan
from campaigns.errors import NotAcceptable
from campaigns.finite import SpaceGenerator, SpacePlanner
from campaigns.finite.space import region_of
from campaigns.molecules import ElementFilter, Molecule, MoleculeEnvironment, MoleculeValidityFilter, SurrogateScorer
from campaigns.molecules.data.build import ionization_energy_ev
from campaigns.molecules.smiles_list import read_list
from campaigns.stages import RandomSelector, UniqueFilter
from simulations.records import Status
from tests.campaigns.outcomes import outcome_of

DATA = Path(campaigns.molecules.__file__).parent / "data"
KNOWN_EV = json.loads((DATA / "small-organics.json").read_text())["ionization_energy_ev"]


def observed(environment, molecule, name="r0", energy_ev=None):
    request = environment.request(molecule, name, Path())
    energy_ev = KNOWN_EV[molecule.smiles] if energy_ev is None else energy_ev
    return environment.observe(molecule, outcome_of(request, {"ionization_energy_ev": energy_ev}))


def view_of(environment, observations=(), pending=()):
    return View(environment, list(observations), list(pending), 100)


def episode(policy, environment, evaluations, count=2):
    """Runs a policy on the shipped energies; gives its observations."""
    observations = []
    while len(observations) < evaluations:
        choices = policy.propose(view_of(environment, observations), count).choices
        for choice in choices:
            observations.append(observed(environment, choice.candidate, f"r{len(observations)}"))
            policy.observe(observations[-1])
    return observations


# Lists


def test_the_shipped_list_has_one_energy_for_each_molecule():
    molecules = read_list("small-organics", "refuse")
    assert len(molecules) == len(set(molecules)) == 64
    assert set(KNOWN_EV) == {molecule.smiles for molecule in molecules}


@pytest.mark.parametrize("smiles", ["C#N", "CNC(N)=O"])
def test_shipped_energies_are_what_the_tool_finds(smiles):
    assert ionization_energy_ev(smiles) == pytest.approx(KNOWN_EV[smiles], abs=2e-3)


def test_all_that_is_wrong_with_a_list_is_told_by_line(tmp_path):
    path = tmp_path / "list.smi"
    path.write_text("# molecules\nCCO ethanol\nC1CC\n\n[Na+]\nOCC again\n")
    with pytest.raises(NotAcceptable) as caught:
        read_list(str(path), "refuse")
    assert [fault.where.rpartition(":")[2] for fault in caught.value.faults] == ["3", "5", "6"]
    said = str(caught.value)
    assert "SMILES" in said
    assert "charge +1" in said
    assert "duplicates: merge" in said


def test_duplicates_are_merged_if_that_is_asked_for_and_the_first_stays():
    merged = read_list(["CCO", "CO", "OCC"], "merge")
    assert merged == (Molecule("CCO"), Molecule("CO"))
    with pytest.raises(NotAcceptable, match=r"smiles\[2\].*smiles\[0\]"):
        read_list(["CCO", "CO", "OCC"], "refuse")


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        ({"smiles": "nowhere.smi"}, "smiles"),
        ({"smiles": []}, "smiles"),
        ({"smiles": ["C"], "inputs": {"smiles": "CC"}}, "inputs.smiles"),
        ({"smiles": ["C"], "inputs": {"conformers": 0}}, "inputs.conformers"),
        ({"smiles": ["C"], "inputs": {"conformer": 1}}, "inputs.conformer"),
        ({"smiles": ["C"], "objective": "best"}, "objective"),
        ({"smiles": ["C"], "duplicates": "keep"}, "duplicates"),
    ],
)
def test_wrong_arguments_of_the_environment_are_refused_by_name(arguments, place):
    with pytest.raises(NotAcceptable) as caught:
        MoleculeEnvironment(**arguments)
    assert caught.value.faults[0].where == place


# Environment


def test_a_score_is_the_energy_and_what_failed_has_none():
    environment = MoleculeEnvironment(["C#N", "CO"], success_ev=16.0)
    good = observed(environment, Molecule("C#N"))
    assert (good.score, good.success) == (KNOWN_EV["C#N"], True)
    assert observed(environment, Molecule("CO")).success is False
    request = environment.request(Molecule("CO"), "r1", Path())
    failed = environment.observe(Molecule("CO"), outcome_of(request, None, Status.FAILED))
    assert (failed.status, failed.score, failed.success) == ("failed", None, False)


def test_the_lowest_can_be_looked_for_instead():
    environment = MoleculeEnvironment(["C#N", "CO"], objective="lowest", success_ev=16.0, inputs={"conformers": 3})
    found = observed(environment, Molecule("CO"))
    assert (found.score, found.success) == (-KNOWN_EV["CO"], True)
    assert environment.request(Molecule("CO"), "r", Path()).inputs == {"smiles": "CO", "conformers": 3}


def test_a_candidate_is_the_same_after_it_was_written_down():
    environment = MoleculeEnvironment(["OCC"])
    (molecule,) = environment.candidates
    assert environment.from_json(json.loads(json.dumps(environment.to_json(molecule)))) == molecule
    environment.load_state(environment.get_state())
    with pytest.raises(NotAcceptable, match="another list"):
        MoleculeEnvironment(["CO"]).load_state(environment.get_state())


# Stages


def test_the_planner_leaves_out_what_was_evaluated_or_is_being_and_ends_when_nothing_is_left():
    environment = MoleculeEnvironment(["C", "CC", "CCC"])
    first, second, third = environment.candidates
    seen = observed(environment, first)
    plan = SpacePlanner().propose(view_of(environment, [seen], [third]))
    assert plan.regions == (region_of(environment, second),)
    assert SpaceGenerator().generate(plan, view_of(environment)) == [second]
    with pytest.raises(Exhausted, match="all 3"):
        SpacePlanner().propose(view_of(environment, [seen], [second, third]))


def test_a_region_that_is_no_candidate_is_refused_and_never_replaced():
    environment = MoleculeEnvironment(["C", "CC"])
    with pytest.raises(NotAcceptable, match="no candidate of this environment"):
        SpaceGenerator().generate(Plan(regions=('{"smiles": "CCCC"}',), num_candidates=1), view_of(environment))


def test_a_part_of_the_list_is_drawn_evenly_and_goes_on_from_its_state():
    environment = MoleculeEnvironment("small-organics")
    planner = SpacePlanner(num_candidates=5, seed=1)
    planner.propose(view_of(environment))
    again = SpacePlanner(num_candidates=5, seed=99)
    again.load_state(json.loads(json.dumps(planner.get_state())))
    plans = [one.propose(view_of(environment)).regions for one in (planner, again)]
    assert plans[0] == plans[1]
    assert len(plans[0]) == 5


def test_filters_say_why():
    environment = MoleculeEnvironment(["C"])
    candidates = [Molecule("CCO"), Molecule("OCC"), Molecule("C1CC"), Molecule("CC.C"), Molecule("C" * 300)]
    results = MoleculeValidityFilter(max_atoms=100).filter(candidates, view_of(environment))
    assert [result.passed for result in results] == [True, False, False, False, False]
    for result, word in zip(results[1:], ("canonical", "SMILES", "2 molecules", "atoms"), strict=True):
        assert word in result.rejection_reason
    elements = ElementFilter(["C", "O"]).filter([Molecule("CCO"), Molecule("CCl")], view_of(environment))
    assert [result.passed for result in elements] == [True, False]
    assert "Cl" in elements[1].rejection_reason
    with pytest.raises(NotAcceptable, match="Xx"):
        ElementFilter(["C", "Xx"])


@pytest.mark.parametrize("acquisition", ["greedy", "ucb", "expected_improvement"])
@pytest.mark.parametrize("model", ["gaussian_process", "random_forest"])
def test_a_scorer_goes_on_from_its_state_as_if_it_had_not_been_interrupted(model, acquisition):
    environment = MoleculeEnvironment("small-organics")
    arguments = {"model": model, "acquisition": acquisition, "n_estimators": 10}
    whole = SurrogateScorer(seed=5, **arguments)
    candidates = list(environment.candidates)
    observations = [observed(environment, one, f"r{i}") for i, one in enumerate(candidates[:6])]
    for count in (0, 2):
        whole.score(candidates, view_of(environment, observations[:count]))
    again = SurrogateScorer(seed=6, **arguments)
    again.load_state(json.loads(json.dumps(whole.get_state())))
    for count in (1, 4, 6):
        view = view_of(environment, observations[:count], candidates[6:7])
        assert whole.score(candidates[7:20], view) == again.score(candidates[7:20], view)


def test_the_scorer_says_what_it_rests_on_and_failures_teach_it_nothing():
    environment = MoleculeEnvironment("small-organics")
    candidates = list(environment.candidates)
    observations = [observed(environment, one, f"r{i}") for i, one in enumerate(candidates[:5])]
    request = environment.request(candidates[5], "r5", Path())
    failed = environment.observe(candidates[5], outcome_of(request, None, Status.FAILED))
    scorer = SurrogateScorer(seed=1)
    (one, *_) = scorer.score(candidates[6:], view_of(environment, [*observations, failed]))
    assert one.details["trained_on"] == 5
    assert one.details["mean"] == one.score
    assert (
        "2 of 3" in scorer.score(candidates[6:], view_of(environment, [*observations[:2], failed]))[0].details["random"]
    )


def test_an_upper_confidence_bound_finds_more_than_chance_on_the_shipped_energies():
    found = {}
    for name in ("random", "ucb"):
        counts = []
        for seed in range(4):
            environment = MoleculeEnvironment("small-organics", success_ev=16.0)
            scorer = RandomSelector(seed) if name == "random" else SurrogateScorer(acquisition="ucb", seed=seed)
            policy = Workflow(SpacePlanner(), SpaceGenerator(), scorer, [MoleculeValidityFilter(), UniqueFilter()])
            observations = episode(policy, environment, 24, count=4)
            assert len({one.candidate for one in observations}) == 24
            counts.append(sum(one.success for one in observations))
        found[name] = sum(counts)
    assert found["ucb"] > found["random"]
