"""How often Parsl is started again under a Director before it gives up. Pure."""

from __future__ import annotations

from collections.abc import Sequence

MOST_RESTARTS = 5
WITHIN_S = 3600.0


def restart_pause_s(restarts: Sequence[float], now: float) -> float | None:
    """How long to wait before Parsl is started again.

    Args:
        restarts: When it was started again before, in s of any monotonic clock.
        now: The time now.

    Returns:
        In s: 0 for the first time within an hour, then 1, 2, 4 and 8. None if it was started again 5 times within the
        last hour: what ends it so often will end it again.
    """
    recent = sum(1 for at in restarts if now - at < WITHIN_S)
    if recent >= MOST_RESTARTS:
        return None
    return 0.0 if recent == 0 else 2.0 ** (recent - 1)
