"""What goes into an Engine and comes out of it, and what it gathers between two turns."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from director.door import Problem
from director.failures import Bounds
from director.job import Job
from director.ledger import Accepted, Changed, Finished, Interrupted, Noted, Started
from director.stopping import Patience


@dataclass(frozen=True)
class Verdict:
    """What became of one Request at the door.

    Attributes:
        id: The Request's id.
        problems: Why it was refused; empty if it was accepted.
    """

    id: str
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True)
class Policy:
    """What an Engine does when things go wrong.

    Attributes:
        bounds: How often a Request is tried again.
        patience: How an attempt is brought to stop.
    """

    bounds: Bounds = field(default_factory=Bounds)
    patience: Patience = field(default_factory=Patience)


@dataclass
class Incoming:
    """Requests that have come in, and who waits until they are on disk."""

    accepted: dict[str, Accepted]
    journaled: asyncio.Future[bool]


@dataclass
class Counts:
    """How many Requests are where."""

    queued: int = 0
    running: int = 0
    finished: Counter[str] = field(default_factory=Counter)


@dataclass
class News:
    """What has happened since the last turn."""

    incoming: list[Incoming] = field(default_factory=list)
    started: list[Started] = field(default_factory=list)
    interrupted: list[Interrupted] = field(default_factory=list)
    changed: list[Changed] = field(default_factory=list)
    finished: list[Finished] = field(default_factory=list)
    noted: list[Noted] = field(default_factory=list)
    again: list[Job] = field(default_factory=list)
    delayed: list[tuple[Job, float]] = field(default_factory=list)
    told: list[asyncio.Future[bool]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return any((self.incoming, self.started, self.interrupted, self.changed, self.finished, self.noted, self.told))

    def settle(self, *, journaled: bool) -> None:
        """Tells those who wait for it whether it is on disk."""
        for future in [item.journaled for item in self.incoming] + self.told:
            if not future.done():  # its caller may be gone
                future.set_result(journaled)
