"""How a run is: what its Directors say, and for those that do not answer, what Globus Compute says."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from director.call import DirectorLost
from director.exchange import ExchangeError
from director.fleet import Fleet
from director.runs import SubmittedRun
from director.sites.login import open_client
from director.sites.state import TaskState, endpoint_state, situation, task_state

SERVICE_S = 12.0

T = TypeVar("T")


async def situation_of(run: SubmittedRun | None, reach: Callable[[], Any]) -> dict[str, Any]:
    """Looks at a run that was submitted. It takes no longer than about 25 s, whatever is broken.

    Args:
        run: What is remembered of it here; None: nothing.
        reach: Connects to its Directors.

    Returns:
        ``run_id``, ``created_at``, ``open`` (whether any Director answers), ``run_folder``, ``directors`` (as
        `DirectorAgent.status` gives them), and ``service`` (null, or what Globus Compute says: ``endpoint``, ``tasks``,
        ``summary``), which is asked for Directors that do not answer.
    """
    document: dict[str, Any] = {
        "run_id": run.run_id if run else None,
        "created_at": run.plan.created_at.isoformat() if run else None,
        "closed_at": None,
        "open": False,
        "run_folder": None,
        "directors": [],
        "service": None,
    }
    try:
        fleet: Fleet = await reach()
    except (DirectorLost, ExchangeError) as error:
        document["failure"] = str(error)
    else:
        async with fleet:
            about = await fleet.about()
            directors = await fleet.status()
            document |= {
                "run_id": fleet.record.run_id,
                "created_at": fleet.record.created_at.isoformat(),
                "open": True,
                "run_folder": f"{about['host']}:{about['run_folder']}",
                "directors": directors,
            }
    if run is not None and (not document["open"] or any(item["state"] == "lost" for item in document["directors"])):
        document["service"] = await service_of(run)
    return document


async def service_of(run: SubmittedRun) -> dict[str, Any]:
    """What Globus Compute says of a run's endpoint and tasks: ``endpoint``, ``tasks`` and ``summary``."""

    def ask() -> dict[str, Any]:
        client = open_client(local_services=run.local_services)
        tasks = {index: task_state(client, task.task_id) for index, task in run.tasks.items()}
        endpoint = endpoint_state(client, run.endpoint_id)
        return _service(endpoint, tasks)

    try:
        return await bounded(ask, SERVICE_S)
    except Exception as error:  # it is asked for the user's sake only: whatever is wrong with it is the answer
        text = f"Globus Compute does not answer ({type(error).__name__}: {error})"
        return {"endpoint": "unknown", "tasks": {}, "summary": text}


def _service(endpoint: str, tasks: dict[int, TaskState]) -> dict[str, Any]:
    failed = [f"Director {index}'s task failed: {task.error}" for index, task in tasks.items() if task.error]
    ended = [f"Director {index}'s task has ended: {task.result}" for index, task in tasks.items() if task.result]
    return {
        "endpoint": endpoint,
        "tasks": {str(index): task.status for index, task in tasks.items()},
        "summary": "; ".join([situation(endpoint, list(tasks.values())), *failed, *ended]),
    }


async def bounded(work: Callable[[], T], timeout_s: float) -> T:
    """Runs blocking work beside the loop, and does not wait for it longer than so many seconds, not even at exit.

    Raises:
        TimeoutError: If it takes longer.
        Exception: Whatever it raises.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result, error = None, None
        try:
            result = work()
        except BaseException as caught:
            error = caught
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, name="bounded", daemon=True).start()
    async with asyncio.timeout(timeout_s):
        return await future
