"""Sharing an Allocation out among Directors. Pure: every Director computes the same carve and need not ask."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from partitions.allocation import Allocation, Node
from partitions.hostlist import expand


@dataclass(frozen=True)
class Partition:
    """The nodes that one Director owns.

    Attributes:
        index: The Director's index.
        nodes: Its nodes, in the Allocation's order; at least one.
    """

    index: int
    nodes: tuple[Node, ...]

    @property
    def hostnames(self) -> list[str]:
        """Names of the nodes."""
        return [node.hostname for node in self.nodes]


@dataclass(frozen=True)
class Shares:
    """How much each Director gets. Made by `even`, `by_weight`, `by_size` or `by_hosts`."""

    kind: Literal["weight", "size", "hosts"]
    values: tuple[float, ...] = ()
    hosts: tuple[str, ...] = ()

    @property
    def directors(self) -> int:
        """How many Directors there are."""
        return len(self.hosts if self.kind == "hosts" else self.values)


def even(directors: int) -> Shares:
    """The same share for each of so many Directors (sizes differ by at most one node)."""
    return Shares("weight", (1.0,) * directors)


def by_weight(weights: Sequence[float]) -> Shares:
    """Shares in proportion to these weights, one per Director, at least one node each."""
    return Shares("weight", tuple(float(weight) for weight in weights))


def by_size(sizes: Sequence[int]) -> Shares:
    """Exactly so many nodes, one number per Director; together all nodes of the Allocation."""
    return Shares("size", tuple(sizes))


def by_hosts(patterns: Sequence[str]) -> Shares:
    """The nodes that a pattern names, one pattern per Director; together all nodes of the Allocation.

    A pattern is a list of hosts as Slurm writes them (``node[1-3],gpu07``), in which ``*`` and ``?`` stand for any
    text and any one character.
    """
    return Shares("hosts", hosts=tuple(patterns))


def carve(
    allocation: Allocation, shares: Shares, *, lead_free: bool = False, aside: Collection[str] = ()
) -> list[Partition]:
    """Cuts the Allocation's nodes, in their order, into one Partition per share.

    The Partitions are disjoint, cover what of the Allocation is not kept out, and depend on nothing but the arguments.

    Args:
        allocation: What the scheduler granted.
        shares: How much each Director gets.
        lead_free: Whether to leave the lead node, on which the Directors themselves run, out of every Partition.
        aside: Names of the nodes that are set aside for services; see `partitions.set_aside`.

    Returns:
        One Partition per share, in order.

    Raises:
        ValueError: If there are no shares, more Directors than nodes, a share that is not a positive finite number,
            sizes that are not whole or do not add up to the number of nodes, or patterns that name no node, a node
            twice or not all nodes.
    """
    first = 1 if lead_free else 0
    nodes = [node for node in allocation.nodes[first:] if node.hostname not in aside]
    total = len(nodes)
    if not shares.directors:
        raise ValueError("shares: there must be at least one Director")
    if shares.directors > total:
        kept = f" beside the lead node {allocation.lead.hostname}, which is kept free" if lead_free else ""
        kept += f", and {_nodes(len(aside))} set aside for services" if aside else ""
        raise ValueError(
            f"directors: {shares.directors} Directors cannot share {_nodes(total)}{kept}: "
            f"each needs at least one node. Ask for "
            + (f"at most {total} Directors or for more nodes" if total else "more nodes")
        )
    if shares.kind == "hosts":
        return _matched(shares.hosts, nodes)
    for index, value in enumerate(shares.values):
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"shares: entry {index} is {value}; every share must be a positive number")
    sizes = _exact(shares.values, total) if shares.kind == "size" else _proportional(shares.values, total)
    ends = [sum(sizes[: index + 1]) for index in range(len(sizes))]
    return [
        Partition(index, tuple(nodes[end - size : end]))
        for index, (size, end) in enumerate(zip(sizes, ends, strict=True))
    ]


def _matched(patterns: Sequence[str], nodes: Sequence[Node]) -> list[Partition]:
    owner: dict[str, int] = {}
    for index, pattern in enumerate(patterns):
        names = expand(pattern)
        mine = [node.hostname for node in nodes if any(fnmatchcase(node.hostname, name) for name in names)]
        missing = [name for name in names if not any(fnmatchcase(node.hostname, name) for node in nodes)]
        if missing or not mine:
            raise ValueError(
                f"hosts: entry {index} ({pattern!r}) names {', '.join(missing)}, not to be found among the nodes. "
                f"There are {', '.join(node.hostname for node in nodes)}"
            )
        for hostname in mine:
            if hostname in owner:
                raise ValueError(
                    f"hosts: {hostname} is in entry {owner[hostname]} ({patterns[owner[hostname]]!r}) and in entry "
                    f"{index} ({pattern!r}). A node can be in one Partition only"
                )
            owner[hostname] = index
    left = [node.hostname for node in nodes if node.hostname not in owner]
    if left:
        raise ValueError(f"hosts: no entry names {', '.join(left)}. Add them to a pattern")
    return [
        Partition(index, tuple(node for node in nodes if owner[node.hostname] == index))
        for index in range(len(patterns))
    ]


def _exact(values: Sequence[float], total: int) -> list[int]:
    if any(value != int(value) for value in values):
        raise ValueError(f"shares: sizes {_listed(values)} must be whole numbers of nodes")
    sizes = [int(value) for value in values]
    if sum(sizes) != total:
        raise ValueError(
            f"shares: sizes {_listed(values)} add up to {sum(sizes)}, but the allocation has {_nodes(total)}. "
            f"Give sizes that add up to {total}, or weights"
        )
    return sizes


def _proportional(weights: Sequence[float], total: int) -> list[int]:
    """Whole nodes of the ideal, at least one each; then the rest to whoever is furthest below it (ties: first)."""
    largest = max(weights)
    scaled = [weight / largest for weight in weights]
    ideals = [total * weight / sum(scaled) for weight in scaled]
    sizes = [max(1, math.floor(ideal)) for ideal in ideals]
    while sum(sizes) > total:  # the one node that everyone gets can ask for more than there are
        index = min((i for i in range(len(sizes)) if sizes[i] > 1), key=lambda i: (ideals[i] - sizes[i], -i))
        sizes[index] -= 1
    while sum(sizes) < total:
        index = max(range(len(sizes)), key=lambda i: (ideals[i] - sizes[i], -i))
        sizes[index] += 1
    return sizes


def _nodes(count: int) -> str:
    return "1 node" if count == 1 else f"{count} nodes"


def _listed(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)
