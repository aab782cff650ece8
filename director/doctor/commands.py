"""Running a program that is only asked something: without a shell, with a time limit, and leaving nothing behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Answer:
    """What a program answered.

    Attributes:
        code: Its exit code; None if it could not be started or took too long.
        out: Its standard output.
        err: Its standard error, or why there is no exit code.
    """

    code: int | None
    out: str = ""
    err: str = ""

    @property
    def told(self) -> str:
        """The last lines of what it said, in one line."""
        lines = [line.strip() for line in (self.err.strip() or self.out.strip()).splitlines() if line.strip()]
        return "; ".join(lines[-3:]) or f"exit code {self.code}"


NOT_ASKED = Answer(None)


def ask(
    command: Sequence[str], *, environment: Mapping[str, str], timeout_s: float, script: str | None = None
) -> Answer:
    """Runs a program to its end.

    Args:
        command: Program and arguments. The program is looked for in the environment's search path.
        environment: Its environment.
        timeout_s: How long it may take; then it is killed, with all that it has started.
        script: Its standard input.
    """
    try:
        process = subprocess.Popen(
            ["/usr/bin/env", "--", *command],  # looks in the PATH that it is given, not in this process's
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
    except (OSError, ValueError) as error:  # ValueError: what no program's arguments can be
        return Answer(None, err=f"{command[0]} cannot be started ({error})")
    try:
        out, err = process.communicate(script, timeout=timeout_s)
    except subprocess.TimeoutExpired:
        return Answer(None, err=f"{command[0]} did not answer within {timeout_s:g} s")
    finally:
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
    return Answer(process.returncode, out, err)


def missing(names: Sequence[str], search_path: str) -> list[str]:
    """Those of these programs that a search path does not have."""
    return [name for name in names if shutil.which(name, path=search_path) is None]
