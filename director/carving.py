"""The one carve that client and Directors both compute."""

from __future__ import annotations

import os

from director.spec import AllocationSpec, SharesSpec
from partitions.carve import Partition, Shares, carve
from partitions.local import local_allocation


def carved(allocation: AllocationSpec, shares: SharesSpec) -> list[Partition]:
    """The Partitions of a run.

    Raises:
        ValueError: If the Allocation cannot be had here, or cannot be shared so.
    """
    nodes = local_allocation(allocation.nodes, sorted(os.sched_getaffinity(0)))
    return carve(nodes, Shares(shares.kind, shares.values))
