"""Components that behave as real ones do, with candidates that are whole numbers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from campaigns import Choice, Exhausted, FilterResult, Observation, Plan, Proposal, ScoreResult, Stateless, View
from simulations.records import ErrorInfo, Outcome, Request, Status

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


class Line:
    """Looks for the number ``target`` among 0 to ``size`` - 1. More is better, 0 is best. Remembers a running mean."""

    goal = "the number that is looked for"

    def __init__(self, size: int = 20, target: int = 7, duration_s: float = 0.0, tool: str = "mock_md") -> None:
        if size < 1:
            raise ValueError(f"size: {size} numbers are none to choose from")
        self.size, self.target, self.duration_s, self.tool = size, target, duration_s, tool
        self.seen: list[int] = []

    def request(self, candidate: int, name: str, folder: Path) -> Request:
        inputs = {"duration_s": self.duration_s, "seed": candidate}
        return Request(id=name, tool=self.tool, inputs=inputs)

    def observe(self, candidate: int, outcome: Outcome) -> Observation[int]:
        self.seen.append(candidate)
        score = -float(abs(candidate - self.target)) if outcome.status is Status.OK else None
        details = {"mean": float(np.mean(self.seen))}
        return Observation(
            candidate, outcome.id, outcome.status.value, score, candidate == self.target, outcome.result or {}, details
        )

    def to_json(self, candidate: int) -> dict[str, Any]:
        return {"number": candidate}

    def from_json(self, document: Mapping[str, Any]) -> int:
        return int(document["number"])

    def get_state(self) -> dict[str, Any]:
        return {"seen": list(self.seen)}

    def load_state(self, state: Mapping[str, Any]) -> None:
        self.seen = list(state["seen"])


class Everywhere(Stateless):
    """Plans to look anywhere."""

    def __init__(self, num_candidates: int = 4) -> None:
        self.num_candidates = num_candidates

    def propose(self, view: View[int]) -> Plan:
        tried = {one.candidate for one in view.observations} | set(view.pending)
        if len(tried) >= view.environment.size:  # type: ignore[attr-defined]
            raise Exhausted("every number was tried")
        return Plan((), self.num_candidates, cost={"plans": 1})


class Numbers:
    """Makes numbers at random."""

    def __init__(self, seed: int | None = None) -> None:
        self.seed = seed
        self.random = np.random.default_rng(seed)

    def generate(self, plan: Plan, view: View[int]) -> list[int]:
        size = view.environment.size  # type: ignore[attr-defined]
        return [int(one) for one in self.random.integers(0, size, plan.num_candidates)]

    def get_state(self) -> dict[str, Any]:
        return {"random": self.random.bit_generator.state}

    def load_state(self, state: Mapping[str, Any]) -> None:
        self.random.bit_generator.state = dict(state["random"])


class NothingPasses(Stateless):
    """Rejects everything."""

    def filter(self, candidates: Sequence[int], view: View[int]) -> list[FilterResult]:
        return [FilterResult(False, "NothingPasses", "it is a number") for _ in candidates]


class Near(Stateless):
    """Ranks numbers by how near they are to the best one so far."""

    def score(self, candidates: Sequence[int], view: View[int]) -> list[ScoreResult]:
        known = [one for one in view.observations if one.score is not None]
        best = max(known, key=lambda one: one.score, default=None)
        return [ScoreResult(-abs(one - best.candidate) if best else 0.0, "Near") for one in candidates]


class InTurn:
    """A policy without stages: 0, 1, 2, … and so on."""

    def __init__(self, step: int = 1) -> None:
        self.step, self.at = step, 0
        self.heard: list[int] = []

    def propose(self, view: View[int], count: int) -> Proposal[int]:
        size = view.environment.size  # type: ignore[attr-defined]
        numbers = [self.at + self.step * offset for offset in range(count)]
        numbers = [one for one in numbers if one < size]
        self.at += self.step * len(numbers)
        choices = [Choice(one, None, "InTurn") for one in numbers]
        return Proposal(choices, exhausted=not numbers, reason="" if numbers else "no number is left")

    def observe(self, observation: Observation[int]) -> None:
        self.heard.append(observation.candidate)

    def get_state(self) -> dict[str, Any]:
        return {"at": self.at, "heard": self.heard}

    def load_state(self, state: Mapping[str, Any]) -> None:
        self.at, self.heard = state["at"], list(state["heard"])


class Bench:
    """Evaluates without simulating, at once; Outcomes that it has given once it knows again.

    Args:
        fails: Numbers whose evaluation fails.
        keep: Outcomes of before, by id; shared between several of these, as a ledger survives its clients.
        last_first: Whether what came last is done first.
    """

    def __init__(
        self, fails: Sequence[int] = (), keep: dict[str, Outcome] | None = None, *, last_first: bool = False
    ) -> None:
        self.fails, self.keep = fails, {} if keep is None else keep
        self.ran: list[str] = []
        self.last_first = last_first
        self._queue: list[Outcome] = []
        self._there = asyncio.Event()

    async def submit(self, requests: Sequence[Request]) -> None:
        for request in requests:
            if request.inputs["seed"] < 0:
                raise ValueError("seed: must be at least 0")
        for request in requests:
            if request.id not in self.keep:
                self.ran.append(request.id)
                self.keep[request.id] = outcome_of(request, ok=request.inputs["seed"] not in self.fails)
            self._queue.append(self.keep[request.id])
        self._there.set()

    async def next(self) -> Outcome:
        while not self._queue:
            self._there.clear()
            await self._there.wait()
        return self._queue.pop(-1 if self.last_first else 0)

    async def close(self) -> None:
        pass


def outcome_of(request: Request, *, ok: bool = True) -> Outcome:
    error = None if ok else ErrorInfo(type="Broken", message="it did not work", hint="Try another one")
    return Outcome(
        id=request.id,
        key="k",
        tool=request.tool,
        tool_version="1",
        status=Status.OK if ok else Status.FAILED,
        inputs=request.inputs,
        result={"number": request.inputs["seed"]} if ok else None,
        error=error,
        director=0,
        partition=["here"],
        submitted_at=LONG_AGO,
        finished_at=LONG_AGO,
    )
