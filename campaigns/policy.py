"""Who chooses what is evaluated next: a pipeline of four stages, or a reasoner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from campaigns.environment import Observation, View
from campaigns.stateful import Stateful

C = TypeVar("C")


@dataclass(frozen=True)
class Choice(Generic[C]):
    """A candidate that is to be evaluated, and why.

    Attributes:
        candidate: What.
        score: How it was ranked; None: it was not.
        by: The component that decided, such as ``GridSearchPlanner > RandomGenerator > RandomSelector``.
        details: What the decision rests on beside the observations so far, for the record.
    """

    candidate: C
    score: float | None
    by: str
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Proposal(Generic[C]):
    """What is to be evaluated next.

    Attributes:
        choices: Best first; no more than were asked for, and none if there is nothing now.
        reason: Why there are fewer than were asked for, with counts for each reason of rejection; empty: there are not.
        cost: What the decision cost, such as ``llm_input_tokens``.
        exhausted: Whether it will never be more: the campaign ends when what is pending is done.
    """

    choices: Sequence[Choice[C]]
    reason: str = ""
    cost: Mapping[str, float] = field(default_factory=dict)
    exhausted: bool = False


class Policy(Stateful, Protocol[C]):
    """Chooses what is evaluated next.

    It is asked from one thread at a time. What it decides depends on its arguments, its seed, its state and the view
    alone: not on time, not on the order of a set.
    """

    def propose(self, view: View[C], count: int) -> Proposal[C]:
        """Up to ``count`` candidates."""
        ...

    def observe(self, observation: Observation[C]) -> None:
        """Learns of an evaluation. Called once for each, in the order of the record.

        After an interruption it is called again for those that came after the latest decision, with the state of then.
        """
        ...
