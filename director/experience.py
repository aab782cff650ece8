"""What a Director has learned of its Requests: how long they take, and where the time went."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from director.accounting import Account, Going, Totals
from director.attempt import AttemptResult
from director.job import Job
from director.ledger import Noted
from director.packing import Durations
from director.timing import Timing
from director.walltime import Walltime, may_start
from simulations.records import Course, Ending, Outcome, Status
from simulations.tool import AnyTool

ETA_SAMPLES = 200
SURE = 10.0
"""What took a tenth of the time that is left, at most, fits into it: nothing more exact need be asked."""


class Experience:
    """Learns from what happens, and estimates what will.

    Args:
        tools: The installed Tools.
        nodes: How many nodes the Director holds.
        workers: How many workers.

    Attributes:
        timing: How long Requests take.
        durations: What the latest attempts of each Tool took.
    """

    def __init__(self, tools: Mapping[str, AnyTool], *, nodes: int, workers: int) -> None:
        self.timing = Timing()
        self.durations: dict[str, Durations] = {}
        self._tools = tools
        self._workers = workers
        self._account = Account(nodes=nodes, workers=workers)

    def note(self, noted: Noted) -> None:
        """Takes in what the Director notes in its ledger."""
        self._account.note(noted)

    def returned(self, job: Job, result: AttemptResult) -> None:
        """Takes in an attempt that came back."""
        request = job.accepted.request
        self.durations.setdefault(request.tool, Durations()).add(result.seconds)
        if result.ending in (Ending.OK, Ending.PAUSED):
            self.timing.learn(
                self._tools[request.tool],
                request.inputs,
                accelerator=result.accelerator,
                course=result.course,
                started_at=result.started_at,
                ended_at=result.finished_at,
            )

    def still_open(self, job: Job) -> None:
        """Takes in the attempts of a Request that is open."""
        tool = self._tools.get(job.accepted.request.tool)
        self._account.attempts(job.name, job.history, unit=tool.unit if tool else "")

    def ended(self, outcome: Outcome) -> None:
        """Takes in an Outcome that counts."""
        self._account.outcome(outcome)

    def before(self, outcome: Outcome) -> None:
        """Learns how long an Outcome of an earlier life took; it is in that life's account."""
        tool = self._tools.get(outcome.tool)
        if tool is None or outcome.status is not Status.OK or not outcome.history:
            return
        record = outcome.history[-1]
        self.timing.learn(
            tool,
            outcome.inputs,
            accelerator=record.accelerator,
            course=record.course,
            started_at=record.started_at,
            ended_at=record.ended_at,
        )

    def add(self, past: Account) -> None:
        """Takes in the account of earlier lives."""
        self._account.add(past)

    def totals(self, now: datetime, running: Iterable[tuple[Job, datetime]], courses: Mapping[str, Course]) -> Totals:
        """Where the time went so far, in all lives.

        Args:
            now: The time (UTC).
            running: What runs now, and since when.
            courses: How far that is, by the Requests' ids, as far as it is known.
        """
        going = [
            Going(began_at, courses.get(job.name, Course()), self._tools[job.accepted.request.tool].unit)
            for job, began_at in running
        ]
        return self._account.totals(now, going)

    def eta_s(self, jobs: Sequence[Job], since: Mapping[str, datetime], now: datetime) -> float | None:
        """When all that is open will have ended if it is shared out evenly, in s from now, cautiously.

        Args:
            jobs: All open Requests. Of more than 200, as many are looked at.
            since: When those that run were taken up by their workers (UTC), by their ids.
            now: The time (UTC).

        Returns:
            Seconds, or None if nothing is open, or nothing known of what is.
        """
        left_s = []
        for job in jobs[:: max(1, len(jobs) // ETA_SAMPLES)]:
            request = job.accepted.request
            expected_s = self.timing.expected_s(self._tools[request.tool], request.inputs, from_amount=_done(job))
            if expected_s is not None:
                ran_s = (now - since[job.name]).total_seconds() if job.name in since else 0.0
                left_s.append(max(0.0, expected_s - ran_s))
        return sum(left_s) / len(left_s) * len(jobs) / self._workers if left_s else None

    def may_start(self, job: Job, walltime: Walltime | None, now: datetime) -> bool:
        """Whether there is time enough for a Request; see `director.walltime.may_start`."""
        if walltime is None:
            return True
        request, left_s = job.accepted.request, walltime.left_s(now)
        tool, known = self._tools[request.tool], self.durations.get(request.tool)
        if known is not None and known.longest_s is not None and 1.0 + SURE * known.longest_s < left_s:
            return True
        return may_start(
            left_s,
            checkpoints=tool.checkpoints,
            startup_s=self.timing.startup_s(tool, request.inputs),
            expected_s=self.timing.expected_s(tool, request.inputs, from_amount=_done(job)),
        )


def _done(job: Job) -> float:
    """What the latest checkpoint of a Request holds, in its Tool's unit of work."""
    return max((record.course.saved_amount or 0.0 for record in job.history), default=0.0)
