"""The four stages of a pipeline, for candidates of any type: planner, generator, filter, scorer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from campaigns.environment import View
from campaigns.stateful import Stateful

C = TypeVar("C")


@dataclass(frozen=True)
class Plan:
    """Where to look next.

    Attributes:
        regions: Parts of the space, in the order of preference: reduced formulas of crystals, say. Empty: anywhere.
        num_candidates: How many candidates to generate in each of them.
        constraints: Further wishes to the generator.
        details: Why, for the record.
        cost: What the decision cost, such as ``llm_input_tokens``.
    """

    regions: tuple[str, ...]
    num_candidates: int
    constraints: Mapping[str, Any] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    cost: Mapping[str, float] = field(default_factory=dict)


class Planner(Stateful, Protocol[C]):
    """Decides where to look next."""

    def propose(self, view: View[C]) -> Plan:
        """Where to look next.

        Raises:
            Exhausted: If nothing is left to look at.
        """
        ...


class Generator(Stateful, Protocol[C]):
    """Makes candidates."""

    def generate(self, plan: Plan, view: View[C]) -> list[C]:
        """Candidates for a plan; fewer than planned where no more can be made."""
        ...


@dataclass(frozen=True)
class FilterResult:
    """What a filter says of one candidate.

    Attributes:
        passed: Whether it may go on.
        filter_name: Who says so.
        rejection_reason: Why not; None if it passed.
    """

    passed: bool
    filter_name: str
    rejection_reason: str | None = None


class Filter(Stateful, Protocol[C]):
    """Keeps candidates out that are not worth their evaluation."""

    def filter(self, candidates: Sequence[C], view: View[C]) -> list[FilterResult]:
        """One result for each candidate, in their order."""
        ...


@dataclass(frozen=True)
class ScoreResult:
    """What a scorer says of one candidate.

    Attributes:
        score: More is better.
        scorer_name: Who says so.
        details: What it rests on.
        cost: What it cost.
    """

    score: float
    scorer_name: str
    details: Mapping[str, Any] = field(default_factory=dict)
    cost: Mapping[str, float] = field(default_factory=dict)


class Scorer(Stateful, Protocol[C]):
    """Ranks candidates."""

    def score(self, candidates: Sequence[C], view: View[C]) -> list[ScoreResult]:
        """One result for each candidate, in their order. The first of several equal ones is preferred."""
        ...


class Exhausted(Exception):  # noqa: N818  (it is an end, not an error)
    """Nothing is left to propose. Its text says why; that is how the campaign then ends."""


def best_first(scores: Sequence[ScoreResult]) -> list[int]:
    """The indices of candidates, best first; of equal ones the first."""
    return sorted(range(len(scores)), key=lambda index: (-scores[index].score, index))
