"""What a Ledger is: a Director's record of Requests and Outcomes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, TypeAlias

from simulations.records import AttemptRecord, Course, Outcome, Request

CourseOf: TypeAlias = Callable[[str, int], Course]
"""How far an attempt had got, by the traces that it left: called with a Request's id and an epoch."""


@dataclass(frozen=True)
class Accepted:
    """A Request as it was journaled.

    Attributes:
        request: The Request, inputs complete, with its latest priority.
        key: Its key.
        tool_version: Version of its Tool.
        submitted_at: When it was accepted (UTC).
        epoch: Epoch of its latest attempt.
        history: Its attempts that have ended, in order.
        cancelled: Whether its cancellation was asked for.
    """

    request: Request
    key: str
    tool_version: str
    submitted_at: datetime
    epoch: int = 0
    history: tuple[AttemptRecord, ...] = ()
    cancelled: bool = False


@dataclass(frozen=True)
class Started:
    """An attempt that was handed to the pool."""

    id: str
    epoch: int
    at: datetime


@dataclass(frozen=True)
class Interrupted:
    """An attempt that ended, and its Request did not: lost, paused, or to be tried again."""

    id: str
    attempt: AttemptRecord


@dataclass(frozen=True)
class Changed:
    """What was asked for an open Request.

    Attributes:
        id: The Request.
        at: When (UTC).
        priority: Its new priority; None: as it was.
        cancel: Whether to cancel it.
    """

    id: str
    at: datetime
    priority: int | None = None
    cancel: bool = False


@dataclass(frozen=True)
class Noted:
    """Something else that happened: a Director began, paused, ended.

    Attributes:
        kind: One word, such as ``began``, ``ended``, ``paused``, ``unpaused``, ``draining``, ``nodes``.
        at: When (UTC).
        data: JSON values.
    """

    kind: str
    at: datetime
    data: Mapping[str, Any] = field(default_factory=dict)


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
class Event:
    """One transition. All of them, in order, tell what happened to a Director's Requests, and when.

    Attributes:
        seq: Counts them, from 1.
        at: When it happened, to the Director's knowledge (UTC).
        life: Which life of the Director wrote it; 0: none had claimed the ledger.
        kind: ``accepted``, ``started``, ``interrupted``, ``changed``, ``finished``, ``claimed``, ``taken_up`` (every
            open Request got a new epoch), or what was `Noted`. In a ledger that was migrated or repaired also that,
            and ``restated``: how a Request stands, whatever the events before told.
        id: The Request, if it is about one.
        epoch: The attempt, if it is about one.
        data: More of it: of ``interrupted`` and ``finished`` how, of ``changed`` what, of the rest what was noted.
    """

    seq: int
    at: datetime
    life: int
    kind: str
    id: str | None
    epoch: int | None
    data: Mapping[str, Any]


@dataclass(frozen=True)
class Turned:
    """What counted of a turn.

    Attributes:
        accepted: Ids of the Requests that were not known before.
        finished: The Outcomes that counted.
    """

    accepted: set[str]
    finished: list[Entry]


class LedgerError(RuntimeError):
    """A ledger cannot be opened, read or written: what was wrong, where, and what to do. Nothing is half written."""


class FencedError(LedgerError):
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

    def claim(self, life: int, at: datetime | None = None) -> None:
        """Makes this the one that may write, until a later life claims the ledger. Comes before `take_up`.

        Args:
            life: Number of this Director's life, from 1. A life claims a ledger once.
            at: When (UTC); None: now.

        Raises:
            FencedError: If this or a later life has claimed it already.
            LedgerError: If it cannot be written.
            ValueError: If the number is not positive.
        """
        ...

    def turn(
        self,
        accepted: Sequence[Accepted] = (),
        started: Sequence[Started] = (),
        interrupted: Sequence[Interrupted] = (),
        changed: Sequence[Changed] = (),
        finished: Sequence[Finished] = (),
        noted: Sequence[Noted] = (),
    ) -> Turned:
        """Journals what happened in one step, in this order. Everything that counts becomes an `Event`.

        Args:
            accepted: Requests. One whose id is known is left as it is.
            started: Attempts; a later epoch makes every earlier attempt of the Request stale.
            interrupted: Attempts that ended. One whose epoch is stale, or whose Request has an Outcome, is ignored.
            changed: What was asked for Requests. One that is not open is ignored.
            finished: Outcomes. One whose epoch is stale, or whose Request has an Outcome, is ignored.
            noted: What else happened.

        Returns:
            What counted.

        Raises:
            FencedError: If another life has claimed the ledger. Nothing is written then.
            LedgerError: If it cannot be written. Nothing is written then, or all of it; the ledger is of no more use.
        """
        ...

    def known(self, ids: Sequence[str]) -> set[str]:
        """Those of these ids that were ever accepted."""
        ...

    def find_ok(self, keys: Sequence[str]) -> dict[str, str]:
        """For each of these keys that has one, the earliest Outcome that is ``ok`` and was run, not reused, as JSON."""
        ...

    def page(self, after: int, limit: int) -> list[Entry]:
        """Outcomes with a sequence number greater than ``after``, oldest first."""
        ...

    def last(self) -> int:
        """Sequence number of the latest Outcome; 0 before the first."""
        ...

    def counts(self) -> dict[str, int]:
        """How many Outcomes there are of each status that occurs."""
        ...

    def events(self, after: int, limit: int) -> list[Event]:
        """Events with a sequence number greater than ``after``, oldest first."""
        ...

    def take_up(self, at: datetime | None = None, course_of: CourseOf | None = None) -> list[Accepted]:
        """Begins a Director's life: Requests without an Outcome, in the order in which they were accepted.

        An attempt is journaled at the first turn after it was handed to the pool, so the life before may have begun
        one of each that is not here. Every open Request therefore gets a new epoch. An attempt that an earlier life
        left open becomes part of its Request's history, as ``director_lost``.

        Args:
            at: When (UTC); None: now.
            course_of: How far an attempt had got, by the traces that it left.

        Raises:
            FencedError: If another life has claimed the ledger. Nothing is written then.
            LedgerError: If it cannot be written.
        """
        ...

    def close(self) -> None:
        """Releases the ledger. May be called twice."""
        ...
