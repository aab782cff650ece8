"""Campaign files are composed as Hydra composes them, and what must not be in them is refused with its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from campaigns import NotAcceptable
from campaigns.composing import BASE, SHIPPED, compose, read_campaign_file
from campaigns.config_text import calls_resolver

TREE = {
    "main.yaml": """
defaults:
  - policy/scorer@policies.extra.scorer: random
  - policy: both
  - /tools/limits@budget: small
  - optional nothing: here
  - _self_
name: t
environment: {_target_: x.E, list: [1, 2], name: "${name}"}
policies:
  extra: {_target_: x.P, n: 1}
""",
    "policy/both.yaml": """
# @package policies
defaults:
  - planner@first.planner: a
  - planner@second.planner: b
  - /policy/scorer@second.scorer: greedy
first: {_target_: x.W, scorer: null}
second: {_target_: x.W}
""",
    "policy/one.yaml": """
# @package policies
defaults:
  - planner@first.planner: b
  - override scorer@extra.scorer: greedy
first: {_target_: x.W}
""",
    "policy/planner/a.yaml": "_target_: x.A\nn: 3\nwords: [u, v]\n",
    "policy/planner/b.yaml": "defaults:\n  - a\n  - _self_\nn: 4\nkwargs: {k: 1.5, l: 1e-3}\n",
    "policy/scorer/random.yaml": "_target_: x.R\nseed: null\n",
    "policy/scorer/greedy.yaml": "_target_: x.G\nweights: [0.5, 0.5]\n",
    "tools/limits/small.yaml": "evaluations: 5\n",
    "tools/limits/large.yaml": "evaluations: 500\n",
}

OVERRIDES = [
    "policy=one",
    "policy/planner@policies.first.planner=b",
    "policy/scorer@policies.extra.scorer=greedy",
    "tools/limits@budget=large",
    "+policy/scorer@policies.first.other=random",
    "~policy/scorer@policies.extra.scorer",
    "budget.evaluations=7",
    "+policies.extra.more={a: 1, b: [1, 2.5, x]}",
    "++environment.list=[3]",
    "environment.list=[3,4,5]",
    "policies.extra.n='a text, with a comma'",
    "~policies.extra.n",
    "name=other",
    "+policies.extra.empty=null",
    "policies.extra._target_=x.Q",
]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("configs")
    for name, text in TREE.items():
        path = base / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.lstrip("\n"))
    return base / "main.yaml"


def as_hydra(path: Path, overrides: list[str]) -> Any:
    """What Hydra's own application makes of it."""
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from omegaconf import OmegaConf

    with initialize_config_dir(str(path.parent), version_base="1.3"):
        return OmegaConf.to_container(hydra_compose(path.stem, overrides), resolve=True)


def ours(path: Path, overrides: list[str]) -> Any:
    """The same without what a campaign file has by default."""
    found = compose(path, overrides)
    found = {name: value for name, value in found.items() if name not in (*BASE, "stop", "run")}
    found["budget"] = {name: value for name, value in found["budget"].items() if value is not None}
    return found


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chosen=st.lists(st.sampled_from(OVERRIDES), unique=True, max_size=4))
def test_composing_gives_what_hydra_gives(tree: Path, chosen: list[str]) -> None:
    from hydra.errors import HydraException

    try:
        wanted = as_hydra(tree, chosen)
    except HydraException:
        with pytest.raises(NotAcceptable):
            compose(tree, chosen)
        return
    assert ours(tree, chosen) == wanted


def test_nothing_of_hydra_is_left_behind(tree: Path) -> None:
    from hydra.core.global_hydra import GlobalHydra

    compose(tree, ["policy=one"])
    assert not GlobalHydra.instance().is_initialized()


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "campaign.yaml"
    path.write_text(text)
    return path


WHOLE = "name: t\nbudget: {evaluations: 3}\nenvironment: {_target_: x.E}\npolicy: {_target_: x.P, n: 1}\n"


def test_overrides_change_what_the_file_leaves_out_too(tmp_path: Path) -> None:
    found = read_campaign_file(write(tmp_path, WHOLE), ["seed=4", "stop.successes=2", "run.directors=2", "parallel=3"])
    assert (found.seed, found.stop.successes, found.run, found.parallel) == (4, 2, {"directors": 2}, 3)


@pytest.mark.parametrize(
    ("text", "overrides", "said"),
    [
        (WHOLE, ["seed=1,2"], "is a sweep"),
        (WHOLE, ["policy.m=1"], r"use \+policy.m=1"),
        (WHOLE, ["policy/planner=nope"], "policy/planner"),
        (WHOLE, ["budget.evaluations=0"], "budget.evaluations: Input should be greater than or equal to 1, got 0"),
        (WHOLE, ["seed=x"], "seed: Input should be a valid integer, got 'x'"),
        (WHOLE, ["+epsiodes=3"], "epsiodes: is not known. Did you mean 'episodes'"),
        (WHOLE, ["+budget.evaluation=3"], "budget.evaluation: is not known. Did you mean 'evaluations'"),
        (WHOLE.replace("name: t\n", ""), [], "name: is required"),
        (WHOLE + "name: twice\n", [], r"campaign.yaml:5:1: is no YAML \(found duplicate key name\)"),
        (WHOLE + "x: [1\n", [], r"campaign.yaml:6:1: is no YAML"),
        (WHOLE + "x: " + "[" * 5_000, [], "campaign.yaml: is nested too deeply"),
        (WHOLE + "x: !!int abc\n", [], "campaign.yaml: has a value that is not what its tag says"),
        (WHOLE + "x: !!timestamp abc\n", [], "campaign.yaml: has a value that is not what its tag says"),
        (WHOLE + "#" * 2_000_000, [], "campaign.yaml: is larger than 2 MB"),
        (WHOLE + "defaults: {a: b}\n", [], "defaults"),
        ("defaults:\n  - nothing: here\n" + WHOLE, [], "nothing/here"),
        ("defaults:\n  - ../../etc: passwd\n" + WHOLE, [], "etc"),
        (WHOLE + "seed: ${no.such}\n", [], "no.such"),
        (WHOLE.replace("name: t", "name: ???"), [], "name"),
        ("- 1\n", [], "mapping"),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(tmp_path: Path, text: str, overrides: list[str], said: str) -> None:
    with pytest.raises(NotAcceptable, match=said):
        read_campaign_file(write(tmp_path, text), overrides)


@pytest.mark.parametrize(
    "text",
    [
        "${oc.env:HOME}",
        "a ${oc.decode:'1'} b",
        "${oc.env:X,${name}}",
        "${a.${oc.env:X}}",
        "${oc.create:{a: 1}}",
        "${:x",
    ],
)
def test_no_resolver_is_called_wherever_it_stands(tmp_path: Path, text: str) -> None:
    assert calls_resolver(text)
    for body, overrides in (
        (f'{WHOLE}goal: "{text}"\n', []),
        (f'defaults:\n  - policy: "{text}"\n{WHOLE}', []),
        (WHOLE, [f"goal='{text}'"] if "'" not in text else [f'goal="{text}"']),
    ):
        with pytest.raises(NotAcceptable, match=r"resolver|Error|\$"):
            read_campaign_file(write(tmp_path, body), overrides)


def test_a_value_may_stand_for_another_one(tmp_path: Path) -> None:
    assert not calls_resolver("${name}")
    assert not calls_resolver("${.sibling} and ${a.b[0]}")
    found = read_campaign_file(write(tmp_path, WHOLE + "goal: about ${name}\n"))
    assert found.goal == "about t"


def test_yaml_makes_plain_values_only(tmp_path: Path) -> None:
    with pytest.raises(NotAcceptable):
        read_campaign_file(write(tmp_path, WHOLE + "goal: !!python/object/apply:os.system ['true']\n"))


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotAcceptable, match="is not there"):
        read_campaign_file(tmp_path / "none.yaml")
    with pytest.raises(NotAcceptable, match="no YAML file by its name"):
        read_campaign_file(tmp_path / "none.txt")


def test_groups_beside_the_file_come_before_those_that_ship(tmp_path: Path) -> None:
    (shipped, *_) = sorted(SHIPPED.glob("policy/planner/*.yaml"))
    mine = tmp_path / "policy/planner" / shipped.name
    mine.parent.mkdir(parents=True)
    mine.write_text("_target_: x.Mine\n")
    head = f"defaults:\n  - policy/planner: {shipped.stem}\n"
    text = head + WHOLE.replace("policy: {_target_: x.P, n: 1}\n", "policy: {_target_: x.P}\n")
    assert compose(write(tmp_path, text))["policy"]["planner"] == {"_target_": "x.Mine"}
    mine.unlink()
    assert compose(write(tmp_path, text))["policy"]["planner"] != {"_target_": "x.Mine"}
