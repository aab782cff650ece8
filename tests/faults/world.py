"""Directors that live one after the other, or beside each other, over one ledger; and what must always be true."""

from __future__ import annotations

import asyncio
import dataclasses
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from director.attempt import Attempt
from director.engine import Engine, Verdict
from director.failures import Bounds
from director.ledger import Entry, FencedError, Finished, MemoryLedger, SqliteLedger
from director.reuse import OwnOutcomes, Reuse
from director.stopping import Patience
from simulations.mock_md import TOOL
from simulations.records import AttemptRecord, Course, Ending, Outcome, Request, Status
from tests.faults.stand_ins import TwinLedger, Workers, worker_of
from tests.faults.stepping import HandDisk, StepLoop
from tests.helpers import NOON, partition, tools_of

SAVER = dataclasses.replace(TOOL, name="saver", checkpoints=True)
PLAIN = dataclasses.replace(TOOL, name="plain", checkpoints=False)
"""One Tool can pause, the other cannot. Nobody runs them: what becomes of an attempt is said by the test."""
TOOLS = tools_of(SAVER, PLAIN)
BOUNDS = Bounds()
PATIENCE = Patience()
ALL = 1_000_000
FAST = Path("/dev/shm")
TICK_S = 2.0
ENOUGH_TICKS = 300


class Life:
    """One Director: an engine, the disk and the workers as it sees them, and a loop of its own.

    Args:
        number: Which life.
        world: Where it lives.
    """

    def __init__(self, number: int, world: World) -> None:
        self.number = number
        self.world = world
        self.loop = StepLoop(world.monotonic_s)
        self._calls: list[asyncio.Task[None]] = []
        self.disk = HandDisk()
        self.workers = Workers(
            lambda: world.now, lambda attempts: world.note_handed_over(self, attempts), world.courses
        )
        self.ledger = TwinLedger(SqliteLedger(world.path), world.memory.opened_again())
        self.failure: tuple[str, bool] | None = None
        self.provoked = False
        self.ready = False
        self.ledger.claim(number, world.now)
        self.engine = Engine(
            index=0,
            partition=partition(),
            tools=TOOLS,
            ledger=self.ledger,
            pool=self.workers,
            clock=lambda: world.now,
            reuse=Reuse(world.folder, (OwnOutcomes(self.ledger, world.folder),)),
            course_of=lambda name, epoch: world.courses.get((name, epoch), Course()),
            disk=self.disk,
            ticking=False,
            fail=self._fail,
        )
        self.unable = False
        self.call(self._start())

    @property
    def going_on(self) -> bool:
        """Whether it has begun, and not failed."""
        return self.ready and self.failure is None

    def call(self, work: Coroutine[Any, Any, Any], then: Callable[[Any], None] = lambda answer: None) -> None:
        """Calls the engine as a client does: what it answers, if it ever does, goes to ``then``."""

        async def called() -> None:
            then(await work)

        task = self.loop.create_task(called())
        self._calls.append(task)

    def settle(self) -> None:
        """Lets it go on as far as it can without time, and without answers that the test holds back."""
        self.loop.settle()
        while self.disk.busy and not self.disk.held:
            self.disk.write()
            self.disk.answer()
            self.loop.settle()
        for task in [task for task in self._calls if task.done()]:
            self._calls.remove(task)
            task.result()

    def end(self) -> None:
        """Ends it as ``kill -9`` does."""
        self.disk.gone = True  # so that nothing is written by what runs while its tasks are ended
        self.loop.end()
        self.ledger.close()

    async def _start(self) -> None:
        try:
            await self.engine.start()
        except FencedError:  # its process ends then
            self.unable = True
        else:
            self.ready = True

    def _fail(self, reason: str, fenced: bool) -> None:
        self.failure = (reason, fenced)


class World:
    """Everything that the test knows.

    Attributes:
        now: The time (UTC).
        life: The Director that the ledger belongs to, if it lives.
        old: A Director that was taken over from and does not know it yet, if there is one.
        offered: Every Request that was ever submitted.
        acknowledged: Ids of those that were acknowledged.
        cancelling: Ids of those whose cancellation was asked for.
        cancelled: Ids of those where the answer was ``cancelled``.
        stopping: Ids of those where it was ``stopping``.
        priorities: Of each Request.
        unsure: Ids of those of which that is not known for sure, as often as there is a reason.
        courses: How far each attempt says it is, by its Request's id and its epoch.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="faults-", dir=FAST if FAST.is_dir() else None))
        self.path = self.folder / "ledger.sqlite"
        self.memory = MemoryLedger()
        self.now = NOON
        self.life: Life | None = None
        self.old: Life | None = None
        self.lives = 0
        self.offered: dict[str, Request] = {}
        self.acknowledged: set[str] = set()
        self.cancelled: set[str] = set()
        self.cancelling: set[str] = set()
        self.stopping: set[str] = set()
        self.priorities: dict[str, int] = {}
        self.unsure: Counter[str] = Counter()
        self.courses: dict[tuple[str, int], Course] = {}
        self.handed: dict[tuple[str, int], Life] = {}
        self.published: dict[str, str] = {}
        self.recorded: list[Entry] = []

    # ---- what the test does

    def monotonic_s(self) -> float:
        """The time as a loop sees it, in s."""
        return (self.now - NOON).total_seconds()

    def start(self, *, held: bool = False) -> None:
        """Begins a new life, if need be with a disk that waits; one that lives goes on, and does not know."""
        assert self.old is None
        self.old, self.life = self.life, None
        self.lives += 1
        self.life = Life(self.lives, self)
        self.life.disk.held = held
        self.settle()

    def crash(self) -> None:
        """Ends the Director that the ledger belongs to, wherever it is."""
        if self.life:
            self.life.end()
            self.life = None

    def settle(self) -> None:
        """Lets the Director go on, and takes what it publishes."""
        life = self.life
        if life is None:
            return
        life.settle()
        if life.failure:
            assert life.provoked, f"the Director ended by itself: {life.failure[0]}"
            assert not life.failure[1], "the Director took itself for taken over"
            self.crash()
        elif life.ready and not life.disk.held:
            life.call(life.engine.outcomes(len(self.published), ALL, 0), self._take)
            life.settle()

    def wake(self, what: str, request: Request) -> None:
        """Lets the Director go on that was taken over from, and something happen to it. Once it knows, it ends."""
        old = self.old
        if old is None:
            return
        tasks = old.workers.open_tasks()
        if what == "tick" and old.ready:
            old.call(_ticked(old.engine))
        elif what == "submit" and old.ready:
            self.submit(old, [request])
        elif what == "finish" and tasks:
            old.workers.finish(tasks[0], Ending.OK)
        elif what == "lose" and tasks:
            old.workers.lose(tasks[0], with_node=False)
        old.disk.held = False
        old.settle()
        if old.failure or old.unable:
            fenced = old.unable or (old.failure and old.failure[1]) or old.provoked
            assert fenced, f"it was taken over from, and failed otherwise: {old.failure}"
            old.end()
            self.old = None

    def late(self, number: int, ending: Ending) -> None:
        """Hands the ledger a result of an attempt that is not the latest, or whose Request has its Outcome."""
        assert self.life
        if self.life.disk.busy or self.life.ledger.fails:
            return
        latest = dict(sorted(self.handed))
        done = {entry.id for entry in self.recorded}
        # That the one before the latest was begun is in the ledger; that the latest was may not be yet.
        stale = [who for who in self.handed if who[1] < latest[who[0]] - 1 or who[0] in done]
        if not stale:
            return
        name, epoch = stale[number % len(stale)]
        request = self.offered[name]
        outcome = Outcome(
            id=name,
            key="late",
            tool=request.tool,
            tool_version="1",
            status=Status(ending.value),
            inputs=request.inputs,
            director=0,
            partition=[],
            submitted_at=self.now,
            finished_at=self.now,
        )
        turned = self.life.ledger.turn(finished=[Finished(outcome, epoch)])
        assert turned.finished == [], f"epoch {epoch} of {name} is stale, and counted"

    def submit(self, life: Life, requests: Sequence[Request]) -> None:
        """Hands Requests to a Director."""
        for request in requests:
            self.offered.setdefault(request.id, request)
            self.priorities.setdefault(request.id, request.priority)

        def answered(verdicts: list[Verdict]) -> None:
            assert [verdict.id for verdict in verdicts] == [request.id for request in requests]
            self.acknowledged |= {verdict.id for verdict in verdicts if not verdict.problems}

        life.call(life.engine.submit([self.offered[request.id] for request in requests]), answered)

    def cancel(self, life: Life, names: Sequence[str]) -> None:
        """Asks a Director to cancel Requests."""
        self.cancelling |= set(names)

        def answered(answers: dict[str, str]) -> None:
            self.cancelled |= {name for name, answer in answers.items() if answer == "cancelled"}
            self.stopping |= {name for name, answer in answers.items() if answer == "stopping"}

        life.call(life.engine.cancel(names), answered)

    def prioritize(self, life: Life, names: Sequence[str], priority: int) -> None:
        """Gives Requests another priority. What it is stays unknown if there is no answer, or the disk has failed."""
        self.unsure.update(names)

        def answered(answers: dict[str, str]) -> None:
            if life.engine.failure:
                return
            self.unsure.subtract(names)
            self.unsure += Counter()
            self.priorities |= {name: priority for name in names if answers[name] == "changed"}

        life.call(life.engine.prioritize(names, priority), answered)

    def tick(self, seconds: float) -> None:
        """Lets time go on."""
        self.now += timedelta(seconds=seconds)
        if self.life and self.life.ready:
            self.life.call(_ticked(self.life.engine))
        self.settle()

    def finish_everything(self) -> None:
        """Ends all that is open, in bounded time, whatever has happened before."""
        if self.old:
            self.old.end()
            self.old = None
        if self.life is None:
            self.start()
        assert self.life
        self.life.disk.held = False
        self.life.ledger.fails = None
        self.settle()
        if self.life is None:
            self.start()
        self.life.call(_awaited(self.life.engine.unpause))
        for _ in range(ENOUGH_TICKS):
            self.tick(TICK_S)
            self.check()
            for task in self.life.workers.open_tasks():
                self.life.workers.obey(task)
            self.settle()
            if self.acknowledged <= self.published.keys() and not self.life.engine.open_ids():
                return
        missing = sorted(self.acknowledged - self.published.keys()) or self.life.engine.open_ids()
        raise AssertionError(f"not terminal after {ENOUGH_TICKS * TICK_S:g} s: {missing}")

    def close(self) -> None:
        """Ends everything and leaves nothing."""
        for life in (self.life, self.old):
            if life:
                life.end()
        shutil.rmtree(self.folder)

    # ---- what must be true

    def note_handed_over(self, life: Life, attempts: Sequence[Attempt]) -> None:
        """Looks at attempts that a Director hands to its pool, at that moment."""
        assert len({attempt.id for attempt in attempts}) == len(attempts), "one Request twice in one task"
        for attempt in attempts:
            who = (attempt.id, attempt.epoch)
            assert who not in self.handed, f"epoch {attempt.epoch} of {attempt.id} was handed over twice"
            self.handed[who] = life
            self._alone(life, attempt)
            told = self.cancelled | self.stopping if life is self.life else set()
            assert attempt.id not in told, f"{attempt.id} was cancelled, and starts"
        if life is self.life:
            self._before_lower_ones(life, attempts)

    def _alone(self, life: Life, attempt: Attempt) -> None:
        """Neither its Request nor an equal one runs in the Director's eyes."""
        request = self.offered[attempt.id]
        for task in life.workers.open_tasks():
            for other in task.attempts:
                killed_for = task.killed_for(other.id, self.now)
                if killed_for is not None and killed_for.total_seconds() >= PATIENCE.kill_s:
                    continue  # given up: what it may still return is stale
                assert other.id != attempt.id, f"{attempt.id} runs twice: epochs {other.epoch} and {attempt.epoch}"
                twins = request.reuse and self.offered[other.id].reuse
                same = (other.tool, other.inputs) == (attempt.tool, attempt.inputs)
                assert not (twins and same), f"{attempt.id} and {other.id} are equal and run both"

    def _before_lower_ones(self, life: Life, attempts: Sequence[Attempt]) -> None:
        """None that waits, and could have started, has a higher priority."""
        gone = {name for name, _ in self.handed} | {entry.id for entry in self.recorded} | self.cancelling
        twins = Counter(_kind(request) for request in self.offered.values())
        for name in self.acknowledged - gone - self.unsure.keys():
            request = self.offered[name]
            late = request.deadline is not None and request.deadline <= self.now
            if late or twins[_kind(request)] > 1:
                continue
            for attempt in attempts:
                own, waits = self.priorities[attempt.id], self.priorities[name]
                sure = attempt.id not in self.unsure
                assert not sure or own >= waits, f"{attempt.id} ({own}) starts before {name} ({waits})"

    def check(self) -> None:
        """Everything that must be true between any two steps, as another process reads the ledger."""
        if not self.path.exists():
            return
        reader = SqliteLedger(self.path)
        try:
            entries = reader.page(0, ALL)
            events = reader.events(0, ALL)
            assert reader.known(sorted(self.acknowledged)) == self.acknowledged, "acknowledged, and not in the ledger"
            outcomes = {entry.id: Outcome.model_validate_json(entry.body) for entry in entries}
            self._never_changing(entries)
            told = Replay(events)
            told.equals(reader, entries, outcomes)
        finally:
            reader.close()
        for name, outcome in outcomes.items():
            self._well_ended(outcome)
            assert name not in self.cancelled or outcome.status == "cancelled", f"{name} was cancelled, and ended"
        assert self.cancelled <= told.cancelled, f"cancelled, and not on disk: {self.cancelled - told.cancelled}"
        for name, priority in self.priorities.items():
            known = told.priorities.get(name, self.offered[name].priority)
            assert name in self.unsure or priority == known, f"{name} has priority {priority}, on disk {known}"
        self._nothing_forgotten(outcomes)

    def check_not_overdue(self, name: str, due: datetime) -> None:
        """A Request whose deadline was before some time has its Outcome, unless a worker has yet to take it up."""
        self.check()
        deadline = self.offered[name].deadline
        if deadline is None or deadline > due or name not in self.acknowledged:
            return
        if not self.life or not self.life.going_on:
            return
        begun = self.life.workers.begun()
        waits = {
            attempt.id for task in self.life.workers.open_tasks() for attempt in task.attempts if task.name not in begun
        }
        done = {entry.id for entry in self.recorded}
        assert name in done | waits, f"{name} should have ended at {deadline}, and it is {self.now}"

    def _never_changing(self, entries: list[Entry]) -> None:
        assert len({entry.id for entry in entries}) == len(entries), "two Outcomes of one Request"
        assert [entry.seq for entry in entries] == sorted({entry.seq for entry in entries})
        assert entries[: len(self.recorded)] == self.recorded, "an Outcome has changed, or is gone"
        self.recorded = entries
        recorded = {entry.id: entry.body for entry in entries}
        for name, body in self.published.items():
            assert recorded.get(name) == body, f"what was published of {name} is not what the ledger has"

    def _well_ended(self, outcome: Outcome) -> None:
        """Its history is one, its losses are bounded, and its result is that of its latest attempt."""
        name = outcome.id
        epochs = [record.epoch for record in outcome.history]
        assert epochs == sorted(set(epochs)), f"{name}: attempts {epochs}"
        assert outcome.attempts == len(epochs)
        for record in outcome.history:
            self._as_far_as_said(name, record)
        ended = Counter(record.ended for record in outcome.history)
        assert ended[Ending.WORKER_LOST] <= BOUNDS.worker_losses
        assert ended[Ending.NODE_LOST] + ended[Ending.DIRECTOR_LOST] <= BOUNDS.node_losses
        assert ended[Ending.AGAIN] <= BOUNDS.transient + 1
        if ended[Ending.WORKER_LOST] == BOUNDS.worker_losses:
            assert outcome.status in ("failed", "cancelled", "timeout"), f"{name} ended {outcome.status}"
            if outcome.status == "failed":
                assert outcome.error.type == "Quarantined", f"{name}: {outcome.error}"
        if outcome.status == "ok" and outcome.reused_from is None:
            latest = max(epoch for other, epoch in self.handed if other == name)
            assert outcome.worker == worker_of(name, epochs[-1])
            assert epochs[-1] == latest, f"{name} ended with epoch {epochs[-1]}, and {latest} is the latest"
        elif outcome.reused_from is not None:
            original = next(entry for entry in self.recorded if entry.id == outcome.reused_from)
            assert Outcome.model_validate_json(original.body).result == outcome.result

    def _as_far_as_said(self, name: str, record: AttemptRecord) -> None:
        """An attempt that is over says no more. One that was given up may go on, but does not go back."""
        said = self.courses.get((name, record.epoch), Course())
        if record.ended in (Ending.DIRECTOR_LOST, Ending.PAUSED):
            assert (record.course.amount or 0.0) <= (said.amount or 0.0), f"{name}: {record} has more than {said}"
        else:
            assert record.course == said, f"{name}: {record} is not what was said: {said}"

    def _nothing_forgotten(self, outcomes: dict[str, Outcome]) -> None:
        """The Director knows of each acknowledged Request that is not done."""
        life = self.life
        if life and life.going_on and not life.disk.held:
            still_open = life.engine.open_ids()
            assert len(set(still_open)) == len(still_open), f"open twice: {sorted(still_open)}"
            forgotten = self.acknowledged - outcomes.keys() - set(still_open)
            assert not forgotten, f"neither open nor done: {sorted(forgotten)}"
            assert not outcomes.keys() & set(still_open), f"both: {sorted(outcomes.keys() & set(still_open))}"

    def _take(self, entries: list[Entry]) -> None:
        for entry in entries:
            assert entry.id not in self.published, f"{entry.id} was published twice"
            self.published[entry.id] = entry.body


class Replay:
    """What the events of a ledger tell, without its other tables.

    Args:
        events: All of them.
    """

    def __init__(self, events: Sequence[Any]) -> None:
        self.accepted: list[str] = []
        self.finished: dict[str, Any] = {}
        self.epochs: Counter[str] = Counter()
        self.cancelled: set[str] = set()
        self.priorities: dict[str, int] = {}
        self.life = 0
        for number, event in enumerate(events, 1):
            assert event.seq == number, f"event {event.seq} is the {number}th"
            self._apply(event)

    def _apply(self, event: Any) -> None:
        name = event.id
        if event.kind == "claimed":
            assert event.life > self.life, f"life {event.life} claimed after life {self.life}"
            self.life = event.life
            return
        assert event.life == self.life, f"life {event.life} wrote while life {self.life} had the ledger"
        if event.kind == "accepted":
            assert name not in self.accepted, f"{name} was accepted twice"
            self.accepted.append(name)
        elif name is not None:
            assert name in self.accepted, f"{event.kind} of {name}, which was not accepted"
            assert name not in self.finished, f"{event.kind} of {name} after its Outcome"
        if event.kind in ("started", "interrupted"):
            assert event.epoch >= self.epochs[name], f"{event.kind}: epoch {event.epoch} of {name} is stale"
            self.epochs[name] = event.epoch
        elif event.kind == "finished":
            assert event.epoch >= self.epochs[name], f"{name} finished with epoch {event.epoch}, which is stale"
            self.finished[name] = event
        elif event.kind == "changed":
            self._change(name, event.data)

    def _change(self, name: str, data: Mapping[str, Any]) -> None:
        if data.get("cancel"):
            self.cancelled.add(name)
        if data.get("priority") is not None:
            self.priorities[name] = data["priority"]

    def equals(self, reader: SqliteLedger, entries: Sequence[Entry], outcomes: dict[str, Outcome]) -> None:
        """They tell what the tables say."""
        assert list(self.finished) == [entry.id for entry in entries]
        assert reader.known(self.accepted) == set(self.accepted)
        assert reader.counts() == dict(Counter(outcome.status.value for outcome in outcomes.values()))
        assert reader.last() == (entries[-1].seq if entries else 0)


def request_of(number: int, equal: int, tool: str, **more: Any) -> Request:
    """The Request of a number; with ``equal`` it has the same inputs as others of that."""
    return Request(id=f"r{number}", tool=tool, inputs={"duration_s": 0.0, "seed": equal or 100 + number}, **more)


async def _ticked(engine: Engine) -> None:
    await _awaited(engine.tick)


async def _awaited(call: Any) -> Any:
    answer = call()
    return await answer if asyncio.iscoroutine(answer) else answer


def _kind(request: Request) -> tuple[str, str]:
    return request.tool, str(request.inputs)
