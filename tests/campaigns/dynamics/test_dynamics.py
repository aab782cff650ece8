"""Campaigns over settings of md: the grid, what is refused, and how a result becomes a score."""

import json
from pathlib import Path

import numpy as np
import pytest

from campaigns import View
from campaigns.dynamics import DynamicsEnvironment, SurrogateScorer
from campaigns.dynamics.scorer import encode
from campaigns.errors import NotAcceptable
from simulations.md import TOOL, MdRequest
from simulations.records import Status
from simulations.workspace import Resources, Workspace
from tests.campaigns.outcomes import outcome_of

GRID = {"temperature_k": [300.0, 400.0], "force_field": ["amber14", "amber03", "amber99sb"]}
INPUTS = {"sequence": "GSG", "steps": 200, "report_interval_steps": 20, "solvent": "vacuum", "timestep_fs": 1.0}


def made(**changes):
    return DynamicsEnvironment(**{"grid": GRID, "inputs": INPUTS, **changes})


def test_the_grid_is_every_combination_once():
    environment = made()
    assert len(set(environment.candidates)) == 6
    assert environment.to_json(environment.candidates[0]) == {"force_field": "amber14", "temperature_k": 300.0}
    for candidate in environment.candidates:
        assert environment.from_json(json.loads(json.dumps(environment.to_json(candidate)))) == candidate
    assert "6 settings" in environment.goal
    assert "nm2" in environment.goal


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"grid": {}}, "varies nothing"),
        ({"grid": {"temperature_k": []}}, "grid.temperature_k"),
        ({"grid": {"temperature_k": [300.0, 300.0]}}, "each once"),
        ({"grid": {"steps": [100, 200]}}, "is in inputs too"),
        ({"grid": {"temperature_k": [float(one) for one in range(1, 20_000)]}}, "At most 10,000"),
        ({"grid": {"temperature_k": [300.0, 5000.0]}}, "temperature_k: 5000.0"),
        ({"grid": {"temprature_k": [300.0]}}, "temprature_k"),
        ({"observable": "ns_per_day"}, "end_to_end_distance_nm"),
        ({"statistic": "median"}, "variance"),
        ({"inputs": {**INPUTS, "structure": "nowhere.pdb"}}, "nowhere.pdb"),
    ],
)
def test_what_cannot_be_simulated_is_refused_before_anything_starts(changes, words):
    with pytest.raises(NotAcceptable, match=words):
        made(**changes)


def test_the_score_is_the_variance_of_the_simulations_own_frames(tmp_path):
    environment = made()
    candidate = environment.candidates[0]
    request = environment.request(candidate, "r0", tmp_path)
    workspace = Workspace(tmp_path / "work", tmp_path, Resources("host", "host/0"))
    result = TOOL.run(MdRequest(**request.inputs), workspace).model_dump(mode="json")
    found = environment.observe(candidate, outcome_of(request, result))

    import mdtraj

    frames = mdtraj.load(
        *(tmp_path / workspace.artifacts[name] for name in ("trajectory",)),
        top=tmp_path / workspace.artifacts["topology"],
    )
    alphas = frames.topology.select("name CA")
    theirs = mdtraj.compute_distances(frames, [[alphas[0], alphas[-1]]], periodic=False)[:, 0]
    assert found.score == pytest.approx(theirs.astype(float).var(), rel=1e-3)
    assert found.details["variance_nm2"] == found.score
    assert found.details["n_frames"] == 10


def test_a_result_without_the_quantity_has_no_score_and_says_why():
    environment = made()
    candidate = environment.candidates[0]
    request = environment.request(candidate, "r0", Path())
    result = {
        "end_to_end_distance_nm": None,
        "missing": {"end_to_end_distance_nm": "there are 2 chains"},
        "n_frames": 3,
    }
    found = environment.observe(candidate, outcome_of(request, result))
    assert (found.status, found.score, found.success) == ("ok", None, False)
    assert found.details == {"no_score": "there are 2 chains"}
    failed = environment.observe(candidate, outcome_of(request, None, Status.TIMEOUT))
    assert (failed.status, failed.score) == ("timeout", None)


def test_statistics_and_objectives():
    result = {"temperature_k": {"mean": 301.0, "std": 3.0, "sem": None, "n_effective": None}, "n_frames": 3}
    for statistic, objective, success_at, score, success in (
        ("variance", "highest", 8.0, 9.0, True),
        ("std", "lowest", 2.0, -3.0, False),
        ("mean", "lowest", 302.0, -301.0, True),
    ):
        environment = made(observable="temperature_k", statistic=statistic, objective=objective, success_at=success_at)
        candidate = environment.candidates[0]
        found = environment.observe(candidate, outcome_of(environment.request(candidate, "r", Path()), result))
        assert (found.score, found.success) == (score, success)


def test_a_structure_of_the_users_travels_with_the_request(tmp_path):
    path = tmp_path / "mine.PDB"
    path.write_text("ATOM\n")
    folder = tmp_path / "inputs"
    folder.mkdir()
    inputs = {name: value for name, value in INPUTS.items() if name != "sequence"} | {"structure": str(path)}
    environment = made(inputs=inputs)
    names = {
        environment.request(one, f"r{i}", folder).inputs["structure"] for i, one in enumerate(environment.candidates)
    }
    assert [file.name for file in folder.iterdir()] == list(names)
    assert (folder / names.pop()).read_text() == "ATOM\n"
    state = environment.get_state()
    path.write_text("ATOM 2\n")
    with pytest.raises(NotAcceptable, match="another file"):
        made(inputs=inputs).load_state(state)


def test_a_relative_path_of_a_structure_starts_in_the_folder_that_was_given(tmp_path, monkeypatch):
    (tmp_path / "campaign").mkdir()
    (tmp_path / "campaign" / "mine.pdb").write_text("ATOM\n")
    monkeypatch.chdir(tmp_path)
    inputs = {name: value for name, value in INPUTS.items() if name != "sequence"} | {"structure": "mine.pdb"}
    environment = made(inputs=inputs, folder=str(tmp_path / "campaign"))
    copy = environment.request(environment.candidates[0], "r", tmp_path).inputs["structure"]
    assert (tmp_path / copy).read_text() == "ATOM\n"
    with pytest.raises(NotAcceptable, match=r"mine\.pdb"):
        made(inputs=inputs)


def test_settings_become_numbers_from_0_to_1():
    grid = {"temperature_k": [300.0, 350.0, 400.0], "force_field": ["amber14", "amber03"], "minimize": [True, False]}
    found = encode(grid, [{"temperature_k": 350.0, "force_field": "amber03", "minimize": True}])
    assert found.tolist() == [[0.0, 1.0, 1.0, 0.0, 0.5]]


def test_the_model_prefers_what_scored_well_and_names_come_in_any_order():
    environment = made(grid={"temperature_k": [float(one) for one in range(300, 500, 10)]})
    result = {"n_frames": 3, "missing": {}}
    observations = []
    for index, candidate in enumerate(environment.candidates[::4]):
        request = environment.request(candidate, f"r{index}", Path())
        std = 1e-3 * candidate.inputs["temperature_k"]
        found = {**result, "end_to_end_distance_nm": {"mean": 1.0, "std": std, "sem": None, "n_effective": None}}
        observations.append(environment.observe(candidate, outcome_of(request, found)))
    scorer = SurrogateScorer(acquisition="greedy", num_initial=3, seed=1)
    scores = [one.score for one in scorer.score(environment.candidates, View(environment, observations, [], 10))]
    assert np.argmax(scores) == len(scores) - 1
    assert scores == sorted(scores)
