"""A real `director campaign run` that is killed with SIGKILL goes on to the same trajectory, and repeats nothing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

TOYS = Path(__file__).parents[1] / "campaigns" / "toys.py"
PATIENCE_S = 400.0

CAMPAIGN = """
name: killed
modules: [toy_parts]
episodes: 2
parallel: 2
budget: {evaluations: 6}
environment: {_target_: toy_parts.Line, duration_s: 0.4}
policies:
  near:
    _target_: campaigns.Workflow
    planner: {_target_: toy_parts.Everywhere}
    generator: {_target_: toy_parts.Numbers}
    filter: {_target_: campaigns.stages.UniqueFilter}
    scorer: {_target_: toy_parts.Near}
  in_turn: {_target_: toy_parts.InTurn, step: 3}
run: {directors: 2, workers_per_node: 1}
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    shutil.copy(TOYS, tmp_path / "toy_parts.py")
    (tmp_path / "killed.yaml").write_text(CAMPAIGN)
    return tmp_path


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "director", "campaign", *words]


def told(place: Path, *words: str) -> str:
    done = subprocess.run(command(*words), cwd=place, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def evaluations(place: Path, folder: str) -> Any:
    return json.loads(told(place, "show", folder, "--json"))["evaluations"]


def observed(place: Path, folder: str) -> int:
    files = (place / folder).glob("episodes/**/record.jsonl")
    return sum(file.read_text().count('"event":"outcome"') for file in files)


def killed_after(place: Path, count: int, words: list[str]) -> None:
    """Starts a campaign, and kills it as soon as so many evaluations are in its record."""
    with (place / "killed.log").open("ab") as log:
        process = subprocess.Popen(command(*words), cwd=place, stdout=log, stderr=log, start_new_session=True)
    give_up = time.monotonic() + PATIENCE_S
    try:
        while observed(place, "killed") < count:
            assert process.poll() is None, (place / "killed.log").read_text()
            assert time.monotonic() < give_up, (place / "killed.log").read_text()
            time.sleep(0.05)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("site", ["processes", "local"])
def test_killed_twice_it_comes_to_the_same_and_repeats_nothing(place: Path, site: str) -> None:
    told(place, "run", "killed.yaml", "--run-dir", "whole", "--site", "processes")
    killed_after(place, 3, ["run", "killed.yaml", "--run-dir", "killed", "--site", site])
    killed_after(place, 9, ["resume", "killed"])
    assert observed(place, "killed") < 24
    told(place, "resume", "killed")
    assert evaluations(place, "killed") == evaluations(place, "whole")
    assert len(evaluations(place, "whole")) == 24
    if site == "local":
        requests = [name for k in (0, 1) for name in _ids(place / f"killed/run/director-{k}/ledger.sqlite")]
        assert len(requests) == len(set(requests)) == 24
    else:
        assert len(list((place / "killed/local/outcomes").glob("*.json"))) == 24


def _ids(ledger: Path) -> list[str]:
    with sqlite3.connect(f"file:{ledger}?mode=ro", uri=True) as db:
        return [name for (name,) in db.execute("SELECT id FROM requests")]


@pytest.mark.timeout(600)
def test_ctrl_c_ends_it_in_order_and_it_goes_on(place: Path) -> None:
    words = command("run", "killed.yaml", "--run-dir", "killed", "--site", "processes", "environment.duration_s=0.8")
    process = subprocess.Popen(words, cwd=place, stderr=subprocess.PIPE, text=True, start_new_session=True)
    give_up = time.monotonic() + PATIENCE_S
    while observed(place, "killed") < 2:
        assert process.poll() is None
        assert time.monotonic() < give_up
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert "director campaign resume killed" in said
    told(place, "resume", "killed")
    assert len(evaluations(place, "killed")) == 24
