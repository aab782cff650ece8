"""Launching the process of a reasoner: what a client and a Director do alike."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from director.reasoning.agent_spec import AGENTS_FOLDER, AgentSpec


class AgentProcess:
    """The process of a reasoner, as its launcher sees it. It ends with its launcher.

    Args:
        spec: What it is told.

    Attributes:
        ended: Done when it has ended, with its summary; it never holds an exception.
    """

    def __init__(self, spec: AgentSpec) -> None:
        place = Path(spec.run_folder) / AGENTS_FOLDER
        place.mkdir(exist_ok=True, mode=0o700)
        self._name = spec.work.name
        self._log = place / f"{self._name}.log"
        with os.fdopen(os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "director.reasoning.agent_process"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                process_group=0,  # out of reach of a terminal's Ctrl-C, which is for the client
            )
        with contextlib.suppress(BrokenPipeError):  # it ended at once: its log says why
            self._lifeline.write(spec.model_dump_json().encode() + b"\n")
            self._lifeline.flush()
        self.ended: Future[dict[str, Any]] = Future()
        threading.Thread(target=self._wait, name=self._name, daemon=True).start()

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    @property
    def _lifeline(self) -> Any:
        return self._process.stdin

    def let_go(self) -> None:
        """Closes the lifeline: the reasoner ends within a few seconds. May be called twice."""
        with contextlib.suppress(BrokenPipeError):
            self._lifeline.close()

    def _wait(self) -> None:
        output = self._process.stdout.read() if self._process.stdout else b""
        code = self._process.wait()
        with contextlib.suppress(ValueError, IndexError):
            self.ended.set_result(dict(json.loads(output.splitlines()[-1])))
            return
        tail = "\n".join(self._log.read_text(errors="replace").splitlines()[-10:])
        failure = f"its process ended with code {code}. The end of {self._log}:\n{tail}"
        self.ended.set_result({"reasoner": self._name, "failure": failure})
