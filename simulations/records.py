"""Requests and Outcomes: the two records that travel through the whole house, always as JSON."""

from __future__ import annotations

import enum
import uuid
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

RequestId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
"""Names a folder, so it holds no separator and does not begin with a dot."""

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Status(enum.StrEnum):
    """The terminal states of a Request. There is one Outcome per Request, and it never changes."""

    OK = "ok"
    FAILED = "failed"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"


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
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: RequestId = Field(default_factory=lambda: uuid.uuid4().hex)
    tool: str
    inputs: dict[str, Any] = Field(default_factory=dict)
    files: dict[str, StagedFile] = Field(default_factory=dict)


class ErrorInfo(BaseModel):
    """Why a Request did not end ``ok``: what was wrong, and what to do next."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: str
    message: str
    hint: str
    details: dict[str, float | int | str] = Field(default_factory=dict)


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
    submitted_at: datetime
    started_at: datetime | None = None
    finished_at: datetime
    artifacts: dict[str, str] = Field(default_factory=dict)
    reused_from: str | None = None
    versions: dict[str, str] = Field(default_factory=dict)
