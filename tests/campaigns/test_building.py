"""Only components are made of a campaign file, and only with what they take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from campaigns import NotAcceptable, Stateless
from campaigns.building import Builder, catalogue, find_component
from campaigns.runner import check_components, components
from campaigns.seeds import seed_of
from campaigns.stages import FilterChain, RandomSelector, ScorerChain
from tests.campaigns.files import TOYS, campaign, workflow
from tests.campaigns.toys import Numbers


class Typed(Stateless):
    """A component with types."""

    def __init__(
        self, count: int, ratio: float = 0.5, name: str | None = None, pair: tuple[float, float] = (0, 1), **rest: Any
    ) -> None:
        self.count, self.ratio, self.name, self.pair, self.rest = count, ratio, name, pair, rest


class Plain:
    """No component: it has no state."""


HERE = __name__
ME = Builder(modules=(TOYS, HERE), seed=3, system="s", episode=2)


def build(tree: dict[str, Any]) -> Any:
    return ME.build(tree, "policy")


def test_components_within_components_are_made_and_seeded_by_their_place() -> None:
    made = build(workflow(filter=[{"_target_": "campaigns.stages.NoOpFilter"}]))
    assert isinstance(made.generator, Numbers)
    assert isinstance(made.filter, FilterChain)
    assert made.generator.seed == seed_of(3, "s", 2, "policy.generator")


def test_a_seed_that_is_given_counts() -> None:
    made = build(workflow(generator={"_target_": f"{TOYS}.Numbers", "seed": 5}))
    assert made.generator.seed == 5


def test_members_of_lists_have_seeds_of_their_own() -> None:
    scorer = {"_target_": "campaigns.stages.RandomSelector"}
    made = build({"_target_": "campaigns.stages.ScorerChain", "scorers": [scorer, scorer]})
    assert isinstance(made, ScorerChain)
    one, two = made.scorers
    assert one.get_state() != two.get_state()


def test_values_are_taken_with_their_types() -> None:
    made = build({"_target_": f"{HERE}.Typed", "count": 3, "ratio": 1, "pair": [1, 2], "more": {"a": [1]}})
    assert (made.count, made.ratio, made.pair, made.rest) == (3, 1.0, (1.0, 2.0), {"more": {"a": [1]}})


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("os.system", "no component that ships, nor in a module that this file names"),
        ("subprocess.Popen", "nor in a module"),
        ("campaigns.stages.RandomSelecter", "Did you mean 'campaigns.stages.RandomSelector'"),
        ("campaigns.stage.RandomSelector", "Did you mean 'campaigns.stages.RandomSelector'"),
        ("RandomSelector", "campaigns.stages.RandomSelector"),
        ("campaigns.workflow.copy", "is no class"),
        ("campaigns.record.EpisodeRecord", "is no component"),
        ("campaigns.components.Planner", "what components have in common"),
        ("campaigns.folder.Path", "comes from pathlib"),
        (f"{HERE}.Plain", "inherits campaigns.Stateless"),
        (f"{TOYS}.np", "is no class"),
        (f"{TOYS}.datetime", "comes from datetime"),
        (f"{HERE}s.Typed", "nor in a module"),
        (None, "is missing"),
        (3, "is no text"),
    ],
)
def test_what_is_no_component_is_refused_with_the_nearest_ones(target: Any, said: str) -> None:
    with pytest.raises(NotAcceptable, match=r"policy\.planner\._target_") as caught:
        find_component(target, (TOYS, HERE), "policy.planner._target_")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        ({"num_candidate": 3}, "policy.planner.num_candidate: Everywhere has no such parameter. Did you mean 'num_can"),
        ({"num_candidates": "many"}, "policy.planner.num_candidates: Input should be a valid integer, got 'many'"),
        ({"num_candidates": 2.5}, "policy.planner.num_candidates: Input should be a valid integer, got 2.5"),
        ({"_partial_": True}, "policy.planner._partial_: Hydra's _partial_ is not supported here"),
        ({"_args_": [3]}, "policy.planner._args_"),
    ],
)
def test_wrong_parameters_are_refused_with_their_place(tree: dict[str, Any], said: str) -> None:
    with pytest.raises(NotAcceptable) as caught:
        build(workflow(planner={"_target_": f"{TOYS}.Everywhere", **tree}))
    assert said in str(caught.value)


def test_all_wrong_names_are_said_at_once() -> None:
    with pytest.raises(NotAcceptable) as caught:
        build({"_target_": "campaigns.Workflow", "planer": {}, "score": {}})
    places = [fault.where for fault in caught.value.faults]
    assert places == ["policy.planer", "policy.score", "policy.planner", "policy.generator", "policy.scorer"]


def test_text_is_no_component() -> None:
    with pytest.raises(NotAcceptable, match=r"policy.scorer: 'random' is no component"):
        build(workflow(scorer="random"))


def test_what_a_constructor_refuses_is_said_with_its_place() -> None:
    with pytest.raises(NotAcceptable, match=r"environment: Line refuses it: size: 0 numbers are none"):
        check_components(campaign(environment={"_target_": f"{TOYS}.Line", "size": 0}))


def test_a_policy_is_named_as_in_the_file_and_seeded_without_its_name() -> None:
    plain = campaign(policies={"a": workflow(), "b": workflow()})
    assert (
        components(plain, "default", "a", 1)[1].generator.seed == components(plain, "default", "b", 1)[1].generator.seed
    )
    with pytest.raises(NotAcceptable, match=r"policies\.b\.planner\.x"):
        check_components(
            campaign(policies={"a": workflow(), "b": workflow(planner={"_target_": f"{TOYS}.Everywhere", "x": 1})})
        )


def test_an_environment_is_no_policy() -> None:
    with pytest.raises(NotAcceptable, match="policy: Line is no policy: it has no propose"):
        check_components(campaign(policy={"_target_": f"{TOYS}.Line"}))


def test_a_module_that_cannot_be_imported_is_said(tmp_path: Any, monkeypatch: Any) -> None:
    (tmp_path / "broken_module.py").write_text("import no_such_package\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(NotAcceptable, match=r"broken_module cannot be imported.*no_such_package"):
        find_component("broken_module.X", ["broken_module"], "policy._target_")


def test_the_catalogue_lists_what_can_be_named() -> None:
    found = {one["target"]: one for one in catalogue([TOYS])}
    assert "campaigns.stages.RandomSelector" in found
    assert found[f"{TOYS}.Everywhere"]["parameters"] == ["num_candidates: 'int' = 4"]
    assert isinstance(RandomSelector(1), find_component("campaigns.stages.RandomSelector", (), "x"))


class InFolder(Stateless):
    """A component that reads files."""

    def __init__(self, folder: str | None = None) -> None:
        self.folder = folder


def test_a_folder_is_that_of_the_campaign_file_unless_it_is_given(tmp_path: Path) -> None:
    me = Builder(modules=(HERE,), base=tmp_path)
    assert me.build({"_target_": f"{HERE}.InFolder"}, "x").folder == str(tmp_path)
    assert me.build({"_target_": f"{HERE}.InFolder", "folder": "other"}, "x").folder == "other"
    assert Builder(modules=(HERE,)).build({"_target_": f"{HERE}.InFolder"}, "x").folder is None
