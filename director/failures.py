"""What becomes of a Request whose attempt ended without an Outcome, or that was stopped. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from simulations.records import AttemptRecord, Ending, ErrorInfo, Status
from simulations.workspace import Stop

FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 60.0


@dataclass(frozen=True)
class Bounds:
    """How often a Request is tried again.

    Attributes:
        worker_losses: So many workers may be lost under it; it is then taken for the cause.
        node_losses: So many nodes, or Directors, may be lost under it.
        transient: So many times its Tool may fail with an error that it calls transient.
    """

    worker_losses: int = 3
    node_losses: int = 20
    transient: int = 3


@dataclass(frozen=True)
class Again:
    """It is tried again, after so many seconds."""

    after_s: float = 0.0


def after(history: Sequence[AttemptRecord], bounds: Bounds, error: ErrorInfo | None = None) -> Again | ErrorInfo:
    """Decides whether a Request is tried again.

    Args:
        history: Its attempts, at least one; the last one has just ended, in one of the ways that leave it open.
        bounds: How often it may be.
        error: The error of the last one, if its Tool called it transient.

    Returns:
        `Again`, or the error with which it ends.
    """
    counts = Counter(record.ended for record in history)
    last = history[-1]
    if last.ended is Ending.PAUSED:
        return Again()
    if last.ended is Ending.AGAIN:
        tried = counts[Ending.AGAIN]
        if tried <= bounds.transient:
            return Again(min(FIRST_WAIT_S * 2.0 ** (tried - 1), LONGEST_WAIT_S))
        hint = error.hint if error is not None else "Submit it again later."
        message = error.message if error is not None else last.reason or "a transient error"
        kind = error.type if error is not None else "TransientError"
        return ErrorInfo(type=kind, message=f"{message} (tried {tried} times)", hint=hint)
    if last.ended is Ending.WORKER_LOST:
        if counts[Ending.WORKER_LOST] < bounds.worker_losses:
            return Again()
        return ErrorInfo(
            type="Quarantined",
            message=f"its worker process died under it {counts[Ending.WORKER_LOST]} times: {last.reason}",
            hint="It is not tried again, so that it takes no others with it. Look at its memory use.",
        )
    losses = counts[Ending.NODE_LOST] + counts[Ending.DIRECTOR_LOST]
    if losses < bounds.node_losses:
        return Again()
    return ErrorInfo(
        type="Lost",
        message=f"its node or its Director was lost under it {losses} times: {last.reason}",
        hint="If others run well, it may be the cause: look at its memory use. Else look at the nodes.",
    )


def cancelled(message: str) -> ErrorInfo:
    """The error of a Request that was cancelled."""
    return ErrorInfo(type="Cancelled", message=message, hint="Submit it again to run it.")


def stopped(why: Stop, reason: str | None) -> tuple[Status, ErrorInfo]:
    """How a Request ends that was stopped for good.

    Args:
        why: What its Tool was told.
        reason: How its last attempt came to its end, if it had one and that is known.
    """
    if why is Stop.CANCEL:
        return Status.CANCELLED, cancelled(reason or "cancelled while it ran")
    message = reason or "it ran longer than its timeout_s, or past its deadline"
    hint = "Raise timeout_s or deadline, or make it shorter; what it has done is in its folder."
    return Status.TIMEOUT, ErrorInfo(type="Timeout", message=message, hint=hint)
