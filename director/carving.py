"""What client and Directors both find out: the Allocation, the one carve of it, and the launcher."""

from __future__ import annotations

import shutil
from collections.abc import Mapping

from director.spec import AllocationSpec, PoolSpec, SharesSpec
from partitions.allocation import Allocation
from partitions.carve import Partition, Shares, carve
from partitions.discover import discover, scheduler_of
from partitions.launchers import Launcher, choose
from partitions.set_aside import Aside, ServicePartition, set_aside
from partitions.surroundings import Surroundings


def settled(spec: AllocationSpec, owners: int, environment: Mapping[str, str]) -> AllocationSpec:
    """Which Allocation to carve, when all that was left open is chosen by the environment.

    Args:
        spec: What was asked for.
        owners: How many nodes it takes if nobody gets more than one: logical nodes that were not counted are so many.
        environment: The environment of the job, if this is in one.

    Raises:
        ValueError: If the environment is that of no scheduler or of several.
    """
    kind = scheduler_of(environment) if spec.kind == "auto" else spec.kind
    nodes = owners if kind == "local" and spec.nodes is None else spec.nodes
    return AllocationSpec.model_validate({**spec.model_dump(), "kind": kind, "nodes": nodes})


def granted(spec: AllocationSpec, surroundings: Surroundings) -> Allocation:
    """The Allocation of this job.

    Raises:
        ValueError: If it cannot be had here.
    """
    return discover(surroundings, spec.kind, nodes=spec.nodes, accelerators=spec.accelerators)


def shares_of(spec: SharesSpec) -> Shares:
    """The Shares that a spec stands for."""
    return Shares(spec.kind, spec.values, spec.hosts)


def owners_of(spec: SharesSpec) -> int:
    """How many nodes it takes so that each Director has one, and each service those that it asks for."""
    return shares_of(spec).directors + sum(aside.nodes for aside in spec.aside)


def for_services(allocation: Allocation, shares: SharesSpec) -> list[ServicePartition]:
    """The nodes of a run's services.

    Raises:
        ValueError: If they cannot be had.
    """
    return set_aside(allocation, [Aside(one.name, one.nodes, one.hosts) for one in shares.aside])


def carved(allocation: Allocation, shares: SharesSpec, pool: PoolSpec) -> list[Partition]:
    """The Partitions of a run.

    Raises:
        ValueError: If the Allocation cannot be shared so.
    """
    taken = frozenset(name for service in for_services(allocation, shares) for name in service.hostnames)
    return carve(allocation, shares_of(shares), lead_free=pool.lead_workers == 0, aside=taken)


def launcher_of(
    allocation: Allocation, pool: PoolSpec, surroundings: Surroundings, *, installed: bool = True
) -> Launcher:
    """How programs are started on the Allocation's nodes.

    Args:
        allocation: The Allocation.
        pool: What was asked for.
        surroundings: Where the launcher is looked for.
        installed: Whether it must be there.

    Raises:
        LauncherError: If there is no such launcher.
    """
    return choose(
        pool.launcher,
        allocation.scheduler,
        program=pool.launcher_program,
        which=lambda name: shutil.which(name, path=surroundings.environment.get("PATH")),
        version=lambda program: surroundings.output_of([program, "--version"]),
        installed=installed,
    )
