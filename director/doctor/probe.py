"""One tiny function through the whole path: service, endpoint, scheduler, worker, and back. It starts a job."""

from __future__ import annotations

import contextlib
import importlib
import time
import uuid
from collections.abc import Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as StillRunning
from dataclasses import dataclass
from typing import Any

from director.doctor import clock
from director.doctor.environment import contents
from director.doctor.findings import Finding, Topic
from director.doctor.inside import look
from director.doctor.versions import LAPTOP, compare
from director.sites import state

_TOPIC = Topic("probe")


@dataclass(frozen=True)
class ProbeFacts:
    """What came of it.

    Attributes:
        wait_s: How long it was waited for, in s.
        took_s: How long it took, in s; None: it did not come back.
        seen: What `look` saw on the worker.
        here: Versions of this side.
        began: When it was sent, by this machine's clock.
        task: The task's id, if the service has given it one.
        error: What went wrong; empty if nothing did, or nothing yet.
    """

    wait_s: float
    took_s: float | None = None
    seen: Mapping[str, Any] | None = None
    here: Mapping[str, str] | None = None
    began: float = 0.0
    task: str = ""
    error: str = ""


def serializer() -> Any:
    """Code travels as its text and data as JSON, so that versions that do not match cannot break the probe itself."""
    formats: Any = importlib.import_module("globus_compute_sdk.serialize")
    return formats.ComputeSerializer(strategy_code=formats.PureSourceTextInspect(), strategy_data=formats.JSONData())


def gather(
    endpoint: uuid.UUID, options: Mapping[str, Any], *, wait_s: float, local_services: bool, authorizer: Any = None
) -> ProbeFacts:
    """Sends the function to the endpoint, and waits for what it saw.

    Args:
        endpoint: The endpoint's id.
        options: What the endpoint's template is given.
        wait_s: How long to wait, in s. The scheduler may need longer; the job then comes all the same.
        local_services: Whether the service is on this machine.
        authorizer: A Globus authorizer, instead of the login that the SDK has stored.
    """
    sdk: Any = importlib.import_module("globus_compute_sdk")
    formats: Any = importlib.import_module("globus_compute_sdk.serialize")
    began = time.time()
    here = look()["versions"]
    try:
        client = sdk.Client(local_compute_services=local_services, authorizer=authorizer)
        executor = sdk.Executor(
            endpoint_id=endpoint,
            client=client,
            user_endpoint_config=dict(options),
            serializer=serializer(),
            result_serializers=[formats.JSONData()],
        )
    except Exception as error:  # the SDK raises what its libraries do: the service, the login, the network
        return ProbeFacts(wait_s, here=here, error=told(error))
    future: Future[Any] | None = None
    try:
        future = executor.submit(look)
        seen = future.result(timeout=wait_s)
        return ProbeFacts(wait_s, time.time() - began, seen, here, began, _task(future))
    except StillRunning:
        return ProbeFacts(wait_s, here=here, task=_task(future))
    except Exception as error:  # whatever the endpoint reports of its own or of the function
        return ProbeFacts(wait_s, here=here, task=_task(future), error=told(error))
    finally:
        _leave(executor)


def _task(future: Future[Any] | None) -> str:
    return str(getattr(future, "task_id", None) or "")


def _leave(executor: Any) -> None:
    """Ends the SDK's threads, which would otherwise wait for the result for as long as it takes."""
    module: Any = importlib.import_module("globus_compute_sdk.sdk.executor")
    executor.shutdown(wait=False, cancel_futures=True)
    for watcher in list(module._RESULT_WATCHERS.values()):
        with contextlib.suppress(Exception):
            watcher.shutdown(wait=False, cancel_futures=True)


def told(error: BaseException) -> str:
    """What an error from elsewhere says was wrong, without the traceback or the schema that it brings along. Pure."""
    return state.told(str(error) or type(error).__name__)


def judge(facts: ProbeFacts) -> list[Finding]:
    """Says what came of it."""
    if facts.seen is None:
        return [_no_answer(facts)]
    seen = facts.seen
    python = str(seen["executable"])
    took_s = facts.took_s or 0.0
    findings = [_TOPIC.ok("answer", f"from {seen['host']} after {took_s:.1f} s, by {python}")]
    findings += clock.judge([clock.within(str(seen["host"]), float(seen["now"]), facts.began, facts.began + took_s)])
    findings += compare(_TOPIC, facts.here or {}, seen["versions"], LAPTOP, place="on the workers", python=python)
    return findings + contents(_TOPIC, seen, python)


def _no_answer(facts: ProbeFacts) -> Finding:
    if not facts.error:
        task = f" as task {facts.task}" if facts.task else ""
        found = f"no answer within {facts.wait_s:g} s; the function was sent{task}, and its job may still come"
        hint = "See on the facility whether the job waits in the queue, and endpoint.log; or wait longer: --wait-s"
        return _TOPIC.failed("answer", found, hint)
    remedies = {
        "validation": "Give options that the endpoint's schema takes: --set name=value. It says which one it refused",
        "is required": "Give the options that the endpoint's schema requires: --set name=value",
        "offline": "Start the endpoint on the facility: globus-compute-endpoint start NAME",
        "no such endpoint": "See which id `globus-compute-endpoint list` shows on the facility",
        "unauthorized": "Log in: globus-compute-endpoint login",
    }
    lowered = facts.error.lower()
    hint = next((remedy for sign, remedy in remedies.items() if sign in lowered), "")
    otherwise = "Run `director endpoint check NAME` on the facility, and see endpoint.log in the endpoint's folder"
    return _TOPIC.failed("answer", facts.error, hint or otherwise)
