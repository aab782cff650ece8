"""Setting nodes aside for services before Directors share the rest. Pure: every Director computes the same."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from partitions.allocation import Allocation, Node
from partitions.hostlist import expand

ASIDE_VARIABLE = "DIRECTOR_ASIDE"
"""Names the nodes of the job that are set aside for whoever started this process: Directors leave them alone."""


@dataclass(frozen=True)
class Aside:
    """Which nodes a service asks for.

    Attributes:
        name: The service's.
        nodes: How many, if they are not named.
        hosts: The nodes by name, as Slurm writes lists of hosts, with ``*`` and ``?``; None: so many of the last ones.
    """

    name: str
    nodes: int = 1
    hosts: str | None = None


@dataclass(frozen=True)
class ServicePartition:
    """The nodes that one service owns.

    Attributes:
        name: The service's.
        nodes: Its nodes, in the Allocation's order; at least one.
    """

    name: str
    nodes: tuple[Node, ...]

    @property
    def hostnames(self) -> list[str]:
        """Names of the nodes."""
        return [node.hostname for node in self.nodes]


def set_aside(allocation: Allocation, asides: Sequence[Aside]) -> list[ServicePartition]:
    """Gives each service its whole nodes.

    Services that name their nodes get these. The others then take what is left from the Allocation's end, the last
    service the last nodes, so that the lead node, which is the first, stays with the Directors. It is given to a
    service only if that names it.

    Args:
        allocation: What the scheduler granted.
        asides: What each service asks for.

    Returns:
        One per service, in order. No node is in two of them.

    Raises:
        ValueError: If there are not enough nodes, or a name is no node's or is taken already.
    """
    names = [aside.name for aside in asides]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"services: {name!r} is given twice. Give each service a name of its own")
    named = {aside.name: _named(aside.name, aside.hosts, allocation) for aside in asides if aside.hosts is not None}
    owner: dict[str, str] = {}
    for name, mine in named.items():
        for node in mine:
            if node.hostname in owner:
                raise ValueError(
                    f"services.{name}.hosts: {node.hostname} belongs to service {owner[node.hostname]!r} already. "
                    "A node can be set aside for one service only"
                )
            owner[node.hostname] = name
    left = [node for node in allocation.nodes[1:] if node.hostname not in owner]
    wanted = sum(aside.nodes for aside in asides if aside.hosts is None)
    if wanted > len(left):
        raise ValueError(
            f"services: {wanted} nodes are to be set aside, but beside the lead node {allocation.lead.hostname} "
            f"there are {len(left)}. Ask for more nodes"
        )
    found = []
    at = len(left) - wanted
    for aside in asides:
        if aside.hosts is not None:
            found.append(ServicePartition(aside.name, named[aside.name]))
        else:
            found.append(ServicePartition(aside.name, tuple(left[at : at + aside.nodes])))
            at += aside.nodes
    return found


def without(allocation: Allocation, hostnames: Collection[str]) -> Allocation:
    """The Allocation without nodes that somebody else in the job has.

    Raises:
        ValueError: If nothing is left, or the lead node is among them: Directors run there.
    """
    if allocation.lead.hostname in hostnames:
        raise ValueError(
            f"{ASIDE_VARIABLE}: the lead node {allocation.lead.hostname} is set aside, but Directors run there. "
            "Name other nodes"
        )
    left = tuple(node for node in allocation.nodes if node.hostname not in hostnames)
    return replace(allocation, nodes=left)


def _named(name: str, pattern: str, allocation: Allocation) -> tuple[Node, ...]:
    where = f"services.{name}.hosts"
    words = expand(pattern, where)
    missing = [word for word in words if not any(fnmatchcase(node.hostname, word) for node in allocation.nodes)]
    if missing:
        raise ValueError(
            f"{where}: {', '.join(missing)} is not to be found among the nodes. "
            f"There are {', '.join(node.hostname for node in allocation.nodes)}"
        )
    return tuple(node for node in allocation.nodes if any(fnmatchcase(node.hostname, word) for word in words))
