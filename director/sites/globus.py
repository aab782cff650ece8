"""Globus Compute: each Director is a task, which the endpoint's worker on the job's lead node runs."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from importlib.metadata import version
from typing import Any

from director.carving import shares_of
from director.globus_task import start_director
from director.spec import DirectorSpec

CARGO_BYTES = 4_000_000
"""The service takes 10 MB in one submission; encoding takes a third of it, and several Directors may share one."""


class GlobusError(RuntimeError):
    """Globus Compute did not do what was asked. The message says why, and what to do."""


class GlobusDirector:
    """A Director that was submitted as a task.

    Attributes:
        task: The SDK's future.
        ended: Done when the task has ended, with the Director's summary. It never holds an exception.
    """

    def __init__(self, spec: DirectorSpec, task: Any) -> None:
        self.spec = spec
        self.task = task
        self.ended: Future[dict[str, Any]] = Future()
        task.add_done_callback(self._done)

    @property
    def task_id(self) -> str | None:
        """The task's id, once the service has answered."""
        found = self.task.task_id
        return None if found is None else str(found)

    def _done(self, task: Any) -> None:
        self.ended.set_result(summary_of(self.spec.index, task))

    def let_go(self) -> None:
        """Does nothing: it ends by itself, when it has nothing left to run."""

    def kill(self) -> None:
        """Takes the task back, if the service has not given it away yet."""
        self.task.cancel()


class GlobusSite:
    """An endpoint of Globus Compute.

    Args:
        endpoint_id: The endpoint.
        options: What its template is given; ``nodes``, ``directors`` and ``run_id`` are filled in.
        client: The SDK's client; None: `globus_client` makes one.
    """

    elsewhere = True
    shares_files = False

    def __init__(self, endpoint_id: str, options: Mapping[str, Any], client: Any = None) -> None:
        self.endpoint_id = endpoint_id
        self.client = client or globus_client()
        self._options = dict(options)
        self._executor: Any = None
        self._lock = threading.Lock()

    def launch(self, spec: DirectorSpec) -> GlobusDirector:
        """See `Site.launch`."""
        with self._lock:
            if self._executor is None:
                self._executor = self._made({**options_for(spec), **self._options})
            task = self._executor.submit(start_director, spec.model_dump_json(), version("md-director"))
        return GlobusDirector(spec, task)

    def _made(self, options: dict[str, Any]) -> Any:
        from globus_compute_sdk import Executor, serialize

        # Source and JSON: neither side unpickles anything, and Python versions may differ.
        code: Any = serialize.PureSourceTextInspect
        data: Any = serialize.JSONData
        return Executor(
            endpoint_id=self.endpoint_id,
            client=self.client,
            user_endpoint_config=options,
            serializer=serialize.ComputeSerializer(strategy_code=code(), strategy_data=data()),
            result_serializers=[data()],
            label="md-director",
        )

    @property
    def task_group_id(self) -> str | None:
        """The group of the tasks, once the service has answered."""
        group = self._executor and self._executor.task_group_id
        return None if group is None else str(group)

    def close(self) -> None:
        """Lets the tasks go on without us: nothing waits for their results here any more."""
        from globus_compute_sdk.sdk import executor

        if self._executor is None:
            return
        self._executor.shutdown(wait=False, cancel_futures=True)  # those that the service has not taken
        # The SDK would keep this process alive until its tasks end, and has no public way to be told otherwise.
        watcher: Any = executor._RESULT_WATCHERS.pop(self._executor.task_group_id, None)
        if watcher is not None:
            watcher.shutdown(wait=False, cancel_futures=True)


def options_for(spec: DirectorSpec) -> dict[str, Any]:
    """What an endpoint's template has to know of a run, so that all of its Directors come to one job of its own."""
    options = {"directors": shares_of(spec.shares).directors, "run_id": f"{spec.run_id}-{spec.launch}"}
    return options if spec.allocation.nodes is None else {**options, "nodes": spec.allocation.nodes}


def summary_of(index: int, task: Any) -> dict[str, Any]:
    """What a task's end says of its Director."""
    if task.cancelled():
        return {"director": index, "ok": False, "error": "the task was cancelled"}
    error = task.exception()
    if error is not None:
        return {"director": index, "ok": False, "error": f"{type(error).__name__}: {error}"}
    result = task.result()
    try:
        return dict(json.loads(result))
    except (TypeError, ValueError):
        error_text = f"the task returned what no Director does: {str(result)[:200]!r}"
        return {"director": index, "ok": False, "error": error_text}


def globus_client(*, local_services: bool = False) -> Any:
    """Logs in to Globus Compute, in the terminal if there is no login yet.

    Args:
        local_services: Whether the services are this machine's own.

    Raises:
        GlobusError: If the service cannot be reached, or refuses.
    """
    from globus_compute_sdk import Client
    from globus_compute_sdk.errors import VersionMismatch
    from globus_sdk import GlobusError as GlobusSdkError

    try:
        return Client(local_compute_services=local_services)
    except VersionMismatch as error:
        raise GlobusError(f"Globus Compute does not take this version of its SDK: {error}") from error
    except (GlobusSdkError, OSError) as error:
        raise GlobusError(f"Globus Compute cannot be reached, or refuses: {error}") from error
