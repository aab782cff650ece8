"""Sharing an Allocation out among Directors. Pure: every Director computes the same carve and need not ask."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from partitions.allocation import Allocation, Node


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
    """How much each Director gets. Made by `even`, `by_weight` or `by_size`."""

    kind: Literal["weight", "size"]
    values: tuple[float, ...]


def even(directors: int) -> Shares:
    """The same share for each of so many Directors (sizes differ by at most one node)."""
    return Shares("weight", (1.0,) * directors)


def by_weight(weights: Sequence[float]) -> Shares:
    """Shares in proportion to these weights, one per Director, at least one node each."""
    return Shares("weight", tuple(float(weight) for weight in weights))


def by_size(sizes: Sequence[int]) -> Shares:
    """Exactly so many nodes, one number per Director; together all nodes of the Allocation."""
    return Shares("size", tuple(sizes))


def carve(allocation: Allocation, shares: Shares) -> list[Partition]:
    """Cuts the Allocation's nodes, in their order, into one Partition per share.

    The Partitions are disjoint, cover the Allocation, and depend on nothing but the arguments.

    Args:
        allocation: What the scheduler granted.
        shares: How much each Director gets.

    Returns:
        One Partition per share, in order.

    Raises:
        ValueError: If there are no shares, more Directors than nodes, a share that is not a positive finite number,
            or sizes that are not whole or do not add up to the number of nodes.
    """
    total = len(allocation.nodes)
    if not shares.values:
        raise ValueError("shares: there must be at least one Director")
    if len(shares.values) > total:
        raise ValueError(
            f"directors: {len(shares.values)} Directors cannot share {_nodes(total)}: "
            f"each needs at least one node. Ask for at most {total} Directors or for more nodes"
        )
    for index, value in enumerate(shares.values):
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"shares: entry {index} is {value}; every share must be a positive number")
    sizes = _exact(shares.values, total) if shares.kind == "size" else _proportional(shares.values, total)
    ends = [sum(sizes[: index + 1]) for index in range(len(sizes))]
    return [
        Partition(index, allocation.nodes[end - size : end])
        for index, (size, end) in enumerate(zip(sizes, ends, strict=True))
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
