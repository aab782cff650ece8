"""``director campaign``: what it refuses, what it prints, and its exit codes. Without Directors, to be quick."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from director.cli.app import app

TOYS = Path(__file__).parents[2] / "campaigns" / "toys.py"

WHOLE = """
name: toys
modules: [toy_parts]
parallel: 2
budget: {evaluations: 4}
environment: {_target_: toy_parts.Line}
policy:
  _target_: campaigns.Workflow
  planner: {_target_: toy_parts.Everywhere}
  generator: {_target_: toy_parts.Numbers}
  filter: {_target_: campaigns.stages.UniqueFilter}
  scorer: {_target_: campaigns.stages.RandomSelector}
run: {workers_per_node: 2}
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a campaign file, and its module beside it."""
    shutil.copy(TOYS, tmp_path / "toy_parts.py")
    (tmp_path / "toys.yaml").write_text(WHOLE)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("toy_parts", None)


def director(*words: str) -> Result:
    return CliRunner().invoke(app, ["campaign", *words])


def run(*words: str) -> Result:
    return director("run", "toys.yaml", "--site", "processes", "--run-dir", "c", *words)


def shown(folder: str = "c") -> dict[str, Any]:
    return dict(json.loads(director("show", folder, "--json").stdout))


def test_a_campaign_runs_and_shows_what_it_found(place: Path) -> None:
    result = run("--json")
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert [one["evaluated"] for one in said["episodes"]] == [4]
    assert "4/4 evaluated" in result.stderr
    document = shown()
    assert document["ended"]
    assert document["goal"] == "the number that is looked for"
    assert {"candidate", "score", "result", "status"} <= document["evaluations"][0].keys()
    text = json.dumps(document["evaluations"])
    ids = [one.stem for one in (place / "c/local/outcomes").glob("*.json")]
    assert len(ids) == 4
    assert not any(name in text for name in (*ids, os.uname().nodename, "slept_s", "clock_s", '"at"'))
    decisions = json.loads(director("show", "c", "--json", "--decisions").stdout)["decisions"]
    assert decisions[1]["outcomes"]
    assert decisions[0]["cost"] == {"plans": 1}
    assert "toys" in director("show", "c").stdout


def test_equal_campaigns_show_equal_evaluations(place: Path) -> None:
    assert run().exit_code == 0
    assert director("run", "toys.yaml", "--site", "processes", "--run-dir", "d").exit_code == 0
    assert shown("c")["evaluations"] == shown("d")["evaluations"]


def test_a_failed_evaluation_is_exit_code_1(place: Path) -> None:
    (place / "toys.yaml").write_text(WHOLE.replace("toy_parts.Line}", "toy_parts.Line, tool: none}"))
    result = run("--json", "stop.failures_in_a_row=3", "budget.evaluations=9")
    assert result.exit_code == 1
    (episode,) = json.loads(result.stdout)["episodes"]
    assert episode["ended"] == "failures"
    assert "Refused: tool: 'none' is not known" in episode["reason"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["budget.evaluations=0"], "budget.evaluations"),
        (["policy.planner._target_=toy_parts.Everywher"], "Did you mean 'toy_parts.Everywhere'"),
        (["policy.planner._target_=os.system"], "nor in a module that this file names"),
        (["+policy.planner.num_candidats=3"], "Did you mean 'num_candidates'"),
        (["+environment.size=0"], "0 numbers are none to choose from"),
        (["+run.director=3"], "run.director"),
        (["seed=1,2"], "is a sweep"),
        (["~policy"], "Could not delete 'policy'"),
    ],
)
def test_what_is_wrong_is_refused_before_anything_starts(place: Path, words: list[str], said: str) -> None:
    result = run(*words)
    assert result.exit_code == 2, result.output
    assert said in " ".join(result.stderr.split())
    assert not (place / "c" / "campaign.json").exists()


def test_a_folder_that_is_taken_is_refused_and_resumed(place: Path) -> None:
    assert run().exit_code == 0
    before = shown()
    again = run()
    assert again.exit_code == 2
    assert "director campaign resume" in again.stderr
    assert director("resume", "c").exit_code == 0
    assert shown() == before


def test_a_changed_campaign_file_is_refused_with_the_difference(place: Path) -> None:
    assert run("seed=5").exit_code == 0
    (place / "toys.yaml").write_text(WHOLE.replace("evaluations: 4", "evaluations: 6"))
    result = director("resume", "c", "--json")
    assert result.exit_code == 2
    assert "budget.evaluations: 4 → 6" in json.loads(result.stderr)["refused"][0]["message"]
    (place / "toys.yaml").write_text(WHOLE.replace("workers_per_node: 2", "workers_per_node: 1"))
    assert director("resume", "c").exit_code == 0
    (place / "toys.yaml").unlink()
    assert director("resume", "c").exit_code == 0


def test_a_folder_without_a_campaign_is_refused(place: Path) -> None:
    for words in (("show", "none"), ("resume", "none"), ("report", "none")):
        result = director(*words)
        assert result.exit_code == 2
        assert "there is no campaign in this folder" in " ".join(result.stderr.split())


def test_check_prints_what_a_file_comes_to_and_starts_nothing(place: Path) -> None:
    result = director("check", "toys.yaml", "seed=9", "--json")
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    assert document["seed"] == 9
    assert document["goal"] == "the number that is looked for"
    assert sorted(one.name for one in place.iterdir() if one.name != "__pycache__") == ["toy_parts.py", "toys.yaml"]


def test_components_are_listed(place: Path) -> None:
    result = director("components", "--module", "toy_parts", "--json")
    assert result.exit_code == 0, result.output
    names = {one["target"] for one in json.loads(result.stdout)}
    assert {"campaigns.Workflow", "campaigns.stages.RandomSelector", "toy_parts.Line"} <= names
    assert director("components", "--module", "no_such").exit_code == 2
