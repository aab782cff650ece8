"""A pool whose attempts end as soon as they begin: what is left to measure is the Director."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime

from director.attempt import Attempt, AttemptResult
from director.pool import How, NodeState
from simulations.records import Ending
from simulations.workspace import Stop


class NothingPool:
    """Answers each pack from another thread.

    Args:
        frozen: Whether attempts never end.
    """

    def __init__(self, *, frozen: bool = False) -> None:
        self._frozen = frozen
        self._thread = ThreadPoolExecutor(1)

    @property
    def workers(self) -> int:
        """See `Pool.workers`."""
        return 2

    @property
    def hopeless(self) -> str | None:
        """See `Pool.hopeless`."""
        return None

    def start(self) -> None:
        """See `Pool.start`."""

    def submit(self, attempts: list[Attempt]) -> Future[list[AttemptResult]]:
        """See `Pool.submit`."""
        future: Future[list[AttemptResult]] = Future()
        if not self._frozen:
            self._thread.submit(lambda: future.set_result([_result(attempt) for attempt in attempts]))
        return future

    def begun(self) -> dict[str, str]:
        """See `Pool.begun`."""
        return {}

    def stop(self, attempts: Mapping[str, int], why: Stop, how: How) -> None:
        """See `Pool.stop`."""

    def nodes(self) -> list[NodeState]:
        """See `Pool.nodes`."""
        return [NodeState("local-0", "up", workers=2)]

    def close(self) -> None:
        """See `Pool.close`."""
        self._thread.shutdown(wait=False)


def _result(attempt: Attempt) -> AttemptResult:
    now = datetime.now(UTC)
    return AttemptResult(
        id=attempt.id, epoch=attempt.epoch, ending=Ending.OK, result={"mock": True, "slept_s": 0.0}, error=None,
        host="local-0", worker="local-0/0", accelerator=None, started_at=now, finished_at=now, artifacts={},
        versions={},
    )  # fmt: skip
