"""What the environment makes of Outcomes: successes, energies of the right geometry, and no invented number."""

from __future__ import annotations

import json

import pytest

from campaigns import View
from campaigns.crystals import Crystal, CrystalEnvironment
from campaigns.crystals.environment import crystals_of
from simulations.records import Status
from tests.campaigns.crystals.making import AU3CU, AUCU3, cube, failed, given, outcome, relaxed, run, view


@pytest.fixture
def copper_gold():
    return CrystalEnvironment(["Cu", "Au"], max_stoichiometry=4)


def test_a_stable_new_crystal_is_a_success(copper_gold):
    found = given(copper_gold, AUCU3, -0.1, "a")
    assert (found.success, found.score, found.status) == (True, 0.0, "ok")
    assert found.details["formation_energy_ev_per_atom"] == pytest.approx(-0.1)
    assert found.details["e_above_hull_ev_per_atom"] == pytest.approx(0.0, abs=1e-12)
    assert found.details["e_above_earlier_hull_ev_per_atom"] == pytest.approx(-0.1)
    assert (found.details["formula"], found.details["reduced_formula"]) == ("AuCu3", "AuCu3")
    assert copper_gold.stable() == ["Cu", "Au", "AuCu3"]


def test_the_same_structure_is_no_success_again_but_another_one_is(copper_gold):
    given(copper_gold, AUCU3, -0.1, "a")
    again = given(copper_gold, cube(["Au", "Cu", "Cu", "Cu"], 3.75, shift=0.1), -0.1, "b")
    assert (again.success, again.details["same_as"]) == (False, "a")
    other = given(copper_gold, AU3CU, -0.1, "c")
    assert (other.success, other.details["same_as"]) == (True, None)


def test_above_the_hull_by_more_than_the_tolerance_is_no_success():
    tolerant = CrystalEnvironment(["Cu", "Au"], max_stoichiometry=4, stability_tolerance=0.05)
    given(tolerant, AUCU3, -0.1, "a")
    close = given(tolerant, AU3CU, 0.5 * -0.1 / 1.5 + 0.04, "b")  # 0.04 above the line to gold
    assert close.details["e_above_hull_ev_per_atom"] == pytest.approx(0.04 + 0.1 / 3 - 0.1 / 3, abs=1e-9)
    assert close.success
    assert close.score == pytest.approx(-0.04)
    far = given(tolerant, cube(["Cu", "Au"]), 0.2, "c")
    assert not far.success


@pytest.mark.parametrize("status", [Status.FAILED, Status.TIMEOUT, Status.CANCELLED])
def test_what_failed_has_a_status_no_score_and_no_part_in_the_hull(copper_gold, status):
    found = copper_gold.observe(AUCU3, outcome("a", status))
    assert (found.score, found.success, found.status) == (None, False, status.value)
    assert status.value in found.details["reason"]
    assert (len(copper_gold.hull), copper_gold.entries) == (2, [])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"converged": False}, "not converged"),
        ({"energy_ev": None}, "no finite energy_ev"),
        ({"energy_ev": float("nan")}, "no finite energy_ev"),
        ({"structure": None}, "no relaxed structure"),
        ({"structure": relaxed(AU3CU, 0)["structure"]}, "of Au3Cu, not of AuCu3"),
    ],
)
def test_a_result_that_does_not_say_enough_gives_no_score(copper_gold, change, reason):
    found = copper_gold.observe(AUCU3, outcome("a", result={**relaxed(AUCU3, -1.0), **change}))
    assert (found.score, found.success) == (None, False)
    assert reason in found.details["reason"]
    assert copper_gold.entries == []


def test_an_energy_belongs_to_the_structure_that_was_computed():
    strained = cube(["Au", "Cu", "Cu", "Cu"], 4.2)
    document = relaxed(AUCU3, -1.0)
    relaxing = CrystalEnvironment(["Cu", "Au"], max_stoichiometry=4)
    found = relaxing.observe(strained, outcome("a", result=document))
    assert found.details["geometry"] == "relaxed"
    assert Crystal.from_json(found.details["structure"]).volume == pytest.approx(AUCU3.volume)
    single = CrystalEnvironment(["Cu", "Au"], tool="single_point", max_stoichiometry=4)
    found = single.observe(strained, outcome("a", result={**document, "structure": None}))
    assert found.details["geometry"] == "as proposed"
    assert Crystal.from_json(found.details["structure"]) == strained


def test_the_structure_of_a_reference_is_nothing_new():
    environment = CrystalEnvironment(["Cu", "Au"], max_stoichiometry=4, include_elements=True)
    found = given(environment, environment.references[1].crystal, 0.0, "a")
    assert (found.success, found.details["same_as"]) == (False, "reference Au")
    other = given(environment, cube(["Cu"], 2.5), 0.0, "b")  # simple cubic
    assert other.success


@pytest.mark.parametrize(
    ("score_function", "score"), [("energy_per_atom", None), ("formation_energy_per_atom", 0.1), ("e_above_hull", 0.0)]
)
def test_scores_are_minus_what_the_score_function_says(score_function, score):
    environment = CrystalEnvironment(["Cu", "Au"], max_stoichiometry=4, score_function=score_function)
    found = given(environment, AUCU3, -0.1, "a")
    assert found.score == pytest.approx(-found.details["energy_per_atom_ev"] if score is None else score)


@pytest.mark.parametrize("tool", ["relax", "single_point"])
def test_a_request_is_run_by_its_tool_and_the_answer_is_taken_up(tool, tmp_path):
    environment = CrystalEnvironment(["Cu", "Au"], tool=tool, max_stoichiometry=4)
    request = environment.request(AUCU3, "try-1", tmp_path)
    again = environment.request(AUCU3, "try-1", tmp_path)
    assert request == again
    assert (request.id, request.tool, request.inputs["structure"]) == ("try-1", tool, "try-1.extxyz")
    found = environment.observe(AUCU3, run(request, tmp_path))
    assert found.status == "ok"
    # L1_2 against the experimental crystals of EMT's own elements is about -0.01 eV/atom.
    formation = found.details["formation_energy_ev_per_atom"]
    assert formation == pytest.approx(-0.0094, abs=2e-4) if tool == "relax" else formation > -0.0094
    assert found.success == (formation < 0)
    json.dumps(environment.get_state())
    json.dumps(dict(found.details), allow_nan=False)


def test_state_makes_an_equal_environment(copper_gold):
    given(copper_gold, AUCU3, -0.1, "a")
    failed(copper_gold, AU3CU, "b")
    state = json.loads(json.dumps(copper_gold.get_state()))
    again = CrystalEnvironment(["Cu", "Au"], max_stoichiometry=4)
    again.load_state(state)
    assert again.get_state() == copper_gold.get_state()
    for environment in (copper_gold, again):
        one = given(environment, AU3CU, -0.02, "c")
        assert one.details["e_above_hull_ev_per_atom"] == pytest.approx(0.1 / 3 - 0.02)
    assert again.get_state() == copper_gold.get_state()


def test_what_is_computed_once_stays_the_reference(copper_gold):
    state = copper_gold.get_state()
    state["references"]["Cu"]["energy_ev_per_atom"] += 1.0  # as another machine might have computed it
    again = CrystalEnvironment(["Cu", "Au"], max_stoichiometry=4)
    again.load_state(state)
    before = copper_gold.references[0].energy_ev_per_atom
    assert again.references[0].energy_ev_per_atom == pytest.approx(before + 1.0)


@pytest.mark.parametrize(
    ("given_arguments", "said"),
    [
        ({"elements": []}, "at least one symbol"),
        ({"elements": "CuAu"}, "as a list"),
        ({"elements": ["Cu", "Xx"]}, "Xx: no chemical element"),
        ({"elements": ["Cu", "Cu"]}, "named twice"),
        (
            {"elements": ["Cu", "Fe"]},
            "emt has no parameters for Fe: choose another calculator, or elements that it knows",
        ),
        ({"elements": ["Cu", "H"]}, "no reference for H.*references: computed"),
        ({"max_stoichiometry": 0}, "max_stoichiometry"),
        ({"max_stoichiometry": 1}, "no composition.*raise max_stoichiometry"),
        ({"elements": ["Cu"]}, "include_elements: true"),
        ({"max_stoichiometry": 500}, "more than 200 atoms are not kept"),
        ({"elements": ["Cu", "Au", "Ni", "Ag", "Al"], "max_stoichiometry": 60}, "compositions; at most 200000"),
        ({"tool": "md"}, "'md' computes no energies of crystals"),
        ({"calculator": "vasp"}, "calculator"),
        ({"inputs": {"steps": 3}}, "steps"),
        ({"inputs": {"fmax_ev_per_angstrom": -1}}, "fmax_ev_per_angstrom"),
        ({"inputs": {"structure": "a.cif"}}, "structure is not for inputs to say"),
        ({"calculator": "lj"}, "lj needs lj_epsilon_ev"),
        ({"stability_tolerance": -0.1}, "stability_tolerance"),
        ({"score_function": "beauty"}, "none of energy_per_atom"),
        ({"timeout_s": 0}, "timeout_s"),
        ({"ltol": 0}, "ltol must be positive"),
        (
            {"elements": ["Na", "Cl"], "calculator": "chgnet", "inputs": {"model": "0.3.0", "device": "cpu"}},
            "no reference for Cl",
        ),
    ],
)
def test_what_cannot_be_evaluated_is_refused_at_the_door(given_arguments, said):
    with pytest.raises(ValueError, match=said):
        CrystalEnvironment(**{"elements": ["Cu", "Au"], **given_arguments})


def test_a_space_in_which_nothing_passes_smact_is_refused():
    with pytest.raises(ValueError, match=r"none of the 1 compositions of Ne, Ar.*smact_validity: false"):
        CrystalEnvironment(
            ["Ne", "Ar"],
            calculator="lj",
            inputs={"lj_epsilon_ev": 0.0104, "lj_sigma_angstrom": 3.4, "lj_cutoff_angstrom": 10.2},
            max_stoichiometry=2,
            smact_validity=True,
        )


def test_smact_leaves_only_plausible_compositions():
    def space(smact_validity):
        return CrystalEnvironment(
            ["Li", "O"],
            calculator="chgnet",
            inputs={"model": "0.3.0", "device": "cpu"},
            references={"Li": -1.9, "O": -4.9},
            max_stoichiometry=6,
            smact_validity=smact_validity,
        )

    assert "Li2O" in space(True).compositions
    assert "Li5O" not in space(True).compositions
    assert "Li5O" in space(False).compositions
    with pytest.raises(ValueError, match="Li5O does not pass SMACT's rules"):
        space(True).check_region("Li5O")


@pytest.mark.parametrize(
    ("region", "said"),
    [
        ("Cu9Au", "10 atoms, and max_stoichiometry is 4"),
        ("CuNi", "contains Ni, not of Cu, Au"),
        ("Cu2", "include_elements is false"),
        ("copper", "no formula"),
    ],
)
def test_regions_outside_of_the_space_are_refused_with_the_reason(copper_gold, region, said, tmp_path):
    with pytest.raises(ValueError, match=said):
        copper_gold.check_region(region)
    assert copper_gold.check_region("Cu3Au") == "AuCu3"
    with pytest.raises(ValueError, match="contains Ni"):
        copper_gold.request(cube(["Cu", "Ni"]), "a", tmp_path)


def test_components_for_crystals_say_so_elsewhere(copper_gold):
    assert crystals_of(view(copper_gold), "it") is copper_gold
    with pytest.raises(ValueError, match="it works with a CrystalEnvironment, not with object"):
        crystals_of(View(object(), [], [], 1), "it")


def test_without_pymatgen_it_says_what_to_install(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pymatgen.analysis.structure_matcher", None)
    with pytest.raises(ValueError, match=r'pip install "md-director\[materials\]"'):
        CrystalEnvironment(["Cu", "Au"])
