"""What is killed during a batch, and what becomes of its Requests: all end ok, and none twice."""

import json
import os
import signal
import time

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.machine import ClusterError
from tests.cluster.runs import batch, seconds, sleeps, submit
from tests.cluster.slurm import wait_until_idle
from tests.helpers import wait_until

NOTICED_S = 10.0


@pytest.fixture(autouse=True)
def whole(cluster):
    """What a test has killed or cut off comes back for the next one."""
    yield
    cluster.run("login", ["ip", "link", "set", "to-node2", "up"], check=False)
    for name in cluster.nodes:
        if cluster.node_up(name) and not slurmd_runs(cluster, name):
            cluster.kill_node(name)
        if not cluster.node_up(name):
            cluster.start_node(name)
    wait_until_idle(lambda command: cluster.run("login", command).stdout, len(cluster.nodes), 60)


def slurmd_runs(cluster, name):
    try:
        return cluster.daemon_pid(name, "slurmd") > 0
    except ClusterError:
        return False


def kill_node(run):
    run.cluster.kill_node("node2")


def pull_the_cable(run):
    """No process ends, and no connection is closed: the node is just not heard of again."""
    run.cluster.run("login", ["ip", "link", "set", "to-node2", "down"])


def kill_workers(run):
    for pid in run.workers("node2"):
        os.kill(pid, signal.SIGKILL)


def kill_keeper(run):
    for pid in run.cluster.pids("node2", "keeper.py"):
        os.kill(pid, signal.SIGKILL)


def kill_launcher(run):
    """Of one block: node2's. Each launcher that names it."""
    found = [pid for pid in run.cluster.pids("node1", "block-1.json") if b"keeper.py" in _command(pid)]
    assert found
    for pid in found:
        os.kill(pid, signal.SIGKILL)


def kill_slurmd(run):
    os.kill(run.cluster.daemon_pid("node2", "slurmd"), signal.SIGKILL)


def _command(pid):
    with open(f"/proc/{pid}/cmdline", "rb") as stream:  # noqa: PTH123
        return stream.read()


def assert_nothing_lost(run, count):
    """Ends the run; returns its Outcomes."""
    code, outcomes = run.end()
    assert code == 0, run.told()
    assert {outcome["status"] for outcome in outcomes} == {"ok"}
    ids = run.ledgered()
    assert len(ids) == len(set(ids)) == count
    assert sorted(ids) == sorted(outcome["id"] for outcome in outcomes)
    return outcomes


@pytest.mark.parametrize("launcher", ["srun", "hydra", "openmpi"])
@pytest.mark.parametrize("fault", [kill_node, pull_the_cable, kill_workers, kill_keeper, kill_launcher, kill_slurmd],
                         ids=lambda fault: fault.__name__)  # fmt: skip
def test_whatever_is_killed_all_requests_end_ok_and_none_twice(cluster, tmp_path, fault, launcher, capsys):
    run = submit(cluster, tmp_path / "r", batch(sleeps(24, 1.0), pool={"launcher": launcher}))
    run.until(4)
    fault(run)
    died = time.time()
    outcomes = assert_nothing_lost(run, 24)
    again = [seconds(outcome["started_at"]) - died for outcome in outcomes if outcome["attempts"] > 1]
    with capsys.disabled():
        took = f"its tasks began again after {max(again):.1f} s" if again else "none of its tasks had to begin again"
        print(f"\n  {launcher}, {fault.__name__}: {took}")
    assert all(after <= NOTICED_S for after in again)
    if fault in (kill_node, pull_the_cable):
        assert again
        late = [outcome for outcome in outcomes if seconds(outcome["started_at"]) > died + NOTICED_S]
        assert not [outcome for outcome in late if outcome["host"] == "node2"]


def test_status_shows_each_node_and_since_when_it_is_lost(cluster, tmp_path):
    run = submit(cluster, tmp_path / "r", batch(sleeps(40, 1.0)))
    run.until(4)
    before = run.nodes()
    assert {name: node["state"] for name, node in before.items()} == dict.fromkeys(cluster.nodes, "up")
    cluster.kill_node("node2")
    died = time.time()
    wait_until(lambda: run.nodes()["node2"]["state"] == "lost", NOTICED_S, "the loss of node2")
    now = run.nodes()
    assert abs(seconds(now["node2"]["since"]) - died) < NOTICED_S
    assert "worker pool has ended" in now["node2"]["reason"]
    assert now["node1"]["since"] == before["node1"]["since"]
    assert_nothing_lost(run, 40)


def assert_node2_comes_back(run, leave, come_back):
    """A node that is lost during a batch of 150 Requests and comes back works again."""
    run.until(4)
    leave(run)
    wait_until(lambda: run.nodes()["node2"]["state"] == "lost", NOTICED_S, "the loss of node2")
    come_back(run)
    wait_until(lambda: run.nodes()["node2"]["state"] == "up", 40, f"the return of node2\n{run.told()}")
    back = time.time()
    outcomes = assert_nothing_lost(run, 150)
    assert [o for o in outcomes if o["host"] == "node2" and seconds(o["started_at"]) > back - 1]


def test_a_node_that_starts_again_gets_a_new_worker_pool(tmp_path):
    """Under Slurm, if it does so before Slurm has given it up and taken it out of the job."""
    with Cluster(tmp_path / "c", gives_up_s=120) as patient:
        run = submit(patient, tmp_path / "r", batch(sleeps(150, 1.0), directors=1))
        assert_node2_comes_back(run, kill_node, lambda run: run.cluster.start_node("node2"))


def test_a_node_that_was_cut_off_gets_a_new_worker_pool(cluster, tmp_path):
    """Under PBS, whose daemon on the node still knows the job then."""
    run = submit(
        cluster, tmp_path / "r", batch(sleeps(150, 1.0), directors=1, pool={"launcher": "hydra"}), scheduler="pbs"
    )
    plug_in = ["ip", "link", "set", "to-node2", "up"]
    assert_node2_comes_back(run, pull_the_cable, lambda run: run.cluster.run("login", plug_in))


def test_when_all_nodes_of_a_partition_are_gone_its_requests_fail_with_that_reason_at_the_deadline(cluster, tmp_path):
    run = submit(cluster, tmp_path / "r", batch(sleeps(40, 1.0), pool={"node_wait_s": 5}))
    run.until(4)
    cluster.kill_node("node3")
    cluster.kill_node("node4")
    died = time.time()
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
    what = batch([{"tool": "mock_md", "inputs": {"duration_s": 12.0}}], directors=1, pool={"max_attempts": 1})
    run = submit(cluster, tmp_path / "r", what)
    for attempt in range(1, 4):
        wait_until(lambda attempt=attempt: len(began(run)) >= attempt, 60, f"attempt {attempt}\n{run.told()}")
        time.sleep(1)
        kill_pool_of(run)
    code, outcomes = run.end()
    assert code == 0, json.dumps(outcomes)
    assert outcomes[0]["attempts"] >= 4


def began(run):
    """How often the Director says that the Request was lost, and once more for its first beginning."""
    up = run.told().count("is up")
    return ["first"] * bool(up) + ["again"] * run.told().count("trying again")


def kill_pool_of(run):
    """Kills the worker pools of all nodes: one of them runs the Request."""
    for name in run.cluster.nodes:
        for pid in run.workers(name):
            os.kill(pid, signal.SIGKILL)
