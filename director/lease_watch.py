"""Whether the owner of a lease lives, decided from what a newcomer has seen of it. Pure; see `director.lease`."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from datetime import datetime

from pydantic import BaseModel, ConfigDict, ValidationError

from director.process_id import ProcessId

MAX_CHANGES = 20


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Holder(_Frozen):
    """Who holds a lease, as others are told.

    Attributes:
        run_id: The run.
        director: Index of the Director.
        launch_id: The launch that it belongs to: a run may be launched again.
        host: Name of its machine.
        pid: Id of its process there.
        job_id: The batch job that it runs in, if any.
        since: When it began (UTC). It is shown and never compared.
    """

    run_id: str
    director: int
    launch_id: str
    host: str
    pid: int
    job_id: str | None
    since: datetime

    def __str__(self) -> str:
        job = f", job {self.job_id}" if self.job_id is not None else ""
        return (
            f"process {self.pid} on {self.host}{job}, launch {self.launch_id}, since {self.since:%Y-%m-%d %H:%M:%S %Z}"
        )


class Record(_Frozen):
    """What stands in a life's file.

    Attributes:
        holder: Whose life it is.
        process: Its process, if that could be told.
        nonce: A word of its own, so that no two lives are ever taken for one.
        beat: How often it was renewed.
        released: Whether its owner has given the lease back.
    """

    holder: Holder
    process: ProcessId | None
    nonce: str
    beat: int = 0
    released: bool = False

    def dump(self) -> bytes:
        """The file's content."""
        return self.model_dump_json(indent=1).encode() + b"\n"

    @classmethod
    def load(cls, body: bytes) -> Record | None:
        """Reads what `dump` wrote; None if it is anything else."""
        try:
            return cls.model_validate_json(body)
        except ValidationError:
            return None


@dataclass(frozen=True)
class Sight:
    """What one look at a lease found.

    Attributes:
        life: The newest life; 0 if there was none.
        body: What stood in its file; None if it could not be read.
        free: Whether it was released or its process has provably ended.
    """

    life: int = 0
    body: bytes | None = None
    free: bool = False


class Step(enum.Enum):
    """What a newcomer does next."""

    WAIT = "look again"
    TAKE = "make the next life"
    HELD = "end, since the owner lives"
    UNREADABLE = "end, since nothing can be told"


@dataclass(frozen=True)
class Watch:
    """What a newcomer has seen so far.

    Attributes:
        longest_s: How much of the time between two looks counts, at most, in s: if the newcomer or the file system
            stood still, so may the owner have.
        first: The first sight of the newest life that could be read, if any.
        ended_s: When the latest look ended.
        silent_s: For how long there has been no other sight of it, in s.
        changes: How often another life has become the newest.
    """

    longest_s: float
    first: Sight | None = None
    ended_s: float = 0.0
    silent_s: float = 0.0
    changes: int = 0

    def after(self, sight: Sight, began_s: float, ended_s: float) -> Watch:
        """The watch after a look that took place between two times of the newcomer's clock."""
        first = self.first
        if first is None or sight.life != first.life:
            return replace(self, first=sight, ended_s=ended_s, silent_s=0.0, changes=self.changes + (first is not None))
        if first.body is None and sight.body is not None:
            return replace(self, first=sight, ended_s=ended_s, silent_s=0.0)
        silent_s = self.silent_s + min(max(0.0, began_s - self.ended_s), self.longest_s)
        return replace(self, ended_s=ended_s, silent_s=silent_s)


@dataclass(frozen=True)
class Failing:
    """For how long an owner has failed to renew its lease.

    Attributes:
        renewals: How many renewals there had been.
        seconds: Time since the latest of them, in s, without that in which the owner stood still.
    """

    renewals: int = 0
    seconds: float = 0.0

    def after(self, renewals: int, elapsed_s: float, longest_s: float) -> Failing:
        """How it is some time later, of which no more than ``longest_s`` counts."""
        return Failing(renewals, 0.0 if renewals != self.renewals else self.seconds + min(elapsed_s, longest_s))


def decide(watch: Watch, sight: Sight, expires_s: float) -> Step:
    """What a newcomer does next.

    Args:
        watch: What it has seen, with this sight.
        sight: What it sees now.
        expires_s: How long a life may be silent before it counts as ended, in s.
    """
    if sight.life == 0 or sight.free:
        return Step.TAKE
    if watch.changes > MAX_CHANGES or _moved(watch.first, sight):
        return Step.HELD
    if watch.silent_s < expires_s:
        return Step.WAIT
    return Step.UNREADABLE if sight.body is None else Step.TAKE


def _moved(first: Sight | None, sight: Sight) -> bool:
    # A sight that could not be read says nothing.
    return first is not None and first.body is not None and sight.body is not None and first.body != sight.body
