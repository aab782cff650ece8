"""What may still start before the batch job ends. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

START_MARGIN = 1.5
"""A start-up may take so many times what the longest of its kind has taken so far."""
LEAST_S = 2.0
"""Less than that is not worth a start, however short the start-up."""


@dataclass(frozen=True)
class Walltime:
    """When the Director must have ended.

    Attributes:
        deadline: When the job is ended (UTC).
        reserve_s: How long before that all that runs is asked to save what it has done, in s.
    """

    deadline: datetime
    reserve_s: float

    @property
    def stop_at(self) -> datetime:
        """When all that runs is asked to stop (UTC)."""
        return self.deadline - timedelta(seconds=self.reserve_s)

    def left_s(self, now: datetime) -> float:
        """Time until then, in s; negative after it."""
        return (self.stop_at - now).total_seconds()


def may_start(left_s: float, *, checkpoints: bool, startup_s: float | None, expected_s: float | None) -> bool:
    """Whether an attempt may start.

    Args:
        left_s: Time until all that runs is asked to stop, in s.
        checkpoints: Whether its Tool can save what it has done.
        startup_s: How long its start-up takes, in s, before which there is nothing to save; None: not known.
        expected_s: How long it takes as a whole, in s; None: not known.

    Returns:
        Whether it reaches a state that can be saved, or its end if its Tool saves nothing. Of what is not known the
        least is assumed: nothing would ever be known otherwise.
    """
    if left_s < LEAST_S:
        return False
    if expected_s is not None and expected_s <= left_s:
        return True
    if checkpoints:
        return (startup_s or 0.0) * START_MARGIN + LEAST_S <= left_s
    return expected_s is None
