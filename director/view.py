"""A run as it is now, in the numbers that people look at. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from director.totals import read_totals

PartitionState = Literal["starting", "up", "draining", "paused", "ending", "lost", "closed"]
STATES: dict[str, PartitionState] = {
    "starting": "starting",
    "up": "up",
    "draining": "draining",
    "paused": "paused",
    "ending": "ending",
    "closed": "closed",
}


@dataclass(frozen=True)
class PartitionView:
    """One Partition as it is now.

    Attributes:
        index: Index of its Director.
        hosts: Hostnames of its nodes.
        state: What its Director does.
        workers_up: How many workers answer.
        workers: How many there are meant to be.
        queued: Requests that wait.
        running: Requests that run.
        done: Requests that ended, however they ended.
        failed: How many of those did not end ok, and were not cancelled.
        cancelled: How many were.
        ns_per_day: Throughput in ns/day, if anything was simulated.
        eta_s: Estimated time to the end of its queue in s, if it can be told.
        worker_s: Time of workers that was held so far, in s.
        run_s: What of it went into work, in s.
        lost_s: What of that was for nothing, since no checkpoint had it, in s.
    """

    index: int
    hosts: tuple[str, ...]
    state: PartitionState
    workers_up: int
    workers: int
    queued: int
    running: int
    done: int
    failed: int
    cancelled: int = 0
    ns_per_day: float | None = None
    eta_s: float | None = None
    worker_s: float = 0.0
    run_s: float = 0.0
    lost_s: float = 0.0

    @property
    def utilization(self) -> float | None:
        """Time of workers that worked, over that which was held, from 0 to 1; None before anything was."""
        return self.run_s / self.worker_s if self.worker_s > 0 else None


@dataclass(frozen=True)
class FleetView:
    """All Partitions of a run as they are now.

    Attributes:
        partitions: One a Director.
        total: How many Requests the run has.
        elapsed_s: Time since the run began, in s.
        left_s: Time until the first Director asks what runs to save and stop, since its job ends, in s; None: never.
        waiting: Why Requests do not run, other than that no worker is free: a count for each reason.
    """

    partitions: tuple[PartitionView, ...]
    total: int
    elapsed_s: float
    left_s: float | None = None
    waiting: Mapping[str, int] = field(default_factory=dict)


def accepted(statuses: Sequence[Mapping[str, Any]]) -> int:
    """How many Requests Directors have accepted, by what `Fleet.status` says."""
    still_open = sum(status.get("queued", 0) + status.get("running", 0) for status in statuses)
    ended: int = sum(sum(status.get("finished", {}).values()) for status in statuses)
    return int(still_open) + ended


def fleet_view(
    statuses: Sequence[Mapping[str, Any]],
    *,
    total: int,
    elapsed_s: float,
    speeds: Mapping[int, Mapping[str, float]] | None = None,
) -> FleetView:
    """What `Fleet.status` says, as a view.

    Args:
        statuses: One for each Director.
        total: How many Requests the run has.
        elapsed_s: Time since the run began, in s.
        speeds: For each Director the latest ns/day of each of its workers, from Outcomes; more telling than the
            progress of what runs at this moment, which short simulations do not report.
    """
    left = [status["walltime"]["left_s"] for status in statuses if status.get("walltime")]
    waiting: Counter[str] = Counter()
    for status in statuses:
        waiting.update(status.get("waiting") or {})
    waiting.pop("no free worker", None)  # the queue says so
    return FleetView(
        partitions=tuple(_partition_view(status, (speeds or {}).get(status["director"], {})) for status in statuses),
        total=total,
        elapsed_s=elapsed_s,
        left_s=min(left, default=None),
        waiting=dict(waiting),
    )


def total_view(status: FleetView) -> PartitionView:
    """All Partitions together, as if they were one; its ETA is that of the slowest."""
    parts = status.partitions
    speeds = [part.ns_per_day for part in parts if part.ns_per_day is not None]
    etas = [part.eta_s for part in parts if part.eta_s is not None]
    return PartitionView(
        index=-1,
        hosts=(),
        state="up",
        workers_up=sum(part.workers_up for part in parts),
        workers=sum(part.workers for part in parts),
        queued=sum(part.queued for part in parts),
        running=sum(part.running for part in parts),
        done=sum(part.done for part in parts),
        failed=sum(part.failed for part in parts),
        cancelled=sum(part.cancelled for part in parts),
        ns_per_day=sum(speeds) if speeds else None,
        eta_s=max(etas, default=None),
        worker_s=sum(part.worker_s for part in parts),
        run_s=sum(part.run_s for part in parts),
        lost_s=sum(part.lost_s for part in parts),
    )


def _partition_view(status: Mapping[str, Any], speeds: Mapping[str, float]) -> PartitionView:
    finished = status.get("finished", {})
    totals = read_totals(status.get("accounting"))
    return PartitionView(
        index=status["director"],
        hosts=tuple(status["partition"]),
        state=STATES.get(status["state"], "lost"),
        workers_up=status.get("workers_up", 0),
        workers=status.get("workers", 0),
        queued=status.get("queued", 0),
        running=status.get("running", 0),
        done=sum(finished.values()),
        failed=sum(count for name, count in finished.items() if name not in ("ok", "cancelled")),
        cancelled=finished.get("cancelled", 0),
        ns_per_day=sum(speeds.values()) or status.get("ns_per_day"),
        eta_s=status.get("eta_s"),
        worker_s=totals.worker_s if totals else 0.0,
        run_s=totals.run_s if totals else 0.0,
        lost_s=totals.lost_s if totals else 0.0,
    )
