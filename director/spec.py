"""What a Director is told when it is launched: one JSON document, the same at every Site."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Annotated, Literal

from pydantic import (
    AwareDatetime,
    Base64Bytes,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    field_serializer,
)

from simulations.records import Request, StagedFile
from simulations.shell.definition import ToolDefinition

RunId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]{8,32}$")]
"""Names a run everywhere, also in a folder's name and on the exchange."""

_ADDRESSES = uuid.UUID("5d4ff3b8-4e0c-5d2e-9d3c-8f1f0f6f3f51")


def agent_id_of(run_id: str, index: int, launch: int = 1) -> uuid.UUID:
    """A Director's address on the exchange. Whoever knows the run's name can find it; it opens nothing by itself.

    Args:
        run_id: The run's name.
        index: The Director's index.
        launch: How often the Director has been launched by then: an exchange gives no address twice.
    """
    return uuid.uuid5(_ADDRESSES, f"{run_id}/{launch}/{index}")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ExchangeSpec(_Frozen):
    """How to reach the exchange.

    Attributes:
        kind: The exchange's kind; ``http``: one of `director exchange`, or of a run's client.
        url: Where it listens.
        host: Name of the machine on whose loopback interface a run's client holds it; None: it stands by itself, and
            both sides reach it at that URL.
        token: What its users show: a token of the run (``http``), Redis's password, or an access token of Globus Auth
            (``hosted``). Whoever has it may call the run's Directors.
    """

    kind: Literal["http", "redis", "hosted"] = "http"
    url: str
    host: str | None = None
    token: SecretStr | None = None

    @field_serializer("token", when_used="json")
    def _reveal(self, token: SecretStr | None) -> str | None:
        # JSON is how the spec reaches the Director; `repr` and logs keep the secret.
        return token.get_secret_value() if token is not None else None


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


class AsideSpec(_Frozen):
    """Nodes that are set aside for a service; see `partitions.set_aside`."""

    name: str
    nodes: int = Field(default=1, ge=1)
    hosts: str | None = None


class SharesSpec(_Frozen):
    """How the Allocation is shared out; see `partitions.carve` and, for ``aside``, `partitions.set_aside`."""

    kind: Literal["weight", "size", "hosts"] = "weight"
    values: tuple[float, ...] = ()
    hosts: tuple[str, ...] = ()
    aside: tuple[AsideSpec, ...] = ()


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
        max_attempts: How often a worker may die under a Request: it is then taken for the cause, and fails.
        max_node_losses: How often it may lose its whole node, or its Director, which is not held against it otherwise.
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
    max_attempts: int = Field(default=3, ge=1, le=100)
    max_node_losses: int = Field(default=20, ge=1, le=1000)


class WalltimeSpec(_Frozen):
    """When a Director must have ended.

    Attributes:
        deadline: When (UTC); None: when the scheduler ends the job. The earlier of the two counts.
        reserve_s: How long before that all that runs is asked to save what it has done, in s; None: a tenth of the time
            that is left when the Director starts, from 10 to 60 s.
    """

    deadline: AwareDatetime | None = None
    reserve_s: float | None = Field(default=None, gt=0, le=86_400)


class ReuseSpec(_Frozen):
    """Whether Outcomes of equal Requests are used again.

    Attributes:
        enabled: Whether they are.
        stores: Run folders, on the machine that the Director runs on, in which they are looked for beside its own.
    """

    enabled: bool = True
    stores: tuple[str, ...] = ()


class CarriedFile(_Frozen):
    """A user's file that travels with the spec.

    Attributes:
        staged: What it is.
        content: Its content.
    """

    staged: StagedFile
    content: Base64Bytes


class DirectorSpec(_Frozen):
    """Everything a Director needs to know.

    Attributes:
        run_id: The run's name.
        launch: How often this Director has been launched, this time included.
        created_at: When the run was made (UTC).
        index: Which of the run's Directors this is.
        agent_id: Its address on the exchange.
        run_folder: Path of the run folder; None: a folder named by the run in ``DIRECTOR_RUN_ROOT``, or else in
            ``~/md-director``, of the machine that the Director runs on.
        allocation: What to carve.
        shares: How; ``values`` has one entry per Director.
        exchange: Where it answers.
        pool: How it runs its workers.
        memory_ledger: Keep the ledger in memory only. Nothing survives then: for benchmarks.
        linger_s: How long it stays when it has nothing left to run, in s; None: until its client closes it.
        walltime: When it must have ended.
        reuse: Whether Outcomes of equal Requests are used again.
        tools: The tool files of the run, beside the Tools that are installed where it runs.
        requests: Requests that it begins with; it knows those again that it has had before.
        files: Files that these name, or that ship with a tool file.
    """

    run_id: RunId
    launch: int = Field(default=1, ge=1, le=10_000)
    created_at: datetime
    index: int = Field(ge=0)
    agent_id: uuid.UUID
    run_folder: str | None = None
    allocation: AllocationSpec
    shares: SharesSpec
    exchange: ExchangeSpec
    pool: PoolSpec = PoolSpec()
    memory_ledger: bool = False
    linger_s: float | None = Field(default=None, ge=0, le=1_000_000)
    walltime: WalltimeSpec = WalltimeSpec()
    reuse: ReuseSpec = ReuseSpec()
    tools: tuple[ToolDefinition, ...] = ()
    requests: tuple[Request, ...] = ()
    files: tuple[CarriedFile, ...] = ()
