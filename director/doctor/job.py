"""What the endpoint would ask the scheduler for, read from the engine that its template makes. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from director.doctor.walltime import pbs_seconds

Scheduler = Literal["slurm", "pbs", "local"]
# Parsl's providers, by the names of their classes.
_SCHEDULERS: dict[str, Scheduler] = {"SlurmProvider": "slurm", "PBSProProvider": "pbs", "LocalProvider": "local"}


@dataclass(frozen=True)
class JobRequest:
    """A batch job as the endpoint would submit it.

    Attributes:
        scheduler: Whose job it is.
        worker_init: What it does first.
        nodes: How many nodes.
        walltime_s: How long, in s.
        queue: The queue or partition; None: the scheduler's default.
        account: Whose account is charged; None: the user's default.
        address: Where its workers find the endpoint again; None: nowhere in particular.
        directives: What Parsl writes into the job's script for the scheduler, one line each.
    """

    scheduler: Scheduler
    worker_init: str
    nodes: int
    walltime_s: int
    queue: str | None = None
    account: str | None = None
    address: str | None = None
    directives: tuple[str, ...] = ()


def job_request(engine: Any) -> JobRequest:
    """Reads it from an engine that has been loaded.

    Raises:
        ValueError: If its provider is none that the doctor knows.
    """
    provider = engine.executor.provider
    name = type(provider).__name__
    if name not in _SCHEDULERS:
        raise ValueError(f"the engine's provider is {name}; known are {', '.join(_SCHEDULERS)}")
    scheduler = _SCHEDULERS[name]
    options = str(getattr(provider, "scheduler_options", ""))
    walltime_s = pbs_seconds(str(getattr(provider, "walltime", "0")))
    lines = [line.strip() for line in options.splitlines() if line.strip()]
    if scheduler == "slurm":
        lines = [f"#SBATCH --nodes={provider.nodes_per_block}", f"#SBATCH --time={-(-walltime_s // 60)}", *lines]
    return JobRequest(
        scheduler=scheduler,
        worker_init=str(provider.worker_init),
        nodes=int(provider.nodes_per_block),
        walltime_s=walltime_s,
        queue=(provider.partition if scheduler == "slurm" else getattr(provider, "queue", None)) or None,
        account=getattr(provider, "account", None) or None,
        address=getattr(engine.executor, "address", None) or None,
        directives=tuple(lines),
    )
