"""A Request's folder, and what its Tool may know of the place where it runs."""

from __future__ import annotations

import enum
import json
import logging
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from simulations.cache import BuildCache
from simulations.checkpoints import Checkpoint, CheckpointStore, now_utc, partial_path, remove_partials
from simulations.disk import disk_error, replace_file
from simulations.errors import Cancelled, Superseded
from simulations.records import Course

logger = logging.getLogger(__name__)

PROGRESS_FILE = "progress.json"
OWNER_FILE = "owner"
PROGRESS_PERIOD_S = 1.0
OWNER_PERIOD_S = 1.0


class Stop(enum.StrEnum):
    """Why an attempt is asked to stop."""

    PAUSE = "pause"
    CANCEL = "cancel"
    TIMEOUT = "timeout"


_STOPS = {stop.value.encode(): stop for stop in Stop}


def stop_file(epoch: int) -> str:
    """Name of the file in a Request's folder that asks one attempt to stop: its content is a `Stop`."""
    return f"stop.{epoch}"


@dataclass(frozen=True)
class Resources:
    """What one worker owns.

    Attributes:
        host: Name of its node.
        worker: ``host/rank``.
        threads: How many threads a simulation should use.
        accelerator: Name of its accelerator, or None.
    """

    host: str
    worker: str
    threads: int = 1
    accelerator: str | None = None


@dataclass
class Workspace:
    """Where one attempt of a Request may read and write.

    The folder is made at the first write, so a Request that leaves no file costs the file system nothing. It belongs to
    the attempt with the greatest epoch: one that was given up for lost, and still runs, is told so and writes no more.

    Attributes:
        folder: The Request's folder.
        run_folder: The run folder, which contains it; artifacts are named relative to this one.
        resources: What the worker owns.
        inputs: For each input that names a user's file, the path of its copy.
        cache: What this worker has built before.
        clock: Seconds, monotonic.
        epoch: Which attempt of the Request this is.
        pause_at: When it must stop by itself if it can go on later (UTC): the job's end is near, whoever is there to
            say so.
        utc: The time, UTC.
        course: How far this attempt is.
        artifacts: Name of each file left for the user, with its path relative to the run folder.
        notes: What went otherwise than usual without ending the attempt, such as a damaged checkpoint.
    """

    folder: Path
    run_folder: Path
    resources: Resources
    inputs: Mapping[str, Path] = field(default_factory=dict)
    cache: BuildCache = field(default_factory=BuildCache)
    clock: Callable[[], float] = time.monotonic
    epoch: int = 1
    pause_at: datetime | None = None
    utc: Callable[[], datetime] = now_utc
    course: Course = field(default_factory=Course)
    artifacts: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    _progress_at: float = field(init=False)
    _owner_at: float = field(init=False)
    _taken: bool = field(default=False, init=False)
    _reported: dict[str, Any] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._progress_at = self.clock()
        # A first attempt that is done within a second need not look whether there is a second one.
        self._owner_at = self._progress_at if self.epoch == 1 else self._progress_at - OWNER_PERIOD_S

    def path(self, name: str) -> Path:
        """Path of a file in the folder, which is made if it is not there.

        Raises:
            ValueError: If the name leads out of the folder.
            Superseded: If a later attempt has the folder.
        """
        path = self.folder / name
        if not path.resolve().is_relative_to(self.folder.resolve()):
            raise ValueError(f"{name!r} leads out of the workspace {self.folder}")
        self._take()
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return path

    def clear(self) -> None:
        """Removes what earlier attempts left: files that they may still have open are not written to any more.

        Raises:
            OSError: If something cannot be removed.
            Superseded: If a later attempt has the folder.
        """
        if not self.folder.exists():
            return
        self._take()
        for entry in self.folder.iterdir():
            if entry.name == OWNER_FILE or entry.name.startswith("stop."):
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink(missing_ok=True)

    def artifact(self, name: str, filename: str) -> Path:
        """Path of a file that is left for the user under a name, such as ``trajectory``."""
        path = self.path(filename)
        self.artifacts[name] = str(path.relative_to(self.run_folder))
        return path

    def write(self, filename: str, content: bytes) -> Path:
        """Writes a file so that a reader sees the old content or the new one, never a part, also after a crash.

        Raises:
            ToolError: ``DiskFull`` or ``DiskFailed``.
            Superseded: If a later attempt has the folder.
        """
        path = self.path(filename)
        try:
            replace_file(path, (content,), self.beside(path))
        except OSError as error:
            self._owner()  # a later attempt removes files of this one, also while they are written
            raise disk_error(error, self.folder) or error from error
        return path

    def beside(self, path: Path) -> Path:
        """Where this attempt writes a file first that it then renames to a path."""
        return partial_path(path, self.epoch)

    # How far it is

    def progress(self, report: Callable[[], Mapping[str, Any]], amount: float | None = None) -> None:
        """Says how far the simulation is; at most once a second, and never for one that is done before that.

        Args:
            report: Called only when a report is due; returns JSON values, such as ``step`` and ``ns_per_day``.
            amount: How much is done, in the Tool's unit of work.
        """
        now = self.clock()
        if now - self._progress_at < PROGRESS_PERIOD_S:
            return
        self._progress_at = now
        if amount is not None:
            self.reached(amount)
        self._reported = dict(report())
        self._write_progress()

    def _write_progress(self) -> None:
        path = self.path(PROGRESS_FILE)
        partial = self.beside(path)
        course = self.course.model_dump(mode="json", exclude_none=True)
        partial.write_text(json.dumps({**self._reported, "epoch": self.epoch, **course}))
        partial.replace(path)

    def done(self) -> None:
        """Removes what said how far it was: it has ended well, and its Outcome will say so.

        Each file that is left counts on the file systems of clusters.
        """
        if self._reported or self.epoch > 1 or self.course.saved_at is not None:
            try:
                (self.folder / PROGRESS_FILE).unlink(missing_ok=True)
            except OSError as error:  # it does no harm, and the work is done
                self.note(f"{PROGRESS_FILE} could not be removed: {error}")

    def reached(self, amount: float) -> None:
        """Notes how much is done, in the Tool's unit of work."""
        self.course = self.course.model_copy(update={"amount": amount})

    def begin(self, resumed: Checkpoint | None = None, *, exact: bool = True) -> None:
        """Notes that the start-up is over and the work begins.

        Args:
            resumed: The checkpoint that it goes on from; None if it begins anew.
            exact: Whether it goes on as if it had never been interrupted.
        """
        news: dict[str, Any] = {"began_at": self.utc(), "amount": 0.0}
        if resumed is not None:
            news |= {"from_amount": resumed.amount, "from_saved_at": resumed.saved_at, "exact": exact}
            news |= {"amount": resumed.amount, "saved_amount": resumed.amount, "saved_at": resumed.saved_at}
        self.course = self.course.model_copy(update=news)

    # Checkpoints

    def save(self, amount: float, content: bytes) -> None:
        """Writes a checkpoint; when it returns, that is on disk and counts. A crash before leaves the last one.

        Args:
            amount: How much is done, in the Tool's unit of work.
            content: What the Tool needs to go on.

        Raises:
            ToolError: ``DiskFull`` or ``DiskFailed``.
            Superseded: If a later attempt has the folder.
        """
        saved_at = self.utc()
        self._save(amount, saved_at, content)
        self.course = self.course.model_copy(
            update={"amount": amount, "saved_amount": amount, "saved_at": saved_at},
        )
        self._write_progress()

    def _save(self, amount: float, saved_at: datetime, content: bytes) -> None:
        self._take()
        try:
            CheckpointStore(self.folder, self.epoch).save(amount, saved_at, content)
        except OSError as error:
            self._owner()
            raise disk_error(error, self.folder) or error from error

    def load(self) -> Iterator[Checkpoint]:
        """Yields the checkpoints that there are, the newest first: go on from the first that is of use.

        A first attempt has none, and does not look. Damaged ones are passed over, with a note.

        Raises:
            OSError: If one could not be read, and none of the others was of use.
        """
        if self.epoch > 1:
            yield from CheckpointStore(self.folder, self.epoch).load(self.note)

    def adopt(self, checkpoint: Checkpoint) -> None:
        """Makes a checkpoint this attempt's own, before it goes on from it.

        What an earlier attempt writes from now on, should it still run, is of no account then.

        Raises:
            ToolError: ``DiskFull`` or ``DiskFailed``.
            Superseded: If a later attempt has the folder.
        """
        if checkpoint.epoch != self.epoch:
            self._save(checkpoint.amount, checkpoint.saved_at, checkpoint.content)

    def note(self, text: str) -> None:
        """Keeps a note on something unusual that did not end the attempt."""
        logger.warning("%s, attempt %d: %s", self.folder.name, self.epoch, text)
        self.notes.append(text)

    # Being asked to stop

    def flag(self) -> Stop | None:
        """What the stop file of this attempt asks for, if there is one."""
        try:
            with (self.folder / stop_file(self.epoch)).open("rb", buffering=0) as stream:
                return _STOPS.get(stream.read(16).strip())  # one that is just being written is empty
        except FileNotFoundError:
            return None

    def asked(self) -> Stop | None:
        """Whether it is asked to stop, and why. Past `pause_at` it is asked to pause."""
        flag = self.flag()
        if flag is None and self.pause_at is not None and self.utc() >= self.pause_at:
            return Stop.PAUSE
        return flag

    def pause_asked(self) -> bool:
        """Ends the simulation if it is asked to stop for good; else says whether it is asked to pause.

        A Tool that checkpoints then saves what it has done, and raises `Paused`.

        Raises:
            Cancelled: If its cancellation was asked for, or its time is over.
            Superseded: If a later attempt has the folder.
        """
        stop = self.asked()
        if stop is Stop.CANCEL:
            raise Cancelled("the request was cancelled while it ran")
        if stop is Stop.TIMEOUT:
            raise Cancelled("the request's time was over while it ran", timed_out=True)
        now = self.clock()
        if now - self._owner_at >= OWNER_PERIOD_S:
            self._owner_at = now
            owner = self._owner()
            if self._taken and owner < self.epoch and self.epoch > 1:
                self._take()  # an earlier attempt, just beginning, wrote its own over ours
        return stop is Stop.PAUSE

    def raise_if_cancelled(self) -> None:
        """Ends the simulation if it is asked to stop for good. Being asked to pause does not end it.

        Raises:
            Cancelled: If its cancellation was asked for, or its time is over.
            Superseded: If a later attempt has the folder.
        """
        self.pause_asked()

    # Whose the folder is

    def _owner(self) -> int:
        """Epoch of the attempt that has the folder, as it has written down; 0 if none has.

        A first attempt writes nothing down: it has the folder as long as no other one does.

        Raises:
            Superseded: If it is a later one than this.
        """
        try:
            said = (self.folder / OWNER_FILE).read_bytes()
        except FileNotFoundError:
            return 0
        owner = int(said) if said.isdigit() else 0  # a power cut may leave anything in it
        if owner > self.epoch:
            raise Superseded(f"attempt {self.epoch} was given up for lost; attempt {owner} has its folder now")
        return owner

    def _take(self) -> None:
        owner = self._owner()
        if not self._taken:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self.epoch > 1 and owner != self.epoch:
            partial = self.beside(self.folder / OWNER_FILE)
            partial.write_text(str(self.epoch))
            partial.replace(self.folder / OWNER_FILE)
            remove_partials(self.folder, before=self.epoch)
        self._taken = True


def read_course(folder: Path, epoch: int) -> Course | None:
    """How far an attempt said it was, as its progress file has it; at most a second old while it runs.

    Args:
        folder: The Request's folder.
        epoch: The attempt.

    Returns:
        None if this attempt has not reported, or what it wrote is torn or not what it should be: a Director that was
        killed, and its nodes with it, may find anything there.
    """
    try:
        said = json.loads((folder / PROGRESS_FILE).read_bytes())
        if not isinstance(said, dict) or said.get("epoch") != epoch:
            return None
        return Course.model_validate({name: said[name] for name in Course.model_fields if name in said})
    except (OSError, ValueError):
        return None
