"""How many simulations to run at once on a node, and with how many threads: what to measure next, and when to stop.

Pure. `director.tuning_crew` measures.

All candidates are measured in turn, round after round, and those that cannot be the best are left out of the next
round (successive halving, but by what the noise allows: K. Jamieson and A. Talwalkar, AISTATS 2016). A machine's speed
drifts, so only figures of the same round are compared: the logarithm of a figure is taken for the sum of what the
candidate is, of what the round was, and of noise (a two-way layout without interaction; H. Scheffé, The Analysis of
Variance, 1959, chapter 4).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

MOST_ROUNDS = 8
MOST_PER_ACCELERATOR = 16
SAME = 0.01
"""Candidates that differ by less are taken for equal."""
HOPELESS = 0.6
"""Whatever reaches less than this part of the best in the first round is not measured again, but for the second best:
one figure that was disturbed must not decide."""
LEAST_NOISE = 0.003
"""Relative standard deviation of a figure that is assumed at least, however well few figures agree."""

# Student's t, one-sided 95 %, for 1 to 12 degrees of freedom; beyond, that for 13, which is a little too cautious.
_T95 = (6.314, 2.920, 2.353, 2.132, 2.015, 1.943, 1.895, 1.860, 1.833, 1.812, 1.796, 1.782)
_T95_MANY = 1.771


@dataclass(frozen=True)
class Candidate:
    """One way to share out a node.

    Attributes:
        workers_per_node: How many simulations run at once on each node.
        threads_per_worker: Threads of each.
        workers_per_accelerator: How many of them share an accelerator; None without accelerators.
        mps: Whether those that share an NVIDIA GPU do so through MPS; None without accelerators.
    """

    workers_per_node: int
    threads_per_worker: int
    workers_per_accelerator: int | None = None
    mps: bool | None = None

    def __str__(self) -> str:
        threads = f"{self.threads_per_worker} thread{'s' if self.threads_per_worker > 1 else ''}"
        if self.workers_per_accelerator is None:
            return f"{self.workers_per_node} × {threads}"
        sharing = {True: ", MPS", False: ", no MPS", None: ""}[self.mps if self.workers_per_accelerator > 1 else None]
        return f"{self.workers_per_accelerator} per accelerator{sharing} ({self.workers_per_node} × {threads})"

    @property
    def settings(self) -> dict[str, Any]:
        """It as fields of a `director.spec.PoolSpec`."""
        if self.workers_per_accelerator is None:
            return {"workers_per_node": self.workers_per_node, "threads_per_worker": self.threads_per_worker}
        return {"workers_per_accelerator": self.workers_per_accelerator, "mps": bool(self.mps)}


def candidates(cores: int, accelerators: int = 0, *, mps: bool = False) -> list[Candidate]:
    """The ways to share out a node that are worth a measurement.

    Without accelerators: all cores, with 1, 2, 4 … threads for each simulation, or half, a quarter … of the cores; and
    one thread on every other core, since of two hardware threads of a core one may be better left alone. With
    accelerators: up to 16 simulations on each, as long as each has a core.

    Args:
        cores: Cores of the node.
        accelerators: Its accelerators.
        mps: Whether they can be shared through NVIDIA's MPS.

    Returns:
        The default of a run first.
    """
    if accelerators:
        return [
            Candidate(count * accelerators, max(1, cores // (count * accelerators)), count, shared)
            for count in (1, 2, 3, 4, 6, 8, 12, MOST_PER_ACCELERATOR)
            if count == 1 or count * accelerators <= cores
            for shared in ((True, False) if mps and count > 1 else (False,))
        ]
    doubled = [2**power for power in range(cores.bit_length()) if 2**power <= cores]
    halved = [cores // 2**power for power in range(cores.bit_length())]
    found = [Candidate(cores // threads, threads) for threads in sorted({*doubled, *halved} - {0})]
    if cores > 1:
        found.append(Candidate(cores // 2, 1))
    return list(dict.fromkeys(found))


@dataclass(frozen=True)
class Standing:
    """What is known of a candidate.

    Attributes:
        candidate: The candidate.
        throughput: Median of what was measured, in units of work per second; None if nothing was.
        relative: Throughput relative to the choice's, by rounds that both were in; None if nothing was measured.
        measured: How often it was.
        failure: Why it could not be measured; empty if it could.
    """

    candidate: Candidate
    throughput: float | None
    relative: float | None
    measured: int
    failure: str = ""


@dataclass
class Race:
    """Decides what is measured next, and when enough is known. Needs no clock, and no random numbers.

    Attributes:
        entered: The candidates.
        most_rounds: How often each is measured at most.
        least_rounds: For how many rounds nobody is left out, however far behind.
    """

    entered: Sequence[Candidate]
    most_rounds: int = MOST_ROUNDS
    least_rounds: int = 1
    _figures: dict[Candidate, dict[int, float]] = field(default_factory=dict, init=False)
    _failures: dict[Candidate, str] = field(default_factory=dict, init=False)
    _round: int = field(default=0, init=False)
    _running: list[Candidate] = field(default_factory=list, init=False)
    _queue: list[Candidate] = field(default_factory=list, init=False)
    _why: str = field(default="", init=False)

    def __post_init__(self) -> None:
        self._running = list(self.entered)
        self._queue = list(self.entered)

    def next(self) -> Candidate | None:
        """What to measure now, or None if enough is known."""
        while not self._queue and not self._why:
            self._end_round()
        return self._queue[0] if self._queue else None

    def add(self, throughput: float) -> None:
        """Takes in what was measured of `next`: a throughput greater than 0, in any unit."""
        self._figures.setdefault(self._queue.pop(0), {})[self._round] = throughput

    def fail(self, reason: str) -> None:
        """Takes in that `next` could not be measured. It is out of the race."""
        candidate = self._queue.pop(0)
        self._failures[candidate] = reason
        self._running.remove(candidate)

    def _end_round(self) -> None:
        if len(self._running) > 1 and self._round + 1 >= self.least_rounds:
            self._running = self._not_beaten()
        if len(self._running) <= 1:
            self._why = "the best is told from the rest" if self._running else "nothing could be measured"
        elif self._round + 1 >= self.most_rounds:
            self._why = f"{len(self._running)} candidates cannot be told apart in {self.most_rounds} rounds"
        else:
            self._round += 1
            # There and back again, so that what drifts within a round does not favour one of them.
            self._queue = self._running[::-1] if self._round % 2 else list(self._running)

    def _not_beaten(self) -> list[Candidate]:
        """The leader, and those that may still be better than it by more than `SAME`."""
        leader = self.leader
        assert leader is not None  # noqa: S101  (something is running)
        if self._round == 0:
            first = sorted((self._figures[one][0] for one in self._running), reverse=True)
            least = min(HOPELESS * first[0], first[1])
            return [one for one in self._running if self._figures[one][0] >= least]
        reach = self._reach()
        return [
            one for one in self._running if one is leader or self._advantage(one, leader) + reach > math.log1p(SAME)
        ]

    def _reach(self) -> float:
        """By how much the difference of two mean logarithms may be wrong: a one-sided bound of 95 %."""
        rounds = range(self._round + 1)
        logs = {one: [math.log(self._figures[one][index]) for index in rounds] for one in self._running}
        of_round = [statistics.fmean(values[index] for values in logs.values()) for index in rounds]
        residuals = [
            value - statistics.fmean(values) - of_round[index] + statistics.fmean(of_round)
            for values in logs.values()
            for index, value in enumerate(values)
        ]
        freedom = (len(logs) - 1) * self._round
        noise = max(LEAST_NOISE, math.sqrt(sum(value * value for value in residuals) / freedom))
        student = _T95[freedom - 1] if freedom <= len(_T95) else _T95_MANY
        return student * noise * math.sqrt(2 / len(rounds))

    def _advantage(self, one: Candidate, other: Candidate) -> float:
        """Mean logarithm of a candidate's throughput relative to another's, over the rounds that both were in."""
        mine, theirs = self._figures[one], self._figures[other]
        return statistics.fmean(math.log(mine[index] / theirs[index]) for index in mine.keys() & theirs.keys())

    @property
    def leader(self) -> Candidate | None:
        """The best of those that were measured most often; of equal ones, the one that was entered first."""
        measured = [one for one in self._running if one in self._figures]
        if not measured:
            return None
        most = max(len(self._figures[one]) for one in measured)
        measured = [one for one in measured if len(self._figures[one]) == most]
        score = {one: self._advantage(one, measured[0]) for one in measured}
        best = max(score.values())
        return next(one for one in measured if score[one] >= best - SAME / 2)

    @property
    def choice(self) -> Candidate | None:
        """What to go by: the leader, but the candidate that was entered first as long as nothing has beaten it."""
        default = self.entered[0]
        return default if default in self._running and default in self._figures else self.leader

    @property
    def complete(self) -> bool:
        """Whether each candidate was measured, or failed."""
        return all(one in self._figures or one in self._failures for one in self.entered)

    @property
    def verdict(self) -> str:
        """Why no more is measured, in words."""
        if self._why:
            return self._why
        if not self.complete:
            missing = sum(one not in self._figures and one not in self._failures for one in self.entered)
            return f"the time was over with {missing} of {len(self.entered)} candidates not measured"
        return f"the time was over with {len(self._running)} candidates not told apart"

    @property
    def standings(self) -> list[Standing]:
        """All candidates, the choice first, the best of the others next, and last those that were not measured."""
        choice = self.choice
        found = []
        for one in self.entered:
            figures = self._figures.get(one)
            relative = math.exp(self._advantage(one, choice)) if figures and choice else None
            throughput = statistics.median(figures.values()) if figures else None
            found.append(Standing(one, throughput, relative, len(figures or ()), self._failures.get(one, "")))
        return sorted(found, key=lambda item: (item.candidate != choice, -(item.relative or 0.0)))
