"""What a Director's Engine asks of the workers, whatever runs them."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

from director.attempt import Attempt, AttemptResult
from simulations.workspace import Stop


@dataclass(frozen=True)
class NodeState:
    """How a node of the Partition is.

    Attributes:
        hostname: Its name.
        state: ``starting``, ``up`` or ``lost``.
        workers: How many of its workers are connected.
        since: Since when it is in this state (ISO 8601, UTC).
        reason: Why it is lost, with the end of its worker pool's output.
        accelerators: The accelerators that its workers own.
    """

    hostname: str
    state: str
    workers: int = 0
    since: str | None = None
    reason: str | None = None
    accelerators: tuple[str, ...] = ()


class How(enum.StrEnum):
    """How insistently an attempt is stopped."""

    ASK = "ask"
    """By a flag in its folder, which its Tool looks at."""
    INTERRUPT = "interrupt"
    """By a signal to its worker, which raises in the Tool's Python code."""
    KILL = "kill"
    """By ending its worker, which is replaced."""


class LostError(RuntimeError):
    """An attempt was lost with its worker or node. That is not the Request's fault.

    Attributes:
        with_node: Whether the whole worker pool was lost, not only the one worker.
    """

    def __init__(self, message: str, *, with_node: bool = False) -> None:
        super().__init__(message)
        self.with_node = with_node


class NoWorkersError(RuntimeError):
    """The pool has no node left that can run workers."""


class Pool(Protocol):
    """Runs attempts on workers."""

    @property
    def workers(self) -> int:
        """How many workers there are when all nodes are up."""
        ...

    @property
    def hopeless(self) -> str | None:
        """Why Requests fail at once now, where all nodes have been lost for too long; else None."""
        ...

    def start(self) -> None:
        """Starts the workers; they may connect after it returns. Blocks.

        Raises:
            RuntimeError: If the pool cannot be started.
        """
        ...

    def submit(self, attempts: list[Attempt]) -> Future[list[AttemptResult]]:
        """Runs attempts one after another on one worker.

        Returns:
            A future of their results, or of `LostError` or `NoWorkersError`.
        """
        ...

    def begun(self) -> Mapping[str, str]:
        """What workers have taken up and what has not come back: where each task runs.

        Returns:
            The node, by the ``id.epoch`` of the task's first attempt.
        """
        ...

    def stop(self, attempts: Mapping[str, int], why: Stop, how: How) -> None:
        """Stops attempts that run. Blocks for a moment. One that is not running any more is left alone.

        Args:
            attempts: For each Request's id the epoch of its attempt.
            why: What its Tool is told.
            how: How insistently. What is killed comes back as `LostError`, with all that travelled with it.
        """
        ...

    def nodes(self) -> list[NodeState]:
        """How the nodes are, as far as that is known. Does not block."""
        ...

    def close(self) -> None:
        """Ends all workers at once. May be called twice. Blocks."""
        ...
