"""What each worker of a Partition owns. Pure, and apart from the pool, so that a client need not load Parsl."""

from __future__ import annotations

from director.spec import PoolSpec
from partitions.allocation import Node
from partitions.bindings import Binding, bind
from partitions.carve import Partition


def bindings_of(partition: Partition, spec: PoolSpec, *, lead: str | None = None) -> list[tuple[Node, list[Binding]]]:
    """For each node of a Partition what its workers own.

    Args:
        partition: The nodes.
        spec: What was asked for.
        lead: Name of the lead node. If it has fewer workers, they own what they would own elsewhere, and its first
            cores are left to the Directors.
    """
    found = []
    for node in partition.nodes:
        bindings = bind(
            node,
            workers=spec.workers_per_node,
            threads=spec.threads_per_worker,
            workers_per_accelerator=spec.workers_per_accelerator,
        )
        if spec.lead_workers and node.hostname == lead:
            bindings = bindings[-spec.lead_workers :]
        found.append((node, bindings))
    return found


def workers_of(partition: Partition, spec: PoolSpec, *, lead: str | None = None) -> int:
    """How many workers a Partition has when all nodes are up."""
    return sum(len(bindings) for _, bindings in bindings_of(partition, spec, lead=lead))
