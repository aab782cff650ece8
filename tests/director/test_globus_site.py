"""Directors as tasks of Globus Compute: what the template is told, and what a task's end says."""

import json
from concurrent.futures import Future

import pytest

from director.elsewhere import plan_elsewhere
from director.sites.globus import GlobusDirector, GlobusSite, options_for, summary_of
from director.sites.state import TaskState, explained, remedy, shortened, situation, task_state
from director.spec import ExchangeSpec

NOWHERE = ExchangeSpec(url="http://127.0.0.1:9")


def spec(nodes=4, directors=2, launch=1, **more):
    made = plan_elsewhere(directors=directors, nodes=nodes, linger_s=60, **more)
    return made.specs(NOWHERE, {directors - 1: launch})[0]


class Task(Future):
    """A future as the SDK's are: it learns its task's id later."""

    task_id: str | None = None


def ended(result=None, error=None, cancelled=False):
    task = Task()
    if cancelled:
        task.cancel()
    elif error is not None:
        task.set_exception(error)
    else:
        task.set_result(result)
    return task


def test_all_directors_of_a_launching_are_told_of_one_job():
    made = plan_elsewhere(directors=3, nodes=6, linger_s=60)
    told = [options_for(one) for one in made.specs(NOWHERE, {0: 1, 1: 1, 2: 1})]
    assert told == [{"directors": 3, "run_id": f"{made.run_id}-1", "nodes": 6}] * 3
    (again,) = made.specs(NOWHERE, {1: 2})
    assert options_for(again)["run_id"] == f"{made.run_id}-2"


def test_nodes_that_are_not_known_are_not_invented():
    assert "nodes" not in options_for(spec(nodes=None))


def test_the_end_of_a_task_says_what_its_director_said():
    summary = {"director": 1, "ok": True, "reason": "nothing left to run for 60 s", "host": "node1"}
    assert summary_of(1, ended(json.dumps(summary))) == summary


def test_a_task_that_was_taken_back_or_failed_says_so_of_its_director():
    assert summary_of(1, ended(cancelled=True)) == {"director": 1, "ok": False, "error": "the task was cancelled"}
    found = summary_of(1, ended(error=RuntimeError("ManagerLost: node1")))
    assert found == {"director": 1, "ok": False, "error": "RuntimeError: ManagerLost: node1"}


def test_a_director_ends_with_its_task_however_that_ends():
    made = spec()
    for task, ok in ((ended('{"director": 1, "ok": true}'), True), (ended(cancelled=True), False)):
        director = GlobusDirector(made, task)
        assert director.ended.result(timeout=0)["ok"] is ok
    running = GlobusDirector(made, Task())
    assert not running.ended.done()
    assert running.task_id is None
    running.task.task_id = "t1"
    assert running.task_id == "t1"
    running.let_go()
    assert not running.ended.done(), "it stays when nobody waits for it here"
    running.kill()
    assert running.ended.result(timeout=0)["error"] == "the task was cancelled"


@pytest.mark.parametrize("result", ["not JSON", "[1]", "null", ""])
def test_a_task_that_returns_something_else_ends_its_director_too(result):
    director = GlobusDirector(spec(), ended(result))
    assert director.ended.done()
    assert director.ended.result()["ok"] is False


def test_a_site_that_launched_nothing_closes_without_the_service():
    site = GlobusSite("11111111-1111-4111-8111-111111111111", {}, client=object())
    assert site.task_group_id is None
    site.close()
    site.close()


# ---- what the service says


class Service:
    """Answers as the SDK's client does."""

    def __init__(self, answer):
        self.answer = answer

    def get_task(self, task_id):
        if isinstance(self.answer, Exception):
            raise self.answer
        return {"task_id": task_id, **self.answer}


def test_a_task_is_told_in_the_services_words_and_in_plain_ones():
    state = task_state(Service({"pending": True, "status": "waiting-for-nodes"}), "t")
    assert (state.status, state.meaning) == ("waiting-for-nodes", "the batch job is queued or starting")
    assert TaskState("a new word").meaning == "a new word"
    done = task_state(Service({"status": "success", "result": '{"ok": true, "reason": "drained"}'}), "t")
    assert (done.status, done.result) == ("success", "drained")
    failed = task_state(Service({"status": "success", "result": '{"ok": false, "error": "no nodes"}'}), "t")
    assert failed.result == "no nodes"


def test_a_task_that_failed_is_told_with_what_to_do():
    from globus_compute_sdk.errors import TaskExecutionFailed

    state = task_state(Service(TaskExecutionFailed("sbatch: error: Invalid partition specified: debg")), "t")
    assert state.status == "failed"
    assert "Invalid partition specified" in state.error
    assert "--set queue=" in state.error


def test_a_situation_is_one_line():
    assert "globus-compute-endpoint start" in situation("offline", [TaskState("received"), None])
    words = situation("online", [TaskState("waiting-for-nodes"), TaskState("waiting-for-nodes"), None])
    assert words == "the endpoint is online; the batch job is queued or starting, not submitted yet"


def test_messages_are_shortened_to_what_matters_and_never_to_nothing():
    trace = "Traceback (most recent call last):\n  File 'x.py', line 1\n    f()\nValueError: no such queue: debg.\n"
    assert shortened(trace).splitlines()[-1] == "ValueError: no such queue: debg"
    assert "x.py" not in shortened(trace)
    assert shortened("   indented only") == "indented only"
    assert len(shortened("x" * 5000)) <= 1000
    assert explained("all is well") == "all is well"
    assert remedy("all is well") is None
