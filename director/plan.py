"""What to launch, from what a user asked for. Nothing is started or written here."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import ValidationError

from director.carving import carved
from director.door import Problem, Refused, problems_of
from director.pool_size import workers_per_node as workers_on_each
from director.runfolder import RunRecord
from director.spec import AllocationSpec, DirectorSpec, ExchangeSpec, PoolSpec, SharesSpec
from director.worker import versions
from partitions.carve import Partition, by_size, by_weight, even

PACKAGES = ("academy-py", "openmm", "parsl", "pydantic")


@dataclass(frozen=True)
class Plan:
    """A run that may be launched.

    Attributes:
        allocation: What is carved.
        shares: How.
        pool: How workers are run.
        partitions: What each Director gets.
    """

    allocation: AllocationSpec
    shares: SharesSpec
    pool: PoolSpec
    partitions: tuple[Partition, ...]

    def record(self) -> RunRecord:
        """The record of a new run, with a name and addresses of its own."""
        return RunRecord(
            run_id=uuid.uuid4().hex[:12],
            created_at=datetime.now(UTC),
            allocation=self.allocation,
            shares=self.shares,
            pool=self.pool,
            partitions=[partition.hostnames for partition in self.partitions],
            workers=[workers_on_each(part, self.pool) * len(part.nodes) for part in self.partitions],
            agent_ids=[str(uuid.uuid4()) for _ in self.partitions],
            versions=versions(PACKAGES),
        )


def director_specs(
    record: RunRecord, run_folder: str, exchange: ExchangeSpec, *, memory_ledger: bool
) -> list[DirectorSpec]:
    """What each Director of a run is told."""
    return [
        DirectorSpec(
            run_id=record.run_id,
            index=index,
            agent_id=uuid.UUID(agent_id),
            run_folder=run_folder,
            allocation=record.allocation,
            shares=record.shares,
            exchange=exchange,
            pool=record.pool,
            memory_ledger=memory_ledger,
        )
        for index, agent_id in enumerate(record.agent_ids)
    ]


def plan(
    *,
    directors: int,
    nodes: int,
    shares: Sequence[float] | None,
    sizes: Sequence[int] | None,
    workers_per_node: int | None,
    threads_per_worker: int,
) -> Plan:
    """Checks what a user asked for; see `Fleet.launch` for the arguments.

    Raises:
        Refused: If it cannot be launched.
    """
    allocation = AllocationSpec(nodes=_checked("nodes", nodes))
    parts = _shares(_checked("directors", directors), shares, sizes)
    pool = _pool(workers_per_node, threads_per_worker)
    return Plan(allocation, parts, pool, tuple(_carved(allocation, parts)))


def _carved(allocation: AllocationSpec, shares: SharesSpec) -> list[Partition]:
    try:
        return carved(allocation, shares)
    except ValueError as error:
        where, _, message = str(error).partition(": ")
        raise Refused([Problem(where, message, "Correct directors, nodes or shares")]) from None


def _pool(workers_per_node: int | None, threads_per_worker: int) -> PoolSpec:
    try:
        return PoolSpec(workers_per_node=workers_per_node, threads_per_worker=threads_per_worker)
    except ValidationError as error:
        raise Refused(problems_of(error, PoolSpec)) from None


def _checked(where: str, value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise Refused([Problem(where, f"must be a whole number of at least 1, got {value!r}", "Correct it")])
    return value


def _shares(directors: int, weights: Sequence[float] | None, sizes: Sequence[int] | None) -> SharesSpec:
    given = weights if sizes is None else sizes
    if weights is not None and sizes is not None:
        raise Refused([Problem("shares", "weights and sizes were both given", "Give one of them")])
    if given is not None and len(given) != directors:
        message = f"{len(given)} entries for {directors} Directors"
        raise Refused([Problem("shares", message, "Give one entry per Director")])
    shares = by_size(sizes) if sizes is not None else even(directors) if weights is None else by_weight(weights)
    return SharesSpec(kind=shares.kind, values=shares.values)
