"""Real campaigns on two Directors, killed with SIGKILL in an episode: they come to the same, and repeat nothing."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples" / "campaigns"
PATIENCE_S = 500.0

SMALL = {
    "molecules": [
        "episodes=1",
        "budget.evaluations=8",
        "~policies.ucb",
    ],
    "cu-au": [
        "episodes=1",
        "budget.evaluations=6",
        "environment.max_stoichiometry=2",
        "~policies.random",
        "~policies.ucb",
    ],
}
"""The shipped campaigns, made short."""


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "director", "campaign", *words]


def told(place: Path, *words: str) -> str:
    done = subprocess.run(command(*words), cwd=place, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def trajectory(place: Path, folder: str) -> Any:
    return json.loads(told(place, "show", folder, "--json"))["evaluations"]


def observed(folder: Path) -> int:
    return sum(file.read_text().count('"event":"outcome"') for file in folder.glob("episodes/**/record.jsonl"))


def killed_after(place: Path, count: int, words: list[str]) -> None:
    """Starts a campaign, and kills it once so many evaluations are in its record."""
    log = place / "killed.log"
    with log.open("ab") as stream:
        process = subprocess.Popen(command(*words), cwd=place, stdout=stream, stderr=stream, start_new_session=True)
    give_up = time.monotonic() + PATIENCE_S
    try:
        while observed(place / "killed") < count:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < give_up, log.read_text()
            time.sleep(0.02)
    finally:
        process.kill()
        process.wait()


def finished_attempts(folder: Path) -> dict[str, int]:
    """How often each Request came to an Outcome, in all ledgers."""
    found: dict[str, int] = {}
    for ledger in folder.glob("run/director-*/ledger.sqlite"):
        with sqlite3.connect(f"file:{ledger}?mode=ro", uri=True) as db:
            for (name,) in db.execute("SELECT id FROM requests JOIN outcomes ON outcomes.request = requests.seq"):
                found[name] = found.get(name, 0) + 1
    return found


@pytest.mark.timeout(1500)
@pytest.mark.parametrize("name", sorted(SMALL))
def test_killed_in_an_episode_it_comes_to_the_same_trajectory_and_repeats_nothing(tmp_path: Path, name: str) -> None:
    shutil.copy(EXAMPLES / f"{name}.yaml", tmp_path)
    words = [f"{name}.yaml", *SMALL[name]]
    told(tmp_path, "run", *words, "--run-dir", "whole", "--site", "processes")
    whole = trajectory(tmp_path, "whole")
    killed_after(tmp_path, 3, ["run", *words, "--run-dir", "killed"])
    assert 3 <= observed(tmp_path / "killed") < len(whole)
    told(tmp_path, "resume", "killed")
    assert trajectory(tmp_path, "killed") == whole
    counts = finished_attempts(tmp_path / "killed")
    assert len(counts) == len(whole)
    assert set(counts.values()) == {1}
    assert all(one["status"] == "ok" for one in whole)
    told(tmp_path, "report", "killed")
    summary = json.loads((tmp_path / "killed" / "summary.json").read_text())
    assert summary["unfinished_episodes"] == 0
    assert (tmp_path / "killed" / "report.html").is_file()
