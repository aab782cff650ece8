"""What a worker keeps between Requests."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar, cast

T = TypeVar("T")


class BuildCache:
    """Keeps the most recently used of what was expensive to build, keyed by content.

    Args:
        capacity: How much may be kept, in the units of `get`'s ``size``.
    """

    def __init__(self, capacity: float = 400_000) -> None:
        self.capacity = capacity
        self.hits = 0
        self.misses = 0
        self._kept: OrderedDict[str, tuple[object, float]] = OrderedDict()

    def get(self, key: str, build: Callable[[], T], size: Callable[[T], float]) -> T:
        """Returns what was built under this key, building it if it is not kept.

        Args:
            key: Names the content completely: equal keys must mean interchangeable values.
            build: Makes the value.
            size: Measures it, in atoms say; one that is larger than the capacity is not kept.

        Returns:
            The value. Callers share it and must not change it.
        """
        if key in self._kept:
            self.hits += 1
            self._kept.move_to_end(key)
            return cast(T, self._kept[key][0])
        self.misses += 1
        value = build()
        self._kept[key] = (value, size(value))
        while self._kept and self.used > self.capacity:
            self._kept.popitem(last=False)
        return value

    @property
    def used(self) -> float:
        """How much is kept."""
        return sum(size for _, size in self._kept.values())

    @property
    def count(self) -> int:
        """How many values are kept."""
        return len(self._kept)
