"""The nodes, accelerators and deadline that the scheduler granted to this job."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Node:
    """One node of an Allocation.

    Attributes:
        hostname: Its name; unique in the Allocation.
        cores: Ids of the cores that this job may use on it.
        accelerators: Names of its accelerators, as the vendor's visibility variable takes them.
    """

    hostname: str
    cores: tuple[int, ...]
    accelerators: tuple[str, ...] = ()


@dataclass(frozen=True)
class Allocation:
    """What the scheduler granted.

    Attributes:
        scheduler: ``local``, ``slurm``, ``pbs``, ``lsf`` or ``flux``.
        nodes: The nodes, in the scheduler's order, each once.
        job_id: The scheduler's name of the job, if there is one.
        deadline: When the job will be ended (UTC), if that is known.

    Raises:
        ValueError: If there is no node, or one is named twice.
    """

    scheduler: str
    nodes: tuple[Node, ...]
    job_id: str | None = None
    deadline: datetime | None = None

    def __post_init__(self) -> None:
        if not self.nodes:
            raise ValueError(f"the {self.scheduler} allocation has no nodes")
        twice = [name for name, count in Counter(node.hostname for node in self.nodes).items() if count > 1]
        if twice:
            raise ValueError(f"the {self.scheduler} allocation names {', '.join(twice)} more than once")

    @property
    def lead(self) -> Node:
        """The node on which the job's script, and so each Director, runs: the scheduler's first."""
        return self.nodes[0]
