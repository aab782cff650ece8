"""Nodes that are lost during a batch: what is said of them, and what becomes of them when they come back."""

import json
import re
import time

import pytest

from tests.cluster.breaking import NOTICED_S, began_on_node2, kill_node, mend, pull_the_cable
from tests.cluster.cluster import Cluster
from tests.cluster.runs import batch, seconds, sleeps, submit
from tests.helpers import end_all, wait_until


@pytest.fixture(autouse=True)
def whole(cluster):
    """What a test has killed or cut off comes back for the next one."""
    yield
    mend(cluster)


def test_status_shows_each_node_and_since_when_it_is_lost(cluster, tmp_path):
    run = submit(cluster, tmp_path / "r", batch(sleeps(400, 1.0)))
    run.until(4)
    up = dict.fromkeys(cluster.nodes, "up")
    wait_until(lambda: {name: node["state"] for name, node in run.nodes().items()} == up, 60, "all nodes to be up")
    before = run.nodes()
    cluster.kill_node("node2")
    died = time.time()
    wait_until(lambda: is_now(run, "node2", "lost"), 2 * NOTICED_S, "the loss of node2")
    now = {}
    wait_until(lambda: {"node1", "node2"} <= (now.update(run.nodes()) or now.keys()), 2 * NOTICED_S, "an answer")
    assert abs(seconds(now["node2"]["since"]) - died) < NOTICED_S
    # What has ended, or what became of the next try.
    assert re.search("worker pool has ended|before a worker pool began", now["node2"]["reason"])
    assert abs(seconds(now["node1"]["since"]) - seconds(before["node1"]["since"])) < 3  # two clocks, whole seconds
    assert {outcome["status"] for outcome in run.lines()} == {"ok"}
    run.job.cancel()
    run.job.wait(60)


def is_now(run, name, state):
    """Whether a node is in a state; a Director that is too busy to answer says nothing of its nodes."""
    return run.nodes().get(name, {}).get("state") == state


def assert_node2_comes_back(run, leave, come_back):
    """A node that is lost during a batch of 400 Requests and comes back works again, before they are done."""
    run.until(4)
    leave(run)
    wait_until(lambda: is_now(run, "node2", "lost"), 2 * NOTICED_S, "the loss of node2")
    come_back(run)
    back = time.time()
    wait_until(lambda: is_now(run, "node2", "up"), 80, "the return of node2")
    wait_until(lambda: bool(began_on_node2(run.lines(), back)), 40, "work on node2")
    assert {outcome["status"] for outcome in run.lines()} == {"ok"}
    run.job.cancel()
    run.job.wait(60)
    ids = run.ledgered()
    assert len(ids) == len(set(ids))


def test_a_node_that_starts_again_gets_a_new_worker_pool(tmp_path):
    """Under Slurm, if it does so before Slurm has given it up and taken it out of the job."""
    with Cluster(tmp_path / "c", gives_up_s=120) as patient:
        run = submit(patient, tmp_path / "r", batch(sleeps(400, 1.0), directors=1))
        assert_node2_comes_back(run, kill_node, lambda run: run.cluster.start_node("node2"))


def test_a_node_that_was_cut_off_gets_a_new_worker_pool(cluster, tmp_path):
    """Under PBS, whose daemon on the node still knows the job then."""
    run = submit(
        cluster, tmp_path / "r", batch(sleeps(400, 1.0), directors=1, pool={"launcher": "hydra"}), scheduler="pbs"
    )
    plug_in = ["ip", "link", "set", "to-node2", "up"]
    assert_node2_comes_back(run, pull_the_cable, lambda run: run.cluster.run("login", plug_in))


def test_when_all_nodes_of_a_partition_are_gone_its_requests_fail_with_that_reason_at_the_deadline(cluster, tmp_path):
    run = submit(cluster, tmp_path / "r", batch(sleeps(40, 1.0), pool={"node_wait_s": 5}))
    run.until(4)
    cluster.kill_node("node3")
    died = time.time()
    cluster.kill_node("node4")
    code, outcomes = run.end()
    assert code == 1, run.told()
    assert len({outcome["id"] for outcome in outcomes}) == 40
    failed = [outcome for outcome in outcomes if outcome["status"] == "failed"]
    assert failed
    assert {outcome["director"] for outcome in failed} == {1}
    assert len(failed) <= 12  # what it had been given: the others are run elsewhere
    assert all("all nodes of the Partition have been lost for 5 s" in outcome["error"]["message"] for outcome in failed)
    assert min(seconds(outcome["finished_at"]) for outcome in failed) - died >= 5
    assert {outcome["status"] for outcome in outcomes if outcome["director"] == 0} == {"ok"}


def test_losing_nodes_does_not_use_up_the_attempts_of_a_request(cluster, tmp_path):
    """A Request may lose one worker; it loses its node three times, and is run to its end."""
    entry = {"tool": "mock_md", "inputs": {"duration_s": 8.0, "checkpoint_interval_s": 0.5}}
    run = submit(cluster, tmp_path / "r", batch([entry], directors=1, pool={"max_attempts": 1}))
    killed = 0
    for turn in range(3):
        wait_until(lambda last=killed: works(run) > last, 90, f"another attempt to work, after {turn} were lost")
        killed = works(run)
        kill_pool_of(run)
    code, outcomes = run.end()
    assert code == 0, json.dumps(outcomes)
    # More than three, where it was given to a pool that had just been killed with the others.
    *lost, last = (attempt["ended"] for attempt in outcomes[0]["history"])
    assert len(lost) >= 3
    assert set(lost) == {"node_lost"}
    assert last == "ok"


def works(run):
    """The epoch of the attempt that works; 0 if none does."""
    epochs = [json.loads(path.read_bytes())["epoch"] for path in run.run_folder.glob("director-0/work/*/progress.json")]
    return max(epochs, default=0)


def kill_pool_of(run):
    """Kills the worker pools of all nodes: one of them runs the Request."""
    for name in run.cluster.nodes:
        end_all(run.workers(name))
