"""Launchers that do not do what they should: clear errors, within the deadline, and nothing is left."""

import time

import pytest

from tests.cluster.runs import batch, sleeps, submit

TIMEOUT_S = 8
DEFAULT_S = 120
KNOWN = 'if [ "$1" = --version ]; then echo "HYDRA build details:"; exit; fi\n'
LAUNCHERS = {
    "hangs": (KNOWN + "echo waiting for proxies; exec sleep 600", "openmpi"),
    "wrong host": (KNOWN + 'while [ "$1" != none ]; do shift; done; shift\n'
                   'exec srun --overlap --nodes=1 --ntasks=1 --nodelist=node4 --quiet "$@"', "hydra"),
    "fails": (KNOWN + "echo no proxy found >&2; exit 5", "hydra"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("how", "messages"),
    [
        ("hangs", [f"hydra started no worker pool there within {TIMEOUT_S} s", "its output ends: waiting for proxies"]),
        ("wrong host", ["hydra started workers on node4, where it was not told to: Partition (node"]),
        ("fails", ["hydra ended with exit code 5 before a worker pool began; its output ends: no proxy found"]),
    ],
)
def test_a_launcher_that_starts_no_workers_where_it_should_is_a_clear_error(cluster, tmp_path, how, messages):
    program = tmp_path / "mpiexec"
    program.write_text(f"#!/bin/bash\n{LAUNCHERS[how][0]}\n")
    program.chmod(0o755)
    timeout_s = TIMEOUT_S if how == "hangs" else DEFAULT_S  # the others are found out, however slow all is
    pool = {"launcher": "hydra", "launcher_program": str(program), "startup_timeout_s": timeout_s}
    begin = time.monotonic()
    run = submit(cluster, tmp_path / "r", batch(sleeps(2, 0.0), pool=pool))
    code, outcomes = run.end()
    assert (code, outcomes) == (3, [])
    assert time.monotonic() - begin < DEFAULT_S
    for message in messages:
        assert message in " ".join(run.job.output.split())
    assert run.left() == {}


def test_a_launcher_that_is_not_installed_is_refused_before_anything_starts(cluster, tmp_path):
    pool = {"launcher": "hydra", "launcher_program": "mpiexec.nowhere"}
    run = submit(cluster, tmp_path / "r", batch(sleeps(2, 0.0), pool=pool))
    code, _ = run.end()
    assert code == 2
    assert "hydra is not installed: mpiexec.nowhere is not in the search path" in " ".join(run.job.output.split())
    assert not run.run_folder.exists()
