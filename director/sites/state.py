"""What Globus Compute knows of a Director's task, and what that and its errors mean to a user."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

TASK_MEANS = {
    "received": "the service has it",
    "waiting-for-ep": "waiting for the endpoint",
    "waiting-for-nodes": "the batch job is queued or starting",
    "waiting-for-launch": "about to start on the lead node",
    "exec-start": "running",
    "running": "running",
    "success": "ended",
    "failed": "failed",
}

# How an endpoint reports what kept a user endpoint from starting: first the library's words, then where in the options.
_NOT_STARTED = re.compile(r"exit code: \d+; \((\w+)\) ([^\n]+)")
_OPTION = re.compile(r"^\s*On instance\[['\"](\w+)['\"]\]", re.MULTILINE)
# How Parsl reports a scheduler's command that failed, and a job that ended before its workers came.
_NOT_TAKEN = re.compile(r"Cannot launch job .*?stderr=(.*?)(?:\n\s*\n|\n\s*-{5,}|\Z)", re.DOTALL)
_ENDED_EARLY = re.compile(r"^\s*STDERR: (.*?)(?:\n\s*\n|\n\s*-{5,}|\Z)", re.DOTALL | re.MULTILINE)
# How Globus's SDK shows an answer of the service: method, address, kind of login, status, code, message.
_ANSWER = re.compile(r"\('[A-Z]+', '[^']+', [^,]+, (\d{3}), '?(\w+)'?, ['\"](.*)['\"]\)", re.DOTALL)
_RAISED = re.compile(r"[\w.]*(?:Error|Exception|Lost|Exceeded)\b: ")
_COMMAND = re.compile(r"^(?:sbatch|qsub|srun): (?:error: )?")
LONGEST = 600

# What to do about what endpoints, engines and schedulers say when something does not work. The first that fits counts.
REMEDIES = (
    (r"is not there: correct environment|globus-compute-endpoint: (command )?not found", (
        "Configure the endpoint again with the environment that holds md-director now: "
        "`director endpoint configure NAME --force` on the facility, and start it again"
    )),
    (r"Another instance of this endpoint is running", (
        "Its process was killed, and what it left counts for about 90 s: try again then"
    )),
    (r"user_?opts|user.?config|schema|is not valid under|additional propert|is a required property|does not match|"
     r"ValidationError", (
        "Correct --set: `director endpoint show NAME` lists what the endpoint's template takes"
    )),
    (r"invalid account|account.*(invalid|not exist)|unknown account|charge", (
        "Give an account that may use this queue: --set account=…; `sacctmgr show assoc user=$USER` lists yours"
    )),
    (r"group not permitted|not permitted to use this (partition|queue)|access to queue is denied", (
        "Give a queue that you may use: --set queue=…; `sinfo -s` or `qstat -Q` on the facility lists them"
    )),
    (r"invalid partition|partition.*(invalid|not exist)|unknown queue|queue.*not exist|invalid qos", (
        "Give a queue that exists: --set queue=…; `sinfo -s` or `qstat -Q` on the facility lists them"
    )),
    (r"walltime|time limit", "Give a shorter walltime: --set walltime_s=…"),
    (r"more than.*nodes|node count|requested node configuration", "Ask for fewer nodes, or for another queue"),
    (r"max(imum)? (payload|size)|too large|MaxResultSize|\b413\b", "Send fewer requests at once"),
    (r"ManagerLost|WorkerLost|manager.*lost|loss of manager", (
        "The job or its lead node is gone. Start the Directors again: director resume RUN"
    )),
    (r"ENDPOINT_NOT_FOUND|endpoint.*not (be )?found|RESOURCE_NOT_FOUND", (
        "Check the endpoint's id: `globus-compute-endpoint list` on the facility shows it"
    )),
    (r"\b40[13]\b|Unauthorized|Forbidden|invalid_grant|invalid_client", (
        "Log in again: `globus-compute-endpoint login`, or check GLOBUS_COMPUTE_CLIENT_ID and "
        "GLOBUS_COMPUTE_CLIENT_SECRET, and that this endpoint is yours to use"
    )),
    (r"Failed to establish|Max retries exceeded|Connection ?(refused|reset|aborted|Error)|timed out|TimeoutError", (
        "See whether this machine can reach it (a proxy is set by HTTPS_PROXY), and https://www.globusstatus.com"
    )),
)  # fmt: skip


def remedy(text: str) -> str | None:
    """What to do about a message of an endpoint or a scheduler, if it is one that is known. Pure."""
    return next((what for pattern, what in REMEDIES if re.search(pattern, text, re.IGNORECASE)), None)


def explained(text: str) -> str:
    """What an endpoint, a scheduler or the service says was wrong, with its remedy. Pure."""
    short = told(text)
    what = remedy(short) or remedy(text)
    return f"{short.rstrip('.')}. {what}" if what else short


def told(text: str) -> str:
    """What a message from elsewhere says was wrong, without the traceback or the schema that it brings along. Pure."""
    if refused := _NOT_STARTED.search(text):
        option = _OPTION.search(text)
        where = f"{option[1]}: " if option else ""
        words = refused[2].strip()
        if words.count("]") > words.count("["):  # one of them ends the endpoint's own words
            words = words.removesuffix("]")
        return f"the endpoint refused to start it: {where}{words} ({refused[1]})"[:LONGEST]
    if refused := _NOT_TAKEN.search(text):
        return f"the scheduler does not take the job: {_joined(refused[1])}"[:LONGEST]
    if ended := _ENDED_EARLY.search(text):
        return f"the job ended before its Directors could begin: {_joined(ended[1])}"[:LONGEST]
    if answer := _ANSWER.search(text):
        return f"Globus Compute answers {answer[1]} {answer[2]}: {answer[3]}"[:LONGEST]
    lines = [line.strip() for line in text.splitlines() if line.strip(" -=+^~|")]
    raised = [line for line in lines if _RAISED.match(line)]
    return (raised[-1] if raised else "; ".join(lines[:2]) or "it does not say what was wrong")[:LONGEST]


def shortened(text: str, lines: int = 6, width: int = 1000) -> str:
    """The last lines of a message that are not a traceback's frames. Pure."""
    kept = [line.rstrip() for line in text.splitlines() if line.strip() and not line.startswith((" ", "\t"))]
    return "\n".join(kept[-lines:])[-width:].rstrip(".") or text.strip()[:width]


def _joined(output: str) -> str:
    """What a command printed, in one line."""
    lines = (_COMMAND.sub("", line.strip()) for line in output.splitlines())
    return "; ".join(dict.fromkeys(line for line in lines if line))


@dataclass(frozen=True)
class TaskState:
    """What the service says of a task.

    Attributes:
        status: Its word for it.
        error: Why it failed, if it has.
        result: What its Director said when it ended, if it did.
    """

    status: str
    error: str | None = None
    result: str | None = None

    @property
    def meaning(self) -> str:
        """The same in plain words."""
        return TASK_MEANS.get(self.status, self.status)


def task_state(client: Any, task_id: str) -> TaskState:
    """Asks the service for a task. Blocks.

    Args:
        client: The SDK's client.
        task_id: The task.
    """
    from globus_compute_sdk.errors import TaskExecutionFailed

    try:
        task = client.get_task(task_id)
    except TaskExecutionFailed as error:
        return TaskState("failed", explained(str(error)))
    summary = json.loads(task["result"]) if "result" in task else {}
    ended = summary.get("error") or summary.get("reason")
    return TaskState(str(task.get("status", "unknown")), result=ended)


def endpoint_state(client: Any, endpoint_id: str) -> str:
    """Asks the service whether an endpoint is ``online`` or ``offline``. Blocks."""
    return str(client.get_endpoint_status(endpoint_id).get("status", "unknown"))


def situation(endpoint: str, tasks: Sequence[TaskState | None] = ()) -> str:
    """One line on where a run is before its Directors answer. Pure.

    Args:
        endpoint: ``online``, ``offline`` or another word.
        tasks: Of each Director; None if it is not known.
    """
    words = dict.fromkeys(task.meaning if task else "not submitted yet" for task in tasks)
    where = f"the endpoint is {endpoint}"
    if endpoint == "offline":
        where += ": start it on the facility with `globus-compute-endpoint start NAME`"
    return "; ".join([where, *([", ".join(words)] if words and endpoint != "offline" else [])])
