"""A team's calls as apps of Parsl, in threads of this process. Each team has a DataFlowKernel of its own."""

from __future__ import annotations

import shutil
import socket
import tempfile
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from campaigns.llm.packages import load
from director.team.config import EXECUTOR, threads_config
from director.team.desk import Call, Said
from director.team.logic import ask
from director.team.voices import Voice
from partitions.lean import lean_parsl

CLEANUP_S = 3.0


class ThreadsDesk:
    """A `director.team.desk.Desk` on Parsl's ThreadPoolExecutor.

    Args:
        voices: The models, by the names of those who speak with them. Keys stay in this process.
        threads: How many calls run at the same time.
    """

    def __init__(self, voices: Mapping[str, Voice], threads: int) -> None:
        load("langchain_openai")  # at once, and not with the first message
        with lean_parsl():
            from parsl.app.python import PythonApp
            from parsl.dataflow.dflow import DataFlowKernel

        self._voices = dict(voices)
        self._threads = threads
        self._stops: dict[str, threading.Event] = {}
        self._lock = threading.Lock()
        self._closed = False
        self._folder = Path(tempfile.mkdtemp(prefix="team-"))
        self._kernel: Any = DataFlowKernel(threads_config(threads, self._folder))
        self._app: Any = PythonApp(self._run, data_flow_kernel=self._kernel, executors=[EXECUTOR])

    @property
    def how(self) -> str:
        """See `Desk.how`."""
        return f"Parsl, {self._threads} threads of this process"

    def submit(self, call: Call) -> Future[Said]:
        """See `Desk.submit`."""
        with self._lock:
            if self._closed:
                raise RuntimeError("the team was closed")
            self._stops[call.id] = threading.Event()
        future: Future[Said] = self._app(call)
        future.add_done_callback(lambda _: self._stops.pop(call.id, None))
        return future

    def _run(self, call: Call) -> Said:
        key = self._voices[call.speaker].key
        where = f"{socket.gethostname()}/{threading.current_thread().name}"
        return ask(call, key, self._stops[call.id], where)

    def stop(self, call_id: str) -> None:
        """See `Desk.stop`."""
        stop = self._stops.get(call_id)
        if stop is not None:
            stop.set()

    def close(self) -> None:
        """See `Desk.close`."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            for stop in list(self._stops.values()):
                stop.set()
        # Whoever is told to stop does so within moments; what does not is left to its time limit.
        cleanup = threading.Thread(target=self._kernel.cleanup, name="parsl-cleanup", daemon=True)
        cleanup.start()
        cleanup.join(CLEANUP_S)
        shutil.rmtree(self._folder, ignore_errors=True)
