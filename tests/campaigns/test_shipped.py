"""The groups that ship, the examples, and what the documentation says of them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import yaml

from campaigns.building import Builder, find_component
from campaigns.campaign_file import Budget, CampaignFile, Stop, System
from campaigns.composing import SHIPPED, read_campaign_file
from campaigns.runner import check_components
from director.campaigning.where import read_where

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/reference/campaigns.md").read_text(encoding="utf-8")
FILES = sorted(path.relative_to(SHIPPED).with_suffix("") for path in SHIPPED.rglob("*.yaml"))
NEEDS = {"chemeleon": "chemeleon_dng"}

MAIN = """
defaults:
  - environment: {environment}
  - policy: crystals
  - override policy/{stage}: {option}
  - _self_
name: t
budget: {{evaluations: 1}}
environment: {{elements: [Cu, Au]}}
"""


@pytest.mark.parametrize("name", FILES, ids=str)
def test_every_target_that_ships_is_a_component_with_these_parameters(name: Path) -> None:
    def look(tree: object, place: str) -> None:
        if isinstance(tree, dict):
            if "_target_" in tree:
                find_component(tree["_target_"], (), place)
            for key, value in tree.items():
                look(value, f"{place}.{key}")
        elif isinstance(tree, list):
            for value in tree:
                look(value, place)

    look(yaml.safe_load((SHIPPED / name.with_suffix(".yaml")).read_text()), str(name))


@pytest.mark.parametrize(
    ("stage", "option"),
    [
        *[("planner", one) for one in ("random", "ucb", "unexplored", "iterative", "diversity", "all")],
        *[("generator", one) for one in ("random", "cached")],
        *[("filter", one) for one in ("noop", "unique", "min_distance", "uniqueness", "chain")],
        *[("scorer", one) for one in ("random", "diversity", "chain", "oracle")],
    ],
)
def test_stages_for_crystals_can_be_chosen_by_name(tmp_path: Path, stage: str, option: str) -> None:
    pytest.importorskip("pymatgen")
    path = tmp_path / "main.yaml"
    path.write_text(MAIN.format(environment="crystals", stage=stage, option=option))
    plain = read_campaign_file(path)
    made = Builder().build(plain.policy or {}, "policy")
    assert getattr(made, stage) is not None


def test_a_stage_and_its_parameters_are_replaced_from_the_command_line(tmp_path: Path) -> None:
    path = tmp_path / "main.yaml"
    path.write_text(MAIN.format(environment="crystals", stage="planner", option="random"))
    plain = read_campaign_file(path, ["policy/planner=diversity", "policy.planner.num_compositions=5"])
    assert plain.policy is not None
    assert plain.policy["planner"]["selection_strategy"] == "diversity"
    assert plain.policy["planner"]["num_compositions"] == 5


@pytest.mark.parametrize("path", sorted((ROOT / "examples/campaigns").glob("*.yaml")), ids=lambda path: path.name)
def test_the_examples_can_be_run(path: Path) -> None:
    for package in ("pymatgen", "rdkit", "sklearn"):
        pytest.importorskip(package)
    plain = read_campaign_file(path)
    assert check_components(plain, base=path.parent)
    read_where(plain.run, path.parent)


def test_the_reference_lists_every_group_that_ships() -> None:
    listed = {}
    for line in PAGE.splitlines():
        row = re.match(r"\| `((?:environment|policy)[a-z/]*)` \| (.*) \|$", line)
        if row:
            listed[row[1]] = sorted(re.findall(r"`(\w+)`", row[2]))
    there: dict[str, list[str]] = {}
    for name in FILES:
        there.setdefault(str(name.parent), []).append(name.name)
    assert listed == {group: sorted(names) for group, names in there.items()}


def test_every_key_has_a_meaning() -> None:
    for model in (CampaignFile, Budget, Stop, System):
        assert all(field.description for field in model.model_fields.values())


def test_the_page_on_own_components_shows_the_class_that_is_there() -> None:
    page = (ROOT / "docs/how-to/own-component.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    there = (ROOT / "docs/examples/campaign/my_parts.py").read_text(encoding="utf-8")

    def bare(text: str) -> str:
        tree = ast.parse(text)
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
                node.body = node.body[1:]
        return ast.dump(tree)

    assert bare(shown) == bare(there)
    for file in ("own.yaml", "policy/generator/decorated.yaml"):
        text = yaml.safe_load((ROOT / "docs/examples/campaign" / file).read_text())
        assert text in [yaml.safe_load(one) for one in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)]


def test_the_page_on_campaigns_shows_the_file_that_is_there() -> None:
    page = (ROOT / "docs/how-to/campaign.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert yaml.safe_load(shown) == yaml.safe_load((ROOT / "docs/examples/campaign/cu-au.yaml").read_text())
