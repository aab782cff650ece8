"""What tests of ledgers share: Requests, attempts and Outcomes as they are journaled."""

from __future__ import annotations

from datetime import datetime, timedelta

from director.ledger import Accepted, Changed, Finished, Interrupted, Ledger, Started
from simulations.records import AttemptRecord, Ending, Outcome, Request, Status
from tests.helpers import NOON


def at(seconds: float) -> datetime:
    """So many seconds after noon."""
    return NOON + timedelta(seconds=seconds)


def accepted(name: str, key: str | None = None) -> Accepted:
    """A Request that is accepted at noon."""
    return Accepted(Request(id=name, tool="mock_md", inputs={"duration_s": 0}), key or f"key-{name}", "1", NOON)


def attempt(epoch: int, ended: Ending = Ending.PAUSED, seconds: float = 5) -> AttemptRecord:
    """An attempt that began at noon and ended so many seconds later."""
    return AttemptRecord(epoch=epoch, started_at=NOON, ended_at=at(seconds), ended=ended, host="local-0")


def finished(
    name: str, epoch: int, status: Status = Status.OK, key: str | None = None, reused_from: str | None = None
) -> Finished:
    """An Outcome."""
    outcome = Outcome(
        id=name,
        key=key or f"key-{name}",
        tool="mock_md",
        tool_version="1",
        status=status,
        inputs={"duration_s": 0},
        director=0,
        partition=["local-0"],
        attempts=epoch,
        submitted_at=NOON,
        finished_at=at(10),
        reused_from=reused_from,
    )
    return Finished(outcome, epoch)


def take(ledger: Ledger, *names: str) -> set[str]:
    """Accepts Requests; says which were fresh."""
    return ledger.turn(accepted=[accepted(name) for name in names]).accepted


def start(ledger: Ledger, name: str, epoch: int, seconds: float = 0) -> None:
    """Journals that an attempt began."""
    ledger.turn(started=[Started(name, epoch, at(seconds))])


def interrupt(ledger: Ledger, name: str, epoch: int, ended: Ending = Ending.PAUSED) -> None:
    """Journals that an attempt ended without its Request."""
    ledger.turn(interrupted=[Interrupted(name, attempt(epoch, ended))])


def change(ledger: Ledger, name: str, priority: int | None = None, *, cancel: bool = False) -> None:
    """Journals what was asked for a Request."""
    ledger.turn(changed=[Changed(name, at(1), priority, cancel)])


def finish(ledger: Ledger, name: str, epoch: int, status: Status = Status.OK) -> list[str]:
    """Journals an Outcome; says whose counted."""
    return [entry.id for entry in ledger.turn(finished=[finished(name, epoch, status)]).finished]


def still_open(ledger: Ledger) -> list[str]:
    """Begins a life; says which Requests are open."""
    return [item.request.id for item in ledger.take_up()]


def kinds(ledger: Ledger) -> list[tuple[str, str | None, int | None]]:
    """Kind, Request and epoch of every event."""
    return [(event.kind, event.id, event.epoch) for event in ledger.events(0, 1000)]
