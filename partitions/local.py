"""The local Allocation: this machine, seen as N logical nodes."""

from __future__ import annotations

from collections.abc import Sequence

from partitions.allocation import Allocation, Node

MAX_LOCAL_NODES = 1024


def local_allocation(nodes: int, cores: Sequence[int]) -> Allocation:
    """Shares this machine's cores out over logical nodes, named ``local-0``, ``local-1`` and so on.

    With at least one core per node, each gets its own run of cores. With fewer cores than nodes, nodes share
    cores in turn.

    Args:
        nodes: How many logical nodes to see.
        cores: Ids of the cores that may be used, at least one.

    Raises:
        ValueError: If the number of nodes is not between 1 and 1024, or there is no core.
    """
    if not 1 <= nodes <= MAX_LOCAL_NODES:
        raise ValueError(f"nodes: {nodes} logical nodes on this machine; ask for 1 to {MAX_LOCAL_NODES}")
    if not cores:
        raise ValueError("this process may use no core of this machine: check its CPU affinity")
    ordered = sorted(cores)
    return Allocation(
        scheduler="local",
        nodes=tuple(Node(f"local-{index}", _share(ordered, index, nodes)) for index in range(nodes)),
    )


def _share(cores: list[int], index: int, nodes: int) -> tuple[int, ...]:
    if len(cores) < nodes:
        return (cores[index % len(cores)],)
    start, end = (len(cores) * bound // nodes for bound in (index, index + 1))
    return tuple(cores[start:end])
