"""What `director tune` writes down, and what a run that goes by it says of it."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

SCHEMA = 1


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Machine(_Frozen):
    """What a node is like, as far as it decides how fast simulations are.

    Attributes:
        cpu: Model of its processor, as the operating system calls it.
        cores: How many cores a run has on a node.
        nodes_here: How many logical nodes share the machine; 1 in a batch job.
        accelerators: Models of the node's accelerators, or their names where the models are not known.
    """

    cpu: str
    cores: int = Field(ge=1)
    nodes_here: int = Field(default=1, ge=1)
    accelerators: tuple[str, ...] = ()

    def __str__(self) -> str:
        nodes = f"{self.nodes_here} logical nodes, each with " if self.nodes_here > 1 else ""
        also = f" and {', '.join(self.accelerators)}" if self.accelerators else ""
        return f"{nodes}{self.cores} core{'s' if self.cores > 1 else ''} of {self.cpu}{also}"


class System(_Frozen):
    """What is simulated, as far as it decides how fast that is.

    Attributes:
        tool: The Tool's name.
        size: What the Tool says of it; see `simulations.tool.Tool.size`.
        files: For each input that names a user's file, the SHA-256 of its content.
    """

    tool: str
    size: str
    files: dict[str, str] = Field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.tool} {self.size}"


class Settings(_Frozen):
    """Fields of `director.spec.PoolSpec`; null: left to its default."""

    workers_per_node: int | None = None
    threads_per_worker: int | None = None
    workers_per_accelerator: int | None = None
    mps: bool | None = None

    def __str__(self) -> str:
        if self.workers_per_accelerator is not None:
            sharing = ", with MPS" if self.mps and self.workers_per_accelerator > 1 else ""
            return f"{self.workers_per_accelerator} simulations per accelerator{sharing}"
        many = f"simulation{'s' if self.workers_per_node != 1 else ''}"
        threads = f"thread{'s' if self.threads_per_worker != 1 else ''}"
        return f"{self.workers_per_node} {many} per node, {self.threads_per_worker} {threads} each"


class Measured(_Frozen):
    """One candidate.

    Attributes:
        settings: What was tried.
        workers_per_node: How many simulations ran at once on each node.
        threads_per_worker: Threads of each.
        throughput: Median of what they did together, on all nodes that were measured; null if nothing was measured.
        relative: That relative to the choice's, in the same rounds.
        times: How often it was measured.
        failure: Why it could not be; empty if it could.
    """

    settings: Settings
    workers_per_node: int
    threads_per_worker: int
    throughput: float | None
    relative: float | None
    times: int
    failure: str = ""


class Tuned(_Frozen):
    """One tuning.

    Attributes:
        machine: Where.
        system: Of what.
        settings: The choice.
        throughput: What all simulations that ran at once did together, in ``unit``.
        unit: ``ns/day``, or the Tool's unit of work per second.
        verdict: Why no more was measured.
        measured: All candidates, the choice first.
        at: When (UTC).
        seconds: How long it took, in s.
        versions: Versions of Python, md-director and of the Tool's packages.
    """

    machine: Machine
    system: System
    settings: Settings
    throughput: float
    unit: str
    verdict: str
    measured: list[Measured]
    at: datetime
    seconds: float
    versions: dict[str, str] = Field(default_factory=dict)


class TuningFile(_Frozen):
    """``tuning.json``.

    Attributes:
        tuning_schema: Version of this file.
        entries: The latest tuning of each system on each machine.
    """

    tuning_schema: int = SCHEMA
    entries: list[Tuned] = Field(default_factory=list)


class TuningUsed(_Frozen):
    """What a run took from tunings, because its user did not say how many workers there are to be.

    Attributes:
        file: Where they are written down.
        settings: What was taken.
        machine: Where they were made.
        systems: Of what.
        at: When, the earliest (UTC).
    """

    file: str
    settings: Settings
    machine: Machine
    systems: list[System]
    at: datetime
