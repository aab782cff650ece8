"""What to launch, from what a user asked for. Nothing is started or written here."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from director.carving import carved, for_services, granted, launcher_of, owners_of, settled
from director.door import Problem, Refused, problems_of
from director.pool_size import workers_of
from director.runfolder import RunRecord, ServiceRecord
from director.service_partition.spec import ServiceSpec, check_nodes
from director.spec import (
    AllocationSpec,
    DirectorSpec,
    ExchangeSpec,
    PoolSpec,
    SharesSpec,
    agent_id_of,
)
from director.terms import Terms
from director.worker import versions
from partitions.allocation import Allocation
from partitions.carve import Partition, by_hosts, by_size, by_weight, even
from partitions.launchers import Launcher, LauncherError
from partitions.set_aside import ServicePartition
from partitions.surroundings import Surroundings, ThisProcess
from simulations.shell.definition import ToolDefinition

PACKAGES = ("academy-py", "openmm", "parsl", "pydantic")


@dataclass(frozen=True)
class Plan:
    """A run that may be launched.

    Attributes:
        spec: Which Allocation is carved.
        allocation: The Allocation.
        shares: How it is carved.
        pool: How workers are run.
        partitions: What each Director gets.
        launcher: How workers are started.
        services: The run's services.
        service_nodes: What each of them gets.
    """

    spec: AllocationSpec
    allocation: Allocation
    shares: SharesSpec
    pool: PoolSpec
    partitions: tuple[Partition, ...]
    launcher: Launcher
    services: tuple[ServiceSpec, ...] = ()
    service_nodes: tuple[ServicePartition, ...] = ()

    def record(self, of: RunRecord | None = None) -> RunRecord:
        """The record of a run.

        Args:
            of: The run, if it is one that goes on; None: a new one, with a name and addresses of its own.
        """
        made = record_of(
            of.run_id if of else new_run_id(),
            of.created_at if of else datetime.now(UTC),
            spec=self.spec,
            shares=self.shares,
            pool=self.pool,
            partitions=self.partitions,
            lead=self.allocation.lead.hostname,
        )
        served = zip(self.services, self.service_nodes, strict=True)
        records = [ServiceRecord(spec=spec, hostnames=nodes.hostnames) for spec, nodes in served]
        made = made.model_copy(update={"services": records})
        if of is None:
            return made
        kept = {name: getattr(of, name) for name in ("launches", "agent_ids", "tuning", "tools")}
        return made.model_copy(update=kept)


def new_run_id() -> str:
    """A name for a run."""
    return uuid.uuid4().hex[:12]


def record_of(
    run_id: str,
    created_at: datetime,
    *,
    spec: AllocationSpec,
    shares: SharesSpec,
    pool: PoolSpec,
    partitions: Sequence[Partition],
    lead: str,
    tools: Sequence[ToolDefinition] = (),
) -> RunRecord:
    """The record of a run, which its client writes, or, where there is none on the job's file system, its Directors.

    Args:
        run_id: The run's name.
        created_at: When it was made (UTC).
        spec: What is carved.
        shares: How.
        pool: How workers are run.
        partitions: What each Director gets.
        lead: Name of the lead node.
        tools: Its tool files.
    """
    return RunRecord(
        run_id=run_id,
        created_at=created_at,
        allocation=spec,
        shares=shares,
        pool=pool,
        partitions=[partition.hostnames for partition in partitions],
        workers=[workers_of(partition, pool, lead=lead) for partition in partitions],
        agent_ids=[str(agent_id_of(run_id, index)) for index in range(len(partitions))],
        versions=versions(PACKAGES),
        tools=list(tools),
    )


def director_specs(
    record: RunRecord, run_folder: str, exchange: ExchangeSpec, terms: Terms | None = None
) -> list[DirectorSpec]:
    """What each Director of a run is told, when it is launched as its record says."""
    told = terms or Terms()
    return [
        DirectorSpec(
            run_id=record.run_id,
            launch=record.launch_of(index),
            created_at=record.created_at,
            index=index,
            agent_id=agent_id,
            run_folder=run_folder,
            allocation=record.allocation,
            shares=record.shares,
            exchange=exchange,
            pool=record.pool,
            memory_ledger=told.memory_ledger,
            walltime=told.walltime,
            reuse=told.reuse,
            tools=tuple(record.tools),
        )
        for index, agent_id in enumerate(record.addresses)
    ]


def plan(
    *,
    directors: int,
    allocation: AllocationSpec,
    shares: Sequence[float] | None = None,
    sizes: Sequence[int] | None = None,
    hosts: Sequence[str] | None = None,
    pool: PoolSpec,
    services: Sequence[ServiceSpec] = (),
    surroundings: Surroundings | None = None,
    elsewhere: bool = False,
    hint: str = "Correct directors, nodes, shares or hosts",
) -> Plan:
    """Checks what a user asked for. Nothing is started.

    Args:
        directors: How many Directors.
        allocation: Which Allocation they share; logical nodes that are not counted are one for each Director.
        shares: Weights, one per Director.
        sizes: Numbers of nodes, one per Director.
        hosts: Patterns of hosts, one per Director.
        pool: How workers are run.
        services: Services for which nodes are set aside.
        surroundings: The environment of the job; None: that of this process.
        elsewhere: Whether this is not the job's machine, so that the launcher need not be installed.
        hint: What to do if the nodes cannot be shared so.

    Raises:
        Refused: If it cannot be launched.
    """
    aside = tuple(service.aside for service in services)
    parts = shares_spec(directors, shares, sizes, hosts).model_copy(update={"aside": aside})
    around = surroundings or ThisProcess()
    spec, found = _granted(allocation, owners_of(parts), around)
    if pool.workers_per_node is not None and pool.workers_per_accelerator > 1:
        message = "workers_per_node was given as well"
        raise Refused([Problem("workers_per_accelerator", message, "Give one of them")])
    with refusing(hint):
        partitions = carved(found, parts, pool)
        served = for_services(found, parts)
    check_nodes(services, served)
    with refusing("Correct launcher or launcher_program"):
        launcher = launcher_of(found, pool, around, installed=not elsewhere)
    if pool.nodes_per_block > 1 and not launcher.nodes_at_once:
        message = f"{pool.nodes_per_block} logical nodes cannot be started by one command"
        raise Refused([Problem("nodes_per_block", message, "Leave it out")])
    return Plan(spec, found, parts, pool, tuple(partitions), launcher, tuple(services), tuple(served))


def _granted(spec: AllocationSpec, owners: int, surroundings: Surroundings) -> tuple[AllocationSpec, Allocation]:
    with refusing("Correct the job's environment, or choose with allocation"):
        chosen = settled(spec, owners, surroundings.environment)
        return chosen, granted(chosen, surroundings)


@contextlib.contextmanager
def refusing(hint: str) -> Iterator[None]:
    """Turns what a lower floor found wrong, which begins with where it is, into a refusal."""
    try:
        yield
    except (ValueError, LauncherError) as error:
        where, _, message = str(error).partition(": ")
        raise Refused([Problem(where, message, hint)]) from None


def pool_spec(options: Mapping[str, Any], pool: Mapping[str, Any] | None = None) -> PoolSpec:
    """How workers are run, from what a user gave; what is None is left to its default.

    Args:
        options: Options that stand by themselves.
        pool: Those that stand together under ``pool``.

    Raises:
        Refused: If one of them is not acceptable.
    """
    given = {name: value for name, value in {**options, **(pool or {})}.items() if value is not None}
    try:
        return PoolSpec.model_validate(given, strict=True)
    except ValidationError as error:
        problems = problems_of(error, PoolSpec)
        raise Refused(
            problem.within("pool") if problem.where in (pool or {}) else problem for problem in problems
        ) from None


def allocation_spec(kind: str, nodes: int | None, accelerators: Sequence[str] | None = None) -> AllocationSpec:
    """Which Allocation to carve.

    Raises:
        Refused: If there is no such kind, or the number of nodes is not one.
    """
    if nodes is not None:
        _counted("nodes", nodes)
    try:
        return AllocationSpec.model_validate({"kind": kind, "nodes": nodes, "accelerators": accelerators})
    except ValidationError as error:
        raise Refused([problem.within("allocation") for problem in problems_of(error, AllocationSpec)]) from None


def _counted(where: str, value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise Refused([Problem(where, f"must be a whole number of at least 1, got {value!r}", "Correct it")])
    return value


def shares_spec(
    directors: int, weights: Sequence[float] | None, sizes: Sequence[int] | None, hosts: Sequence[str] | None
) -> SharesSpec:
    """How an Allocation is shared out.

    Args:
        directors: How many Directors.
        weights: Weights, one per Director.
        sizes: Numbers of nodes, one per Director.
        hosts: Patterns of hosts, one per Director.

    Raises:
        Refused: If there are not as many as Directors, or several kinds were given.
    """
    _counted("directors", directors)
    given = {"shares": weights, "sizes": sizes, "hosts": hosts}
    chosen = {name: values for name, values in given.items() if values is not None}
    if len(chosen) > 1:
        raise Refused([Problem("shares", f"{' and '.join(chosen)} were both given", "Give one of them")])
    for name, values in chosen.items():
        if len(values) != directors:
            message = f"{len(values)} entries for {directors} Directors"
            raise Refused([Problem(name, message, "Give one entry per Director")])
    parts = (
        by_hosts(hosts) if hosts is not None
        else by_size(sizes) if sizes is not None
        else by_weight(weights) if weights is not None
        else even(directors)
    )  # fmt: skip
    return SharesSpec(kind=parts.kind, values=parts.values, hosts=parts.hosts)
