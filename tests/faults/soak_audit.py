"""What must hold after a soak, whatever was killed: read from ledgers, Outcomes and files, once nothing runs."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from director.ledger import Event, read_events, read_ledger
from director.runfolder import RunFolder
from simulations.cache import BuildCache
from simulations.md import TOOL as MD
from simulations.records import Outcome
from simulations.workspace import Resources, Workspace
from tests.faults.soak import Injected, Tally
from tests.faults.soak_frames import BrokenError, check
from tests.faults.soak_losses import LOST, Glimpses, at_work, losses

MADE_TO_FAIL = {"SimulationDiverged", "Crashed"}
"""How those end that are made to fail."""


@dataclass(frozen=True)
class Book:
    """What one Director's ledger holds.

    Attributes:
        director: Its index.
        events: All events.
        bodies: All Outcomes, as they were written, in order.
    """

    director: int
    events: list[Event]
    bodies: list[str]

    @property
    def outcomes(self) -> list[Outcome]:
        """The Outcomes."""
        return [Outcome.model_validate_json(body) for body in self.bodies]

    @property
    def accepted(self) -> list[str]:
        """Ids of the Requests that were accepted."""
        return [event.id for event in self.events if event.kind == "accepted" and event.id]


def read_books(run_folder: Path) -> list[Book]:
    """Reads all ledgers of a run."""
    folder = RunFolder(run_folder)
    ledgers = [folder.ledger(index) for index in range(len(folder.read().partitions))]
    return [Book(index, read_events(path), read_ledger(path).outcomes) for index, path in enumerate(ledgers)]


def audit(
    run_folder: Path,
    faults: Sequence[Injected],
    tally: Tally,
    *,
    requests: int,
    seen: Mapping[str, str],
    glimpses: Glimpses,
    acknowledged: Iterable[str] = (),
    director: Path,
    equal: int = 1,
) -> None:
    """Looks at a run that has ended, and adds what it finds to the tally.

    Args:
        run_folder: The run folder.
        faults: What was injected into it.
        tally: What was found so far.
        requests: How many Requests there are.
        seen: Outcomes by id, as they were seen while it ran.
        glimpses: What attempts had said just before each fault.
        acknowledged: Ids whose acknowledgement the client has seen.
        director: The command.
        equal: How many interrupted trajectories to compare with an uninterrupted one.
    """
    books = read_books(run_folder)
    outcomes = [outcome for book in books for outcome in book.outcomes]
    accepted = [name for book in books for name in book.accepted]
    tally.accepted += len(set(accepted))
    tally.lives += sum(event.kind == "claimed" for book in books for event in book.events)
    wrong = tally.violations
    _count(tally, accepted, outcomes, requests=requests, seen=seen, acknowledged=acknowledged)
    bodies = {Outcome.model_validate_json(body).id: body for book in books for body in book.bodies}
    wrong += [f"{name}: its Outcome has changed" for name, body in seen.items() if not _same(bodies.get(name), body)]
    for book in books:
        wrong += fenced(book)
        wrong += placed(book, RunFolder(run_folder).read().partitions)
    wrong += [text for outcome in outcomes for text in answered(outcome)]
    for index in range(len(books)):
        wrong += replayed(director, RunFolder(run_folder).ledger(index))
    for outcome in outcomes:
        lost, more_wrong = losses(outcome, faults, glimpses)
        tally.losses += lost
        wrong += more_wrong
        tally.at_work.update(fault for fault in faults if at_work(outcome, fault, lost))
        tally.resumed += sum(record.course.from_amount > 0 for record in outcome.history)
    _look_at_files(run_folder, outcomes, tally, equal)


def _count(
    tally: Tally,
    accepted: Sequence[str],
    outcomes: Sequence[Outcome],
    *,
    requests: int,
    seen: Mapping[str, str],
    acknowledged: Iterable[str],
) -> None:
    """Each Request has one Outcome, and the one that it should have."""
    ids = Counter(outcome.id for outcome in outcomes)
    known = set(accepted) | set(acknowledged) | set(seen)
    tally.lost += sorted(known - set(ids))
    tally.doubled += sorted(name for name, count in (ids + Counter(accepted)).items() if count > 2 or ids[name] > 1)
    tally.violations += [f"{name} was acknowledged, and no ledger has it" for name in set(acknowledged) - set(accepted)]
    if len(ids) != requests:
        tally.violations.append(f"{len(ids)} Outcomes of {requests} Requests")
    for outcome in outcomes:
        if made_to_fail(outcome.inputs):
            tally.failed_on_purpose += outcome.status == "failed"
            if outcome.error is None or outcome.error.type not in MADE_TO_FAIL:
                tally.violations.append(f"{outcome.id} was made to fail and is {outcome.status}: {outcome.error}")
        elif outcome.status == "ok":
            tally.ok += 1
        else:
            tally.violations.append(f"{outcome.id} is {outcome.status}: {outcome.error}")


def made_to_fail(inputs: Mapping[str, Any]) -> bool:
    """Whether these are the inputs of a Request that is made to fail."""
    return inputs.get("temperature_k") == 2000.0 or inputs.get("crash") == "error"


def _same(one: str | None, other: str) -> bool:
    return one is not None and Outcome.model_validate_json(one) == Outcome.model_validate_json(other)


def fenced(book: Book) -> list[str]:
    """Epochs only grow, nothing happens to a Request after its end, and no stale attempt has ended one."""
    wrong = []
    epochs: dict[str, int] = {}
    finished: set[str] = set()
    for event in book.events:
        name = event.id
        if name is None:
            continue
        where = f"Director {book.director}, event {event.seq}: {name}"
        if name in finished:
            wrong.append(f"{where}: {event.kind} after its Outcome")
        if event.kind == "accepted" and name in epochs:
            wrong.append(f"{where} was accepted twice")
        if event.kind == "started":
            if (event.epoch or 0) <= epochs.get(name, 0):
                wrong.append(f"{where}: epoch {event.epoch} was started after {epochs.get(name)}")
            epochs[name] = event.epoch or 0
        if event.kind == "interrupted" and (event.epoch or 0) < epochs.get(name, 0):
            wrong.append(f"{where}: stale epoch {event.epoch} was interrupted, {epochs.get(name)} was there")
        if event.kind == "finished":
            finished.add(name)
            if event.epoch and event.epoch < epochs.get(name, 0):
                wrong.append(f"{where}: stale epoch {event.epoch} ended it, {epochs.get(name)} was there")
        epochs.setdefault(name, 0)
    return wrong


def placed(book: Book, partitions: Sequence[Sequence[str]]) -> list[str]:
    """No node is in two Partitions, and no attempt ran on a node of another Director's."""
    wrong = []
    names = Counter(name for partition in partitions for name in partition)
    wrong += [f"{name} is in {count} Partitions" for name, count in names.items() if count > 1]
    for outcome in book.outcomes:
        hosts = {record.host for record in outcome.history} | {outcome.host}
        if strangers := hosts - set(partitions[book.director]) - {None}:
            wrong.append(f"{outcome.id} of Director {book.director} ran on {strangers}, its nodes are others")
        if outcome.director != book.director or outcome.partition != list(partitions[book.director]):
            wrong.append(f"{outcome.id} says Director {outcome.director} on {outcome.partition}")
    return wrong


def answered(outcome: Outcome) -> list[str]:
    """The result is that of these inputs, and the history tells of each attempt once, in order."""
    wrong = []
    epochs = [record.epoch for record in outcome.history]
    if epochs != sorted(set(epochs)):
        wrong.append(f"{outcome.id}: its history has epochs {epochs}")
    if outcome.attempts != len(outcome.history):
        wrong.append(f"{outcome.id}: {outcome.attempts} attempts, and {len(outcome.history)} in its history")
    if any(record.ended in LOST for record in outcome.history[-1:]) and outcome.status == "ok":
        wrong.append(f"{outcome.id} is ok, although its last attempt was {outcome.history[-1].ended}")
    result = outcome.result or {}
    if outcome.status == "ok" and outcome.tool == "mock_md" and result["slept_s"] < outcome.inputs["duration_s"]:
        wrong.append(f"{outcome.id} slept {result['slept_s']} s of {outcome.inputs['duration_s']} s")
    return wrong


def replayed(director: Path, ledger: Path) -> list[str]:
    """The ledger is whole, and its events told again give what its tables say: the command looks."""
    done = subprocess.run(
        [director, "ledger", "check", str(ledger), "--json"], capture_output=True, text=True, timeout=120, check=False
    )
    return [] if done.returncode == 0 else [f"director ledger check {ledger}: {done.stdout}{done.stderr}"]


def _look_at_files(run_folder: Path, outcomes: Sequence[Outcome], tally: Tally, equal: int) -> None:
    """Each trajectory has its frames; some that were interrupted equal those that nothing has interrupted."""
    simulated = [outcome for outcome in outcomes if outcome.tool == "md" and outcome.status == "ok"]
    for outcome in simulated:
        try:
            tally.frames += check(outcome.model_dump(mode="json"), run_folder)
        except (BrokenError, OSError, KeyError, ValueError) as error:
            tally.violations.append(f"{outcome.id}: {type(error).__name__}: {error}")
    interrupted = [
        outcome
        for outcome in simulated
        if outcome.inputs["platform"] == "Reference" and any(record.course.from_amount for record in outcome.history)
    ]
    most_interrupted = sorted(interrupted, key=lambda outcome: len(outcome.history), reverse=True)
    for outcome in most_interrupted[:equal]:
        if (
            uninterrupted(outcome.inputs, run_folder.parent / "uninterrupted" / outcome.id)
            == (run_folder / outcome.artifacts["trajectory"]).read_bytes()
        ):
            tally.equal += 1
        else:
            tally.violations.append(f"{outcome.id}: its trajectory is not that of an uninterrupted run")


def uninterrupted(inputs: Mapping[str, Any], folder: Path) -> bytes:
    """The trajectory of the same inputs, run here from beginning to end."""
    space = Workspace(
        folder=folder, run_folder=folder.parent, resources=Resources("here", "here/0"), cache=BuildCache()
    )
    MD.run(MD.request.model_validate(inputs), space)
    return (space.run_folder / space.artifacts["trajectory"]).read_bytes()


def lines_of(path: Path) -> list[dict[str, Any]]:
    """Whole lines of JSON in a file that may still grow."""
    text = path.read_text() if path.exists() else ""
    return [
        json.loads(line) for line in text.splitlines(keepends=True) if line.startswith("{") and line.endswith("}\n")
    ]
