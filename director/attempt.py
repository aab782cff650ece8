"""One try at a Request: what the Director hands to a worker, and what the worker hands back."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from simulations.records import Course, Ending, ErrorInfo, StagedFile


@dataclass(frozen=True)
class Attempt:
    """What a worker needs in order to run a Request.

    Attributes:
        id: The Request's id.
        epoch: Counts the Request's attempts; a result with an older epoch than the latest is ignored.
        tool: Name of the Tool.
        inputs: Its inputs, checked and complete.
        files: Copies of the user's files.
        pause_at: When it must stop by itself, if its Tool saves what it has done (UTC).
    """

    id: str
    epoch: int
    tool: str
    inputs: dict[str, Any]
    files: dict[str, StagedFile] = field(default_factory=dict)
    pause_at: datetime | None = None


@dataclass(frozen=True)
class AttemptResult:
    """How an attempt ended on its worker. Times are UTC.

    Attributes:
        ending: One of ``ok``, ``failed``, ``cancelled``, ``timeout``, ``paused`` and ``again``.
        course: How far it got.
        began: False if it was asked to pause before its Tool was called.
        notes: What went otherwise than usual without ending it, such as a damaged checkpoint that was passed over.
    """

    id: str
    epoch: int
    ending: Ending
    result: dict[str, Any] | None
    error: ErrorInfo | None
    host: str
    worker: str
    accelerator: str | None
    started_at: datetime
    finished_at: datetime
    artifacts: dict[str, str]
    versions: dict[str, str]
    course: Course = field(default_factory=Course)
    notes: tuple[str, ...] = ()
    began: bool = True

    @property
    def seconds(self) -> float:
        """How long it took."""
        return (self.finished_at - self.started_at).total_seconds()
