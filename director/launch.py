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

from director.ending import GOODBYE
from director.runfolder import RunFolder
from director.spec import DirectorSpec
from partitions.guard import mark_environment, new_mark

LOG_TAIL_LINES = 15
RUN_ROOT_VARIABLE = "DIRECTOR_RUN_ROOT"


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
        inherited = os.environ if environment is None else environment
        path = run_folder_of(spec, inherited)
        folder = RunFolder(path).director(spec.index)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.spec = spec.model_copy(update={"run_folder": str(path)})
        self.mark = new_mark()
        self.log = folder / "director.log"
        with os.fdopen(os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "director.process"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**inherited, **mark_environment(self.mark)},
                # Out of reach of a terminal's Ctrl-C, which is for the client; see `partitions.guard` on sessions.
                process_group=0,
            )
        with contextlib.suppress(BrokenPipeError):  # it ended at once: its log says why
            self._lifeline.write(self.spec.model_dump_json().encode() + b"\n")
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
        return {"director": self.spec.index, "ok": False, "crashed": True, "how": how, "error": error}

    def let_go(self) -> None:
        """Says goodbye and closes the lifeline: the Director ends within a few seconds. May be called twice."""
        with contextlib.suppress(BrokenPipeError, ValueError):  # it has ended; or this is the second time
            self._lifeline.write(GOODBYE)
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
        Its summary: ``director``, ``ok``, and ``reason`` or ``error``; ``crashed`` if it could not write one itself.

    Raises:
        pydantic.ValidationError: If the spec is not valid.
    """
    if isinstance(spec, str):
        spec = DirectorSpec.model_validate_json(spec)
    elif not isinstance(spec, DirectorSpec):
        spec = DirectorSpec.model_validate(spec)
    try:
        director = DirectorProcess(spec)
    except OSError as error:
        hint = f"Name a folder that can be written there: run_root of the endpoint, or {RUN_ROOT_VARIABLE}"
        return {"director": spec.index, "ok": False, "error": f"the run folder cannot be used ({error}). {hint}"}
    return director.ended.result()


def run_folder_of(spec: DirectorSpec, environment: Mapping[str, str]) -> Path:
    """Where a Director's run folder is.

    Args:
        spec: What the Director is told.
        environment: Of the machine that it runs on.
    """
    root = Path(environment.get(RUN_ROOT_VARIABLE) or "~/md-director")
    return (root / spec.run_id if spec.run_folder is None else Path(spec.run_folder)).expanduser().absolute()


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
    """Where Directors are launched.

    Attributes:
        elsewhere: Whether they find their nodes themselves, since these are not known where they are launched.
        shares_files: Whether they see this machine's file systems.
    """

    @property
    def elsewhere(self) -> bool:
        """See above."""
        ...

    @property
    def shares_files(self) -> bool:
        """See above."""
        ...

    def launch(self, spec: DirectorSpec) -> Launched:
        """Launches a Director and returns at once."""
        ...

    def close(self) -> None:
        """Gives back what the Site holds. May be called twice."""
        ...


class LocalSite:
    """This machine: each Director is a process of its own."""

    elsewhere = False
    shares_files = True

    def launch(self, spec: DirectorSpec) -> DirectorProcess:
        """See `Site.launch`."""
        return DirectorProcess(spec)

    def close(self) -> None:
        """See `Site.close`."""
