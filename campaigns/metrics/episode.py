"""What metrics look at: episodes, their evaluations in order, and what is known to be there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Evaluation:
    """One evaluation of a candidate.

    Attributes:
        structure: Names the candidate: two evaluations with one name are of the same thing.
        status: That of the Outcome: ``ok``, ``failed``, ``timeout`` or ``cancelled``.
        score: How good it was found to be, more is better; None: it could not be evaluated.
        success: Whether it was what the campaign looked for, at the time of its observation.
        formula: Reduced formula of a crystal; None where candidates have none.
        label: Short text for people.
        details: What the environment made of it, with units in the names.
        decision_s: Time that choosing it took, in s; None if that is not known.
        cost: What choosing it cost, such as ``llm_input_tokens``.
    """

    structure: str
    status: str
    score: float | None
    success: bool
    formula: str | None = None
    label: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    decision_s: float | None = None
    cost: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Episode:
    """One run of a policy on a system.

    Attributes:
        system: Which system.
        policy: Which policy.
        index: Number of the episode, from 0.
        budget: Evaluations that it was allowed.
        evaluations: In the order of the record.
        ended: Why it ended; empty while it goes on.
    """

    system: str
    policy: str
    index: int
    budget: int
    evaluations: tuple[Evaluation, ...]
    ended: str = ""


@dataclass(frozen=True)
class Known:
    """What is known to be there, of one system: stable phases, or the best candidates of a list.

    Attributes:
        structures: Names as of `Evaluation.structure`.
        formulas: Reduced formulas; empty where candidates have none.
        source: Where that is from, for the reader.
    """

    structures: frozenset[str]
    formulas: frozenset[str] = frozenset()
    source: str = ""
