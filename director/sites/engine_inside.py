"""The engine of an endpoint, without the endpoint: started, given tasks, looked at and ended.

The imports stand where they are used: an engine's take a second, and the process that holds it listens meanwhile.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import shlex
import shutil
import signal
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from director.globus_task import start_director
from director.sites.engine_messages import Ended, Submit
from director.sites.state import explained
from director.warm import WarmInterchange

logger = logging.getLogger(__name__)

SHUTDOWN_S = 4.0
STRATEGY_PERIOD_S = 0.2
SIGNALS = 128  # a shell adds this to the number of the signal that ended a command
COMMAND = "globus-compute-endpoint"
RESULTS = "globus_compute_sdk.serialize.JSONData"


@dataclass(frozen=True)
class Look:
    """How an engine is.

    Attributes:
        open_tasks: Tasks that have not ended.
        pools: Worker pools that are connected.
        jobs_running: Jobs, or processes of this machine, that should have a worker pool.
    """

    open_tasks: int
    pools: int
    jobs_running: int


class Waiting:
    """Whether a worker pool takes too long to come up.

    Args:
        patience_s: How long it may take from when its job runs, in s.
    """

    def __init__(self, patience_s: float) -> None:
        self.patience_s = patience_s
        self._since_s: float | None = None

    def too_long(self, look: Look, now_s: float) -> bool:
        """Whether it does, by what was seen now. A job that is queued may be so for as long as it likes."""
        if look.pools or not look.open_tasks or not look.jobs_running:
            self._since_s = None
            return False
        if self._since_s is None:
            self._since_s = now_s
        return now_s - self._since_s > self.patience_s


class Engine:
    """A `GlobusComputeEngine` that is started.

    Args:
        configuration: Of a user endpoint, in YAML: what the endpoint would have rendered.
        folder: Where it writes its files; for a batch job, one that its nodes see.
        interchange: Its interchange, which is started already.

    Raises:
        endpoint_templates.TemplateError: If the configuration is not accepted.
        Exception: Whatever keeps the engine from starting.
    """

    def __init__(self, configuration: str, folder: Path, interchange: WarmInterchange) -> None:
        from globus_compute_sdk.serialize import ComputeSerializer, JSONData, PureSourceTextInspect

        import endpoint_templates

        # Source and JSON, as for an endpoint that is elsewhere: nothing is unpickled.
        code: Any = PureSourceTextInspect
        data: Any = JSONData
        self._tasks = ComputeSerializer(strategy_code=code(), strategy_data=data())
        self._results = ComputeSerializer(allowed_deserializer_types=[code, data])
        self._interchange = interchange
        self._engine: Any = endpoint_templates.load(prompt(configuration)).engine
        self._executor.interchange_launch_cmd = interchange.command
        self._executor.launch_cmd = direct(self._executor.launch_cmd, shutil.which(COMMAND))
        self._engine.start(endpoint_id=uuid.uuid4(), run_dir=str(folder))

    @property
    def _executor(self) -> Any:
        return self._engine.executor

    def submit(self, task: Submit, done: Callable[[Ended], None]) -> None:
        """Runs a Director.

        Args:
            task: The Director.
            done: Called when it has ended, from any thread.
        """
        from globus_compute_common import messagepack
        from globus_compute_common.messagepack.message_types import Task
        from globus_compute_endpoint.engines import GCFuture

        pack = self._tasks.serialize
        parts = [pack(start_director), pack([task.spec, task.client_version]), pack({})]
        future = GCFuture(task.task_id)
        future.add_done_callback(lambda ended: done(self._ended(task.task_id, ended)))
        self._engine.submit(
            task_f=future,
            packed_task=messagepack.pack(Task(task_id=task.task_id, task_buffer=self._tasks.pack_buffers(parts))),
            resource_specification={},
            result_serializers=[RESULTS],
        )

    def _ended(self, task_id: uuid.UUID, future: Any) -> Ended:
        from globus_compute_common import messagepack

        try:
            result: Any = messagepack.unpack(future.result())
            if result.is_error:
                return Ended(task_id=task_id, error=self.broken or explained(unruled(str(result.data))))
            return Ended(task_id=task_id, summary=json.loads(self._results.deserialize(result.data)))
        except Exception as error:  # it must be said, whatever it is: a client waits
            return Ended(task_id=task_id, error=repr(error))

    @property
    def broken(self) -> str | None:
        """Why it takes no task any more, if so."""
        executor = self._executor
        return pool_error(str(executor.executor_exception)) if executor.bad_state_is_set else None

    @property
    def reachable(self) -> bool:
        """Whether its interchange runs, without which it can do nothing."""
        return self._interchange.alive

    def look(self) -> Look:
        """How it is. Blocks for ever if it cannot be reached; see `reachable`."""
        from parsl.jobs.states import JobState

        statuses = self._executor.status_facade.values()
        return Look(
            open_tasks=self._executor.outstanding(),
            pools=len(self._engine.get_connected_managers()),
            jobs_running=sum(status.state is JobState.RUNNING for status in statuses),
        )

    def end(self) -> None:
        """Ends the engine and gives its nodes back. Takes a few seconds at most, unless the scheduler takes longer."""
        executor = self._executor
        executor.provider.max_blocks = 0  # no job in place of the one that ends now
        if not executor.bad_state_is_set and self.reachable:
            thread = threading.Thread(target=self._shut_down, name="shutdown", daemon=True)
            thread.start()
            thread.join(SHUTDOWN_S)
            if not thread.is_alive():
                self._interchange.close()
                return
        jobs = [executor.blocks_to_job_id.get(block) for block, is_over in self._jobs() if not is_over]
        logger.info("giving back %s", jobs)
        executor.provider.cancel([job for job in jobs if job is not None])

    def _shut_down(self) -> None:
        with contextlib.suppress(Exception):  # what it leaves is ended by whoever holds this process
            self._engine.shutdown()

    def _jobs(self) -> list[tuple[str, bool]]:
        return [(block, status.terminal) for block, status in self._executor.status_facade.items()]


def pool_error(text: str) -> str:
    """Why a worker pool has ended, by what Parsl says of its job. Pure."""
    said = re.findall(r"md-director: (.*)", text)
    codes = [int(code) for code in re.findall(r"EXIT CODE: (\d+)", text)]
    if said:
        return f"the worker pool cannot run: {said[-1].strip()}"
    if codes and codes[-1] - SIGNALS in set(signal.Signals):
        return f"the worker pool has ended (signal {signal.Signals(codes[-1] - SIGNALS).name})"
    return f"the worker pool has ended: {explained(' '.join(text.split()))}"


def unruled(text: str) -> str:
    """A message without the lines that the engine draws around it. Pure."""
    return "\n".join(line for line in text.splitlines() if line.strip("+-"))


def prompt(configuration: str) -> str:
    """The configuration of an engine that looks several times a second whether it needs a job. Pure.

    An endpoint has no client that waits beside it; how often a scheduler is asked is another matter, and stays.
    """
    values = yaml.safe_load(configuration)
    values["engine"]["job_status_kwargs"]["strategy_period"] = STRATEGY_PERIOD_S
    return str(yaml.safe_dump(values, sort_keys=False))


def direct(command: str, program: str | None) -> str:
    """The command that starts a worker pool, without the endpoint's own in between, which only takes time.

    Args:
        command: As the engine makes it.
        program: Path of the endpoint's command.
    """
    python = Path(program).with_name("python") if program else None
    if python is None or not os.access(python, os.X_OK):
        return command
    return command.replace(f"{COMMAND} python-exec", f"{shlex.quote(str(python))} -m", 1)
