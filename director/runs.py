"""What a laptop remembers of the runs that it submitted. It holds no token, and can be rebuilt from the run itself.

A run's folder there has ``run.json`` (where it was sent), ``requests.jsonl`` (what it was sent) and ``inputs`` (the
users' files).
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from director.door import Problem, Refused
from director.elsewhere import RunPlan
from director.runfolder import RunFolder, RunRecord
from simulations.disk import write_private
from simulations.records import Outcome, Request

HOME_VARIABLE = "DIRECTOR_HOME"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class KnownExchange(_Frozen):
    """Where a run's exchange is, and where its secret can be found; not the secret."""

    kind: Literal["http", "redis", "hosted"]
    url: str
    secret_file: str | None = None


class Task(_Frozen):
    """A Director that was launched as a task of Globus Compute.

    Attributes:
        director: Its index.
        launch: How often it has been launched, this time included.
        task_id: What the service calls the task.
        answered: Whether the Director has answered, so that it is not queued any more.
    """

    director: int
    launch: int
    task_id: str
    answered: bool = False


class Launching(_Frozen):
    """One launching of Directors.

    Attributes:
        at: When (UTC).
        job: Which of the run's jobs they went to; the first is 1.
        task_group_id: What the service calls the tasks together.
        tasks: One for each Director that was launched.
    """

    at: datetime
    job: int
    task_group_id: str | None
    tasks: list[Task]


class SubmittedRun(_Frozen):
    """A run that was submitted.

    Attributes:
        run_schema: Version of this record.
        plan: What its Directors are told.
        name: What the batch file is called.
        endpoint_id: The Globus Compute endpoint.
        options: What the endpoint's template was given.
        local_services: Whether Globus Compute's services are this machine's own.
        exchange: Where its Directors answer.
        requests: How many Requests it began with.
        launchings: The launchings of its Directors, the latest last.
    """

    run_schema: int = 1
    plan: RunPlan
    name: str
    endpoint_id: str
    options: dict[str, Any]
    local_services: bool = False
    exchange: KnownExchange
    requests: int
    launchings: list[Launching] = Field(default_factory=list)

    @property
    def run_id(self) -> str:
        """The run's name."""
        return self.plan.run_id

    @property
    def job(self) -> int:
        """Number of its latest job; 0 before the first."""
        return max((launching.job for launching in self.launchings), default=0)

    def options_of(self, job: int) -> dict[str, Any]:
        """What the endpoint's template is given for one of the run's jobs.

        An endpoint has one process, and one job, for each set of options that it is given. So jobs have names.
        """
        return {**self.options, "run_id": f"{self.run_id}-{job}"}

    def heard(self, directors: Iterable[int]) -> SubmittedRun:
        """The same run, when the latest launchings of these Directors have answered."""
        tasks = self.tasks
        heard = {tasks[index].task_id for index in directors if index in tasks}

        def told(task: Task) -> Task:
            return task.model_copy(update={"answered": True}) if task.task_id in heard else task

        launchings = [
            launching.model_copy(update={"tasks": list(map(told, launching.tasks))}) for launching in self.launchings
        ]
        return self.model_copy(update={"launchings": launchings})

    @property
    def tasks(self) -> dict[int, Task]:
        """The latest task of each Director."""
        return {task.director: task for launching in self.launchings for task in launching.tasks}


def home(environment: Mapping[str, str]) -> Path:
    """Where runs are remembered: ``DIRECTOR_HOME``, or else ``~/.md-director``."""
    return Path(environment.get(HOME_VARIABLE) or "~/.md-director").expanduser()


@dataclass(frozen=True)
class RunStore:
    """Runs that were submitted from here.

    Attributes:
        path: Where they are remembered; only the owner may read it.
    """

    path: Path

    def folder(self, run_id: str) -> RunFolder:
        """Where a run is remembered: its record, its Requests, and copies of the users' files."""
        return RunFolder(self.path / "runs" / run_id)

    def make(self, run_id: str) -> RunFolder:
        """Makes the folder in which a run is remembered, if it is not there."""
        folder = self.folder(run_id)
        for path in (self.path, self.path / "runs", folder.path, folder.inputs):
            path.mkdir(parents=True, exist_ok=True, mode=0o700)  # which is not for the parents that it makes
        return folder

    def add(self, run: SubmittedRun, requests: Sequence[tuple[int, Request]]) -> None:
        """Remembers a new run, before anything of it is sent.

        Args:
            run: The run.
            requests: Each Request with the index of its Director.
        """
        folder = self.make(run.run_id)
        lines = (json.dumps([index, request.model_dump(mode="json")]) for index, request in requests)
        write_private(folder.path / "requests.jsonl", "\n".join(lines) + "\n")
        self.update(run)

    def update(self, run: SubmittedRun) -> None:
        """Remembers what has changed."""
        write_private(self.folder(run.run_id).record_file, run.model_dump_json(indent=1))

    def requests(self, run_id: str) -> list[tuple[int, Request]]:
        """A run's Requests, each with the index of its Director."""
        text = (self.folder(run_id).path / "requests.jsonl").read_text(encoding="utf-8")
        found = (json.loads(line) for line in text.splitlines() if line)
        return [(index, Request.model_validate(document)) for index, document in found]

    def keep_record(self, record: RunRecord) -> None:
        """Keeps what its Directors have written down of a run."""
        write_private(self._record(record.run_id), record.model_dump_json(indent=1))

    def record(self, run_id: str) -> RunRecord | None:
        """What was kept of it; None if nothing was, or it cannot be read."""
        try:
            return RunRecord.model_validate_json(self._record(run_id).read_bytes())
        except (OSError, ValidationError):
            return None

    def _record(self, run_id: str) -> Path:
        return self.folder(run_id).path / "record.json"

    def outcomes(self, run_id: str) -> dict[str, Outcome]:
        """The Outcomes of a run that were fetched here before, by id."""
        try:
            lines = self._fetched(run_id).read_bytes().split(b"\n")
        except FileNotFoundError:
            return {}
        found = {}
        for line in lines:
            with contextlib.suppress(ValidationError):  # a line that was cut off is fetched again
                outcome = Outcome.model_validate_json(line)
                found[outcome.id] = outcome
        return found

    def keep(self, run_id: str, outcomes: Sequence[Outcome]) -> None:
        """Keeps Outcomes that were fetched."""
        if outcomes:
            everything = self.outcomes(run_id) | {outcome.id: outcome for outcome in outcomes}
            text = "".join(f"{outcome.model_dump_json()}\n" for outcome in everything.values())
            write_private(self._fetched(run_id), text)

    def _fetched(self, run_id: str) -> Path:
        return self.folder(run_id).path / "outcomes.jsonl"

    def find(self, word: str) -> SubmittedRun | None:
        """The run with this name, or the only one whose name begins so.

        Raises:
            Refused: If several begin so, or its record cannot be read.
        """
        names = sorted(name for name in self._names() if name.startswith(word)) if word else []
        if word in names:
            names = [word]
        if len(names) > 1:
            raise Refused([Problem("RUN", f"{word!r} begins the names of {', '.join(names)}", "Write more of it")])
        if not names:
            return None
        path = self.folder(names[0]).record_file
        try:
            return SubmittedRun.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            hint = "Attach with the exchange's address instead: --exchange"
            raise Refused([Problem("RUN", f"{path} cannot be read ({error})", hint)]) from None

    def __iter__(self) -> Iterator[SubmittedRun]:
        runs = [run for name in self._names() if (run := self.find(name)) is not None]
        return iter(sorted(runs, key=lambda run: run.plan.created_at))

    def _names(self) -> list[str]:
        try:
            entries = list((self.path / "runs").iterdir())
        except FileNotFoundError:
            return []
        return [entry.name for entry in entries if self.folder(entry.name).record_file.is_file()]


def deal(requests: Sequence[Request], weights: Sequence[float]) -> list[tuple[int, Request]]:
    """Deals Requests out in turn, in proportion to weights. Pure.

    Args:
        requests: The Requests.
        weights: One per Director, such as its share of the nodes; all greater than 0.

    Returns:
        Each Request, in the order given, with the index of its Director.
    """
    dealt = [0] * len(weights)
    found = []
    for request in requests:
        index = min(range(len(weights)), key=lambda item: (dealt[item] + 1) / weights[item])
        dealt[index] += 1
        found.append((index, request))
    return found
