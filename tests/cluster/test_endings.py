"""However a run ends, no process of it is left on any node, within ten seconds where the machine is not busy."""

import pytest

from tests.cluster.runs import DIRECTOR, batch, sleeps, submit
from tests.helpers import alive, end_all, wait_until

GONE_S = 40.0


def cancel_the_job(run):
    run.job.cancel()


def kill_client_and_directors(run):
    end_all([*run.cluster.pids("node1", str(DIRECTOR), "--run-dir"), *directors(run)])


def directors(run):
    return run.cluster.pids("node1", "director.process")


def kill_everything_on_the_lead_node(run):
    run.cluster.kill_node("node1")


def pull_the_lead_nodes_cable(run):
    run.cluster.run("login", ["ip", "link", "set", "to-node1", "down"])


@pytest.mark.parametrize("launcher", ["srun", "hydra", "openmpi"])
@pytest.mark.parametrize("ending", [cancel_the_job, kill_client_and_directors], ids=lambda ending: ending.__name__)
def test_no_worker_is_left(cluster, tmp_path, ending, launcher):
    run = submit(cluster, tmp_path / "r", batch(sleeps(40, 1.0), pool={"launcher": launcher}))
    run.until(4)
    before = {name: pids for name, pids in run.processes().items() if pids}
    assert set(before) == set(cluster.nodes)
    ending(run)
    wait_until(lambda: not run.left(), GONE_S, "the end of all")
    run.job.cancel()
    run.job.wait(60)


def test_what_killed_directors_have_started_ends_with_them_and_others_take_their_place(cluster, tmp_path):
    run = submit(cluster, tmp_path / "r", batch(sleeps(12, 1.0)))
    run.until(4)
    before = {pid for name in cluster.nodes for pid in run.workers(name)}
    assert len(before) >= len(cluster.nodes)
    end_all(directors(run))
    wait_until(lambda: not any(alive(pid) for pid in before), GONE_S, "the end of all that they had started")
    code, outcomes = run.end()
    assert code == 0, run.told()
    assert len({outcome["id"] for outcome in outcomes}) == len(run.ledgered()) == 12
    wait_until(lambda: not run.left(), GONE_S, "the end of all")


def test_no_worker_is_left_after_a_job_that_ends_by_itself(cluster, tmp_path):
    run = submit(cluster, tmp_path / "r", batch(sleeps(8, 0.2)))
    code, _ = run.end()
    assert code == 0
    wait_until(lambda: not run.left(), GONE_S, "the end of all")


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
