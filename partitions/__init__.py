"""What the scheduler granted, how it is shared out, and how workers are started on it."""

from partitions.allocation import Allocation, Node
from partitions.carve import Partition, Shares, by_hosts, by_size, by_weight, carve, even
from partitions.local import local_allocation

__all__ = [
    "Allocation",
    "Node",
    "Partition",
    "Shares",
    "by_hosts",
    "by_size",
    "by_weight",
    "carve",
    "even",
    "local_allocation",
]
