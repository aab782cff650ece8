"""What a campaign is about: how a candidate is evaluated, and what its Outcome says of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Protocol, Self, TypeVar

from campaigns.stateful import Stateful
from simulations.records import Outcome, Request

C = TypeVar("C")


@dataclass(frozen=True)
class Observation(Generic[C]):
    """What is known of a candidate after its evaluation.

    Attributes:
        candidate: As it was proposed.
        outcome_id: Id of the Outcome that this comes from.
        status: That of the Outcome: ``ok``, ``failed``, ``timeout`` or ``cancelled``.
        score: How good it is at the time of the observation, more is better; None: it could not be evaluated. What
            it measures, and in which unit, the environment says.
        success: Whether it is what the campaign looks for.
        result: What the Tool found, as JSON has it; empty if it found nothing.
        details: What the environment makes of it, with units in the names.
    """

    candidate: C
    outcome_id: str
    status: str
    score: float | None
    success: bool
    result: Mapping[str, Any] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        candidate: C,
        outcome: Outcome,
        score: float | None,
        *,
        success: bool = False,
        details: Mapping[str, Any] | None = None,
    ) -> Self:
        """What an Outcome says of a candidate, with what the environment makes of it. Pure."""
        status, result = outcome.status.value, outcome.result or {}
        return cls(candidate, outcome.id, status, score, success, result, details or {})


@dataclass(frozen=True)
class Objective:
    """A number of which the most, or the least, is looked for.

    Attributes:
        least: Whether the least is looked for.
        wanted: A success has at least this much, or at most; None: there are no successes, only a best.
    """

    least: bool
    wanted: float | None = None

    def score(self, amount: float) -> float:
        """The number as a score, of which more is better; in the same unit. Pure."""
        return -amount if self.least else amount

    def met(self, score: float | None) -> bool:
        """Whether a score, None for none, is a success. Pure."""
        return score is not None and self.wanted is not None and score >= self.score(self.wanted)


class Environment(Stateful, Protocol[C]):
    """The space of candidates, the Tool that evaluates them, and the goal.

    Attributes:
        goal: One line: what is looked for, in which unit.
    """

    goal: str

    def request(self, candidate: C, name: str, folder: Path) -> Request:
        """The Request that evaluates a candidate.

        Args:
            candidate: What is evaluated.
            name: Id that the Request is to have.
            folder: Where files that it needs may be written; paths in its inputs start from there. What is written for
                a name is always the same.
        """
        ...

    def observe(self, candidate: C, outcome: Outcome) -> Observation[C]:
        """Takes an Outcome into account. Called once for each, in the order of the campaign's record."""
        ...

    def to_json(self, candidate: C) -> dict[str, Any]:
        """A candidate as the record has it: without times and ids, equal for equal candidates."""
        ...

    def from_json(self, document: Mapping[str, Any]) -> C:
        """The candidate of such a document."""
        ...


@dataclass(frozen=True)
class View(Generic[C]):
    """What a component may look at when it decides.

    Attributes:
        environment: What the campaign is about; crystals have their hull there.
        observations: All so far, in the order of the record.
        pending: Candidates that are being evaluated now.
        remaining: How many evaluations the budget still allows, those of ``pending`` not counted.
    """

    environment: Environment[C]
    observations: Sequence[Observation[C]]
    pending: Sequence[C]
    remaining: int
