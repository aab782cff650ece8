"""What a Director's Engine asks of the workers, whatever runs them."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

from director.attempt import Attempt, AttemptResult


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

    def stop(self, ids: Sequence[str]) -> None:
        """Asks attempts that run to stop. They end when their Tools next look. Blocks for a moment."""
        ...

    def nodes(self) -> list[NodeState]:
        """How the nodes are."""
        ...

    def close(self) -> None:
        """Ends all workers at once. May be called twice. Blocks."""
        ...
