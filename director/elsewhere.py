"""Planning a run whose nodes are not known here: its Directors find out, each by itself and all alike."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from director.carving import carved
from director.door import Problem, Refused
from director.plan import allocation_spec, new_run_id, pool_spec, refusing, shares_spec
from director.spec import (
    AllocationSpec,
    CarriedFile,
    DirectorSpec,
    ExchangeSpec,
    PoolSpec,
    ReuseSpec,
    RunId,
    SharesSpec,
    WalltimeSpec,
    agent_id_of,
)
from director.terms import Terms
from partitions.local import local_allocation
from simulations.records import Request, StagedFile
from simulations.shell.definition import ToolDefinition


class RunPlan(BaseModel):
    """A run that may be launched where this client is not.

    Attributes:
        run_id: The run's name.
        created_at: When it was made (UTC).
        allocation: What its Directors carve.
        shares: How.
        pool: How workers are run.
        linger_s: How long Directors stay when nothing is left to run, in s; None: until their client closes them.
        run_folder: Where the run folder is, on the machine that the Directors run on; None: where the endpoint says.
        walltime: When Directors must have ended.
        reuse: Whether Outcomes of equal Requests are used again.
        tools: The tool files of the run.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    run_id: RunId
    created_at: datetime
    allocation: AllocationSpec
    shares: SharesSpec
    pool: PoolSpec
    linger_s: float | None
    run_folder: str | None = None
    walltime: WalltimeSpec = WalltimeSpec()
    reuse: ReuseSpec = ReuseSpec()
    tools: tuple[ToolDefinition, ...] = ()

    @property
    def weights(self) -> tuple[float, ...]:
        """What each Director is worth; equal where its hosts are not known here."""
        return self.shares.values or (1.0,) * len(self.shares.hosts)

    @property
    def directors(self) -> int:
        """How many Directors there are."""
        return len(self.weights)

    def specs(
        self,
        exchange: ExchangeSpec,
        launches: Mapping[int, int],
        requests: Iterable[tuple[int, Request]] = (),
        source: Callable[[StagedFile], Path] | None = None,
    ) -> list[DirectorSpec]:
        """What Directors are told.

        Args:
            exchange: Where they answer.
            launches: For each Director that is launched, how often it has been, this time included.
            requests: Requests that they begin with, each with the index of its Director.
            source: Where the files lie that these name, or that ship with tool files; None: none of them travels along.
        """
        mine: dict[int, list[Request]] = {index: [] for index in launches}
        for index, request in requests:
            if index in mine:
                mine[index].append(request)
        return [
            DirectorSpec(
                run_id=self.run_id,
                launch=launches[index],
                created_at=self.created_at,
                index=index,
                agent_id=agent_id_of(self.run_id, index, launches[index]),
                run_folder=self.run_folder,
                allocation=self.allocation,
                shares=self.shares,
                exchange=exchange,
                pool=self.pool,
                linger_s=self.linger_s,
                walltime=self.walltime,
                reuse=self.reuse,
                tools=self.tools,
                requests=tuple(mine[index]),
                files=_carried(mine[index], self.tools, source) if source else (),
            )
            for index in sorted(launches)
        ]


def plan_elsewhere(
    *,
    directors: int,
    nodes: int | None,
    shares: Sequence[float] | None = None,
    sizes: Sequence[int] | None = None,
    hosts: Sequence[str] | None = None,
    accelerators: Sequence[str] | None = None,
    pool: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    linger_s: float | None = None,
    run_folder: str | None = None,
    terms: Terms | None = None,
) -> RunPlan:
    """Checks what can be checked here of a run that is launched elsewhere.

    Args:
        directors: How many Directors.
        nodes: How many nodes the job will have; None: not known.
        shares: Weights, one per Director.
        sizes: Numbers of nodes, one per Director.
        hosts: Patterns of hosts, one per Director.
        accelerators: Names of each node's accelerators; None: what the scheduler says.
        pool: Fields of `PoolSpec`.
        options: Further ones; those that are None are left out.
        linger_s: How long Directors stay when nothing is left to run, in s.
        run_folder: Where the run folder is there.
        terms: What Directors are told beside that.

    Raises:
        Refused: If it cannot be launched.
    """
    told = terms or Terms()
    if told.memory_ledger:
        raise Refused([Problem("memory_ledger", "is for Directors on this machine", "Leave it out")])
    parts = shares_spec(directors, shares, sizes, hosts)
    workers = pool_spec(options or {}, pool)
    if nodes is not None and hosts is None:
        with refusing("Correct directors, nodes or shares"):
            carved(local_allocation(nodes, [0]), parts, workers)
    elif sizes is not None and nodes is None:
        raise Refused([Problem("nodes", "is not given, although sizes are", "Give the number of the job's nodes")])
    return RunPlan(
        run_id=new_run_id(),
        created_at=datetime.now(UTC),
        allocation=allocation_spec("auto", nodes, accelerators),
        shares=parts,
        pool=workers,
        linger_s=linger_s,
        run_folder=run_folder,
        walltime=told.walltime,
        reuse=told.reuse,
        tools=told.tools,
    )


def cargo_bytes(spec: DirectorSpec) -> int:
    """How large a spec is when it travels, in bytes."""
    return len(spec.model_dump_json())


def _carried(
    requests: Sequence[Request], tools: Sequence[ToolDefinition], source: Callable[[StagedFile], Path]
) -> tuple[CarriedFile, ...]:
    holders: list[Request | ToolDefinition] = [*requests, *tools]
    files = {file.stored_name: file for holder in holders for file in holder.files.values()}
    return tuple(
        CarriedFile(staged=file, content=base64.b64encode(source(file).read_bytes())) for file in files.values()
    )
