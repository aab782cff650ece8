"""Outcomes for tests of campaigns, made by hand."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from simulations.records import ErrorInfo, Outcome, Request, Status

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def outcome_of(request: Request, result: Mapping[str, Any] | None, status: Status = Status.OK) -> Outcome:
    """The Outcome of a Request that took no time."""
    error = None if status is Status.OK else ErrorInfo(type="Lost", message="it was lost", hint="none")
    return Outcome(
        id=request.id,
        key="0" * 64,
        tool=request.tool,
        tool_version="1",
        status=status,
        inputs=request.inputs,
        result=None if result is None else dict(result),
        error=error,
        director=0,
        partition=["local-0"],
        submitted_at=NOON,
        finished_at=NOON,
    )
