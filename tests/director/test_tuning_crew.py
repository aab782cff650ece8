"""Measuring with real processes. The Tool sleeps, so that it takes no processor time."""

import os
from pathlib import Path

import pytest

from director.tuning import Candidate
from director.tuning_crew import Crew, MeasureError, Work
from director.tuning_run import Place, race
from partitions.allocation import Node
from partitions.bindings import Owned
from simulations.mock_md import TOOL, MockRequest

CORES = tuple(sorted(os.sched_getaffinity(0)))
MPS = """#!/bin/sh
if [ "$1" = -d ]; then echo started >> "$MPS_SEEN"; else read -r word; echo "$word" >> "$MPS_SEEN"; fi
"""


def work(**inputs):
    assert TOOL.rehearsal is not None
    return Work("mock_md", TOOL.rehearsal(MockRequest(duration_s=1.0, **inputs)).model_dump(mode="json"))


def environments():
    """Environments of the probes that live."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if b"director.tuning_probe" in (folder / "cmdline").read_bytes().split(b"\0"):
                found.append((int(folder.name), dict(_pairs((folder / "environ").read_bytes()))))
        except OSError:
            continue
    return found


def _pairs(block):
    return [entry.split(b"=", 1) for entry in block.split(b"\0") if b"=" in entry]


def mine(mark):
    return [(pid, said) for pid, said in environments() if said.get(b"TUNING_TEST") == mark]


def test_those_that_share_a_gpu_by_mps_find_its_daemon_and_it_is_ended_with_them(tmp_path):
    program = tmp_path / "bin" / "nvidia-cuda-mps-control"
    program.parent.mkdir()
    program.write_text(MPS)
    program.chmod(0o755)
    seen = tmp_path / "seen"
    environment = {
        **os.environ,
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "MPS_SEEN": str(seen),
        "TUNING_TEST": "mps",
        "CUDA_VISIBLE_DEVICES": "5",
    }
    place = Place((Node("n1", CORES, ("0",)),), named=False, cores_here=CORES, environment=environment)
    probes = []

    def told(candidate, what):
        if candidate is not None:
            probes.append((candidate, what, mine(b"mps")))

    wanted = Candidate(2, 1, 2, mps=True)
    done = race(work(), place, [wanted], seconds=40, told=told)
    ((candidate, figure, _),) = probes
    assert (candidate, done.choice) == (wanted, wanted)
    assert figure == pytest.approx(2, rel=0.2)
    assert seen.read_text().split() == ["started", "quit"]
    assert mine(b"mps") == []


def test_processes_are_pinned_and_kept_between_measurements_and_end_with_the_crew(tmp_path):
    crew = Crew(work(), tmp_path, {**os.environ, "TUNING_TEST": "kept"})
    try:
        crew.prepare(Owned(CORES, 1), 30)
        for _ in range(2):
            figure = crew.measure([Owned(CORES[-1:], 1)], window_s=0.5, within_s=30, shared_by_mps=False)
            assert figure == pytest.approx(1, rel=0.2)
            ((pid, said),) = mine(b"kept")
            assert os.sched_getaffinity(pid) == {CORES[-1]}
            assert said[b"OMP_NUM_THREADS"] == b"1"
        assert [path.name for path in tmp_path.iterdir()] == ["prepared"]
    finally:
        crew.close()
    assert mine(b"kept") == []


def test_what_fails_while_it_is_measured_says_why(tmp_path):
    crew = Crew(work(crash="error", crash_after_s=0.3), tmp_path, os.environ)
    try:
        crew.prepare(Owned((), 1), 30)
        with pytest.raises(MeasureError, match="told to crash"):
            crew.measure([Owned((), 1)], window_s=5, within_s=30, shared_by_mps=False)
        with pytest.raises(MeasureError, match="told to crash"):  # and the next one is a new process
            crew.measure([Owned((), 1)], window_s=5, within_s=30, shared_by_mps=False)
    finally:
        crew.close()


def test_what_takes_too_long_to_build_is_given_up(tmp_path):
    crew = Crew(work(), tmp_path, os.environ)
    try:
        with pytest.raises(MeasureError, match="longer than"):
            crew.prepare(Owned((), 1), 0.0)
    finally:
        crew.close()
