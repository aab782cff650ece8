"""What all reasoners share: who has asked for what, all Outcomes, and what each has concluded.

It is derived from the reasoners' states alone, so it is made anew from their checkpoints after any interruption.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from campaigns.reasoner.limits import Limits
from campaigns.reasoner.state import Entry, ReasonerState, tokens_of

SHOWN_OF_OTHERS = 10


@dataclass(frozen=True)
class Claim:
    """What a reasoner is told that wants a candidate.

    Attributes:
        verdict: ``granted``: it may have it evaluated; ``known``: there is an Outcome; ``pending``: another reasoner
            waits for it; ``budget``: nothing more may be evaluated.
        entry: The Outcome, if there is one.
        reasoner: Who has it evaluated, if another one does.
        reason: What is used up, if something is.
    """

    verdict: Literal["granted", "known", "pending", "budget"]
    entry: Entry | None = None
    reasoner: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Glance:
    """What a reasoner sees of the others.

    Attributes:
        insights: The latest conclusions of the others, by their names: of those with the best Outcomes first.
        best: The best Outcomes of others, best first.
        evaluated: Simulations of all that have an Outcome.
        pending: Simulations of others that have none yet.
        left: How many simulations all may still ask for; None: there is no bound.
        spent: Why nothing more may be evaluated; empty if something may.
        silent: Why no model may be asked anything more; empty if one may.
    """

    insights: Mapping[str, str] = field(default_factory=dict)
    best: Sequence[Entry] = ()
    evaluated: int = 0
    pending: int = 0
    left: int | None = None
    spent: str = ""
    silent: str = ""


class Board(Protocol):
    """What all reasoners share. One of them may be elsewhere, so it is asked by messages."""

    async def glance(self, reasoner: str) -> Glance:
        """What a reasoner sees of the others now."""
        ...

    async def claim(self, reasoner: str, keys: Sequence[str]) -> Mapping[str, Claim]:
        """Asks for candidates. What is granted is the reasoner's to have evaluated; asking again is harmless."""
        ...

    async def tell(self, state: ReasonerState) -> None:
        """Says what a reasoner has got to. Called after each of its steps, and before its first one."""
        ...


class Shared:
    """The board itself, in one process.

    Args:
        limits: What all may spend together.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._states: dict[str, ReasonerState] = {}
        self._claimed: dict[str, str] = {}
        self._entries: dict[str, Entry] = {}
        self._granted: dict[str, int] = {}

    def tell(self, state: ReasonerState) -> None:
        """See `Board.tell`."""
        name = state["reasoner"]
        self._states[name] = state
        mine = {one["key"] for one in (*state["pending"], *state["entries"])}
        for key in [key for key, owner in self._claimed.items() if owner == name and key not in mine]:
            del self._claimed[key]  # it was granted in a step that did not come to its end
        for one in state["pending"]:
            self._claimed.setdefault(one["key"], name)
        for entry in state["entries"]:
            self._claimed.setdefault(entry["key"], name)
            self._entries.setdefault(entry["key"], entry)

    def glance(self, reasoner: str) -> Glance:
        """See `Board.glance`."""
        others = {name: state for name, state in sorted(self._states.items()) if name != reasoner}
        evaluated = len(self._entries)
        return Glance(
            insights={name: others[name]["conclusions"][-1] for name in _foremost(others)},
            best=best_of([entry for entry in self._entries.values() if entry["reasoner"] != reasoner], SHOWN_OF_OTHERS),
            evaluated=evaluated,
            pending=sum(1 for key, owner in self._claimed.items() if owner != reasoner and key not in self._entries),
            left=self._left,
            spent=self._spent(),
            silent=self._silent(),
        )

    def claim(self, reasoner: str, keys: Sequence[str]) -> dict[str, Claim]:
        """See `Board.claim`."""
        return {key: self._claim(reasoner, key) for key in keys}

    def entries(self) -> list[Entry]:
        """All Outcomes, by the reasoners' names, in the order of each one's proposals."""
        return [entry for _, state in sorted(self._states.items()) for entry in state["entries"]]

    def states(self) -> list[ReasonerState]:
        """What each reasoner has got to, by their names."""
        return [state for _, state in sorted(self._states.items())]

    def _claim(self, reasoner: str, key: str) -> Claim:
        if key in self._entries:
            return Claim("known", entry=self._entries[key])
        owner = self._claimed.get(key)
        if owner is not None:
            return Claim("granted") if owner == reasoner else Claim("pending", reasoner=owner)
        if spent := self._spent():
            return Claim("budget", reason=spent)
        self._claimed[key] = reasoner
        return Claim("granted")

    @property
    def _left(self) -> int | None:
        return None if self._limits.requests is None else max(0, self._limits.requests - len(self._claimed))

    def _spent(self) -> str:
        limits = self._limits
        if self._left == 0:
            return f"all {limits.requests} simulations of the reasoners are used up"
        hours = sum(entry["node_hours"] for entry in self._entries.values())
        if limits.node_hours is not None and hours >= limits.node_hours:
            return f"all {limits.node_hours:g} node-hours of the reasoners are used up"
        return ""

    def _silent(self) -> str:
        most = self._limits.tokens
        used = sum(map(tokens_of, self._states.values()))
        return f"all {most} tokens of the reasoners are used up" if most is not None and used >= most else ""


class LocalBoard:
    """The board for reasoners in the same process."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    async def glance(self, reasoner: str) -> Glance:
        """See `Board.glance`."""
        return self._shared.glance(reasoner)

    async def claim(self, reasoner: str, keys: Sequence[str]) -> Mapping[str, Claim]:
        """See `Board.claim`."""
        return self._shared.claim(reasoner, keys)

    async def tell(self, state: ReasonerState) -> None:
        """See `Board.tell`."""
        self._shared.tell(state)


def _foremost(states: Mapping[str, ReasonerState]) -> list[str]:
    """Names of the reasoners whose conclusions are shown to others: prompts must not grow with their number."""
    ranks = []
    for name, state in states.items():
        if state["conclusions"]:
            best = best_of(state["entries"], 1)
            ranks.append((0, -float(best[0]["score"] or 0.0), name) if best else (1, 0.0, name))
    return [name for _, _, name in sorted(ranks)[:SHOWN_OF_OTHERS]]


def best_of(entries: Sequence[Entry], count: int) -> list[Entry]:
    """The entries with the greatest scores, best first; of equal ones the first by id. Those without are left out."""
    scored: list[tuple[float, str, Any]] = [
        (-entry["score"], entry["id"], entry) for entry in entries if entry["score"] is not None
    ]
    return [entry for _, _, entry in sorted(scored, key=lambda one: one[:2])[:count]]
