"""Ways to break a cluster during a batch, and to see that nothing of it was lost."""

import os
import signal
from contextlib import suppress

from tests.cluster.machine import ClusterError
from tests.cluster.runs import seconds
from tests.cluster.slurm import wait_until_idle
from tests.helpers import end_all

# Well below the two minutes after which Parsl itself would notice, and no matter how busy this machine is.
NOTICED_S = 40.0


def mend(cluster):
    """Brings back what a test has killed or cut off."""
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
    end_all(run.workers("node2"))


def kill_keeper(run):
    end_all(run.cluster.pids("node2", "keeper.py"))


def kill_launcher(run):
    """Of one block: node2's. Each launcher that names it."""
    found = [pid for pid in run.cluster.pids("node1", "block-1.json") if b"keeper.py" in _command(pid)]
    assert found
    end_all(found)


def kill_slurmd(run):
    os.kill(run.cluster.daemon_pid("node2", "slurmd"), signal.SIGKILL)


def _command(pid):
    """Of a process; of one that has ended meanwhile: none."""
    with suppress(FileNotFoundError, ProcessLookupError), open(f"/proc/{pid}/cmdline", "rb") as stream:  # noqa: PTH123
        return stream.read()
    return b""


def assert_nothing_lost(run, count):
    """Ends the run; returns its Outcomes."""
    code, outcomes = run.end()
    assert code == 0, run.told()
    assert {outcome["status"] for outcome in outcomes} == {"ok"}
    ids = run.ledgered()
    assert len(ids) == len(set(ids)) == count
    assert sorted(ids) == sorted(outcome["id"] for outcome in outcomes)
    return outcomes


def began_on_node2(outcomes, since):
    """Attempts that node2 has begun and given back since a time."""
    attempts = [attempt for outcome in outcomes for attempt in outcome["history"]]
    there = [item for item in attempts if item["host"] == "node2" and item["ended"] != "node_lost"]
    return [item for item in there if seconds(item["started_at"]) > since]
