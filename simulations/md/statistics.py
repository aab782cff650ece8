"""Statistics of a stream of frames in bounded memory: means with their errors, and drifts. All go on exactly."""

from __future__ import annotations

import math
from typing import Self

from simulations.md.results import Blocks, EnergyDrift, MeanStd

LEAST_BLOCKS = 8
"""With fewer blocks an error is itself uncertain by more than 27 %: 1 / sqrt(2 (n - 1))."""


class _Level:
    """Mean and sum of squared deviations of a stream (Welford, Technometrics 4 (1962) 419), and its half block."""

    __slots__ = ("count", "half", "mean", "squares")

    def __init__(self, count: int = 0, mean: float = 0.0, squares: float = 0.0, half: float = 0.0) -> None:
        self.count = count
        self.mean = mean
        self.squares = squares
        self.half = half

    def add(self, value: float) -> None:
        self.count += 1
        delta = value - self.mean
        self.mean += delta / self.count
        self.squares += delta * (value - self.mean)

    @property
    def sem(self) -> float:
        """Standard error of the mean, if the values were independent."""
        return math.sqrt(self.squares / (self.count * (self.count - 1)))


class RunningStatistics:
    """Mean, population standard deviation, and the standard error of the mean of correlated values.

    The error comes from blocks (Flyvbjerg & Petersen, J. Chem. Phys. 91 (1989) 461): means of 2, 4, 8 … successive
    values are less and less correlated, and their standard error rises to that of the mean. The blocks taken are the
    shortest whose length B satisfies B³ > 2 n (e_B / e_1)⁴, with n values and the standard error e_B from blocks of
    length B (Wolff, Comput. Phys. Commun. 156 (2004) 143; Lee et al., Phys. Rev. E 83 (2011) 066706): longer ones
    would be known too badly, shorter ones are still correlated. If fewer than `LEAST_BLOCKS` are left there is no
    error to be told: the run is too short for its correlation time, or the quantity still drifts.

    It keeps one running mean for each length of blocks, so its memory grows with the logarithm of the frames.
    """

    def __init__(self) -> None:
        self._levels = [_Level()]

    @property
    def count(self) -> int:
        """How many values were added."""
        return self._levels[0].count

    def add(self, value: float) -> None:
        """Takes one more value."""
        for level in self._levels:
            level.add(value)
            if level.count % 2:
                level.half = value
                return
            value = (level.half + value) / 2
        level = _Level()
        level.add(value)
        level.half = value
        self._levels.append(level)

    @property
    def state(self) -> list[float]:
        """All that it knows, for `restored`."""
        return [number for level in self._levels for number in (level.count, level.mean, level.squares, level.half)]

    @classmethod
    def restored(cls, state: list[float]) -> Self:
        """Statistics that go on exactly from a `state`."""
        statistics = cls()
        statistics._levels = [_Level(int(state[i]), *state[i + 1 : i + 4]) for i in range(0, len(state), 4)]
        return statistics

    def blocks(self) -> list[Blocks]:
        """The standard error from blocks of each length of which there are at least two."""
        return [
            Blocks(frames=2**index, blocks=level.count, sem=level.sem)
            for index, level in enumerate(self._levels)
            if level.count > 1
        ]

    def result(self) -> MeanStd:
        """Mean, standard deviation, and error of what was added; at least one value must have been."""
        first = self._levels[0]
        sem, n_effective = self._error()
        return MeanStd(mean=first.mean, std=math.sqrt(first.squares / first.count), sem=sem, n_effective=n_effective)

    def _error(self) -> tuple[float | None, float | None]:
        n = self.count
        if n < LEAST_BLOCKS:
            return None, None
        naive = self._levels[0].sem
        if naive == 0:
            return 0.0, float(n)  # a constant, such as the volume of a rigid box
        for index, level in enumerate(self._levels):
            if level.count < LEAST_BLOCKS:
                break
            ratio = level.sem / naive
            if 8.0**index > 2 * n * ratio**4:
                # Blocks that vary less than independent values would are noise more often than anticorrelation.
                sem = max(level.sem, naive)
                return sem, n * (naive / sem) ** 2
        return None, None


class RunningDrift:
    """A straight line through a stream of points by least squares, without keeping them."""

    def __init__(self) -> None:
        self._count = 0
        self._x = self._y = self._xx = self._xy = self._yy = 0.0

    def add(self, x: float, y: float) -> None:
        """Takes one more point."""
        self._count += 1
        dx, dy = x - self._x, y - self._y
        self._x += dx / self._count
        self._y += dy / self._count
        self._xx += dx * (x - self._x)
        self._xy += dx * (y - self._y)
        self._yy += dy * (y - self._y)

    @property
    def state(self) -> list[float]:
        """All that it knows, for `restored`."""
        return [self._count, self._x, self._y, self._xx, self._xy, self._yy]

    @classmethod
    def restored(cls, state: list[float]) -> Self:
        """A line that goes on exactly from a `state`."""
        drift = cls()
        drift._count = int(state[0])
        drift._x, drift._y, drift._xx, drift._xy, drift._yy = state[1:]
        return drift

    def result(self, dof: int) -> EnergyDrift | None:
        """The drift of an energy in kJ/mol over a time in ns.

        Args:
            dof: Degrees of freedom, at least one.

        Returns:
            None with fewer than three points: two lie on a line however it drifts.
        """
        if self._count < 3 or dof < 1:
            return None
        slope = self._xy / self._xx
        left = max(self._yy - slope * self._xy, 0.0)
        return EnergyDrift(
            kj_mol_ns=slope,
            kj_mol_ns_per_dof=slope / dof,
            sem_kj_mol_ns=math.sqrt(left / (self._count - 2) / self._xx),
            scatter_kj_mol=math.sqrt(left / self._count),
        )
