"""How many workers a Partition has. Pure, and apart from the pool, so that a client need not load Parsl."""

from __future__ import annotations

from director.spec import PoolSpec
from partitions.carve import Partition


def workers_per_node(partition: Partition, spec: PoolSpec) -> int:
    """Workers on each node: as asked, or one per accelerator, or one per so many cores; by its smallest node."""
    if spec.workers_per_node is not None:
        return spec.workers_per_node
    return min(len(node.accelerators) or max(1, len(node.cores) // spec.threads_per_worker) for node in partition.nodes)
