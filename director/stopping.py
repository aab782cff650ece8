"""How an attempt is brought to stop: first asked, then interrupted, then killed. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from director.pool import How
from simulations.workspace import Stop

_NEXT = {How.ASK: How.INTERRUPT, How.INTERRUPT: How.KILL}
_STRONGER = {Stop.PAUSE: 0, Stop.CANCEL: 1, Stop.TIMEOUT: 1}


@dataclass(frozen=True)
class Patience:
    """How long each way of stopping an attempt may take, in s.

    Attributes:
        ask_s: Until its Tool has seen the flag, and saved what it had done.
        interrupt_s: Until the signal has had its effect.
        kill_s: Until the pool has noticed that the worker is gone. After that the attempt is given up: what it may
            still return is stale.
    """

    ask_s: float = 10.0
    interrupt_s: float = 5.0
    kill_s: float = 10.0

    def of(self, how: How) -> float:
        """The time for one way."""
        return {How.ASK: self.ask_s, How.INTERRUPT: self.interrupt_s, How.KILL: self.kill_s}[how]

    def within(self, total_s: float) -> Patience:
        """The same in proportion, so that all three ways take no longer than so many seconds together."""
        share = min(1.0, total_s / (self.ask_s + self.interrupt_s + self.kill_s))
        return Patience(self.ask_s * share, self.interrupt_s * share, self.kill_s * share)


@dataclass(frozen=True)
class Stopping:
    """An attempt that is to stop.

    Attributes:
        why: What its Tool is told.
        how: The latest way that was tried.
        since: Since when (UTC).
        patience: How long each way may take.
    """

    why: Stop
    how: How
    since: datetime
    patience: Patience

    def due(self, now: datetime) -> Stopping | None:
        """The next way, if it is time for it."""
        following = _NEXT.get(self.how)
        if following is None or not self._over(now):
            return None
        return Stopping(self.why, following, now, self.patience)

    def hopeless(self, now: datetime) -> bool:
        """Whether everything was tried, and nothing has helped."""
        return self.how is How.KILL and self._over(now)

    def _over(self, now: datetime) -> bool:
        return (now - self.since).total_seconds() >= self.patience.of(self.how)


def stopped(present: Stopping | None, why: Stop, now: datetime, patience: Patience) -> Stopping | None:
    """What to do when an attempt is to stop: None if that is under way already.

    To stop for good replaces to stop for now, and begins again with asking; never the other way round. Less patience
    replaces more.
    """
    if present is not None:
        sooner = why is present.why and present.how is How.ASK and patience.ask_s < present.patience.ask_s
        if _STRONGER[why] <= _STRONGER[present.why] and not sooner:
            return None
    return Stopping(why, How.ASK, now, patience)
