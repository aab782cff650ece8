"""How much one reasoner, and all of them together, may spend."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True)
class Limits:
    """Bounds. None: no bound of that kind; the number of rounds and of questions is always bounded.

    Attributes:
        rounds: Rounds of each reasoner: proposals, simulations, a conclusion.
        questions_per_round: How often a reasoner's model is asked for proposals in one round: once, and again after
            each reply that has nothing that can be run.
        calls_per_round: How many simulations a reasoner may ask for in one round.
        idle_rounds: A reasoner ends after so many rounds in a row without any simulation.
        requests_each: Simulations of each reasoner.
        requests: Simulations of all.
        tokens_each: Tokens, sent and received, of each reasoner.
        tokens: Tokens of all.
        node_hours: Of all simulations, as their Outcomes count them.
    """

    rounds: int = 5
    questions_per_round: int = 3
    calls_per_round: int = 4
    idle_rounds: int = 2
    requests_each: int | None = None
    requests: int | None = None
    tokens_each: int | None = None
    tokens: int | None = None
    node_hours: float | None = None

    def __post_init__(self) -> None:
        for one in fields(self):
            value: Any = getattr(self, one.name)
            if value is not None and not value > 0:
                raise ValueError(f"{one.name} is {value}; it must be greater than 0")

    @property
    def most_steps(self) -> int:
        """More steps than a reasoner can make."""
        return self.rounds * (self.questions_per_round + 4) + 10
