"""`director tune`, and what `director run` takes from it, as a user types them."""

import json
import os
import subprocess
import sys

import pytest

from director.batch import read_batch
from director.cli.tuned import tuned
from director.runfolder import RunFolder
from director.tuning_store import TuningStore
from simulations.tool import find_tools

BATCH = "requests:\n  - {tool: mock_md, inputs: {duration_s: 0.1}, repeat: 2}\n"
CORES = len(os.sched_getaffinity(0))


def director(*words, cwd, code=0):
    done = subprocess.run(
        [sys.executable, "-m", "director", *map(str, words)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=150,
        env={**os.environ, "DIRECTOR_HOME": str(cwd / "home")},
    )
    assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A folder in which a batch was tuned, and what the command printed."""
    folder = tmp_path_factory.mktemp("tune")
    (folder / "batch.yaml").write_text(BATCH)
    return folder, director("tune", "batch.yaml", "--seconds", "12s", "--json", cwd=folder)


def test_tune_measures_what_runs_at_once_and_writes_the_choice_down(measured):
    folder, done = measured
    said = json.loads(done.stdout)
    assert said["settings"]["workers_per_node"] == CORES  # those who sleep do not disturb each other
    assert said["unit"] == "s/s"
    assert said["throughput"] == pytest.approx(CORES, rel=0.15)
    assert said["measured"][0]["relative"] == 1.0
    assert said["kept_in"] == str(folder / "home" / "tuning.json")
    (entry,) = TuningStore(folder / "home").read()
    assert entry.machine.cores == CORES
    assert "building" in done.stderr


def test_a_run_goes_by_it_and_says_so(measured):
    folder, _ = measured
    done = director("run", "batch.yaml", "--run-dir", "run", "--no-report", "--json", cwd=folder)
    assert "tuning: " in done.stderr.splitlines()[0]
    assert "--no-tuning" in done.stderr.splitlines()[0]
    record = RunFolder(folder / "run").read()
    assert record.tuning.settings.workers_per_node == record.pool.workers_per_node == CORES
    assert record.tuning.settings.threads_per_worker == record.pool.threads_per_worker == 1
    assert record.workers == [CORES]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"workers_per_node": 1}, ""),
        ({"threads_per_worker": 2}, ""),
        ({"pool": {"lead_workers": 1}}, ""),
        ({"nodes": 2}, "none is used"),
        ({"accelerators": ["0"]}, "none is used"),
    ],
)
def test_a_run_whose_user_said_how_many_or_that_has_other_nodes_does_not(measured, monkeypatch, asked, said):
    folder, _ = measured
    monkeypatch.setenv("DIRECTOR_HOME", str(folder / "home"))
    lines = []
    what = read_batch(folder / "batch.yaml", find_tools())
    given = {"allocation": "local", "directors": 1, "nodes": None, "accelerators": None, "pool": {}, **asked}
    assert tuned(what, given, lines.append) == {}
    assert said in "".join(lines)
    assert bool(lines) == bool(said)


def test_what_cannot_be_measured_is_refused_with_what_can(tmp_path):
    (tmp_path / "batch.yaml").write_text(BATCH)
    refused = director("tune", "batch.yaml", "--request", "2", "--json", cwd=tmp_path, code=2)
    assert "0 to 1" in refused.stderr
    (tmp_path / "one.yaml").write_text("requests:\n  - {tool: mock_md, inputs: {duration_s: 1, crash: error}}\n")
    failed = director("tune", "one.yaml", "--seconds", "10s", cwd=tmp_path, code=3)
    assert "it was told to crash" in failed.stderr
    assert not (tmp_path / "home").exists()
