"""However a run ends, no process of it is left on any node, within ten seconds."""

import os
import signal

import pytest

from tests.cluster.runs import batch, sleeps, submit
from tests.helpers import wait_until

GONE_S = 10.0


def cancel_the_job(run):
    run.job.cancel()


def kill_the_directors(run):
    for pid in run.cluster.pids("node1", "director.process"):
        os.kill(pid, signal.SIGKILL)


def kill_everything_on_the_lead_node(run):
    run.cluster.kill_node("node1")


def pull_the_lead_nodes_cable(run):
    run.cluster.run("login", ["ip", "link", "set", "to-node1", "down"])


@pytest.mark.parametrize("launcher", ["srun", "hydra", "openmpi"])
@pytest.mark.parametrize("ending", [cancel_the_job, kill_the_directors], ids=lambda ending: ending.__name__)
def test_no_worker_is_left(cluster, tmp_path, ending, launcher):
    run = submit(cluster, tmp_path / "r", batch(sleeps(40, 1.0), pool={"launcher": launcher}))
    run.until(4)
    before = {name: pids for name, pids in run.processes().items() if pids}
    assert set(before) == set(cluster.nodes)
    ending(run)
    wait_until(lambda: not run.left(), GONE_S, f"the end of {run.left()}")
    run.job.cancel()
    run.job.wait(60)


def test_no_worker_is_left_after_a_job_that_ends_by_itself(cluster, tmp_path):
    run = submit(cluster, tmp_path / "r", batch(sleeps(8, 0.2)))
    code, _ = run.end()
    assert code == 0
    wait_until(lambda: not run.left(), GONE_S, f"the end of {run.left()}")


# Last, since they take the lead node away.
@pytest.mark.parametrize("ending", [pull_the_lead_nodes_cable, kill_everything_on_the_lead_node],
                         ids=lambda ending: ending.__name__)  # fmt: skip
def test_no_worker_is_left_on_other_nodes_when_the_lead_node_is_gone(cluster, tmp_path, ending):
    run = submit(cluster, tmp_path / "r", batch(sleeps(60, 1.0)))
    run.until(4)
    ending(run)
    others = [name for name in cluster.nodes if name != "node1"]
    wait_until(lambda: not any(run.workers(name) for name in others), GONE_S, "the end of all workers")
    if ending is pull_the_lead_nodes_cable:
        cluster.run("login", ["ip", "link", "set", "to-node1", "up"])
        run.job.cancel()
        run.job.wait(60)
