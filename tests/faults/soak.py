"""A soak: which faults happen when, whom they hit, and the table that tells of them. All of it pure."""

from __future__ import annotations

import random
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from simulations.records import Course

EAGER = 0.25
"""So many of the faults, on average, strike while things are not in order again after the one before."""


@dataclass(frozen=True)
class Planned:
    """A fault that is to happen.

    Attributes:
        kind: What is to be killed.
        gap_s: How long after the one before, in s; work has gone on by then, unless this one is eager.
        pick: Which one, of those that are there then: from 0 to less than 1.
        eager: Whether it does not wait until work goes on.
    """

    kind: str
    gap_s: float
    pick: float
    eager: bool


def plan(
    seed: int, weights: Mapping[str, int], duration_s: float, *, mean_gap_s: float = 6.0, least_gap_s: float = 2.0
) -> tuple[Planned, ...]:
    """Plans as many faults as there can be at most in a time; the same arguments give the same plan.

    Kinds are dealt like cards from a deck of which one card of each kind lies on top, both parts shuffled: each has its
    turn before any has it again, also where a slow machine gets through one deck only, or not even that.

    Args:
        seed: Decides gaps, kinds and picks.
        weights: How many cards of each kind there are.
        duration_s: When it ends, in s.
        mean_gap_s: Mean time between two faults, in s.
        least_gap_s: Least time between two faults, in s.
    """
    chance = random.Random(seed)
    deck: list[str] = []
    faults: list[Planned] = []
    at_s = 0.0
    while at_s < duration_s:
        if not deck:
            first = sorted(weights)
            rest = [kind for kind in first for _ in range(weights[kind] - 1)]
            chance.shuffle(first)
            chance.shuffle(rest)
            deck = rest + first
        gap_s = round(least_gap_s + chance.expovariate(1 / (mean_gap_s - least_gap_s)), 3)
        at_s += gap_s
        faults.append(Planned(deck.pop(), gap_s, chance.random(), chance.random() < EAGER))
    return tuple(faults)


@dataclass(frozen=True)
class Injected:
    """A fault that happened.

    Attributes:
        kind: What was killed.
        at: When, in s since 1970.
        director: The only Director whose attempts it can have ended; None: all.
        host: The only node whose attempts it can have ended; None: all.
        what: What exactly it was.
        harmless: Whether it ends no attempt.
    """

    kind: str
    at: float
    director: int | None = None
    host: str | None = None
    what: str = ""
    harmless: bool = False

    def reaches(self, director: int, host: str | None) -> bool:
        """Whether it struck where an attempt ran; a host that nobody knows may be any."""
        return self.director in (None, director) and (self.host is None or host in (None, self.host))

    def may_have_ended(self, director: int, host: str | None) -> bool:
        """Whether an attempt at this place may have been ended by it."""
        return not self.harmless and self.reaches(director, host)


@dataclass(frozen=True)
class Glimpse:
    """What an attempt had said of itself just before a fault.

    Attributes:
        epoch: The attempt.
        course: How far it was.
    """

    epoch: int
    course: Course


@dataclass(frozen=True)
class Loss:
    """What an attempt that was lost has cost.

    Attributes:
        request: The Request.
        fault: What ended it; None: nothing that was injected.
        lost_s: Work that had to be done again, in s of wall time; None where it was not seen at work.
        lost_ps: The same in simulated time, in ps, as the attempt had reported it; None for one that simulates none.
        back_s: From the fault until the Request went on, in s; None if the next attempt was lost as well before that.
    """

    request: str
    fault: Injected | None
    lost_s: float | None
    lost_ps: float | None
    back_s: float | None


@dataclass
class Tally:
    """What a soak has seen so far.

    Attributes:
        accepted: Requests that were accepted.
        ok: Requests that ended ok.
        failed_on_purpose: Requests that were made to fail, and did.
        resumed: Attempts that went on from a checkpoint.
        faults: What was injected.
        at_work: Those of them that struck where an attempt ran.
        missed: How often a fault could not happen although work ran, since there was nothing to kill.
        losses: What they have cost.
        client_back_s: For each fault, the time until the client had its next Outcome, in s.
        lives: How many lives Directors had.
        frames: Frames of trajectories that were looked at.
        equal: Trajectories that were compared, byte by byte, with one that nothing has interrupted.
        lost: Requests that were accepted, or acknowledged, and have no Outcome.
        doubled: Requests that have two, or were accepted twice.
        violations: Invariants that did not hold, with all that is known of it.
    """

    accepted: int = 0
    ok: int = 0
    failed_on_purpose: int = 0
    resumed: int = 0
    faults: list[Injected] = field(default_factory=list)
    at_work: set[Injected] = field(default_factory=set)
    missed: Counter[str] = field(default_factory=Counter)
    losses: list[Loss] = field(default_factory=list)
    client_back_s: dict[Injected, float] = field(default_factory=dict)
    lives: int = 0
    frames: int = 0
    equal: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)


COLUMNS = (
    "fault",
    "injected",
    "where work ran",
    "attempts lost",
    "lost (s, worst)",
    "lost (ps, worst)",
    "back (s, median)",
    "back (s, worst)",
)


def rows(tally: Tally) -> list[tuple[str, ...]]:
    """One row for each kind of fault."""
    found = []
    kinds = sorted({fault.kind for fault in tally.faults} | set(tally.missed))
    for kind in kinds:
        losses = [loss for loss in tally.losses if loss.fault and loss.fault.kind == kind]
        lost_s = [loss.lost_s for loss in losses if loss.lost_s is not None]
        lost_ps = [loss.lost_ps for loss in losses if loss.lost_ps is not None]
        back_s = list(recoveries(tally, kind).values())
        found.append(
            (
                kind,
                str(sum(fault.kind == kind for fault in tally.faults)),
                str(sum(fault.kind == kind for fault in tally.at_work)),
                str(len(losses)),
                f"{max(lost_s):.1f}" if lost_s else "–",
                f"{max(lost_ps):.1f}" if lost_ps else "–",
                f"{statistics.median(back_s):.1f}" if back_s else "–",
                f"{max(back_s):.1f}" if back_s else "–",
            )
        )
    return found


def recoveries(tally: Tally, kind: str) -> dict[Injected, float]:
    """For each fault of a kind, the time until the first Request that it interrupted went on, in s.

    Where it interrupted none, it is the time until the client had its next Outcome.
    """
    found: dict[Injected, float] = {}
    for loss in tally.losses:
        if loss.fault is not None and loss.fault.kind == kind and loss.back_s is not None:
            found[loss.fault] = min(loss.back_s, found.get(loss.fault, loss.back_s))
    touched = {loss.fault for loss in tally.losses}
    seen = {fault: back_s for fault, back_s in tally.client_back_s.items() if fault.kind == kind}
    return found | {fault: back_s for fault, back_s in seen.items() if fault not in touched}


def shown(title: str, tally: Tally, seconds: float, interval_s: float) -> str:
    """The table, as text.

    Args:
        title: What was soaked.
        tally: What was seen.
        seconds: How long it took, in s.
        interval_s: Wall time between checkpoints, in s.
    """
    body = [COLUMNS, *rows(tally)]
    widths = [max(len(row[index]) for row in body) for index in range(len(COLUMNS))]
    lines = [
        f"{title}: {seconds:.0f} s, {len(tally.faults)} faults, a checkpoint each {interval_s:g} s",
        f"  Requests accepted {tally.accepted}, lost {len(tally.lost)}, doubled {len(tally.doubled)}; ok {tally.ok}, "
        f"failed as they were made to {tally.failed_on_purpose}; lives of Directors {tally.lives}",
        f"  attempts lost {len(tally.losses)}, gone on from a checkpoint {tally.resumed}; frames looked at "
        f"{tally.frames:,}; trajectories equal to an uninterrupted one, byte by byte: {tally.equal}",
    ]
    for row in body:
        cells = [row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  " + "  ".join(cells))
    if unexplained := sum(loss.fault is None for loss in tally.losses):
        lines.append(f"  attempts lost to nothing that was injected after they began: {unexplained}")
    if tally.missed:
        missed = ", ".join(f"{kind} {count}" for kind, count in sorted(tally.missed.items()))
        lines.append(f"  had to wait for another turn, since there was nothing to kill: {missed}")
    return "\n".join([*lines, *violations_shown(tally.violations)])


def violations_shown(violations: Sequence[str]) -> list[str]:
    """What did not hold, for a reader."""
    return [f"  VIOLATED: {text}" for text in violations]
