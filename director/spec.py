"""What a Director is told when it is launched: one JSON document, the same at every Site."""

from __future__ import annotations

import uuid
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_serializer


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ExchangeSpec(_Frozen):
    """How to reach the exchange.

    Attributes:
        kind: The exchange's kind.
        url: Where it listens.
        host: Name of the machine on whose loopback interface that is.
        token: The run's secret; whoever has it may call the run's Directors.
    """

    kind: Literal["http"] = "http"
    url: str
    host: str
    token: SecretStr

    @field_serializer("token", when_used="json")
    def _reveal(self, token: SecretStr) -> str:
        # JSON is how the spec reaches the Director; `repr` and logs keep the secret.
        return token.get_secret_value()


class AllocationSpec(_Frozen):
    """Which Allocation to carve.

    Attributes:
        kind: The scheduler of the job that the Director runs in; ``local``: this machine, seen as logical nodes;
            ``auto``: whatever the environment says.
        nodes: How many logical nodes; with a scheduler, how many there must be.
        accelerators: Names of each node's accelerators, instead of what the scheduler says.
    """

    kind: Literal["auto", "local", "slurm", "pbs", "lsf", "flux"] = "auto"
    nodes: int | None = Field(default=None, ge=1)
    accelerators: tuple[str, ...] | None = None


class SharesSpec(_Frozen):
    """How the Allocation is shared out; see `partitions.carve`."""

    kind: Literal["weight", "size", "hosts"] = "weight"
    values: tuple[float, ...] = ()
    hosts: tuple[str, ...] = ()


class PoolSpec(_Frozen):
    """How the workers are run.

    Attributes:
        workers_per_node: Worker processes on each node; None: ``workers_per_accelerator`` for each accelerator, or
            else one per ``threads_per_worker`` cores.
        threads_per_worker: Threads that one simulation uses; None: one for each core that its worker owns.
        workers_per_accelerator: How many workers share an accelerator.
        mps: Whether workers that share an NVIDIA GPU do so through MPS, where it is installed.
        lead_workers: At most so many workers on the lead node, where the Directors run; 0 keeps it free of them.
            None: as elsewhere.
        nodes_per_block: How many nodes one launcher command starts. With 1, a node's end never touches another.
        launcher: How workers are started on nodes; ``auto``: what the scheduler and the machine have.
        launcher_program: Name or path of the launcher's program, where it is not in the search path by its own name.
        address: Address of the lead node that the other nodes reach; None: found out from the route to them.
        startup_timeout_s: How long a node's workers may take to start, in s.
        node_wait_s: How long Requests wait when all nodes of a Partition are lost, in s, before they fail.
        max_attempts: How often a Request is started, at most, when workers are lost under it.
        max_node_losses: How often it may lose its whole node, which is not held against it otherwise.
    """

    workers_per_node: int | None = Field(default=None, ge=1, le=1024)
    threads_per_worker: int | None = Field(default=None, ge=1, le=1024)
    workers_per_accelerator: int = Field(default=1, ge=1, le=64)
    mps: bool = True
    lead_workers: int | None = Field(default=None, ge=0, le=1024)
    nodes_per_block: int = Field(default=1, ge=1, le=10_000)
    launcher: Literal["auto", "process", "srun", "hydra", "openmpi", "pals"] = "auto"
    launcher_program: str | None = Field(default=None, min_length=1, max_length=1000)
    address: str | None = Field(default=None, min_length=1, max_length=255)
    startup_timeout_s: float = Field(default=120.0, gt=0, le=3600)
    node_wait_s: float = Field(default=600.0, ge=0, le=1_000_000)
    max_attempts: int = Field(default=5, ge=1, le=100)
    max_node_losses: int = Field(default=20, ge=1, le=1000)


class DirectorSpec(_Frozen):
    """Everything a Director needs to know.

    Attributes:
        run_id: The run's name.
        index: Which of the run's Directors this is.
        agent_id: Its address on the exchange.
        run_folder: Absolute path of the run folder.
        allocation: What to carve.
        shares: How; ``values`` has one entry per Director.
        exchange: Where it answers.
        pool: How it runs its workers.
        memory_ledger: Keep the ledger in memory only. Nothing survives then: for benchmarks.
    """

    run_id: str
    index: int = Field(ge=0)
    agent_id: uuid.UUID
    run_folder: str
    allocation: AllocationSpec
    shares: SharesSpec
    exchange: ExchangeSpec
    pool: PoolSpec = PoolSpec()
    memory_ledger: bool = False
