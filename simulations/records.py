"""Requests and Outcomes: the two records that travel through the whole house, always as JSON."""

from __future__ import annotations

import enum
import uuid
from datetime import datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

RequestId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
"""Names a folder, so it holds no separator and does not begin with a dot."""

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Status(enum.StrEnum):
    """The terminal states of a Request. There is one Outcome per Request, and it never changes."""

    OK = "ok"
    FAILED = "failed"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"


class Ending(enum.StrEnum):
    """How an attempt ended. Only the first four end its Request too."""

    OK = "ok"
    FAILED = "failed"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    PAUSED = "paused"
    AGAIN = "again"
    """Failed with an error that its Tool calls transient."""
    WORKER_LOST = "worker_lost"
    NODE_LOST = "node_lost"
    """Its whole worker pool was lost: node, launcher, manager or interchange."""
    DIRECTOR_LOST = "director_lost"


class StagedFile(BaseModel):
    """A user's file, copied into the run folder under the hash of its content.

    Attributes:
        name: The file's name as the user wrote it; shown, and the source of the format by its suffix.
        sha256: Hash of the content; with the suffix it names the copy in ``RUN/inputs``.
        suffix: ``.pdb``, ``.cif`` and so on; empty if there is none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    sha256: Sha256
    suffix: Annotated[str, StringConstraints(pattern=r"^(\.[A-Za-z0-9]{1,12})?$")] = ""

    @property
    def stored_name(self) -> str:
        """Name of the copy in ``RUN/inputs``."""
        return self.sha256 + self.suffix


class Request(BaseModel):
    """One call of a Tool.

    Attributes:
        id: Names this call; chosen by the caller so that sending it twice does not run it twice.
        tool: Registered name of the Tool.
        inputs: What the Tool's request model takes.
        files: For each input that names a user's file, its copy in the run folder.
        priority: Of two that wait, the one with the higher priority starts first.
        timeout_s: Longest time that it may run, over all attempts, in s. It ends as ``timeout`` after that.
        deadline: When it is of no use any more: it ends as ``timeout`` then, whether it has begun or not.
        reuse: Whether an Outcome of equal inputs may stand for it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: RequestId = Field(default_factory=lambda: uuid.uuid4().hex)
    tool: str
    inputs: dict[str, Any] = Field(default_factory=dict)
    files: dict[str, StagedFile] = Field(default_factory=dict)
    priority: int = Field(default=0, ge=-1000, le=1000)
    timeout_s: float | None = Field(default=None, gt=0, le=31_536_000, allow_inf_nan=False)
    deadline: AwareDatetime | None = None
    reuse: bool = True


class ErrorInfo(BaseModel):
    """Why a Request did not end ``ok``: what was wrong, and what to do next."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: str
    message: str
    hint: str
    details: dict[str, float | int | str] = Field(default_factory=dict)


class Course(BaseModel):
    """How far an attempt got. Amounts are in the Tool's unit of work; see `simulations.tool.Tool.unit`. Times are UTC.

    Attributes:
        began_at: When its start-up was over: loading, building, minimising, reading a checkpoint.
        from_amount: Where it began: 0, or what the checkpoint held that it went on from.
        from_saved_at: When that checkpoint was written; null if it began anew.
        exact: Whether it went on as if it had never been interrupted; null if it began anew. False where a checkpoint
            was another platform's, and only coordinates and velocities could be taken over.
        amount: Where it is, or was in the end.
        saved_amount: What its latest checkpoint holds.
        saved_at: When that was written.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    began_at: datetime | None = None
    from_amount: float = 0.0
    from_saved_at: datetime | None = None
    exact: bool | None = None
    amount: float | None = None
    saved_amount: float | None = None
    saved_at: datetime | None = None


class AttemptRecord(BaseModel):
    """One attempt of a Request. Times are UTC.

    Attributes:
        epoch: Which; a later one has a greater number.
        started_at: When it was handed to a worker, or began there if that is known.
        ended_at: When it ended, or was known to have.
        ended: How.
        began: False if a worker took it up and was asked to pause before it had begun. Such an attempt stands in the
            ledger, and in no Outcome.
        host: Node on which it ran, if that is known.
        worker: ``host/rank`` of the worker process.
        accelerator: What the worker owned.
        course: How far it got, as far as is known.
        reason: Why it ended, where it did not end by itself.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    epoch: int
    started_at: datetime
    ended_at: datetime
    ended: Ending
    began: bool = True
    host: str | None = None
    worker: str | None = None
    accelerator: str | None = None
    course: Course = Course()
    reason: str | None = None


class Usage(BaseModel):
    """What a Request cost. See `director.accounting`.

    Attributes:
        queued_s: Time during which none of its attempts ran, in s.
        startup_s: Time that its attempts took to start up, in s.
        run_s: Time that they worked, in s, what was lost included.
        lost_s: Time that was worked for nothing, since no checkpoint had it, in s.
        node_hours: Share of its nodes' time: that of one worker, in hours of whole nodes.
        simulated_ns: What it simulated in the end; null if its Tool does not count in ns.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    queued_s: float
    startup_s: float
    run_s: float
    lost_s: float
    node_hours: float
    simulated_ns: float | None = None


class Outcome(BaseModel):
    """The one terminal record of a Request, with its provenance. Times are UTC.

    Attributes:
        id: The Request's id.
        key: Hash of tool, version and canonical inputs; equal keys mean the same simulation.
        result: The Tool's result, if the status is ``ok``.
        error: The reason, if it is not.
        director: Index of the Director that ran it.
        partition: Hostnames of that Director's Partition.
        host: Node on which it ran, or null if it never started.
        worker: ``host/rank`` of the worker process.
        accelerator: The accelerator the worker owned, if any.
        attempts: How often it was started.
        history: Its attempts, in order.
        usage: What it cost; null for one that was not run.
        artifacts: Name of each file it left, with the path relative to the run folder.
        reused_from: Id of the Request whose result this repeats, if it was not run again.
        versions: Versions of the packages that made the result.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: RequestId
    key: str
    tool: str
    tool_version: str
    status: Status
    inputs: dict[str, Any]
    result: dict[str, Any] | None = None
    error: ErrorInfo | None = None
    director: int
    partition: list[str]
    host: str | None = None
    worker: str | None = None
    accelerator: str | None = None
    attempts: int = 0
    history: list[AttemptRecord] = Field(default_factory=list)
    usage: Usage | None = None
    submitted_at: datetime
    started_at: datetime | None = None
    finished_at: datetime
    artifacts: dict[str, str] = Field(default_factory=dict)
    reused_from: str | None = None
    versions: dict[str, str] = Field(default_factory=dict)
