"""What client and Directors both find out: the Allocation, the one carve of it, and the launcher."""

from __future__ import annotations

import shutil
from collections.abc import Mapping

from director.spec import AllocationSpec, PoolSpec, SharesSpec
from partitions.allocation import Allocation
from partitions.carve import Partition, Shares, carve
from partitions.discover import discover, scheduler_of
from partitions.launchers import Launcher, choose
from partitions.surroundings import Surroundings


def settled(spec: AllocationSpec, directors: int, environment: Mapping[str, str]) -> AllocationSpec:
    """Which Allocation to carve, when all that was left open is chosen by the environment.

    Args:
        spec: What was asked for.
        directors: How many Directors there are; logical nodes that were not counted are one for each.
        environment: The environment of the job, if this is in one.

    Raises:
        ValueError: If the environment is that of no scheduler or of several.
    """
    kind = scheduler_of(environment) if spec.kind == "auto" else spec.kind
    nodes = directors if kind == "local" and spec.nodes is None else spec.nodes
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


def carved(allocation: Allocation, shares: SharesSpec, pool: PoolSpec) -> list[Partition]:
    """The Partitions of a run.

    Raises:
        ValueError: If the Allocation cannot be shared so.
    """
    return carve(allocation, shares_of(shares), lead_free=pool.lead_workers == 0)


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
