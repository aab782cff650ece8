"""Running averages of a stream of numbers, and the slope of one over another."""

from __future__ import annotations

import math

from simulations.atomistic.results import MeanStd


class RunningStatistics:
    """Mean and population standard deviation of a stream (Welford, Technometrics 4 (1962) 419)."""

    def __init__(self) -> None:
        self.count = 0
        self._mean = 0.0
        self._squares = 0.0

    def add(self, value: float) -> None:
        """Takes one more value."""
        self.count += 1
        delta = value - self._mean
        self._mean += delta / self.count
        self._squares += delta * (value - self._mean)

    @property
    def state(self) -> list[float]:
        """All that it knows, for `restored`."""
        return [self.count, self._mean, self._squares]

    @classmethod
    def restored(cls, state: list[float]) -> RunningStatistics:
        """Statistics that go on exactly from a `state`."""
        statistics = cls()
        statistics.count, statistics._mean, statistics._squares = int(state[0]), state[1], state[2]
        return statistics

    def result(self) -> MeanStd:
        """Mean and standard deviation of what was added; at least one value must have been."""
        return MeanStd(mean=self._mean, std=math.sqrt(self._squares / self.count))


class RunningSlope:
    """Slope of the least-squares line through a stream of points, updated as `RunningStatistics` are."""

    def __init__(self) -> None:
        self._state = [0.0, 0.0, 0.0, 0.0, 0.0]  # count, means of x and y, sums of dx² and dx dy

    def add(self, x: float, y: float) -> None:
        """Takes one more point."""
        count, mean_x, mean_y, squares, products = self._state
        count += 1
        delta = x - mean_x
        mean_x += delta / count
        mean_y += (y - mean_y) / count
        self._state = [count, mean_x, mean_y, squares + delta * (x - mean_x), products + delta * (y - mean_y)]

    @property
    def state(self) -> list[float]:
        """All that it knows, for `restored`."""
        return list(self._state)

    @classmethod
    def restored(cls, state: list[float]) -> RunningSlope:
        """A slope that goes on exactly from a `state`."""
        slope = cls()
        slope._state = list(state)
        return slope

    def result(self) -> float | None:
        """The slope in units of y per x; None if the points have fewer than two different x."""
        _, _, _, squares, products = self._state
        return products / squares if squares > 0 else None
