"""What stands in for the disk and the workers: a ledger that checks itself, and a pool that does what the test says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from director.attempt import Attempt, AttemptResult
from director.ledger import Ledger, LedgerError
from director.pool import How, LostError, NodeState
from simulations.records import Course, Ending, ErrorInfo
from simulations.workspace import Stop


class TwinLedger:
    """Two ledgers that must always answer alike: that on disk, and that in memory.

    Attributes:
        fails: What the next turn comes to, if the disk is to fail then: ``before`` or ``after`` it was written.
    """

    def __init__(self, disk: Ledger, memory: Ledger) -> None:
        self._twins = (disk, memory)
        self.fails: str | None = None

    def turn(self, *arguments: Any, **more: Any) -> Any:
        """See `Ledger.turn`."""
        fails, self.fails = self.fails, None
        if fails == "before":
            raise LedgerError("the test's disk does not write")
        result = self._both("turn", *arguments, **more)
        if fails == "after":
            raise LedgerError("the test's disk does not answer")
        return result

    def close(self) -> None:
        """See `Ledger.close`."""
        for twin in self._twins:
            twin.close()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *arguments, **more: self._both(name, *arguments, **more)

    def _both(self, name: str, *arguments: Any, **more: Any) -> Any:
        answers = [_answer(getattr(twin, name), *arguments, **more) for twin in self._twins]
        (result, error), (other, other_error) = answers
        assert type(error) is type(other_error), f"{name} on disk: {error!r}, in memory: {other_error!r}"
        assert result == other, f"{name} on disk: {result!r}, in memory: {other!r}"
        if error is not None:
            raise error
        return result


def _answer(call: Callable[..., Any], *arguments: Any, **more: Any) -> tuple[Any, Exception | None]:
    try:
        return call(*arguments, **more), None
    except Exception as error:
        return None, error


@dataclass
class Task:
    """Attempts that travel together.

    Attributes:
        attempts: The attempts.
        future: What the Director waits for.
        asked: For each Request how its attempt was asked to stop, and when, in order.
    """

    attempts: list[Attempt]
    future: Future[list[AttemptResult]]
    asked: dict[str, list[tuple[Stop, How, datetime]]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """How a Director calls it."""
        return f"{self.attempts[0].id}.{self.attempts[0].epoch}"

    def killed_for(self, name: str, now: datetime) -> timedelta | None:
        """How long ago its worker was to be killed because of a Request; None if it was not."""
        return next((now - at for _, how, at in self.asked.get(name, ()) if how is How.KILL), None)


class Workers:
    """A Pool whose attempts end when and as the test says.

    Args:
        clock: The time (UTC).
        handed_over: Called with all attempts of each task before it is taken.
        courses: How far attempts say they are, by Request and epoch; on disk, so the next life sees them, too.
    """

    def __init__(
        self,
        clock: Callable[[], datetime],
        handed_over: Callable[[list[Attempt]], None],
        courses: dict[tuple[str, int], Course],
    ) -> None:
        self.workers = 2
        self.hopeless: str | None = None
        self.tasks: list[Task] = []
        self._clock = clock
        self._handed_over = handed_over
        self._courses = courses
        self._began: dict[tuple[str, int], datetime] = {}

    def start(self) -> None:
        """Has nothing to start."""

    def submit(self, attempts: list[Attempt]) -> Future[list[AttemptResult]]:
        """See `Pool.submit`."""
        self._handed_over(attempts)
        task = Task(attempts, Future())
        self.tasks.append(task)
        self._began |= {(attempt.id, attempt.epoch): self._clock() for attempt in attempts}
        return task.future

    def stop(self, attempts: Mapping[str, int], why: Stop, how: How) -> None:
        """See `Pool.stop`."""
        for task in self.open_tasks():
            for attempt in task.attempts:
                if attempts.get(attempt.id) == attempt.epoch:
                    task.asked.setdefault(attempt.id, []).append((why, how, self._clock()))

    def begun(self) -> dict[str, str]:
        """See `Pool.begun`: each worker runs one task, in the order in which they came."""
        return {task.name: "local-0" for task in self.open_tasks()[: self.workers]}

    def nodes(self) -> list[NodeState]:
        """One node that is up."""
        return [NodeState("local-0", "up", workers=self.workers)]

    def close(self) -> None:
        """Has nothing to end."""

    def open_tasks(self) -> list[Task]:
        """What runs, or may still run after it was given up."""
        return [task for task in self.tasks if not task.future.done()]

    def progress(self, task: Task, *, saved: bool) -> None:
        """Each attempt says that it has done some more, and perhaps that it has saved it."""
        for attempt in task.attempts:
            who = (attempt.id, attempt.epoch)
            before = self._courses.get(who) or Course(began_at=self._began[who])
            done = {"amount": (before.amount or 0.0) + 1.0}
            kept = {"saved_amount": done["amount"], "saved_at": self._clock()} if saved else {}
            self._courses[who] = before.model_copy(update={**done, **kept})

    def finish(self, task: Task, ending: Ending, *, twice: bool = False) -> None:
        """Ends a task: each attempt so. A pack whose Tool saves nothing cannot pause: it ends ok then."""
        results = [self.result(attempt, ending) for attempt in task.attempts]
        task.future.set_result(results * (2 if twice else 1))

    def obey(self, task: Task) -> None:
        """Ends a task as it was asked to: attempts of it that nobody asked end ok."""
        endings = {Stop.PAUSE: Ending.PAUSED, Stop.CANCEL: Ending.CANCELLED, Stop.TIMEOUT: Ending.TIMEOUT}
        results = []
        for attempt in task.attempts:
            asked = task.asked.get(attempt.id)
            ending = endings[asked[-1][0]] if asked else Ending.OK
            if ending is Ending.PAUSED and attempt.tool != "saver":
                ending = Ending.OK
            results.append(self.result(attempt, ending))
        task.future.set_result(results)

    def lose(self, task: Task, *, with_node: bool) -> None:
        """Loses the worker under a task, or the whole node."""
        what = "node" if with_node else "worker"
        task.future.set_exception(LostError(f"the test's {what} is gone", with_node=with_node))

    def result(self, attempt: Attempt, ending: Ending) -> AttemptResult:
        """What a worker reports: the ``worker`` says which attempt it was."""
        bad = {Ending.FAILED: "Boom", Ending.AGAIN: "Busy", Ending.CANCELLED: "Cancelled", Ending.TIMEOUT: "Timeout"}
        kind = bad.get(ending)
        return AttemptResult(
            id=attempt.id,
            epoch=attempt.epoch,
            ending=ending,
            result={"slept_s": 0.0} if ending is Ending.OK else None,
            error=ErrorInfo(type=kind, message="as the test says", hint="None needed.") if kind else None,
            host="local-0",
            worker=worker_of(attempt.id, attempt.epoch),
            accelerator=None,
            started_at=self._began[attempt.id, attempt.epoch],
            finished_at=self._clock(),
            artifacts={},
            versions={},
            course=self._courses.setdefault(
                (attempt.id, attempt.epoch), Course(began_at=self._began[attempt.id, attempt.epoch])
            ),
        )


def worker_of(name: str, epoch: int) -> str:
    """The worker of an attempt: each has one of its own, so that an Outcome says whose it is."""
    return f"{name}/{epoch}"
