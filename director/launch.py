"""Launching a Director: what every Site does with a spec."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Protocol

from director.runfolder import RunFolder
from director.spec import DirectorSpec
from partitions.guard import mark_environment, new_mark

LOG_TAIL_LINES = 15


class DirectorProcess:
    """A Director's process, as its launcher sees it.

    Args:
        spec: What the Director is told.
        environment: Its environment; None: that of this process.

    Attributes:
        mark: What the Director and all that it starts carry in their environment.
        ended: Done when the process has ended, with the Director's summary. It never holds an exception.
    """

    def __init__(self, spec: DirectorSpec, environment: Mapping[str, str] | None = None) -> None:
        folder = RunFolder(Path(spec.run_folder)).director(spec.index)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.spec = spec
        self.mark = new_mark()
        self.log = folder / "director.log"
        with os.fdopen(os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "director.process"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**(os.environ if environment is None else environment), **mark_environment(self.mark)},
                # Out of reach of a terminal's Ctrl-C, which is for the client; see `partitions.guard` on sessions.
                process_group=0,
            )
        with contextlib.suppress(BrokenPipeError):  # it ended at once: its log says why
            self._lifeline.write(spec.model_dump_json().encode() + b"\n")
            self._lifeline.flush()
        self.ended: Future[dict[str, Any]] = Future()
        threading.Thread(target=self._wait, name=f"director-{spec.index}", daemon=True).start()

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    @property
    def _lifeline(self) -> Any:
        return self._process.stdin

    def _wait(self) -> None:
        output = self._process.stdout.read() if self._process.stdout else b""
        code = self._process.wait()
        self.ended.set_result(self._summary(output, code))

    def _summary(self, output: bytes, code: int) -> dict[str, Any]:
        with contextlib.suppress(json.JSONDecodeError, IndexError):
            return dict(json.loads(output.splitlines()[-1]))
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:])
        error = f"Director {self.spec.index} ended with {how}. The end of {self.log}:\n{tail}"
        return {"director": self.spec.index, "ok": False, "error": error}

    def let_go(self) -> None:
        """Closes the lifeline: the Director ends within a few seconds. May be called twice."""
        with contextlib.suppress(BrokenPipeError):
            self._lifeline.close()

    def kill(self) -> None:
        """Kills the Director; its guard ends everything that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)


def run_director(spec: DirectorSpec | str | Mapping[str, Any]) -> dict[str, Any]:
    """Runs a Director, here and now, until it ends.

    Args:
        spec: A `DirectorSpec`, or its JSON.

    Returns:
        Its summary: ``director``, ``ok``, and ``reason`` or ``error``.

    Raises:
        pydantic.ValidationError: If the spec is not valid.
    """
    if isinstance(spec, str):
        spec = DirectorSpec.model_validate_json(spec)
    elif not isinstance(spec, DirectorSpec):
        spec = DirectorSpec.model_validate(spec)
    return DirectorProcess(spec).ended.result()


class Launched(Protocol):
    """A Director that was launched."""

    @property
    def ended(self) -> Future[dict[str, Any]]:
        """Done when the Director has ended, with its summary."""
        ...

    def let_go(self) -> None:
        """Lets the Director end. May be called twice."""
        ...

    def kill(self) -> None:
        """Ends it the hard way."""
        ...


class Site(Protocol):
    """Where Directors are launched."""

    def launch(self, spec: DirectorSpec) -> Launched:
        """Launches a Director and returns at once."""
        ...


class LocalSite:
    """This machine: each Director is a process of its own."""

    def launch(self, spec: DirectorSpec) -> DirectorProcess:
        """See `Site.launch`."""
        return DirectorProcess(spec)
