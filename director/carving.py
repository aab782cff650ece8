"""What client and Directors both find out: the Allocation, the one carve of it, and the launcher."""

from __future__ import annotations

import shutil

from director.spec import AllocationSpec, PoolSpec, SharesSpec
from partitions.allocation import Allocation
from partitions.carve import Partition, Shares, carve
from partitions.discover import discover
from partitions.launchers import Launcher, choose
from partitions.surroundings import Surroundings


def granted(spec: AllocationSpec, surroundings: Surroundings) -> Allocation:
    """The Allocation of this job.

    Raises:
        ValueError: If it cannot be had here.
    """
    return discover(surroundings, spec.kind, nodes=spec.nodes, accelerators=spec.accelerators)


def carved(allocation: Allocation, shares: SharesSpec, pool: PoolSpec) -> list[Partition]:
    """The Partitions of a run.

    Raises:
        ValueError: If the Allocation cannot be shared so.
    """
    parts = Shares(shares.kind, shares.values, shares.hosts)
    return carve(allocation, parts, lead_free=pool.lead_workers == 0)


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
