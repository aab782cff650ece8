"""What can be set in each template: one model for each.

Whoever installs an endpoint sets what concerns the machine (`SetBy.INSTALLER`): the environment, its modules, the
address. Whoever submits sets what concerns the job: nodes, time, account, queue. No parameter is free text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from endpoint_templates.facilities import (
    ANVIL,
    AURORA,
    DAY_S,
    DELTA,
    EXPANSE,
    FRONTIER,
    PERLMUTTER,
    POLARIS,
)
from endpoint_templates.facts import Facility
from endpoint_templates.fields import AbsolutePath, InterfaceName, Ipv4Address, ModuleName, OneOf, SetBy, Word
from endpoint_templates.limits import beyond_limits

MIN_WALLTIME_S = 300
MAX_WALLTIME_S = 14 * DAY_S  # Globus Compute gives a task two weeks
DEFAULT_WALLTIME_S = 1800
MAX_DIRECTORS = 128  # each takes about 150 MB of the lead node

_NODES = "Nodes of the job."
_INTERFACE = "Network interface of the login node, whose address compute nodes can reach."
_PROJECT = "What the job is charged to."


def _queues(facility: Facility) -> Sequence[str]:
    return [queue.name for queue in facility.queues]


class Parameters(BaseModel):
    """What every template takes."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")
    facility: ClassVar[Facility | None] = None

    directors: int = Field(default=1, ge=1, le=MAX_DIRECTORS, description="Directors, all of them on the lead node.")
    nodes: int = Field(default=1, ge=1, le=100_000, description=_NODES)
    run_id: Word | None = Field(
        default=None,
        description="Names the run. Runs with ids of their own get jobs of their own, which bear it in their name.",
    )
    environment: Annotated[AbsolutePath, SetBy.INSTALLER] = Field(
        description="Folder of the Python environment that has md-director and globus-compute-endpoint, seen by all "
        "nodes.",
    )
    environment_kind: Annotated[Literal["venv", "conda"], SetBy.INSTALLER] = Field(
        default="venv", description="How that environment was made."
    )
    run_root: Annotated[AbsolutePath | None, SetBy.INSTALLER] = Field(
        default=None,
        description="Where run folders go, on a file system that all nodes share: DIRECTOR_RUN_ROOT in the job.",
    )

    @model_validator(mode="after")
    def _within_limits(self) -> Self:
        problem = beyond_limits(self.facility, self.model_dump()) if self.facility else None
        if problem is not None:
            raise ValueError(str(problem))
        return self


class Local(Parameters):
    """Processes of the machine on which the endpoint runs, without a scheduler."""

    nodes: int = Field(default=1, ge=1, le=1024, description="Logical nodes of this machine.")


class Batch(Parameters):
    """What every scheduler takes."""

    walltime_s: int = Field(
        default=DEFAULT_WALLTIME_S,
        ge=MIN_WALLTIME_S,
        le=MAX_WALLTIME_S,
        description="How long the job may run, in s.",
    )
    reservation: Word | None = Field(default=None, description="A reservation that the job is to run in.")
    modules: Annotated[list[ModuleName], SetBy.INSTALLER] = Field(
        default=[], max_length=32, description="Environment modules to load, in this order, before the environment."
    )
    module_paths: Annotated[list[AbsolutePath], SetBy.INSTALLER] = Field(
        default=[], max_length=8, description="Folders with further modules (`module use`)."
    )
    interface: Annotated[InterfaceName | None, SetBy.INSTALLER] = Field(default=None, description=_INTERFACE)
    address: Annotated[Ipv4Address | None, SetBy.INSTALLER] = Field(
        default=None, description="That address itself. If it is given, no interface is asked."
    )


# ---- Slurm


class Slurm(Batch):
    """Any cluster with Slurm."""

    account: Word | None = Field(default=None, description=_PROJECT + " `--account`.")
    queue: Word | None = Field(default=None, description="Slurm's partition. `--partition`.")
    qos: Word | None = Field(default=None, description="Quality of service. `--qos`.")
    constraint: Word | None = Field(default=None, description="A feature that nodes must have. `--constraint`.")
    gpus_per_node: int | None = Field(
        default=None, ge=1, le=32, description="GPUs to ask for on each node. `--gpus-per-node`."
    )
    exclusive: Annotated[bool, SetBy.INSTALLER] = Field(
        default=True, description="Whether nodes are taken whole. `--exclusive`."
    )
    all_memory: Annotated[bool, SetBy.INSTALLER] = Field(
        default=False, description="Whether all memory of each node is asked for. `--mem=0`."
    )


class Perlmutter(Batch):
    """Perlmutter at NERSC."""

    facility = PERLMUTTER
    nodes: int = Field(default=1, ge=1, le=3072, description=_NODES)
    account: Word = Field(description=_PROJECT + " `--account`.")
    qos: Word = Field(description="NERSC's queue, such as regular or debug. `--qos`.")
    constraint: Annotated[str, OneOf([node.name for node in PERLMUTTER.nodes])] = Field(
        description="The kind of nodes. `--constraint`."
    )
    interface: Annotated[InterfaceName | None, SetBy.INSTALLER] = Field(
        default=PERLMUTTER.interface, description=_INTERFACE
    )


class Frontier(Batch):
    """Frontier at the OLCF."""

    facility = FRONTIER
    nodes: int = Field(default=1, ge=1, le=9472, description=_NODES)
    account: Word = Field(description=_PROJECT + " `--account`.")
    queue: Annotated[str, OneOf(_queues(FRONTIER))] = Field(
        default="batch", description="Slurm's partition. `--partition`."
    )
    qos: Annotated[str, OneOf(["normal", "debug"])] = Field(
        default="normal", description="Quality of service; debug takes one job of a user, for 2 h at most. `--qos`."
    )
    interface: Annotated[InterfaceName | None, SetBy.INSTALLER] = Field(
        default=FRONTIER.interface, description=_INTERFACE
    )


class Delta(Batch):
    """Delta at NCSA."""

    facility = DELTA
    nodes: int = Field(default=1, ge=1, le=132, description=_NODES)
    account: Word = Field(description=_PROJECT + " `--account`.")
    queue: Annotated[str, OneOf(_queues(DELTA))] = Field(
        description="Slurm's partition, which says what GPUs there are. `--partition`."
    )
    interface: Annotated[InterfaceName | None, SetBy.INSTALLER] = Field(default=DELTA.interface, description=_INTERFACE)


class Anvil(Batch):
    """Anvil at Purdue."""

    facility = ANVIL
    nodes: int = Field(default=1, ge=1, le=1000, description=_NODES)
    account: Word = Field(description=_PROJECT + " `--account`.")
    queue: Word = Field(description="Slurm's partition: `showpartitions` lists them. `--partition`.")
    gpus_per_node: int | None = Field(
        default=None, ge=1, le=4, description="GPUs of each node; partitions with GPUs want it. `--gpus-per-node`."
    )
    interface: Annotated[InterfaceName | None, SetBy.INSTALLER] = Field(default=ANVIL.interface, description=_INTERFACE)


class Expanse(Batch):
    """Expanse at SDSC."""

    facility = EXPANSE
    nodes: int = Field(default=1, ge=1, le=32, description=_NODES)
    walltime_s: int = Field(
        default=DEFAULT_WALLTIME_S, ge=MIN_WALLTIME_S, le=7 * DAY_S, description="How long the job may run, in s."
    )
    account: Word = Field(description=_PROJECT + " `--account`.")
    queue: Word = Field(description="Slurm's partition, such as compute: `sinfo` lists them. `--partition`.")
    gpus_per_node: int | None = Field(
        default=None, ge=1, le=4, description="GPUs of each node, in partitions with GPUs. `--gpus-per-node`."
    )
    interface: Annotated[InterfaceName | None, SetBy.INSTALLER] = Field(
        default=EXPANSE.interface, description=_INTERFACE
    )


# ---- PBS


class PbsBatch(Batch):
    """What PBS Professional and OpenPBS take everywhere."""

    tolerate_node_failures: Annotated[bool, SetBy.INSTALLER] = Field(
        default=True,
        description="Whether the job goes on when a node dies; Directors find out by themselves which nodes answer. "
        "`-W tolerate_node_failures=all`.",
    )


class Pbs(PbsBatch):
    """Any cluster with PBS Professional or OpenPBS."""

    account: Word | None = Field(default=None, description=_PROJECT + " `-A`.")
    queue: Word | None = Field(default=None, description="The queue. `-q`.")
    cpus_per_node: Annotated[int, SetBy.INSTALLER] = Field(
        ge=1, le=4096, description="CPUs to ask for on each node, as the site counts them. `ncpus`."
    )
    gpus_per_node: int | None = Field(default=None, ge=1, le=32, description="GPUs to ask for on each node. `ngpus`.")


class Aurora(PbsBatch):
    """Aurora at the ALCF."""

    facility = AURORA
    nodes: int = Field(default=1, ge=1, le=10_624, description=_NODES)
    account: Word = Field(description=_PROJECT + " `-A`.")
    queue: Annotated[str, OneOf(_queues(AURORA))] = Field(default="debug", description="The queue. `-q`.")
    filesystems: list[Annotated[str, OneOf(AURORA.filesystems)]] = Field(
        default=["home", "flare"], min_length=1, max_length=4, description="What the job uses. `-l filesystems`."
    )
    interface: Annotated[InterfaceName | None, SetBy.INSTALLER] = Field(
        default=AURORA.interface, description=_INTERFACE
    )


class Polaris(PbsBatch):
    """Polaris at the ALCF."""

    facility = POLARIS
    nodes: int = Field(default=1, ge=1, le=496, description=_NODES)
    account: Word = Field(description=_PROJECT + " `-A`.")
    queue: Annotated[str, OneOf(_queues(POLARIS))] = Field(default="debug", description="The queue. `-q`.")
    filesystems: list[Annotated[str, OneOf(POLARIS.filesystems)]] = Field(
        default=["home", "eagle"], min_length=1, max_length=2, description="What the job uses. `-l filesystems`."
    )
    interface: Annotated[InterfaceName | None, SetBy.INSTALLER] = Field(
        default=POLARIS.interface, description=_INTERFACE
    )
