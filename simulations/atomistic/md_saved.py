"""What a checkpoint of ``ase_md`` holds."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Self

from simulations.atomistic.calculators import Memory
from simulations.atomistic.evaluation import Array
from simulations.atomistic.packing import UnusableError, pack, unpack
from simulations.atomistic.statistics import RunningSlope, RunningStatistics
from simulations.growing import Extent

COLUMNS = (
    "step",
    "time_ps",
    "potential_energy_ev",
    "kinetic_energy_ev",
    "total_energy_ev",
    "temperature_k",
    "pressure_gpa",
)
"""Of the state table."""


@dataclass(frozen=True)
class Frame:
    """Numbers of one frame, in the units of their names. The pressure is None where there is none."""

    step: int
    time_ps: float
    potential_energy_ev: float
    kinetic_energy_ev: float
    total_energy_ev: float
    temperature_k: float
    pressure_gpa: float | None

    def row(self) -> bytes:
        """A line of the state table."""
        values = (getattr(self, name) for name in COLUMNS)
        return (
            ",".join("" if v is None else f"{v:.10g}" if isinstance(v, float) else str(v) for v in values) + "\n"
        ).encode("ascii")


@dataclass
class Averages:
    """Running averages over the frames, and the slope of the total energy in eV/ps."""

    potential: RunningStatistics = field(default_factory=RunningStatistics)
    kinetic: RunningStatistics = field(default_factory=RunningStatistics)
    total: RunningStatistics = field(default_factory=RunningStatistics)
    temperature: RunningStatistics = field(default_factory=RunningStatistics)
    pressure: RunningStatistics = field(default_factory=RunningStatistics)
    drift: RunningSlope = field(default_factory=RunningSlope)

    def add(self, frame: Frame) -> None:
        """Takes one more frame."""
        self.potential.add(frame.potential_energy_ev)
        self.kinetic.add(frame.kinetic_energy_ev)
        self.total.add(frame.total_energy_ev)
        self.temperature.add(frame.temperature_k)
        self.drift.add(frame.time_ps, frame.total_energy_ev)
        if frame.pressure_gpa is not None:
            self.pressure.add(frame.pressure_gpa)

    @property
    def state(self) -> dict[str, list[float]]:
        """All that they know, for `restored`."""
        return {name: getattr(self, name).state for name in self.__dataclass_fields__}

    @classmethod
    def restored(cls, state: dict[str, list[float]]) -> Self:
        """Averages that go on exactly from a `state`."""
        drift = RunningSlope.restored(state.pop("drift"))
        return cls(**{name: RunningStatistics.restored(value) for name, value in state.items()}, drift=drift)


@dataclass(frozen=True)
class Saved:
    """A checkpoint of a simulation.

    Attributes:
        identity: Names the simulation.
        step: Steps done.
        trajectory: What of the trajectory belongs to it.
        table: What of the state table does.
        resumed: How often it went on from a checkpoint.
        exact: Whether all steps so far are as if it had never been interrupted.
        wall_s: Wall time of the steps done.
        generator: State of the thermostat's random numbers.
        averages: Over the frames so far.
        memory: Of the calculator.
        positions: In Å, shape (atoms, 3).
        momenta: In ASE's unit, shape (atoms, 3).
    """

    identity: str
    step: int
    trajectory: Extent
    table: Extent
    resumed: int
    exact: bool
    wall_s: float
    generator: dict[str, Any]
    averages: Averages
    memory: Memory
    positions: Array
    momenta: Array

    def encode(self) -> bytes:
        """Its bytes."""
        about = {
            "identity": self.identity,
            "step": self.step,
            "trajectory": asdict(self.trajectory),
            "table": asdict(self.table),
            "resumed": self.resumed,
            "exact": self.exact,
            "wall_s": self.wall_s,
            "generator": self.generator,
            "averages": self.averages.state,
        }
        arrays = {f"memory.{name}": array for name, array in self.memory.items()}
        return pack(about, arrays | {"positions": self.positions, "momenta": self.momenta})

    @classmethod
    def decode(cls, content: bytes) -> Self:
        """Reads it.

        Raises:
            UnusableError: If another version of the Tool wrote it otherwise.
        """
        about, arrays = unpack(content)
        try:
            return cls(
                trajectory=Extent(**about.pop("trajectory")),
                table=Extent(**about.pop("table")),
                averages=Averages.restored(about.pop("averages")),
                positions=arrays.pop("positions"),
                momenta=arrays.pop("momenta"),
                memory={name.removeprefix("memory."): array for name, array in arrays.items()},
                **about,
            )
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise UnusableError(f"it was written otherwise: {type(error).__name__}: {error}") from error
