"""What is counted of each frame while it is there, for the means of the result."""

from __future__ import annotations

from typing import Any, Self

from simulations.md.output import Frame
from simulations.md.results import Blocks
from simulations.md.statistics import RunningDrift, RunningStatistics

MEANS = {
    "potential_energy_kj_mol": "potential_energy_kj_mol",
    "kinetic_energy_kj_mol": "kinetic_energy_kj_mol",
    "total_energy_kj_mol": "total_energy_kj_mol",
    "temperature_k": "temperature_k",
    "density_g_cm3": "density_g_cm3",
    "rmsd_over_frames_nm": "rmsd_nm",
    "radius_of_gyration_over_frames_nm": "radius_of_gyration_nm",
}
"""Fields of the result that are means, and of which number of a frame."""


class Averages:
    """Running statistics over the frames."""

    def __init__(self) -> None:
        self._means = {name: RunningStatistics() for name in MEANS}
        self._energy = RunningDrift()

    def add(self, frame: Frame) -> None:
        """Counts one more frame."""
        for name, source in MEANS.items():
            value = getattr(frame, source)
            if value is not None:
                self._means[name].add(value)
        self._energy.add(frame.time_ps * 1e-3, frame.total_energy_kj_mol)

    @property
    def count(self) -> int:
        """How many frames there were."""
        return self._means["potential_energy_kj_mol"].count

    @property
    def state(self) -> list[list[float]]:
        """All that it knows, for `restored`."""
        return [*(statistics.state for statistics in self._means.values()), self._energy.state]

    @classmethod
    def restored(cls, state: list[list[float]]) -> Self:
        """Averages that go on exactly from a `state`."""
        averages = cls()
        *means, energy = state
        averages._means = {name: RunningStatistics.restored(mean) for name, mean in zip(MEANS, means, strict=True)}
        averages._energy = RunningDrift.restored(energy)
        return averages

    def fields(self, dof: int, *, conserves_energy: bool) -> dict[str, Any]:
        """Fields of the result; there must have been a frame.

        Args:
            dof: Degrees of freedom.
            conserves_energy: Whether there is no thermostat.
        """
        means = {name: mean.result() if mean.count else None for name, mean in self._means.items()}
        return {**means, "energy_drift": self._energy.result(dof) if conserves_energy else None}

    def blocking(self) -> dict[str, list[Blocks]]:
        """The errors of the means from blocks of each length."""
        return {name: mean.blocks() for name, mean in self._means.items() if mean.count > 1}
