"""The same path into a Slurm cluster: the endpoint's user submits the job, and the call runs on its first node."""

import signal

import pytest

from tests.globus.laptop import Laptop
from tests.helpers import wait_until

OPTIONS = {"nodes": 4, "directors": 2}


@pytest.fixture
def stack(stack_slurm):
    return stack_slurm


@pytest.fixture
def laptop(stack):
    with Laptop(stack) as laptop:
        yield laptop


def test_a_call_runs_on_the_first_node_of_a_job_of_the_user(stack, laptop):
    laptop.submit("first", "where", **OPTIONS)
    result = laptop.result("first")
    assert (result["host"], result["uid"]) == ("node1", stack.facility.uid)
    assert result["run_root"] == str(stack.facility.home / "runs")
    assert result["secrets"] == []
    assert stack.jobs() == [("RUNNING", 4)]
    # A worker for each Director, on that node only.
    assert [name for name in stack.cluster.nodes if stack.facility_processes(name)] == ["node1"]


def test_a_user_endpoint_that_is_asked_to_end_cancels_its_job(stack, laptop):
    laptop.submit("first", "where", **OPTIONS)
    laptop.result("first")
    wait_until(lambda: not stack.broker.unacknowledged(), 30, "the task's acknowledgement")
    stack.kill_user_endpoint(signal.SIGTERM)
    wait_until(lambda: not stack.jobs(), 30, "the end of the job")
    wait_until(lambda: not stack.facility_processes("node1"), 30, "the end of its processes")


def test_a_killed_user_endpoint_leaves_its_job_running(stack, laptop):
    """The next one starts at once if its options differ, as those of another run do, and asks for a job of its own."""
    stack.renew_endpoint()
    laptop.submit("first", "where", **OPTIONS, run_id="one")
    laptop.result("first")
    stack.kill_user_endpoint(signal.SIGKILL)
    assert stack.jobs() == [("RUNNING", 4)]
    assert stack.facility_processes("node1")
    laptop.submit("second", "where", **OPTIONS, run_id="two")
    wait_until(lambda: sorted(stack.jobs()) == [("PENDING", 4), ("RUNNING", 4)], 60, f"a second job:\n{stack.jobs()}")
    stack.as_user(["scancel", "--user", stack.facility.name, "--state=RUNNING"], account=stack.facility)
    assert laptop.result("second")["host"] == "node1"
