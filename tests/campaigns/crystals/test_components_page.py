"""The page on components names each of them, with its parameters and their defaults; its example can be built."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import campaigns
from campaigns import crystals, stages
from campaigns.building import Builder
from campaigns.crystals.strategies import STRATEGIES

PAGE = Path(__file__).parents[3] / "docs" / "campaigns" / "components.md"
NO_COMPONENTS = {"Crystal", "Hull"}


def described() -> dict[str, dict[str, str]]:
    """For each component its parameters, each with what the page says of its default."""
    found = {}
    for block in re.split(r"(?m)^### ", PAGE.read_text())[1:]:
        title, _, body = block.partition("\n")
        table = body.partition("| parameter | default | meaning |")[2].partition("\n\n")[0]
        found[title.strip("`")] = dict(re.findall(r"(?m)^\| `(\w+)` \| (needed|`[^`]*`) \| \S", table))
    return found


def written(default: Any) -> str:
    if default is inspect.Parameter.empty:
        return "needed"
    return f"`{yaml.safe_dump(default, default_flow_style=True).removesuffix('...' + chr(10)).strip()}`"


def shipped() -> dict[str, type]:
    here = {f"campaigns.crystals.{name}": getattr(crystals, name) for name in crystals.__all__}
    here |= {f"campaigns.stages.{name}": getattr(stages, name) for name in stages.__all__}
    here["campaigns.Workflow"] = campaigns.Workflow
    return {name: cls for name, cls in here.items() if name.rpartition(".")[2] not in NO_COMPONENTS}


def test_every_component_is_described_and_nothing_else() -> None:
    assert sorted(described()) == sorted(shipped())


@pytest.mark.parametrize("name", sorted(shipped()))
def test_parameters_and_defaults_are_those_of_the_class(name: str) -> None:
    signature = inspect.signature(shipped()[name])
    defaults = {one.name: written(_listed(one.default)) for one in signature.parameters.values()}
    assert described()[name] == defaults


def _listed(default: Any) -> Any:
    return list(default) if isinstance(default, tuple) else default


def test_the_strategies_in_the_table_are_those_that_there_are() -> None:
    table = PAGE.read_text().partition("| strategy |")[2].partition("\n\n")[0]
    rows = re.findall(r"(?m)^\| `(\w+)` \| [^|]+ \| ([^|]+) \|$", table)
    told = dict(rows)
    assert sorted(told) == sorted(STRATEGIES)
    for name, parameters in told.items():
        expected = list(inspect.signature(STRATEGIES[name]).parameters)
        assert re.findall(r"`(\w+)`", told["random"] if parameters == "the same" else parameters) == expected


def test_the_example_can_be_built() -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    policy = Builder(seed=1).build(yaml.safe_load(block)["policy"], "policy")
    assert isinstance(policy, campaigns.Workflow)


def test_what_is_heavy_is_loaded_only_by_those_who_need_it() -> None:
    heavy = {"pymatgen", "smact", "ase", "scipy", "torch", "chemeleon_dng"}
    code = f"import sys, campaigns.crystals; print(sorted({heavy!r} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
