"""What a checkpoint of ``relax`` holds."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Self

from simulations.atomistic.calculators import Memory
from simulations.atomistic.evaluation import Array
from simulations.atomistic.packing import Arrays, UnusableError, pack, unpack
from simulations.growing import Extent


@dataclass(frozen=True)
class Saved:
    """A checkpoint of a relaxation.

    Attributes:
        identity: Names the simulation.
        ase: Version of ASE that wrote it.
        step: Steps done.
        energy_before_ev: Energy of the structure as it came.
        trajectory: What of the trajectory belongs to it.
        resumed: How often it went on from a checkpoint.
        exact: Whether all steps so far are as if it had never been interrupted.
        wall_s: Wall time of the steps done.
        numbers: Of the optimizer.
        optimizer: Arrays of the optimizer.
        memory: Of the calculator.
        positions: In Å, shape (atoms, 3).
        cell: In Å, shape (3, 3).
    """

    identity: str
    ase: str
    step: int
    energy_before_ev: float
    trajectory: Extent
    resumed: int
    exact: bool
    wall_s: float
    numbers: dict[str, Any]
    optimizer: Arrays
    memory: Memory
    positions: Array
    cell: Array

    def encode(self) -> bytes:
        """Its bytes."""
        about = {name: value for name, value in asdict(self).items() if name not in _ARRAY_FIELDS}
        arrays = {f"optimizer.{name}": array for name, array in self.optimizer.items()}
        arrays |= {f"memory.{name}": array for name, array in self.memory.items()}
        return pack(about, arrays | {"positions": self.positions, "cell": self.cell})

    @classmethod
    def decode(cls, content: bytes) -> Self:
        """Reads it.

        Raises:
            UnusableError: If another version of the Tool wrote it otherwise.
        """
        about, arrays = unpack(content)
        try:
            return cls(
                **{**about, "trajectory": Extent(**about["trajectory"])},
                optimizer=_part(arrays, "optimizer."),
                memory=_part(arrays, "memory."),
                positions=arrays["positions"],
                cell=arrays["cell"],
            )
        except (KeyError, TypeError) as error:
            raise UnusableError(f"it was written otherwise: {type(error).__name__}: {error}") from error


_ARRAY_FIELDS = ("optimizer", "memory", "positions", "cell")


def _part(arrays: Arrays, prefix: str) -> Arrays:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
