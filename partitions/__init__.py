"""What the scheduler granted, how it is shared out, and how workers are started on it."""

from partitions.allocation import Allocation, Node
from partitions.carve import Partition, Shares, by_hosts, by_size, by_weight, carve, even
from partitions.local import local_allocation
from partitions.set_aside import Aside, ServicePartition, set_aside

__all__ = [
    "Allocation",
    "Aside",
    "Node",
    "Partition",
    "ServicePartition",
    "Shares",
    "by_hosts",
    "by_size",
    "by_weight",
    "carve",
    "even",
    "local_allocation",
    "set_aside",
]
