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
        token: The run's secret; whoever has it may call the run's Directors.
    """

    kind: Literal["http"] = "http"
    url: str
    token: SecretStr

    @field_serializer("token", when_used="json")
    def _reveal(self, token: SecretStr) -> str:
        # JSON is how the spec reaches the Director; `repr` and logs keep the secret.
        return token.get_secret_value()


class AllocationSpec(_Frozen):
    """Which Allocation to carve.

    Attributes:
        kind: ``local``: this machine, seen as logical nodes.
        nodes: How many logical nodes.
    """

    kind: Literal["local"] = "local"
    nodes: int = Field(ge=1)


class SharesSpec(_Frozen):
    """How the Allocation is shared out; see `partitions.carve`."""

    kind: Literal["weight", "size"] = "weight"
    values: tuple[float, ...]


class PoolSpec(_Frozen):
    """How the workers are run.

    Attributes:
        workers_per_node: Worker processes on each node; None: one per accelerator, or else one per
            ``threads_per_worker`` cores.
        threads_per_worker: Threads that one simulation uses.
        max_attempts: How often a Request is started, at most, when workers or nodes are lost under it.
    """

    workers_per_node: int | None = Field(default=None, ge=1, le=1024)
    threads_per_worker: int = Field(default=1, ge=1, le=1024)
    max_attempts: int = Field(default=5, ge=1, le=100)


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
