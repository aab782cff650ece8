"""What becomes of one server of a service, from what is seen of it. Pure: it takes a clock and starts nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import assert_never

from director.service_partition.spec import ServiceSpec

MAX_BACKOFF_S = 300.0


class Phase(StrEnum):
    """How a server is."""

    WAITING = "waiting"
    """It is not there; it will be started when it is due."""
    STARTING = "starting"
    UP = "up"
    UNWELL = "unwell"
    """It was up, and has missed checks."""
    FAILED = "failed"
    """It will not be started again."""


class Action(StrEnum):
    """What is to be done."""

    NOTHING = "nothing"
    START = "start"
    END = "end"
    """End what there is of it."""


@dataclass(frozen=True)
class Bounds:
    """How much patience there is.

    Attributes:
        start_timeout_s: How long it may take to be up, in s.
        misses: How many health checks in a row may be missed before it is started again.
        restarts: How often it may be started again.
        backoff_s: How long to wait before that for the first time, in s; doubled each time.
    """

    start_timeout_s: float
    misses: int
    restarts: int
    backoff_s: float

    @classmethod
    def of(cls, spec: ServiceSpec) -> Bounds:
        """Those of a service."""
        return cls(spec.start_timeout_s, spec.misses, spec.restarts, spec.backoff_s)


@dataclass(frozen=True)
class Seen:
    """What was seen of a server since the last step.

    Attributes:
        alive: Whether it is there, as far as its keeper, or what starts it, says.
        healthy: What the last health check says; None: there was none.
        reason: Why it is not there, or not healthy.
        fault: What no restart would mend; None: nothing.
    """

    alive: bool = True
    healthy: bool | None = None
    reason: str = ""
    fault: str | None = None


@dataclass(frozen=True)
class Life:
    """A server's life so far.

    Attributes:
        phase: How it is.
        since_s: Since when, in s of the clock that `step` is given.
        due_s: When it is to be started, if it waits.
        starts: How often it was started.
        misses: How many health checks in a row it has missed.
        reason: Why it is so; empty if all is well.
    """

    phase: Phase = Phase.WAITING
    since_s: float = 0.0
    due_s: float = 0.0
    starts: int = 0
    misses: int = 0
    reason: str = ""


def backoff_s(starts: int, bounds: Bounds) -> float:
    """How long to wait after so many starts before the next one, in s."""
    return min(MAX_BACKOFF_S, bounds.backoff_s * 2.0 ** min(starts - 1, 60))


def step(life: Life, seen: Seen, now_s: float, bounds: Bounds) -> tuple[Life, Action]:
    """The next step of a server's life, and what is to be done for it.

    Args:
        life: Its life so far.
        seen: What was seen of it since.
        now_s: The time in s, of any monotonic clock.
        bounds: How much patience there is.
    """
    match life.phase:
        case Phase.FAILED:
            return life, Action.NOTHING
        case Phase.WAITING:
            if now_s < life.due_s:
                return life, Action.NOTHING
            begun = replace(life, phase=Phase.STARTING, since_s=now_s, starts=life.starts + 1, misses=0)
            return begun, Action.START
        case Phase.STARTING | Phase.UP | Phase.UNWELL:
            return _watch(life, seen, now_s, bounds)
        case _:
            assert_never(life.phase)


def _watch(life: Life, seen: Seen, now_s: float, bounds: Bounds) -> tuple[Life, Action]:
    if seen.fault is not None:
        return replace(life, phase=Phase.FAILED, since_s=now_s, reason=seen.fault), Action.END
    if not seen.alive:
        return _lost(life, seen.reason or "it has ended", now_s, bounds)
    if life.phase is Phase.STARTING:
        if seen.healthy:
            return replace(life, phase=Phase.UP, since_s=now_s, misses=0, reason=""), Action.NOTHING
        if now_s - life.since_s > bounds.start_timeout_s:
            last = f" ({seen.reason})" if seen.reason else ""
            return _lost(life, f"it was not up within {bounds.start_timeout_s:g} s{last}", now_s, bounds)
        return life, Action.NOTHING
    if seen.healthy:
        if life.phase is Phase.UP:
            return life, Action.NOTHING
        return replace(life, phase=Phase.UP, since_s=now_s, misses=0, reason=""), Action.NOTHING
    if seen.healthy is None:
        return life, Action.NOTHING
    misses = life.misses + 1
    if misses >= bounds.misses:
        return _lost(life, f"it missed {misses} health checks, the last with: {seen.reason}", now_s, bounds)
    since_s = life.since_s if life.phase is Phase.UNWELL else now_s
    return replace(life, phase=Phase.UNWELL, since_s=since_s, misses=misses, reason=seen.reason), Action.NOTHING


def _lost(life: Life, reason: str, now_s: float, bounds: Bounds) -> tuple[Life, Action]:
    if life.starts > bounds.restarts:
        what = f"{reason}; it was started {life.starts} times, and is not started again"
        return replace(life, phase=Phase.FAILED, since_s=now_s, reason=what), Action.END
    due_s = now_s + backoff_s(life.starts, bounds)
    return replace(life, phase=Phase.WAITING, since_s=now_s, due_s=due_s, misses=0, reason=reason), Action.END
