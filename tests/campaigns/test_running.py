"""What a campaign does: how many it chooses, when it ends, what it writes down."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any

import pytest

from campaigns import NotAcceptable
from campaigns.campaign_file import CampaignFile, differences
from campaigns.folder import CampaignFolder, Held
from campaigns.reading import read_campaign
from campaigns.runner import run_campaign
from campaigns.seeds import seed_of
from tests.campaigns.files import TOYS, campaign, workflow
from tests.campaigns.toys import Bench

IN_TURN = {"_target_": f"{TOYS}.InTurn"}


def numbers(folder: Path) -> list[list[int]]:
    return [[one.candidate["number"] for one in episode.evaluations] for episode in read_campaign(folder).episodes]


def test_equal_campaigns_are_equal_and_other_seeds_and_episodes_are_not(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        run_campaign(campaign(seed=seed, episodes=2), tmp_path / name, Bench())
    assert numbers(tmp_path / "a") == numbers(tmp_path / "b")
    assert numbers(tmp_path / "a") != numbers(tmp_path / "c")
    first, second = numbers(tmp_path / "a")
    assert first != second


def test_episodes_at_once_change_nothing(tmp_path: Path) -> None:
    run_campaign(campaign(episodes=4), tmp_path / "a", Bench())
    run_campaign(campaign(episodes=4, at_once=3), tmp_path / "b", Bench())
    assert numbers(tmp_path / "a") == numbers(tmp_path / "b")


def test_every_component_has_a_seed_of_its_own() -> None:
    places = ["environment", "policy.planner", "policy.generator", "policy.scorers[0]", "policy.scorers[1]"]
    seeds = [seed_of(1, "s", episode, place) for episode in (1, 2) for place in places]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**32 for seed in seeds)
    assert seed_of(1, "s", 1, "policy") == seed_of(1, "s", 1, "policy") != seed_of(1, "t", 1, "policy")


def test_a_batch_is_observed_in_the_order_of_its_choices_whatever_is_done_first(tmp_path: Path) -> None:
    run_campaign(campaign(policy=IN_TURN, parallel=4), tmp_path / "a", Bench(last_first=True))
    (episode,) = read_campaign(tmp_path / "a").episodes
    assert [one.index for one in episode.evaluations] == list(range(8))
    assert [len(decision.choices) for decision in episode.decisions] == [4, 4]
    assert episode.decisions[1].outcomes == tuple(one.id for one in episode.evaluations[:4])
    assert episode.decisions[1].pending == ()


def test_an_asynchronous_campaign_chooses_at_each_outcome_and_keeps_enough_in_flight(tmp_path: Path) -> None:
    plain = campaign(policy=IN_TURN, parallel=2, prefetch=1, mode="asynchronous")
    run_campaign(plain, tmp_path / "a", Bench())
    (episode,) = read_campaign(tmp_path / "a").episodes
    assert episode.decisions[0].asked == 3
    for decision in episode.decisions[1:]:
        assert len(decision.pending) + len(decision.choices) <= 3
        assert decision.outcomes
    assert len(episode.evaluations) == 8


def test_the_budget_is_never_exceeded(tmp_path: Path) -> None:
    for mode in ("batch", "asynchronous"):
        bench = Bench()
        plain = campaign(policy=IN_TURN, parallel=3, mode=mode, budget={"evaluations": 7})
        run_campaign(plain, tmp_path / mode, bench)
        assert len(bench.ran) == 7


@pytest.mark.parametrize(
    ("more", "ended", "count"),
    [
        ({"stop": {"successes": 1}}, "successes", 8),
        ({"stop": {"score_at_least": -2.0}}, "score", 6),
        ({"stop": {"no_improvement_for": 3}, "budget": {"evaluations": 20}}, "no_improvement", 11),
        ({"budget": {"evaluations": 20}}, "budget", 20),
        ({"budget": {"evaluations": 30}}, "exhausted", 20),
    ],
)
def test_it_ends_when_it_should_and_says_why(tmp_path: Path, more: dict[str, Any], ended: str, count: int) -> None:
    run_campaign(campaign(policy=IN_TURN, **more), tmp_path / "a", Bench())
    (episode,) = read_campaign(tmp_path / "a").episodes
    assert (episode.ended, len(episode.evaluations)) == (ended, count)
    assert episode.reason


def test_an_oracle_that_always_fails_ends_it_with_what_was_wrong(tmp_path: Path) -> None:
    bench = Bench(fails=range(100))
    plain = campaign(policy=IN_TURN, budget={"evaluations": 19}, stop={"failures_in_a_row": 4})
    ended = run_campaign(plain, tmp_path / "a", bench)
    (end,) = ended.values()
    assert end.ended == "failures"
    assert "Broken: it did not work" in end.reason
    (episode,) = read_campaign(tmp_path / "a").episodes
    assert [one.score for one in episode.evaluations] == [None] * 4
    assert episode.best is None


def test_what_is_refused_is_an_evaluation_that_failed_and_others_go_on(tmp_path: Path) -> None:
    plain = campaign(policy={"_target_": f"{TOYS}.InTurn", "step": -3}, parallel=3, budget={"evaluations": 3})
    bench = Bench()
    run_campaign(plain, tmp_path / "a", bench)
    (episode,) = read_campaign(tmp_path / "a").episodes
    assert [one.status for one in episode.evaluations] == ["ok", "failed", "failed"]
    assert episode.evaluations[1].error is not None
    assert episode.evaluations[1].error["type"] == "Refused"
    assert "at least 0" in episode.evaluations[1].error["message"]
    assert len(bench.ran) == 1


def test_nothing_passes_is_a_result_with_counts_and_no_candidate_slips_through(tmp_path: Path) -> None:
    bench = Bench()
    plain = campaign(policy=workflow(filter={"_target_": f"{TOYS}.NothingPasses"}), attempts=3)
    ended = run_campaign(plain, tmp_path / "a", bench)
    (end,) = ended.values()
    assert end.ended == "no_candidates"
    assert "4 of 4 candidates were rejected (4 × NothingPasses: it is a number)" in end.reason
    assert bench.ran == []
    (episode,) = read_campaign(tmp_path / "a").episodes
    assert len(episode.decisions) == 3


def test_each_decision_says_by_whom_on_what_and_at_which_cost(tmp_path: Path) -> None:
    run_campaign(campaign(), tmp_path / "a", Bench())
    (episode,) = read_campaign(tmp_path / "a").episodes
    for number, decision in enumerate(episode.decisions):
        assert decision.number == number
        assert decision.cost == {"plans": 1}
        assert decision.seconds > 0
        assert decision.choices[0]["by"] == "Everywhere > Numbers > RandomSelector"
        assert decision.choices[0]["details"]["generated"] == 4


def test_systems_change_environment_and_policy(tmp_path: Path) -> None:
    systems = [
        {"name": "far", "environment": {"target": 19}, "policy": {"step": 2}},
        {"name": "near"},
    ]
    run_campaign(campaign(policy=IN_TURN, systems=systems, budget={"evaluations": 3}), tmp_path / "a", Bench())
    assert numbers(tmp_path / "a") == [[0, 2, 4], [0, 1, 2]]
    found = read_campaign(tmp_path / "a")
    assert [system.name for system in found.systems] == ["far", "near"]
    assert found.episodes[0].evaluations[0].score == -19.0


def test_a_policy_that_gives_more_than_was_asked_for_is_an_error(tmp_path: Path, monkeypatch: Any) -> None:
    from tests.campaigns import toys

    plain = toys.InTurn.propose
    monkeypatch.setattr(toys.InTurn, "propose", lambda self, view, count: plain(self, view, count + 1))
    with pytest.raises(RuntimeError, match="was asked for 1 candidates, and gave 2"):
        run_campaign(campaign(policy=IN_TURN), tmp_path / "a", Bench())


def _try(folder: str, answers: Any) -> None:
    try:
        with Held(CampaignFolder(Path(folder))):
            answers.put("held")
    except NotAcceptable as refusal:
        answers.put(str(refusal))


def test_a_second_process_on_one_folder_is_refused_with_who_holds_it(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    with Held(CampaignFolder(tmp_path)):
        process = context.Process(target=_try, args=(str(tmp_path), answers))
        process.start()
        assert "is held by process" in answers.get(timeout=120)
        process.join()
    with Held(CampaignFolder(tmp_path)):
        pass


def test_differences_name_leaves() -> None:
    before = campaign(budget={"evaluations": 3}).identity
    now = campaign(budget={"evaluations": 4}, seed=2).identity
    assert set(differences(before, now)) == {"budget.evaluations: 3 → 4", "seed: 0 → 2"}
    assert differences({"a": 1}, {"b": 2}) == ["a: 1 → (not given)", "b: (not given) → 2"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"budget": {}}, "says nothing"),
        ({"budget": {"evaluations": 0}}, "greater than or equal to 1"),
        ({"policies": {"a": {}}, "policy": {}}, "either policy or policies"),
        ({"prefetch": 3}, "prefetch goes with mode: asynchronous"),
        ({"systems": [{"name": "a"}, {"name": "a"}]}, "given twice"),
        ({"name": "../x"}, "match pattern"),
        ({"modules": ["os; rm"]}, "match pattern"),
        ({"seed": -1}, "greater than or equal to 0"),
    ],
)
def test_a_campaign_that_makes_no_sense_is_refused(more: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        CampaignFile.model_validate({**campaign().model_dump(), **more})
