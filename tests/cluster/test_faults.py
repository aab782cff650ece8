"""What is killed during a batch, and what becomes of its Requests: all end ok, and none twice."""

import time

import pytest

from tests.cluster.breaking import (
    NOTICED_S,
    assert_nothing_lost,
    began_on_node2,
    kill_keeper,
    kill_launcher,
    kill_node,
    kill_slurmd,
    kill_workers,
    mend,
    pull_the_cable,
)
from tests.cluster.runs import batch, seconds, sleeps, submit


@pytest.fixture(autouse=True)
def whole(cluster):
    """What a test has killed or cut off comes back for the next one."""
    yield
    mend(cluster)


@pytest.mark.parametrize("launcher", ["srun", "hydra", "openmpi"])
@pytest.mark.parametrize("fault", [kill_node, pull_the_cable, kill_workers, kill_keeper, kill_launcher, kill_slurmd],
                         ids=lambda fault: fault.__name__)  # fmt: skip
def test_whatever_is_killed_all_requests_end_ok_and_none_twice(cluster, tmp_path, fault, launcher, capsys):
    run = submit(cluster, tmp_path / "r", batch(sleeps(24, 1.0), pool={"launcher": launcher}))
    run.until(4)
    fault(run)
    died = time.time()
    outcomes = assert_nothing_lost(run, 24)
    again = [seconds(attempt["started_at"]) - died for outcome in outcomes for attempt in outcome["history"][1:]]
    with capsys.disabled():
        took = f"its tasks began again after {max(again):.1f} s" if again else "none of its tasks had to begin again"
        print(f"\n  {launcher}, {fault.__name__}: {took}")
    assert all(after <= NOTICED_S for after in again)
    if fault in (kill_node, pull_the_cable):
        assert again
        assert not began_on_node2(outcomes, died)
