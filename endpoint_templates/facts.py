"""The form in which facts about a computing facility are written down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Scheduler = Literal["slurm", "pbs", "local"]


@dataclass(frozen=True)
class Source:
    """Where facts come from.

    Attributes:
        states: Which facts.
        link: The page.
        as_of: When that page was last changed, as its repository tells (ISO 8601); None if it bears no date.
    """

    states: str
    link: str
    as_of: str | None = None


@dataclass(frozen=True)
class NodeType:
    """The shape of a node.

    Attributes:
        name: What the facility calls this kind of node.
        cores: Physical cores.
        threads: Hardware threads that the scheduler gives out.
        accelerators: Their names, as a batch file's ``accelerators`` takes them: one for each GPU, tile or die.
        accelerator: What they are.
    """

    name: str
    cores: int
    threads: int
    accelerators: tuple[str, ...] = ()
    accelerator: str = ""


@dataclass(frozen=True)
class Limit:
    """How long a job of this many nodes may run in a queue.

    Attributes:
        min_nodes: The smallest such job, in nodes.
        max_nodes: The largest, in nodes; None if the facility does not say.
        max_walltime_s: The longest walltime, in s; None if the facility does not say.
    """

    min_nodes: int = 1
    max_nodes: int | None = None
    max_walltime_s: int | None = None


@dataclass(frozen=True)
class Queue:
    """A queue of PBS, or a partition of Slurm.

    Attributes:
        name: Its name.
        limits: What jobs it takes, from the smallest to the largest. Their ranges of nodes do not overlap.
        node: Name of the `NodeType` that its jobs get, if all get the same.
        note: What else one must know to choose it.
    """

    name: str
    limits: tuple[Limit, ...] = (Limit(),)
    node: str | None = None
    note: str = ""

    @property
    def min_nodes(self) -> int:
        """The smallest job, in nodes."""
        return self.limits[0].min_nodes

    @property
    def max_nodes(self) -> int | None:
        """The largest job, in nodes, if there is a limit."""
        return self.limits[-1].max_nodes

    def walltime_limit_s(self, nodes: int) -> int | None:
        """How long a job of so many nodes may run, in s, if there is a limit."""
        for limit in self.limits:
            if limit.min_nodes <= nodes and (limit.max_nodes is None or nodes <= limit.max_nodes):
                return limit.max_walltime_s
        return None


@dataclass(frozen=True)
class Facility:
    """A machine, and what is known of it for sure. What is not known is a parameter that has to be given.

    Attributes:
        name: The name of its template.
        title: The machine's full name.
        organisation: Who runs it.
        scheduler: What takes its jobs.
        launcher: How programs are started on its nodes: ``srun`` or ``pals``.
        nodes: The kinds of its nodes.
        queues: Its queues; empty if no current list of them could be confirmed.
        filesystems: What a job must name so that it is only run while they are up (PBS at ALCF).
        interface: The network interface of its login nodes that compute nodes reach, if it is documented.
        variables: What the job's environment has to hold, as the facility says; name and value.
        sources: Where all this comes from.
    """

    name: str
    title: str
    organisation: str
    scheduler: Scheduler
    launcher: Literal["srun", "pals"]
    nodes: tuple[NodeType, ...]
    queues: tuple[Queue, ...]
    filesystems: tuple[str, ...]
    interface: str | None
    variables: tuple[tuple[str, str], ...]
    sources: tuple[Source, ...]

    def queue(self, name: str) -> Queue:
        """A queue by its name.

        Raises:
            KeyError: If there is none.
        """
        return {queue.name: queue for queue in self.queues}[name]

    def node(self, name: str) -> NodeType:
        """A kind of node by its name.

        Raises:
            KeyError: If there is none.
        """
        return {node.name: node for node in self.nodes}[name]
