"""A job of the cluster, whichever scheduler has it."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Run = Callable[[list[str]], str]


@dataclass
class Job(ABC):
    """A job.

    Attributes:
        id: The scheduler's name of it.
        file: Where its output goes.
    """

    id: str
    file: Path
    _run: Run

    @property
    def output(self) -> str:
        """What it has printed so far."""
        return self.file.read_text() if self.file.exists() else ""

    @abstractmethod
    def state(self) -> str:
        """Its state, as the scheduler calls it."""

    @staticmethod
    @abstractmethod
    def ended(state: str) -> bool:
        """Whether a job in this state has ended."""

    @abstractmethod
    def cancel(self) -> None:
        """Ends it."""

    def wait(self, timeout_s: float = 60.0) -> str:
        """Waits until it has ended, and returns its state.

        Raises:
            TimeoutError: If it takes too long.
        """
        give_up = time.monotonic() + timeout_s
        while not self.ended(state := self.state()):
            if time.monotonic() > give_up:
                raise TimeoutError(
                    f"job {self.id} is {state} after {timeout_s:g} s. It printed:\n{self.output[-2000:]}"
                )
            time.sleep(0.1)
        return state
