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


class FencedError(RuntimeError):
    """Another Director has taken over this ledger; nothing was written.

    Args:
        life: The Director's own life; 0 if it claimed none.
        claimed: The life that has claimed the ledger.
    """

    def __init__(self, life: int, claimed: int) -> None:
        own = f"this Director is life {life}" if life else "this Director claimed it for no life"
        super().__init__(
            f"another Director has taken over this ledger: it belongs to life {claimed}, and {own}; "
            "nothing more is written by this one"
        )


class Ledger(Protocol):
    """What a Director remembers. When a method returns, what it wrote survives the end of the process.

    Methods block on the disk. One thread calls them, one at a time.

    A ledger may be open in two Directors, when one that was thought dead wakes up. Each claims it for its *life*, a
    number that only grows (see `director.lease`); from then on those that claimed it earlier, or not at all, can read
    it but not write. A ledger that nobody claimed can be written by anyone.
    """

    def claim(self, life: int) -> None:
        """Makes this the one that may write, until a later life claims the ledger. Comes before `take_up`.

        Args:
            life: Number of this Director's life, from 1. A life claims a ledger once.

        Raises:
            FencedError: If this or a later life has claimed it already.
            ValueError: If the number is not positive.
        """
        ...

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

        Raises:
            FencedError: If another life has claimed the ledger. Nothing is written then.
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

        Raises:
            FencedError: If another life has claimed the ledger. Nothing is written then.
        """
        ...

    def close(self) -> None:
        """Releases the ledger. May be called twice."""
        ...
