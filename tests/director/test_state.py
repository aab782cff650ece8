"""What endpoints, engines, schedulers and the service say when something does not work, and what is made of it."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from globus_compute_sdk.errors import TaskExecutionFailed
from hypothesis import given
from hypothesis import strategies as st

from director.sites.state import LONGEST, TaskState, endpoint_state, explained, remedy, situation, task_state, told

SCHEMA = """
 Unable to start user endpoint process for ann [exit code: 73; (ValidationError) -5 is less than the minimum of 300

 Failed validating 'minimum' in schema['properties']['walltime_s']:
     {'description': 'How long the job may run, in s.',
      'minimum': 300,
      'type': 'integer'}

 On instance['walltime_s']:
     -5]
"""
REQUIRED = """
 Unable to start user endpoint process for ann [exit code: 73; (ValidationError) 'queue' is a required property

 Failed validating 'required' in schema:
     {'type': 'object'}

 On instance:
     {'nodes': 2}]
"""
TRACEBACK = """
 +++++++++++++++++++++++++++++++
 Traceback (most recent call last):
   File "/python/concurrent/futures/_base.py", line 401, in __get_result
     raise self._exception
 parsl.executors.errors.BadStateException: Executor director-1-HighThroughputExecutor failed due to: Error 1:
 {}


 -------------------------------
"""
LAUNCH = (
    "\tFailed to start block 0: Cannot launch job parsl.block-0.17: Could not read job ID from submit command standard "
    "output; recode=1, stdout=, stderr={}"
)
SBATCH = "sbatch: error: invalid partition specified: wrok\n sbatch: error: Batch job submission failed: {}"
MISSING = (
    "\tJob is marked as MISSING since the workers failed to register to the executor. Check the stdout/stderr logs\n"
    "\tSTDERR: md-director: on node1, /env/bin/globus-compute-endpoint is not there: correct environment or install "
    "md-director there"
)


@pytest.mark.parametrize(
    ("text", "words", "what"),
    [
        (
            SCHEMA,
            "the endpoint refused to start it: walltime_s: -5 is less than the minimum of 300 (ValidationError)",
            "director endpoint show NAME",
        ),
        (
            SCHEMA.replace("-5 is less than the minimum of 300", "'a b' does not match '^[A-Za-z]+'"),
            "the endpoint refused to start it: walltime_s: 'a b' does not match '^[A-Za-z]+' (ValidationError)",
            "director endpoint show NAME",
        ),
        (
            REQUIRED,
            "the endpoint refused to start it: 'queue' is a required property (ValidationError)",
            "director endpoint show NAME",
        ),
        (
            TRACEBACK.format(LAUNCH.format(SBATCH.format("Invalid partition name specified"))),
            "the scheduler does not take the job: invalid partition specified: wrok; "
            "Batch job submission failed: Invalid partition name specified",
            "--set queue=",
        ),
        (
            TRACEBACK.format(
                LAUNCH.format(
                    "sbatch: error: Batch job submission failed: Invalid account or account/partition combination "
                    "specified"
                )
            ),
            "the scheduler does not take the job: Batch job submission failed: Invalid account or account/partition "
            "combination specified",
            "--set account=",
        ),
        (
            TRACEBACK.format(LAUNCH.format("qsub: Unknown queue")),
            "the scheduler does not take the job: Unknown queue",
            "--set queue=",
        ),
        (
            TRACEBACK.format(MISSING),
            "the job ended before its Directors could begin: md-director: on node1, "
            "/env/bin/globus-compute-endpoint is not there: correct environment or install md-director there",
            "director endpoint configure NAME --force",
        ),
        (
            "ComputeAPIError: ('POST', 'http://x/v3/endpoints/1/submit', 'Bearer', 404, 'ENDPOINT_NOT_FOUND', 'No')",
            "Globus Compute answers 404 ENDPOINT_NOT_FOUND: No",
            "globus-compute-endpoint list",
        ),
        (
            "('POST', 'http://x/v2/oauth2/token', 'Basic', 401, 'invalid_client', 'Unauthorized')",
            "Globus Compute answers 401 invalid_client: Unauthorized",
            "globus-compute-endpoint login",
        ),
        (
            "Traceback\n  File x\nparsl.errors.ManagerLost: Task failure due to loss of manager b'1' on host node1\n",
            "parsl.errors.ManagerLost: Task failure due to loss of manager b'1' on host node1",
            "director resume RUN",
        ),
        (
            "\n Unable to start user endpoint process for ann [exit code: 78; (RuntimeError) Another instance of this "
            "endpoint is running]\n",
            "the endpoint refused to start it: Another instance of this endpoint is running (RuntimeError)",
            "about 90 s",
        ),
    ],
)
def test_of_a_message_from_elsewhere_the_useful_line_is_told_with_its_remedy(text: str, words: str, what: str) -> None:
    assert told(text) == words
    assert explained(text).startswith(words)
    assert what in explained(text)


def test_a_message_that_nobody_knows_gets_no_remedy() -> None:
    assert remedy("ValueError: boom") is None
    assert explained("Traceback\n  File x\nValueError: boom") == "ValueError: boom"


@given(st.text(max_size=3_000))
def test_something_is_told_of_any_message_and_it_is_short(text: str) -> None:
    assert 0 < len(told(text)) <= LONGEST
    assert told(text) in explained(text) or explained(text).startswith(told(text).rstrip("."))


def test_a_task_is_what_the_service_says_of_it() -> None:
    answers = {
        "queued": {"status": "waiting-for-ep"},
        "ended": {"status": "success", "result": json.dumps({"director": 0, "ok": True, "reason": "idle"})},
        "wrong": {"status": "success", "result": json.dumps({"director": 0, "ok": False, "error": "no disk"})},
    }

    def get_task(task_id: str) -> dict[str, str]:
        if task_id == "failed":
            raise TaskExecutionFailed(SCHEMA)
        return answers[task_id]

    client = SimpleNamespace(get_task=get_task)
    assert task_state(client, "queued") == TaskState("waiting-for-ep")
    assert task_state(client, "queued").meaning == "waiting for the endpoint"
    assert task_state(client, "ended").result == "idle"
    assert task_state(client, "wrong").result == "no disk"
    failed = task_state(client, "failed")
    assert failed.status == "failed"
    assert "walltime_s: -5" in str(failed.error)


def test_an_endpoint_is_what_the_service_says_of_it() -> None:
    assert endpoint_state(SimpleNamespace(get_endpoint_status=lambda _: {"status": "offline"}), "e") == "offline"
    assert endpoint_state(SimpleNamespace(get_endpoint_status=lambda _: {}), "e") == "unknown"


@pytest.mark.parametrize(
    ("endpoint", "tasks", "words"),
    [
        ("online", [], "the endpoint is online"),
        ("online", [None, None], "the endpoint is online; not submitted yet"),
        (
            "online",
            [TaskState("waiting-for-nodes"), TaskState("waiting-for-launch")],
            "the endpoint is online; the batch job is queued or starting, about to start on the lead node",
        ),
        (
            "offline",
            [TaskState("waiting-for-ep")],
            "the endpoint is offline: start it on the facility with `globus-compute-endpoint start NAME`",
        ),
    ],
)
def test_where_a_run_is_stands_in_one_line(endpoint: str, tasks: list[TaskState | None], words: str) -> None:
    assert situation(endpoint, tasks) == words
