"""An engine, as its client sees it: a process of its own, and the Directors that it runs."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from director.sites.engine_messages import Begin, Ended, Event, Failed, Ready, Submit, event_of
from director.sites.state import shortened
from partitions.guard import end_marked, mark_environment, marked, new_mark

CLOSE_S = 12.0
DIRECTORS_END_S = 5.0
LET_GO_S = 5.0
POLL_S = 0.05
LOG_TAIL_BYTES = 16_000
CLOSED = "the engine was closed by its client"
TASK_VARIABLE = "GC_TASK_UUID"
"""What the endpoint's worker puts into the environment of a task, and so of the Director that it starts."""


class EngineFolder:
    """Where an engine has its files: its owner's alone.

    Args:
        path: The folder, which is there and empty.
        temporary: Whether it goes when the engine does.
    """

    def __init__(self, path: Path, *, temporary: bool) -> None:
        self.path = path
        self.temporary = temporary
        self.log_file = path / "engine.log"
        self._log = os.open(self.log_file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)

    @property
    def log(self) -> int:
        """File descriptor of the log."""
        return self._log

    def log_tail(self) -> str:
        """The end of the log, also if somebody has removed it."""
        size = os.fstat(self._log).st_size
        data = os.pread(self._log, LOG_TAIL_BYTES, max(0, size - LOG_TAIL_BYTES))
        tail = shortened(data.decode(errors="replace"))
        return f"The end of {'its log' if self.temporary else self.log_file}:\n{tail}"

    def close(self) -> None:
        """Removes it, if it is temporary."""
        os.close(self._log)
        if self.temporary:
            shutil.rmtree(self.path, ignore_errors=True)


class EngineProcess:
    """The process that holds an engine, and its Directors.

    Args:
        begin: What it is told first.
        folder: Where it has its files; closed with it.
        environment: Its environment.

    Attributes:
        mark: What it and all that it starts carry in their environment, except Directors: these end by themselves
            when the worker under them is gone.

    Raises:
        OSError: If it cannot be started.
    """

    def __init__(self, begin: Begin, folder: EngineFolder, environment: Mapping[str, str]) -> None:
        self.mark = new_mark()
        self.folder = folder
        self._lock = threading.Lock()
        self._directors: dict[uuid.UUID, tuple[int, Future[dict[str, Any]]]] = {}
        self._held: set[uuid.UUID] = set()
        self._over: str | None = None
        self._failure: str | None = None
        self._closing = False
        self._ready = False
        temporary = ["temporary"] if folder.temporary else []
        self._process = subprocess.Popen(
            [sys.executable, "-m", "director.sites.engine_host", str(folder.path), *temporary],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=folder.log,
            env={**environment, **mark_environment(self.mark)},
            # Out of reach of a terminal's Ctrl-C, which is for the client; see `partitions.guard` on sessions.
            process_group=0,
        )
        self._say(begin.line())
        self._thread = threading.Thread(target=self._listen, name="engine", daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    @property
    def over(self) -> bool:
        """Whether it takes no Directors any more."""
        return self._over is not None or self._closing

    @property
    def running(self) -> int:
        """How many Directors have not ended."""
        with self._lock:
            return len(self._open())

    def submit(self, task: Submit, index: int) -> Future[dict[str, Any]]:
        """Runs a Director.

        Args:
            task: The Director.
            index: Its index.

        Returns:
            Its summary, when it has ended; never an exception.
        """
        ended: Future[dict[str, Any]] = Future()
        with self._lock:
            if self.over:
                ended.set_result(_failed(index, self._over or CLOSED))
                return ended
            self._directors[task.task_id] = (index, ended)
            self._held.add(task.task_id)
        self._say(task.line())
        return ended

    def let_go(self, task_id: uuid.UUID) -> None:
        """Notes that nobody holds this Director any more. If nobody holds any, the engine ends after a while."""
        with self._lock:
            was_held = bool(self._held)
            self._held.discard(task_id)
            last = was_held and not self._held
        if last:
            timer = threading.Timer(LET_GO_S, self._close_if_unheld)
            timer.daemon = True
            timer.start()

    def kill(self, task_id: uuid.UUID) -> None:
        """Kills a Director that is on this machine. If nobody holds another one, the engine ends too.

        One that has not started yet, or is on a job's node, ends with the engine only.
        """
        with self._lock:
            self._held.discard(task_id)
            last = not self._held
        end_marked(str(task_id), TASK_VARIABLE)
        if last:
            threading.Thread(target=self.close, name="close-engine", daemon=True).start()

    def close(self) -> None:
        """Ends the engine and all that it has started. May be called twice."""
        self._closing = True
        with contextlib.suppress(BrokenPipeError):
            if self._process.stdin:
                self._process.stdin.close()
        try:
            self._process.wait(CLOSE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._thread.join()

    def _close_if_unheld(self) -> None:
        with self._lock:
            if self._held:
                return
            self._closing = True
        self.close()

    def _say(self, line: bytes) -> None:
        with contextlib.suppress(BrokenPipeError, ValueError):  # it has ended, or was closed: who listens says why
            if self._process.stdin:
                self._process.stdin.write(line)
                self._process.stdin.flush()

    # ---- in the listening thread

    def _listen(self) -> None:
        for line in self._process.stdout or ():
            with contextlib.suppress(ValidationError):  # half a line: its writer was killed
                self._hear(event_of(line))
        if self._process.stdout:
            self._process.stdout.close()
        code = self._process.wait()
        end_marked(self.mark)
        reason = self._reason(code)
        with self._lock:
            self._over = reason
            remaining = self._open()
        for index, ended in remaining:
            ended.set_result(_failed(index, reason))
        self._end_directors()
        self.folder.close()

    def _hear(self, event: Event) -> None:
        match event:
            case Ready():
                self._ready = True
            case Failed():
                self._failure = event.error
            case Ended():
                self._end(event)

    def _end(self, event: Ended) -> None:
        index, ended = self._directors[event.task_id]
        if event.summary is not None:
            ended.set_result(event.summary)
        else:
            ended.set_result(_failed(index, str(event.error)))

    def _open(self) -> list[tuple[int, Future[dict[str, Any]]]]:
        return [(index, ended) for index, ended in self._directors.values() if not ended.done()]

    def _reason(self, code: int) -> str:
        if self._failure is not None and self._ready:
            return self._failure
        if self._failure is not None:
            return f"{self._failure}. {self.folder.log_tail()}"
        if self._closing:
            return CLOSED
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        when = "has ended" if self._ready else "has ended before it was ready"
        return f"the process of the engine {when} ({how}). {self.folder.log_tail()}"

    def _end_directors(self) -> None:
        """Gives Directors the time to end by themselves, and then ends what is left of them."""
        names = [str(task_id) for task_id in self._directors]
        give_up = time.monotonic() + DIRECTORS_END_S
        while time.monotonic() < give_up and any(marked(name, TASK_VARIABLE) for name in names):
            time.sleep(POLL_S)
        for name in names:
            end_marked(name, TASK_VARIABLE)


def _failed(index: int, error: str) -> dict[str, Any]:
    return {"director": index, "ok": False, "error": f"Director {index}: {error}"}
