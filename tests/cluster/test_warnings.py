"""A scheduler says that it is about to end the job: what runs is saved, whichever processes hear of it."""

import pytest

from director.ledger import read_events
from director.runfolder import RunFolder
from tests.cluster.cluster import Cluster
from tests.cluster.runs import batch, sleeps, submit
from tests.helpers import wait_until

LONG_S = 600.0
HALVES = [["node1", "node2"], ["node3", "node4"]]


def long_run(cluster, folder, launcher, **options):
    """A run whose Requests, one for each node, take longer than any job; returns when all of them work."""
    run = submit(cluster, folder, batch(sleeps(4, LONG_S), pool={"launcher": launcher}), **options)
    work = "director-*/work/*/progress.json"
    wait_until(lambda: len(list(run.run_folder.glob(work))) == 4, 90, "all four to work")
    return run


def endings(run):
    """What the Directors said in the end; all that ran was saved, and nothing of the run is left."""
    folder = RunFolder(run.run_folder)
    found = []
    for index in range(len(HALVES)):
        told = read_events(folder.ledger(index))
        paused = [event.data for event in told if event.kind == "interrupted"]
        assert [data["ended"] for data in paused] == ["paused", "paused"], run.told()
        # On a machine that is too busy to save in time a worker is ended by its Director, and not by the scheduler.
        ended_here = ["its worker was ended" in (data.get("reason") or "") for data in paused]
        saved = [data["course"].get("saved_amount", 0) > 0 for data in paused]
        assert all(map(max, ended_here, saved)), paused
        (ended,) = (event.data for event in told if event.kind == "ended")
        assert (ended["paused"], ended["queued"]) == (2, 0), run.told()
        found.append(ended["reason"])
    wait_until(lambda: not run.left(), 20, f"the end of {run.left()}")
    return found


def assert_warned(run, number):
    """The run ends because nodes of each Director were warned, and tells what is left to do."""
    code, outcomes = run.end(90)
    assert (code, outcomes) == (1, []), run.told()
    for reason, nodes in zip(endings(run), HALVES, strict=True):
        assert any(reason.startswith(f"the scheduler warned the nodes: {number} on {name}") for name in nodes)
    assert '"done": 0, "paused": 4, "queued": 0' in run.job.output


# Open MPI's daemons end of SIGTERM, and what they have started with them; and none of them is on the lead node.
@pytest.mark.parametrize(("number", "launcher"), [("USR1", "hydra"), ("USR1", "openmpi"),
                                                  ("TERM", "srun"), ("TERM", "hydra")])  # fmt: skip
def test_a_signal_to_the_steps_alone_has_the_directors_save_what_runs(cluster, tmp_path, number, launcher):
    run = long_run(cluster, tmp_path / "r", launcher)
    cluster.run("login", ["scancel", f"--signal={number}", run.job.id])
    assert_warned(run, f"SIG{number}")


def test_so_does_slurms_early_signal_to_the_steps(cluster, tmp_path):
    """Slurm looks at its jobs twice a minute: it sends the signal 45 to 75 s after the job's start."""
    run = long_run(cluster, tmp_path / "r", "srun", args=["--time=2", "--signal=USR1@45"])
    assert_warned(run, "SIGUSR1")
    assert run.job.wait(60) == "COMPLETED"


@pytest.mark.parametrize("launcher", ["srun", "hydra"])
def test_a_job_that_is_cancelled_has_time_to_save_what_runs_before_it_is_killed(tmp_path, launcher):
    """SIGTERM to all processes of the job; and SIGKILL after the time that Slurm gives by default."""
    configuration = tmp_path / "c" / "slurm.conf"
    with Cluster(tmp_path / "c", pbs=False, setup=f"sed -i s/KillWait=.*/KillWait=30/ {configuration}") as cluster:
        run = long_run(cluster, tmp_path / "r", launcher)
        run.job.cancel()
        assert run.job.wait(60) == "CANCELLED"
        assert all("SIGTERM" in reason for reason in endings(run))
    assert cluster.leftovers() == []
