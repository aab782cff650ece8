"""What the events of a ledger tell, and whether its tables say the same."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from director.ledger.deciding import Phase
from director.ledger.protocol import Event
from director.ledger.schema import to_us

MOST_PROBLEMS = 1000
"""So many are kept; the rest are counted."""


class Account(NamedTuple):
    """How a Request stands.

    Attributes:
        epoch: Of its latest attempt.
        phase: How far that is; `Phase.ENDED` if the Request has an Outcome.
        started_us: When it began, in µs since 1970, if it runs.
        priority: What it was changed to, while it is open.
        cancelled: 1 if its cancellation was asked for, while it is open.
        status: Of its Outcome; None while it is open.
        interrupted: How many of its attempts ended without it.
    """

    epoch: int = 0
    phase: int = int(Phase.TO_BEGIN)
    started_us: int | None = None
    priority: int | None = None
    cancelled: int = 0
    status: str | None = None
    interrupted: int = 0


@dataclass
class Replayed:
    """What a ledger's events or tables tell.

    Attributes:
        accounts: How each Request stands, by id.
        life: The life that has claimed the ledger; 0: none.
        problems: What cannot be, in words.
        more: How many problems there are besides.
    """

    accounts: dict[str, Account] = field(default_factory=dict)
    life: int = 0
    problems: list[str] = field(default_factory=list)
    more: int = 0

    def problem(self, text: str) -> None:
        """Notes something that cannot be."""
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(text)
        else:
            self.more += 1


def replay(events: Iterable[Event]) -> Replayed:
    """Tells from a ledger's events alone how its Requests stand. Pure.

    Args:
        events: All of them, in order.
    """
    found = Replayed()
    last = 0
    for event in events:
        if event.seq != last + 1:
            gap = f"{last + 1}" if event.seq == last + 2 else f"{last + 1} to {event.seq - 1}"
            found.problem(f"event {gap} is missing" if event.seq == last + 2 else f"events {gap} are missing")
        if event.life < found.life:
            found.problem(f"event {event.seq} was written by life {event.life}, after life {found.life} had begun")
        last, found.life = event.seq, max(found.life, event.life)
        _apply(found, event)
    return found


def _apply(found: Replayed, event: Event) -> None:
    if event.kind == "taken_up":
        for name, now in found.accounts.items():
            if now.status is None:
                found.accounts[name] = now._replace(epoch=now.epoch + 1, phase=0, started_us=None)
    elif event.kind == "repaired":
        found.problems.clear()  # what was lost before is known
        found.more = 0
    elif event.kind in _ABOUT_REQUESTS:
        wrong = _wrong(found, event)
        if wrong:
            found.problem(f"event {event.seq}: {event.id!r} {wrong}")
        elif event.id is not None:
            now = found.accounts.get(event.id, Account())
            found.accounts[event.id] = _ABOUT_REQUESTS[event.kind](now, event)


def _wrong(found: Replayed, event: Event) -> str | None:
    """Why an event cannot have happened when it did, if it cannot."""
    if event.id is None:
        return f"was {event.kind}, but which Request that was is not told"
    if event.kind == "restated":
        return None
    now = found.accounts.get(event.id)
    if event.kind == "accepted":
        return "was accepted twice" if now else None
    if now is None:
        return f"was {event.kind} before it was accepted"
    if now.status is not None:
        return f"was {event.kind} after it had ended {now.status}"
    if event.kind == "changed":
        return None
    if event.epoch is None:
        return f"was {event.kind}, but which attempt that was is not told"
    if event.kind == "started":
        late = event.epoch < now.epoch or (event.epoch == now.epoch and now.phase != Phase.TO_BEGIN)
    else:
        late = event.epoch != now.epoch or (event.kind == "interrupted" and now.phase == Phase.ENDED)
    return f"was {event.kind} with epoch {event.epoch}, when it had epoch {now.epoch}" if late else None


def _changed(now: Account, event: Event) -> Account:
    priority = event.data.get("priority")
    cancelled = int(bool(now.cancelled or event.data.get("cancel")))
    return now._replace(priority=now.priority if priority is None else priority, cancelled=cancelled)


def _restated(now: Account, event: Event) -> Account:
    fields: dict[str, Any] = {name: event.data.get(name) for name in ("started_us", "priority", "status")}
    fields |= {name: event.data.get(name, 0) for name in ("phase", "cancelled")}
    interrupted = event.data.get("interrupted")
    times = now.interrupted if interrupted is None else interrupted
    return now._replace(epoch=event.epoch or 0, interrupted=times, **fields)


_ABOUT_REQUESTS: dict[str, Callable[[Account, Event], Account]] = {
    "accepted": lambda now, event: now,
    "started": lambda now, event: now._replace(
        epoch=event.epoch or 0, phase=int(Phase.RUNNING), started_us=to_us(event.at)
    ),
    "interrupted": lambda now, event: now._replace(
        phase=int(Phase.ENDED), started_us=None, interrupted=now.interrupted + 1
    ),
    "changed": _changed,
    "finished": lambda now, event: Account(
        epoch=now.epoch, phase=int(Phase.ENDED), status=str(event.data.get("status")), interrupted=now.interrupted
    ),
    "restated": _restated,
}


def read_tables(db: sqlite3.Connection) -> Replayed:
    """Tells from a ledger's tables how its Requests stand.

    Raises:
        sqlite3.Error: If they cannot be read.
    """
    found = Replayed()
    life = db.execute("SELECT value FROM meta WHERE name = 'life'").fetchone()
    found.life = int(life[0]) if life else 0
    interrupted = dict(
        db.execute("SELECT request, count(*) FROM events WHERE kind = 'interrupted' GROUP BY request").fetchall()
    )
    rows = db.execute(
        "SELECT r.seq, r.id, o.epoch, o.phase, o.started_us, o.priority, o.cancelled, e.epoch, e.status"
        " FROM requests AS r LEFT JOIN open AS o ON o.request = r.seq LEFT JOIN outcomes AS e ON e.request = r.seq"
        " ORDER BY r.seq"
    )
    for number, name, epoch, phase, started_us, priority, cancelled, final_epoch, status in rows:
        times = interrupted.get(number, 0)
        if (epoch is None) == (status is None):
            both = "is open, and has an Outcome" if epoch is not None else "is not open, and has no Outcome"
            found.problem(f"{name!r} {both}")
        if status is not None:
            account = Account(final_epoch, int(Phase.ENDED), status=status, interrupted=times)
        else:
            account = Account(epoch or 0, phase or 0, started_us, priority, cancelled or 0, None, times)
        found.accounts[name] = account
    return found


def differences(told: Replayed, tables: Replayed) -> dict[str, str]:
    """For each Request that events and tables do not tell the same of, what the difference is, in words."""
    found = {}
    for name in told.accounts.keys() | tables.accounts.keys():
        one, two = told.accounts.get(name), tables.accounts.get(name)
        if one is None or two is None:
            found[name] = "is in the tables, but no event tells of it" if one is None else "is not in the tables"
        elif one != two:
            pairs = zip(Account._fields, one, two, strict=True)
            what = [f"{field} {a}, the tables {b}" for field, a, b in pairs if a != b]
            found[name] = f"differs: by its events it has {'; '.join(what)}"
    return found
