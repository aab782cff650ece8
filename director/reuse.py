"""Outcomes that stand for Requests with equal inputs, so that nothing is run twice."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from director.job import Job, Place, outcome_for
from director.ledger import Finished, Ledger, LedgerError, OkReader
from simulations.records import Outcome, Status

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Found:
    """An Outcome that can be used again.

    Attributes:
        outcome: The Outcome.
        run_folder: The folder of its run; its artifacts are relative to that.
    """

    outcome: Outcome
    run_folder: Path


class Source(Protocol):
    """Where Outcomes are looked up by key."""

    def find_ok(self, keys: Sequence[str]) -> dict[str, Found]:
        """For each of these keys that has one, an Outcome that is ``ok`` and whose artifacts are all there."""
        ...


class RunOutcomes:
    """The Outcomes of a run, by the ledgers in its folder. They are read, never written.

    Args:
        run_folder: The run.
        without: A ledger that is looked at by other means.
    """

    def __init__(self, run_folder: Path, *, without: Path | None = None) -> None:
        self._run_folder = run_folder
        self._without = without
        self._readers: dict[Path, OkReader] = {}

    def find_ok(self, keys: Sequence[str]) -> dict[str, Found]:
        """See `Source.find_ok`. A ledger that cannot be read is left out, with a note: reuse only saves time."""
        found: dict[str, Found] = {}
        for path in sorted(self._run_folder.glob("director-*/ledger.sqlite")):
            missing = [key for key in keys if key not in found]
            if path == self._without or not missing:
                continue
            try:
                reader = self._readers.setdefault(path, OkReader(path))
                bodies = reader.find_ok(missing)
            except (LedgerError, sqlite3.Error, OSError) as error:
                logger.warning("nothing is reused from %s: %s", path, error)
                continue
            found |= usable(bodies, self._run_folder)
        return found


def usable(bodies: Mapping[str, str], run_folder: Path) -> dict[str, Found]:
    """Those of these Outcomes, as JSON by key, whose artifacts are all there."""
    outcomes = {key: Outcome.model_validate_json(body) for key, body in bodies.items()}
    return {
        key: Found(outcome, run_folder)
        for key, outcome in outcomes.items()
        if all((run_folder / path).is_file() for path in outcome.artifacts.values())
    }


def look_up(keys: Iterable[str], sources: Sequence[Source]) -> dict[str, Found]:
    """Asks one source after another for the keys that are still missing."""
    missing = set(keys)
    found: dict[str, Found] = {}
    for source in sources:
        if not missing:
            break
        found |= source.find_ok(sorted(missing))
        missing -= found.keys()
    return found


def adopt(found: Found, key: str, run_folder: Path) -> dict[str, str]:
    """Brings the artifacts of an Outcome into a run's folder, and says where each of them is there.

    Files are linked where that works, else copied: another run's folder may be removed one day.

    Raises:
        OSError: If one of them cannot be brought.
    """
    if found.run_folder == run_folder or not found.outcome.artifacts:
        return dict(found.outcome.artifacts)
    folder = run_folder / "reused" / key[:32]
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    brought = {}
    for name, path in found.outcome.artifacts.items():
        source, target = found.run_folder / path, folder / Path(path).name
        if not target.exists():
            partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
            try:
                os.link(source, partial)
            except OSError:
                shutil.copyfile(source, partial)
            with contextlib.suppress(FileNotFoundError):  # another Director has just brought the same
                partial.replace(target)
        brought[name] = str(target.relative_to(run_folder))
    return brought


def repeated(job: Job, place: Place, original: Outcome, artifacts: Mapping[str, str], at: datetime) -> Outcome:
    """The Outcome of a Request that was not run, since another one had equal inputs."""
    return outcome_for(
        job,
        place,
        Status.OK,
        at,
        result=original.result,
        host=original.host,
        worker=original.worker,
        accelerator=original.accelerator,
        artifacts=dict(artifacts),
        reused_from=original.reused_from or original.id,
        versions=original.versions,
    )


class OwnOutcomes:
    """The Outcomes of a Director's own ledger.

    Args:
        ledger: The ledger.
        run_folder: The folder of its run.
    """

    def __init__(self, ledger: Ledger, run_folder: Path) -> None:
        self._ledger = ledger
        self._run_folder = run_folder

    def find_ok(self, keys: Sequence[str]) -> dict[str, Found]:
        """See `Source.find_ok`."""
        return usable(self._ledger.find_ok(keys), self._run_folder)


@dataclass(frozen=True)
class Reuse:
    """Finds Outcomes that stand for Requests.

    Attributes:
        run_folder: The folder of the run.
        sources: Where to look, in this order.
    """

    run_folder: Path
    sources: tuple[Source, ...]

    def answers(self, jobs: Sequence[Job], place: Place, at: datetime) -> list[Finished]:
        """Outcomes for those of these jobs that need not run. Blocks on the disk.

        Args:
            jobs: Open ones.
            place: The Director's.
            at: Now (UTC).
        """
        found = look_up((job.accepted.key for job in jobs if job.accepted.request.reuse), self.sources)
        finished = []
        for job in jobs:
            original = found.get(job.accepted.key)
            if original is None or not job.accepted.request.reuse or original.outcome.id == job.name:
                continue
            try:
                artifacts = adopt(original, job.accepted.key, self.run_folder)
            except OSError as error:
                logger.warning("%s is run anew: its artifacts cannot be reused: %s", job.name, error)
                continue
            finished.append(Finished(repeated(job, place, original.outcome, artifacts, at), job.epoch))
        return finished


class Twins:
    """Open Requests with equal keys: one of them runs, the others wait for its Outcome."""

    def __init__(self) -> None:
        self._leaders: dict[str, str] = {}
        self._followers: dict[str, list[Job]] = {}
        self._follows: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._follows)

    def follow(self, job: Job) -> bool:
        """Whether a job has to wait for another one; if not, others with its key wait for this one."""
        if not job.accepted.request.reuse:
            return False
        leader = self._leaders.setdefault(job.accepted.key, job.name)
        if leader == job.name:
            return False
        self._followers.setdefault(leader, []).append(job)
        self._follows[job.name] = leader
        return True

    def waiting(self) -> list[Job]:
        """The jobs that wait for another one."""
        return [job for jobs in self._followers.values() for job in jobs]

    def take(self, name: str) -> Job | None:
        """Takes out a job that waits for another one."""
        leader = self._follows.pop(name, None)
        if leader is None:
            return None
        jobs = self._followers[leader]
        job = next(job for job in jobs if job.name == name)
        jobs.remove(job)
        if not jobs:
            del self._followers[leader]
        return job

    def ended(self, name: str, key: str) -> list[Job]:
        """Notes that a job has ended, and returns those that waited for it: they do so no more."""
        if self._leaders.get(key) == name:
            del self._leaders[key]
        jobs = self._followers.pop(name, [])
        for job in jobs:
            del self._follows[job.name]
        return jobs
