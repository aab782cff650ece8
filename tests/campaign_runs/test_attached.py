"""A campaign on Directors that somebody else holds open: killed there, it goes on there, and they stay."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from director import Fleet
from director.history import read_history
from director.runfolder import RunFolder
from tests.campaign_runs import test_killed_campaigns as killed

place = killed.place


@pytest.mark.timeout(1200)
async def test_a_campaign_uses_the_directors_of_an_open_run_and_goes_on_after_a_kill(place: Path) -> None:
    async with Fleet.launch(2, 2, run_dir=place / "run", workers_per_node=1) as fleet:
        words = ["run", "killed.yaml", "--run", "run", "--run-dir", "killed"]
        await asyncio.to_thread(killed.killed_after, place, 3, words)
        await asyncio.to_thread(killed.told, place, "resume", "killed", "--run", "run")
        assert (await fleet.run("mock_md", duration_s=0.0)).status == "ok"  # they are still there
    outcomes = read_history(RunFolder(place / "run")).outcomes
    assert len({outcome.id for outcome in outcomes}) == len(outcomes) == 24 + 1
    killed.told(place, "run", "killed.yaml", "--run-dir", "whole", "--site", "processes")
    assert killed.evaluations(place, "killed") == killed.evaluations(place, "whole")
