"""In the Slurm cluster: whatever is killed, nodes among it, nothing is lost, nothing is doubled, nothing is left."""

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.slurm import wait_until_idle
from tests.faults.soak import Tally, plan
from tests.faults.soak_bars import DURATION_S, SEED, assert_nothing_lost
from tests.faults.soak_driving import drive
from tests.faults.soak_here import DIRECTOR
from tests.faults.soak_round import requests
from tests.faults.soak_slurm import RunInSlurm

WEIGHTS = {
    "worker": 4, "helper": 1, "manager": 2, "keeper": 2, "launcher": 4, "node": 4, "lead node": 1, "interchange": 1,
    "director": 2, "client": 2,
}  # fmt: skip


@pytest.mark.timeout(2400)
def test_whatever_is_killed_in_the_cluster_nothing_is_lost_doubled_or_left(tmp_path, record_property):
    tally = Tally()
    # A node that comes back before Slurm has given it up stays in its job.
    with Cluster(tmp_path / "c", pbs=False, gives_up_s=120) as cluster:

        def begin(number, share):
            wait_until_idle(lambda command: cluster.run("login", command).stdout, len(cluster.nodes), 300)
            return RunInSlurm(tmp_path / f"round-{number}", requests(SEED + 1000 + number, share), cluster)

        seconds = drive(begin, plan(SEED + 1, WEIGHTS, DURATION_S), DURATION_S, tally, director=DIRECTOR)
    assert cluster.leftovers() == []
    assert_nothing_lost("Slurm cluster", tally, seconds, tmp_path, record_property, kinds=WEIGHTS)
