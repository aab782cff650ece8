"""What a Ledger is: a Director's record of Requests and Outcomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from simulations.records import Outcome, Request


@dataclass(frozen=True)
class Accepted:
    """A Request as it was journaled.

    Attributes:
        request: The Request, inputs complete.
        key: Its key.
        tool_version: Version of its Tool.
        submitted_at: When it was accepted (UTC).
        epoch: Epoch of its latest attempt.
        attempts: How often it has been started.
    """

    request: Request
    key: str
    tool_version: str
    submitted_at: datetime
    epoch: int = 0
    attempts: int = 0


@dataclass(frozen=True)
class Started:
    """An attempt that is about to begin."""

    id: str
    epoch: int
    at: datetime


@dataclass(frozen=True)
class Finished:
    """An Outcome, and the epoch of the attempt that made it."""

    outcome: Outcome
    epoch: int


@dataclass(frozen=True)
class Entry:
    """An Outcome in the order in which Outcomes were journaled, as JSON."""

    seq: int
    id: str
    body: str


@dataclass(frozen=True)
class Turned:
    """What counted of a turn.

    Attributes:
        accepted: Ids of the Requests that were not known before.
        finished: The Outcomes that counted.
    """

    accepted: set[str]
    finished: list[Entry]


class Ledger(Protocol):
    """What a Director remembers. When a method returns, what it wrote survives the end of the process.

    Methods block on the disk. One thread calls them, one at a time.
    """

    def turn(
        self,
        accepted: Sequence[Accepted] = (),
        started: Sequence[Started] = (),
        finished: Sequence[Finished] = (),
    ) -> Turned:
        """Journals Requests, attempts and Outcomes in one step, in this order.

        Args:
            accepted: Requests. One whose id is known is left as it is.
            started: Attempts; a later epoch makes every earlier attempt of the Request stale.
            finished: Outcomes. One whose epoch is stale, or whose Request has an Outcome, is ignored.

        Returns:
            What counted.
        """
        ...

    def known(self, ids: Sequence[str]) -> set[str]:
        """Those of these ids that were ever accepted."""
        ...

    def page(self, after: int, limit: int) -> list[Entry]:
        """Outcomes with a sequence number greater than ``after``, oldest first."""
        ...

    def last(self) -> int:
        """Sequence number of the latest Outcome; 0 before the first."""
        ...

    def take_up(self) -> list[Accepted]:
        """Begins a Director's life: Requests without an Outcome, in the order in which they were accepted.

        An attempt is journaled at the first turn after it was handed to the pool, so the life before may have begun
        one of each that is not here. Every open Request therefore gets a new epoch.
        """
        ...

    def close(self) -> None:
        """Releases the ledger. May be called twice."""
        ...
