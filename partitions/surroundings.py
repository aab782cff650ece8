"""What a job can be asked about from within: its environment, its cores, its files and the scheduler's programs."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

COMMAND_TIMEOUT_S = 10.0


class Surroundings(Protocol):
    """Where a process finds itself. Looking at it changes nothing."""

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment variables of the job."""
        ...

    @property
    def cores(self) -> tuple[int, ...]:
        """Ids of the cores of this machine that this process may use."""
        ...

    def read(self, path: str) -> str:
        """The text of a file.

        Raises:
            OSError: If it cannot be read.
        """
        ...

    def output_of(self, command: Sequence[str]) -> str | None:
        """Standard output of a program that is run in this environment, without a shell.

        Returns:
            None if the program is missing, fails or takes longer than 10 s.
        """
        ...


@dataclass(frozen=True)
class ThisProcess:
    """The surroundings of this process, and by default its environment.

    Attributes:
        environment: Of the job; another one's can be given, to look at it from elsewhere.
        timeout_s: How long a program may take, in s.
    """

    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    timeout_s: float = COMMAND_TIMEOUT_S

    @property
    def cores(self) -> tuple[int, ...]:
        """See `Surroundings.cores`."""
        if hasattr(os, "sched_getaffinity"):
            return tuple(sorted(os.sched_getaffinity(0)))
        return tuple(range(os.cpu_count() or 1))

    def read(self, path: str) -> str:
        """See `Surroundings.read`."""
        return Path(path).read_text(encoding="utf-8", errors="replace")

    def output_of(self, command: Sequence[str]) -> str | None:
        """See `Surroundings.output_of`."""
        try:
            return subprocess.run(
                command,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                encoding="utf-8",
                errors="replace",
                timeout=self.timeout_s,
                check=True,
            ).stdout
        except (OSError, ValueError, subprocess.SubprocessError):  # ValueError: what no program's environment can be
            return None
