"""From the laptop to a worker and back: the unmodified SDK, broker and endpoint; nothing is left out but the cloud."""

import json
import signal
import sys

import pytest

from tests.globus.compute_service.service import LARGEST_SUBMISSION_BYTES
from tests.globus.laptop import Laptop
from tests.helpers import wait_until


@pytest.fixture
def stack(stack_local):
    return stack_local


@pytest.fixture
def laptop(stack):
    with Laptop(stack) as laptop:
        yield laptop


@pytest.fixture
def shared(stack, request):
    """A folder in which tasks leave files."""
    folder = stack.folder / "tmp" / request.node.name
    folder.mkdir()
    folder.chmod(0o777)
    return folder


def ask(stack, program, *arguments, home=None):
    """Runs a few lines of Python with the SDK, as the laptop's user; returns what they print, as JSON."""
    lines = f"import json, sys\nfrom globus_compute_sdk import Client\nclient = Client()\n{program}"
    done = stack.as_user([sys.executable, "-c", lines, *arguments], home=home)
    return json.loads(done.stdout)


def status(stack, task):
    return ask(stack, "print(json.dumps(client.get_task(sys.argv[1])['status']))", task)


def runs(folder, name):
    """How often a task was begun."""
    file = folder / f"{name}.runs"
    return len(file.read_text().splitlines()) if file.exists() else 0


def begun_and_acknowledged(stack, folder, name):
    """Waits until a task runs, and cannot run again: user endpoints acknowledge only twice in a second."""
    wait_until(lambda: runs(folder, name) == 1, 60, "the task's begin")
    wait_until(lambda: not stack.broker.unacknowledged(), 30, "the task's acknowledgement")


def test_a_call_runs_as_the_user_who_has_the_endpoint_and_sees_no_secret(stack, laptop):
    laptop.submit("cold", "where")
    result = laptop.result("cold")
    assert (result["host"], result["uid"]) == ("login", stack.facility.uid)
    assert result["run_root"] == str(stack.facility.home / "runs")
    assert result["secrets"] == []
    assert stack.laptop.uid != stack.facility.uid


def test_an_error_of_a_task_comes_back(laptop):
    laptop.submit("wrong", "fail")
    answer = laptop.answer("wrong")
    assert answer["kind"] == "TaskExecutionFailed"
    assert "ValueError: as asked" in answer["error"]


def test_options_that_the_schema_refuses_come_back_as_an_error_that_names_them(stack, laptop):
    laptop.submit("refused", "where", directors="many")
    answer = laptop.answer("refused")
    assert answer["kind"] == "TaskExecutionFailed"
    assert "directors" in answer["error"] or "many" in answer["error"]
    # The core endpoint's child reports that under the core endpoint's id as well, which goes on.
    status = ask(stack, "print(json.dumps(client.get_endpoint_status(sys.argv[1])['status']))", stack.endpoint_id)
    assert status == "online"


def test_a_submission_over_the_limit_is_refused_before_anything_runs(stack, laptop):
    before = len(stack.events("submitted"))
    laptop.submit("large", "size", "x" * LARGEST_SUBMISSION_BYTES)
    answer = laptop.answer("large")
    assert answer["kind"] == "ComputeAPIError"
    assert "413" in answer["error"]
    assert "TASK_PAYLOAD_TOO_LARGE" in answer["error"]
    assert len(stack.events("submitted")) == before
    laptop.submit("fits", "size", "x" * 5_000_000)
    assert laptop.result("fits") == 5_000_000


def test_a_result_over_the_limit_is_an_error(laptop):
    laptop.submit("large", "make", LARGEST_SUBMISSION_BYTES)
    assert "MaxResultSizeExceeded" in laptop.answer("large")["error"]
    laptop.submit("fits", "make", 5_000_000)
    assert len(laptop.result("fits")) == 5_000_000


def test_an_endpoint_that_nobody_knows_is_refused(stack):
    program = (
        "import globus_sdk\n"
        "try: client.get_endpoint_status(sys.argv[1])\n"
        "except globus_sdk.GlobusAPIError as error: print(json.dumps([error.http_status, error.code]))"
    )
    assert ask(stack, program, "00000000-0000-4000-8000-000000000000") == [404, "ENDPOINT_NOT_FOUND"]


def test_who_does_not_know_the_secret_gets_no_token(stack):
    done = stack.as_user(
        [sys.executable, "-c", "from globus_compute_sdk import Client\nClient().get_endpoints()"],
        home=stack.home("guesser"),  # where no token is kept from before
        environment={"GLOBUS_COMPUTE_CLIENT_SECRET": "guessed"},
        check=False,
    )
    assert done.returncode == 1
    assert "401" in done.stderr


def test_the_tasks_of_a_group_are_found_again_from_another_home(stack, laptop):
    laptop.submit("first", "where")
    laptop.result("first")
    submitted = next(event for event in stack.events("submitted") if laptop.task("first") in event["tasks"])
    program = (
        "from globus_compute_sdk import Executor\n"
        "executor = Executor(endpoint_id=sys.argv[1], client=client, task_group_id=sys.argv[2])\n"
        "print(json.dumps([future.result(30) for future in executor.reload_tasks()]))"
    )
    found = ask(stack, program, stack.endpoint_id, submitted["group"], home=stack.home("other"))
    assert found[0]["uid"] == stack.facility.uid


@pytest.mark.parametrize("kill", [False, True])
@pytest.mark.parametrize("what", ["broker", "service"])
def test_a_task_that_runs_while_broker_or_service_restarts_brings_its_result(stack, laptop, shared, what, kill):
    laptop.submit("call", "run_until_told", str(shared), "call")
    begun_and_acknowledged(stack, shared, "call")
    getattr(stack, what).restart(kill=kill)
    (shared / "call.end").touch()
    assert laptop.result("call") == "call"
    assert runs(shared, "call") == 1
    laptop.submit("next", "where")
    assert laptop.result("next")["uid"] == stack.facility.uid


def test_a_task_waits_for_an_endpoint_that_is_offline(stack, laptop):
    stack.stop_endpoint()
    endpoint = stack.endpoint_id
    program = "print(json.dumps(client.get_endpoint_status(sys.argv[1])['status']))"
    assert ask(stack, program, endpoint) == "offline"
    laptop.submit("early", "where")
    assert status(stack, laptop.task("early")) == "waiting-for-ep"
    stack.start_endpoint()
    assert stack.endpoint_id == endpoint
    assert laptop.result("early")["uid"] == stack.facility.uid
    assert status(stack, laptop.task("early")) == "success"
    assert ask(stack, program, endpoint) == "online"


def test_a_killed_user_endpoint_leaves_its_task_running_and_its_future_hanging(stack, laptop, shared):
    """What the client of a Director has to reckon with. Only a task that no engine had taken runs later."""
    stack.renew_endpoint()
    laptop.submit("taken", "run_until_told", str(shared), "taken", run_id="killed")
    begun_and_acknowledged(stack, shared, "taken")
    stack.signal_user_endpoint(signal.SIGSTOP)
    laptop.submit("waiting", "run_until_told", str(shared), "waiting", run_id="killed")
    laptop.task("waiting")
    stack.kill_user_endpoint(signal.SIGKILL)
    # Pool and interchange go on, so the task does: nobody has told them.
    assert [line for line in stack.facility_processes().values() if "process_worker_pool" in line]
    (shared / "taken.end").touch()
    wait_until((shared / "taken.ended").exists, 20, "the task's end")
    # The next one does not start: what the killed one left says that it still runs, until that is 3 heartbeats old.
    laptop.submit("refused", "where", run_id="killed")
    for name in ("refused", "waiting"):
        assert "Another instance of this endpoint is running" in laptop.answer(name)["error"]
    stack.await_user_endpoints_ended()
    for file in stack.endpoint_folder.parent.glob("uep.*/daemon.pid"):
        file.unlink()
    laptop.submit("next", "where", run_id="killed")
    assert laptop.result("next")["uid"] == stack.facility.uid
    assert runs(shared, "waiting") == 0
    assert not laptop.answered("taken")
    assert status(stack, laptop.task("taken")) in {"waiting-for-nodes", "waiting-for-launch"}
    # One of another run starts whatever is left of this one.
    stack.kill_user_endpoint(signal.SIGKILL)
    laptop.submit("other", "where", run_id="other")
    assert laptop.result("other")["uid"] == stack.facility.uid


def test_a_task_that_no_engine_has_taken_runs_in_the_next_user_endpoint(stack, laptop, shared):
    stack.renew_endpoint()
    laptop.submit("first", "where", run_id="redelivered")
    laptop.result("first")
    wait_until(lambda: not stack.broker.unacknowledged(), 30, "the task's acknowledgement")
    stack.signal_user_endpoint(signal.SIGSTOP)
    laptop.submit("waiting", "run_until_told", str(shared), "waiting", run_id="redelivered")
    laptop.task("waiting")
    stack.kill_user_endpoint(signal.SIGKILL)
    for file in stack.endpoint_folder.parent.glob("uep.*/daemon.pid"):
        file.unlink()
    laptop.submit("next", "where", run_id="redelivered")  # the start of a user endpoint comes with a submission
    wait_until(lambda: runs(shared, "waiting") == 1, 60, "the task's begin")
    (shared / "waiting.end").touch()
    assert laptop.result("waiting") == "waiting"
    assert runs(shared, "waiting") == 1


@pytest.mark.parametrize("how", ["user endpoint", "endpoint"])
def test_a_user_endpoint_that_ends_takes_its_tasks_along(stack, laptop, shared, how):
    stack.renew_endpoint()
    run_id = how.replace(" ", "-")
    laptop.submit("taken", "run_until_told", str(shared), "taken", run_id=run_id)
    begun_and_acknowledged(stack, shared, "taken")
    if how == "user endpoint":
        stack.kill_user_endpoint(signal.SIGTERM)
    else:
        stack.kill_endpoint(signal.SIGKILL)  # its children see that within a second
    pools = ("process_worker_pool", "spawn_main", "HTEX interchange", "_start-user-endpoint")
    wait_until(
        lambda: not [line for line in stack.facility_processes().values() if any(pool in line for pool in pools)],
        30,
        "the end of the pool",
    )
    if how == "endpoint":
        stack.start_endpoint()
    laptop.submit("next", "where", run_id=run_id)
    assert laptop.result("next")["uid"] == stack.facility.uid
    assert not laptop.answered("taken")
    assert not (shared / "taken.ended").exists()
    assert runs(shared, "taken") == 1
