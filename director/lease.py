"""Who is the Director: at most one living process for each ledger.

A task may be run twice, and a run may be launched again while a Director of its last launch still lives, perhaps on
another node. They agree through a *lease*, a folder with one file for each *life*: ``life-1.json``, ``life-2.json`` …
A life's file is made by a hard link, which fails if the name is taken, on network file systems too, and it is never
removed. So a life has one owner, and the next one a higher number. The owner, and nobody else, replaces its file every
few seconds by one with the next *beat*.

A newcomer looks at the newest life. While its beat changes, its owner lives, and the newcomer ends. If it was released,
if its process has provably ended on this machine, or if it stands still for the lease's time, the newcomer makes the
next life. No clock but the newcomer's own is read, and it counts only the time in which it looked: after a pause of the
file system or of the newcomer itself, an owner that lives has time to show it.

An owner that was frozen finds the next life when it wakes up. Until then its ledger refuses what it writes, since the
next life has claimed it; see `director.ledger.Ledger.claim`. The lease says who may go on, the ledger makes it so.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from director.lease_watch import Failing, Holder, Record, Sight, Step, Watch, decide
from director.process_id import ProcessId

__all__ = ["HeldError", "Holder", "Lease", "LeaseError", "Newcomer", "newest_record"]

BEAT_S = 2.0
EXPIRES_S = 12.0
LOOKS_PER_BEAT = 4
NO_ANSWER = "the file system does not answer"
MAX_RECORD_BYTES = 65_536
LIFE_FILE = re.compile(r"life-([1-9][0-9]{0,14})\.json")
NO_HARD_LINKS = (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP)


class LeaseError(RuntimeError):
    """The lease cannot be had. The message says why."""


class HeldError(LeaseError):
    """Another Director holds the lease, and lives.

    Args:
        wanted: Who wanted it.
        holder: Who holds it; None if that cannot be read.
        life: Number of the holder's life.
    """

    def __init__(self, wanted: Holder, holder: Holder | None, life: int) -> None:
        self.holder = holder
        self.life = life
        who = str(holder) if holder else f"life {life}, which does not say who it is"
        super().__init__(
            f"Director {wanted.director} of run {wanted.run_id} is alive already: {who}. "
            "This one ends and has changed nothing. Use the one that lives, or end it first"
        )


class Newcomer:
    """Somebody who wants a lease; looks, and then takes it or does not.

    Args:
        folder: The lease's folder.
        holder: Who it is.
        beat_s: Time between the beats of an owner, in s.
        expires_s: For how long an owner may be silent, in s.
        clock: A monotonic clock, in s.

    Attributes:
        trouble: Why the newest life could not be read, if it could not.
    """

    def __init__(
        self, folder: Path, holder: Holder, *, beat_s: float, expires_s: float, clock: Callable[[], float]
    ) -> None:
        self._folder = folder
        self._record = Record(holder=holder, process=ProcessId.of(holder.pid), nonce=uuid.uuid4().hex)
        self._beat_s = beat_s
        self._expires_s = expires_s
        self._clock = clock
        self._watch = Watch(longest_s=beat_s)
        self._known = 0
        self.trouble = ""

    def look(self) -> Step:
        """Looks at the newest life and says what to do next.

        Raises:
            OSError: If the folder cannot be listed.
        """
        began_s = self._clock()
        sight = self._sight()
        self._watch = self._watch.after(sight, began_s, self._clock())
        return decide(self._watch, sight, self._expires_s)

    def take(self) -> Lease | None:
        """Makes the life that follows the one last looked at; None if another newcomer was faster.

        Raises:
            OSError: If it cannot be written.
        """
        life = (self._watch.first.life if self._watch.first else 0) + 1
        path = _file(self._folder, life)
        if _create(path, self._record.dump(), self._folder / f".{self._record.nonce}"):
            return Lease(
                self._folder, life, self._record, beat_s=self._beat_s, expires_s=self._expires_s, clock=self._clock
            )
        self._known = life
        return None

    def held(self) -> HeldError:
        """Why the lease cannot be had."""
        first = self._watch.first or Sight()
        record = Record.load(first.body or b"")
        return HeldError(self._record.holder, record.holder if record else None, first.life)

    def _sight(self) -> Sight:
        # A network file system may show a folder as it was a while ago, without a life that we know of.
        life = max(_newest(self._folder), self._known)
        if life == 0:
            return Sight()
        try:
            body = _read(_file(self._folder, life))
        except OSError as error:
            self.trouble = str(error)
            return Sight(life)
        record = Record.load(body)
        return Sight(life, body, record is not None and (record.released or self._gone(record)))

    def _gone(self, record: Record) -> bool:
        same_host = record.holder.host == self._record.holder.host
        return same_host and record.process is not None and record.process.gone(self._record.process)


class Lease:
    """The right to be the Director, for one life. Made by `Lease.acquire`."""

    def __init__(
        self, folder: Path, life: int, record: Record, *, beat_s: float, expires_s: float, clock: Callable[[], float]
    ) -> None:
        self._folder = folder
        self._life = life
        self._record = record
        self._beat_s = beat_s
        self._expires_s = expires_s
        self._clock = clock
        self._lost: str | None = None
        self._trouble = NO_ANSWER
        self._renewals = 0
        self._over = threading.Event()
        self._files = threading.Lock()
        self._telling = threading.Lock()

    @classmethod
    def acquire(
        cls,
        folder: Path,
        holder: Holder,
        *,
        beat_s: float = BEAT_S,
        expires_s: float = EXPIRES_S,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> Lease:
        """Takes the lease, or finds that its owner lives. Call `keep` at once: an owner without beats counts as ended.

        Args:
            folder: The lease's folder, of its own; made if it is not there. All who want the lease must see it.
            holder: Who wants it: this process.
            beat_s: Time between two beats, in s.
            expires_s: An owner that has been silent for so long, in s, is taken for ended.
            clock: A monotonic clock, in s.
            sleep: Waits for a number of seconds.

        Raises:
            HeldError: If another Director holds it and lives.
            LeaseError: If the folder cannot be read or written.
            ValueError: If an owner could not show that it lives in time.
        """
        if not 0 < 2 * beat_s < expires_s:
            raise ValueError(f"a lease of {expires_s:g} s cannot be kept with beats of {beat_s:g} s")
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            newcomer = Newcomer(folder, holder, beat_s=beat_s, expires_s=expires_s, clock=clock)
            while True:
                step = newcomer.look()
                if step is Step.HELD:
                    raise newcomer.held()
                if step is Step.UNREADABLE:
                    raise LeaseError(f"who holds the lease in {folder} cannot be told: {newcomer.trouble}")
                if step is Step.TAKE and (lease := newcomer.take()):
                    return lease
                sleep(beat_s / LOOKS_PER_BEAT)
        except OSError as error:
            raise LeaseError(
                f"the lease in {folder} cannot be taken ({error}); the Director must be able to write there"
            ) from error

    @property
    def life(self) -> int:
        """Number of this life: higher than that of every life before."""
        return self._life

    def renew(self) -> str | None:
        """Shows once that the owner lives. What `keep` does every ``beat_s``.

        Returns:
            None, or why the lease is not ours any more.

        Raises:
            OSError: If that could not be told or written.
        """
        with self._files:
            if self._lost is None and not self._record.released:
                self._lost = self._not_ours()
                if self._lost is None:
                    self._replace(self._record.model_copy(update={"beat": self._record.beat + 1}))
                    # Only now: writing makes a network file system look at the folder anew.
                    self._lost = self._succeeded()
            return self._lost

    def keep(self, fail: Callable[[str], None], *, patience_s: float | None = None) -> None:
        """Renews the lease from a thread of its own until it is released or lost, and returns at once.

        Args:
            fail: Called once, from another thread, with the reason, when the lease is no longer ours or could not be
                renewed in time. Whoever is told so must end.
            patience_s: For how long renewing may fail, in s; time in which this process stood still does not count.
                None: a little less than ``expires_s``, so that whoever cannot show that it lives ends before it is
                taken for ended.
        """
        patience_s = self._expires_s - self._beat_s if patience_s is None else patience_s
        for work, arguments in ((self._renew_forever, (fail,)), (self._watch_forever, (fail, patience_s))):
            threading.Thread(target=work, args=arguments, name=f"lease-{work.__name__}", daemon=True).start()

    def release(self) -> None:
        """Gives the lease back, so that the next newcomer takes it at once. May be called twice.

        If that cannot be written, the lease expires instead.
        """
        self._over.set()
        if not self._files.acquire(timeout=self._beat_s):
            return  # a renewal hangs
        try:
            if self._lost is None and not self._record.released and self._not_ours() is None:
                self._replace(self._record.model_copy(update={"released": True}))
        except OSError:
            return
        finally:
            self._files.release()

    def _not_ours(self) -> str | None:
        path = _file(self._folder, self._life)
        try:
            record = Record.load(_read(path))
        except FileNotFoundError:
            return f"this Director's lease {path} was removed"
        if record is None or record.nonce != self._record.nonce:
            return f"this Director's lease {path} was written by somebody else"
        return None

    def _succeeded(self) -> str | None:
        try:
            record = Record.load(_read(_file(self._folder, self._life + 1)))
        except FileNotFoundError:
            return None
        except PermissionError:
            record = None
        who = record.holder if record else "it does not say who it is"
        return f"another Director has taken over from this one: life {self._life + 1}, {who}"

    def _replace(self, record: Record) -> None:
        partial = self._folder / f".{record.nonce}"
        _write(partial, record.dump())
        partial.replace(_file(self._folder, self._life))
        self._record = record

    def _renew_forever(self, fail: Callable[[str], None]) -> None:
        while not self._over.is_set():
            try:
                lost = self.renew()
            except OSError as error:
                self._trouble = str(error)
            else:
                self._renewals += 1
                self._trouble = NO_ANSWER
                if lost:
                    self._tell(fail, lost)
            self._over.wait(self._beat_s)

    def _watch_forever(self, fail: Callable[[str], None], patience_s: float) -> None:
        """Sees to it that a renewal that fails, or that hangs in the file system, is noticed in time."""
        failing, last_s = Failing(), self._clock()
        while not self._over.wait(self._beat_s / LOOKS_PER_BEAT):
            now_s = self._clock()
            failing = failing.after(self._renewals, now_s - last_s, self._beat_s)
            last_s = now_s
            if failing.seconds >= patience_s:
                self._tell(fail, f"this Director's lease could not be renewed for {patience_s:g} s: {self._trouble}")

    def _tell(self, fail: Callable[[str], None], reason: str) -> None:
        with self._telling:
            if self._over.is_set():
                return
            self._over.set()
        fail(reason)


# ---- the files


def newest_record(folder: Path) -> Record | None:
    """What the newest life of a lease says; None if there is none, or it cannot be read."""
    try:
        return Record.load(_read(_file(folder, _newest(folder))))
    except OSError:
        return None


def _file(folder: Path, life: int) -> Path:
    return folder / f"life-{life}.json"


def _newest(folder: Path) -> int:
    return max((int(found[1]) for path in folder.iterdir() if (found := LIFE_FILE.fullmatch(path.name))), default=0)


def _read(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(MAX_RECORD_BYTES)


def _write(path: Path, body: bytes, *, exclusive: bool = False, sync: bool = False) -> None:
    flags = os.O_WRONLY | os.O_CREAT | (os.O_EXCL if exclusive else os.O_TRUNC)
    with os.fdopen(os.open(path, flags, 0o600), "wb") as stream:
        stream.write(body)
        if sync:
            stream.flush()
            os.fsync(stream.fileno())


def _create(path: Path, body: bytes, partial: Path) -> bool:
    """Makes a file, complete and for good; returns False if it is there already."""
    _write(partial, body, sync=True)
    try:
        os.link(partial, path)
    except FileExistsError:
        # A server that is asked twice, since its first answer got lost, says so of a link that it has just made.
        return _says(path, body)
    except OSError as error:
        if error.errno not in NO_HARD_LINKS:
            raise
        try:
            _write(path, body, exclusive=True, sync=True)
        except FileExistsError:
            return False
    finally:
        partial.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # some file systems do not sync folders
        descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    return True


def _says(path: Path, body: bytes) -> bool:
    try:
        return _read(path) == body
    except OSError:
        return False
