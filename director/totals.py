"""Where the time went, in numbers that add up. Pure.

Time of workers adds up: start-up + run + idle = worker time held, and run = kept + lost. In node-hours, where each
worker stands for its share of a node: kept + start-up + lost + idle = node-hours held. *Wasted* is all of that but what
was kept: start-up + lost + idle, time in which nothing was done that lasted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

SECONDS_PER_HOUR = 3600.0


class Totals(BaseModel):
    """Where the time went, of one Partition or of a run. Hours and seconds say of what: nodes, workers or Requests.

    Attributes:
        requests: Requests that have an Outcome and were run.
        reused: Requests that were not run, since an earlier result stood for theirs.
        attempts: Attempts that ended.
        endings: How many of them ended in which way; see `simulations.records.Ending`.
        queued_s: Time that the Requests that have an Outcome waited, summed over them, in s.
        worker_s: Time of workers that was held: workers × time, in s.
        startup_s: What of it went into start-ups, in s.
        run_s: What of it went into work, in s, what was lost included.
        lost_s: What of ``run_s`` no checkpoint had when it was interrupted, in s.
        idle_s: ``worker_s − startup_s − run_s``.
        not_ok_s: What of ``run_s − lost_s`` went into Requests that did not end ok, in s. It is not counted as wasted.
        node_hours: Nodes × time that they were held, in h.
        kept_node_hours: Work that lasts, in h of whole nodes: ``(run_s − lost_s) / worker_s × node_hours``.
        startup_node_hours: Start-ups, likewise.
        lost_node_hours: Lost work, likewise.
        idle_node_hours: Idle time, likewise.
        wasted_node_hours: ``startup_node_hours + lost_node_hours + idle_node_hours``.
        simulated_ns: Simulated time that lasts: of Requests that have an Outcome all of it, of open ones what their
            latest checkpoints hold; of Tools that count their work in ns.
        ns_per_node_hour: ``simulated_ns / node_hours``; null if no node was held.
        utilization: ``run_s / worker_s``, from 0 to 1; null if no worker was held.
    """

    model_config = ConfigDict(frozen=True)

    requests: int = 0
    reused: int = 0
    attempts: int = 0
    endings: dict[str, int] = Field(default_factory=dict)
    queued_s: float = 0.0
    worker_s: float = 0.0
    startup_s: float = 0.0
    run_s: float = 0.0
    lost_s: float = 0.0
    idle_s: float = 0.0
    not_ok_s: float = 0.0
    node_hours: float = 0.0
    kept_node_hours: float = 0.0
    startup_node_hours: float = 0.0
    lost_node_hours: float = 0.0
    idle_node_hours: float = 0.0
    wasted_node_hours: float = 0.0
    simulated_ns: float = 0.0
    ns_per_node_hour: float | None = None
    utilization: float | None = None


@dataclass
class Sums:
    """What only adds up; see `Totals` for what it is."""

    startup_s: float = 0.0
    run_s: float = 0.0
    lost_s: float = 0.0
    not_ok_s: float = 0.0
    queued_s: float = 0.0
    simulated_ns: float = 0.0
    requests: int = 0
    reused: int = 0
    endings: Counter[str] = field(default_factory=Counter)

    def add(self, other: Sums) -> None:
        """Adds another one to this."""
        for name in ("startup_s", "run_s", "lost_s", "not_ok_s", "queued_s", "simulated_ns", "requests", "reused"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.endings.update(other.endings)


def add_up(parts: Iterable[Totals | Mapping[str, Any] | None]) -> Totals | None:
    """The totals of a run from those of its Partitions, which may be JSON values; None if there are none.

    What cannot be read, since another version wrote it, is left out; so is None.
    """
    sums, node_hours, worker_s, found = Sums(), 0.0, 0.0, False
    for part in parts:
        totals = read_totals(part)
        if totals is None:
            continue
        found = True
        node_hours += totals.node_hours
        worker_s += totals.worker_s
        fields = ("startup_s", "run_s", "lost_s", "not_ok_s", "queued_s", "simulated_ns", "requests", "reused")
        sums.add(Sums(**{name: getattr(totals, name) for name in fields}, endings=Counter(totals.endings)))
    return totals_of(sums, node_hours, worker_s) if found else None


def read_totals(document: Totals | Mapping[str, Any] | None) -> Totals | None:
    """Totals from JSON values; None if they are not what this version writes."""
    if document is None or isinstance(document, Totals):
        return document
    try:
        return Totals.model_validate(document)
    except ValidationError:
        return None


def totals_of(sums: Sums, node_hours: float, worker_s: float) -> Totals:
    """What sums come to on nodes that were held for some time.

    If attempts claim more time than the workers had (clocks disagree, or a worker that was given up for lost worked
    on), start-up, run and lost time are scaled down in proportion, so that the parts always make up the whole.

    Args:
        sums: What was added up.
        node_hours: Nodes × time, in h.
        worker_s: Workers × time, in s.
    """
    busy_s = sums.startup_s + sums.run_s
    scale = min(1.0, worker_s / busy_s) if busy_s > 0 else 1.0
    startup_s, run_s, lost_s = scale * sums.startup_s, scale * sums.run_s, scale * sums.lost_s
    hours = node_hours / worker_s if worker_s > 0 else 0.0
    startup_h, lost_h, kept_h = startup_s * hours, lost_s * hours, max(0.0, run_s - lost_s) * hours
    idle_h = max(0.0, node_hours - startup_h - lost_h - kept_h)
    return Totals(
        requests=sums.requests,
        reused=sums.reused,
        attempts=sums.endings.total(),
        endings=dict(sums.endings),
        queued_s=sums.queued_s,
        worker_s=worker_s,
        startup_s=startup_s,
        run_s=run_s,
        lost_s=lost_s,
        idle_s=max(0.0, worker_s - startup_s - run_s),
        not_ok_s=scale * sums.not_ok_s,
        node_hours=node_hours,
        kept_node_hours=kept_h,
        startup_node_hours=startup_h,
        lost_node_hours=lost_h,
        idle_node_hours=idle_h,
        wasted_node_hours=startup_h + lost_h + idle_h,
        simulated_ns=sums.simulated_ns,
        ns_per_node_hour=sums.simulated_ns / node_hours if node_hours > 0 else None,
        utilization=run_s / worker_s if worker_s > 0 else None,
    )
