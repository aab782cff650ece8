"""How long a Director stays when it has nothing left to run. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Idleness:
    """What a Director knows when it asks whether it may end.

    Attributes:
        open: Requests without an Outcome.
        idle_s: How long nothing has come in and nothing has ended, in s.
        draining: Whether it accepts nothing more.
        unread: Outcomes that no client has fetched yet.
    """

    open: int
    idle_s: float
    draining: bool
    unread: int


def reason_to_end(now: Idleness, linger_s: float | None) -> str | None:
    """Why a Director may end, or None if it may not.

    Args:
        now: How it is.
        linger_s: How long it stays when it has nothing left to run, in s; None: until it is closed.
    """
    if now.open:
        return None
    if now.draining and not now.unread:
        return "drained: all is done, and fetched"
    if linger_s is not None and now.idle_s >= linger_s:
        return f"nothing left to run for {linger_s:g} s"
    return None
