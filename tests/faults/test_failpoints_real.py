"""Whole Directors that are killed at a write of their ledger, in the middle of a real batch, again and again."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from director.ledger import SqliteLedger
from director.relaunching import MAX_RELAUNCHES
from simulations.records import Outcome
from tests.cluster.namespaces import all_pids, read
from tests.faults.tracing import CALLS, strace
from tests.faults.world import ALL, Replay
from tests.helpers import alive, wait_until

RUN = (sys.executable, "-m", "director", "run")
PATIENCE_S = 300.0
COUNT = 60
BATCH = f"""
directors: 1
nodes: 2
workers_per_node: 1
requests:
  - tool: mock_md
    inputs: {{duration_s: 0.4}}
    repeat: {COUNT}
"""
# At which write after that moment: at a journal's beginning, in its middle, in the ledger itself, and later.
POINTS = (1, 6, 11, 20, 33)


class Batch:
    """``director run`` in a process of its own."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.folder = folder
        self.ledger = folder / "run" / "director-0" / "ledger.sqlite"
        self._out = folder / f"out-{words[0].strip('-')}"
        self._err = self._out.with_suffix(".err")
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen([*RUN, *words, "--json"], cwd=folder, stdout=out, stderr=err)
        self._killed: set[int] = set()

    @property
    def published(self) -> list[dict[str, Any]]:
        """The Outcomes that it has printed."""
        body = self._out.read_bytes()
        return [json.loads(line) for line in body[: body.rfind(b"\n") + 1].splitlines()]

    @property
    def log(self) -> str:
        """The end of what it has complained of."""
        return self._err.read_text()[-3000:]

    def kill_director(self, number: int) -> None:
        """Kills its Director at the Nth write to the ledger from a moment on at which Outcomes come from it."""
        have = len(self.published)
        wait_until(lambda: len(self.published) >= have + 3 or self._over(), PATIENCE_S, f"Outcomes\n{self.log}")
        assert not self._over(), self.log
        (pid,) = self._directors()
        paths = [word for path in (self.ledger, f"{self.ledger}-journal") for word in ("-P", str(path))]
        inject = ["-e", f"trace={CALLS}", "-e", f"inject={CALLS}:signal=SIGKILL:when={number}"]
        log = self.folder / f"strace-{pid}"
        subprocess.run(
            [strace(), "-f", "-qq", "-o", str(log), *paths, *inject, "-p", str(pid)],
            timeout=PATIENCE_S,
            capture_output=True,
        )
        assert not alive(pid)
        assert "SIGKILL" in log.read_text()
        self._killed.add(pid)

    def ends(self) -> int:
        """Waits for its end and returns its exit code."""
        return self.process.wait(PATIENCE_S)

    def _over(self) -> bool:
        return self.process.poll() is not None

    def _directors(self) -> list[int]:
        own = str(self.process.pid)
        return [
            pid
            for pid in all_pids()
            if "director.process" in read(pid, "cmdline")
            and read(pid, "stat").rpartition(")")[2].split()[1:2] == [own]
            and pid not in self._killed
        ]


@pytest.fixture
def batches(tmp_path: Path) -> Iterator[Any]:
    """Starts batches, and ends them."""
    started: list[Batch] = []

    def start(*words: str) -> Batch:
        started.append(Batch(tmp_path, *words))
        return started[-1]

    yield start
    for batch in started:
        batch.process.kill()
        batch.process.wait()


@pytest.mark.timeout(3600)
def test_a_batch_whose_director_is_killed_at_writes_of_its_ledger_has_one_outcome_of_each_request(batches, tmp_path):
    (tmp_path / "batch.yaml").write_text(BATCH)
    first = batches("batch.yaml", "--run-dir", "run")
    for number in POINTS[: MAX_RELAUNCHES + 1]:
        first.kill_director(number)
    assert first.ends() == 3, "it was killed more often than it is launched again"
    assert "SIGKILL" in first.log
    second = batches("--resume", "run")
    for number in POINTS[MAX_RELAUNCHES + 1 :]:
        second.kill_director(number)
    assert second.ends() == 0, second.log

    reader = SqliteLedger(first.ledger)
    entries, events = reader.page(0, ALL), reader.events(0, ALL)
    outcomes = {entry.id: Outcome.model_validate_json(entry.body) for entry in entries}
    Replay(events).equals(reader, entries, outcomes)
    reader.close()
    assert len(entries) == len(outcomes) == COUNT
    assert {outcome.status.value for outcome in outcomes.values()} == {"ok"}
    for printed in [*first.published, *second.published]:
        assert Outcome.model_validate(printed) == outcomes[printed["id"]], "what was printed is not in the ledger"
    assert {event.life for event in events} == set(range(1, len(POINTS) + 2)), "as many lives as kills, and the last"
