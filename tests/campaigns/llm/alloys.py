"""A small space of alloys in which language models are asked: a candidate is a formula and a number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from campaigns.components import FilterResult, Plan, ScoreResult
from campaigns.environment import Observation, View
from campaigns.stateful import Stateless
from simulations.records import Outcome, Request


@dataclass(frozen=True)
class Alloy:
    formula: str
    variant: int


class Alloys(Stateless):
    goal = "the lowest energy above the hull, in eV/atom"
    elements = ("Au", "Cu")
    max_stoichiometry = 4

    def request(self, candidate: Alloy, name: str, folder: Path) -> Request:
        return Request(id=name, tool="mock_md", inputs={"duration_s": 0.0})

    def observe(self, candidate: Alloy, outcome: Outcome) -> Observation[Alloy]:
        return Observation(candidate, outcome.id, outcome.status, None, False)

    def to_json(self, candidate: Alloy) -> dict[str, Any]:
        return {"formula": candidate.formula, "variant": candidate.variant}

    def from_json(self, document: Mapping[str, Any]) -> Alloy:
        return Alloy(document["formula"], document["variant"])


@dataclass
class Variants:
    """Generates variants of each region, one after another; remembers how many it has made."""

    made: int = 0

    def generate(self, plan: Plan, view: View[Alloy]) -> list[Alloy]:
        found = []
        for region in plan.regions or ("AuCu",):
            for _ in range(plan.num_candidates):
                self.made += 1
                found.append(Alloy(region, self.made))
        return found

    def get_state(self) -> dict[str, Any]:
        return {"made": self.made}

    def load_state(self, state: Mapping[str, Any]) -> None:
        self.made = state["made"]


@dataclass
class Without(Stateless):
    """Rejects some variants."""

    variants: Sequence[int] = field(default_factory=tuple)

    def filter(self, candidates: Sequence[Alloy], view: View[Alloy]) -> list[FilterResult]:
        bad = "its variant is not wanted"
        return [
            FilterResult(one.variant not in self.variants, "Without", bad if one.variant in self.variants else None)
            for one in candidates
        ]


class ByVariant(Stateless):
    """Likes high variants."""

    def score(self, candidates: Sequence[Alloy], view: View[Alloy]) -> list[ScoreResult]:
        return [ScoreResult(float(one.variant), "ByVariant", cost={"oracle_calls": 1.0}) for one in candidates]


def seen(number: int, formula: str, score: float | None, **details: Any) -> Observation[Alloy]:
    """An evaluation."""
    status = "failed" if score is None else "ok"
    return Observation(Alloy(formula, number), f"out-{number}", status, score, bool(score and score > 0), {}, details)


def view(*observations: Observation[Alloy], pending: Sequence[Alloy] = (), remaining: int = 9) -> View[Alloy]:
    """What is known."""
    return View(Alloys(), observations, pending, remaining)
