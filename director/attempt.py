"""One try at a Request: what the Director hands to a worker, and what the worker hands back."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from simulations.records import ErrorInfo, StagedFile, Status


@dataclass(frozen=True)
class Attempt:
    """What a worker needs in order to run a Request.

    Attributes:
        id: The Request's id.
        epoch: Counts the Request's attempts; a result with an older epoch than the latest is ignored.
        tool: Name of the Tool.
        inputs: Its inputs, checked and complete.
        files: Copies of the user's files.
    """

    id: str
    epoch: int
    tool: str
    inputs: dict[str, Any]
    files: dict[str, StagedFile] = field(default_factory=dict)


@dataclass(frozen=True)
class AttemptResult:
    """How an attempt ended on its worker. Times are UTC."""

    id: str
    epoch: int
    status: Status
    result: dict[str, Any] | None
    error: ErrorInfo | None
    host: str
    worker: str
    accelerator: str | None
    started_at: datetime
    finished_at: datetime
    artifacts: dict[str, str]
    versions: dict[str, str]

    @property
    def seconds(self) -> float:
        """How long it took."""
        return (self.finished_at - self.started_at).total_seconds()
