"""What the three Tools return. Users script against it: change it only with a new version."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

MOST_INLINE = 200
"""Most atoms of a structure that stands in a result itself: about 15 kB of JSON."""


class MeanStd(BaseModel):
    """Mean and population standard deviation (divided by n, not n-1) over the frames."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mean: float = Field(description="Arithmetic mean over the frames, in the unit of the quantity.")
    std: float = Field(description="Population standard deviation over the frames, in the unit of the quantity.")


class Cell(BaseModel):
    """A unit cell."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    lengths_angstrom: list[float] = Field(description="Lengths a, b and c of the cell vectors, in Å.")
    angles_degree: list[float] = Field(description="Angles alpha, beta and gamma between them, in degrees.")
    volume_angstrom3: float = Field(description="Volume in Å3.")


class Geometry(BaseModel):
    """Atoms and cell, with all digits."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    symbols: list[str] = Field(description="Symbol of each atom's element.")
    positions_angstrom: list[list[float]] = Field(description="Cartesian coordinates of each atom, in Å.")
    cell_angstrom: list[list[float]] | None = Field(
        description="The three cell vectors, in Å; null if it is not periodic in all directions."
    )


class Background(BaseModel):
    """What the numbers are of. It stands behind them in all three results."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    n_atoms: int = Field(description="Number of atoms, those that are fixed included.")
    n_fixed: int = Field(description="Number of atoms that the structure's file fixes.")
    method: str = Field(description="What computed energies and forces.")
    charge: int | None = Field(description="Total charge in e; null for calculators that know none.")
    multiplicity: int | None = Field(
        description="2S+1, which for gfn1 and gfn2 sets the number of unpaired electrons; null for the others."
    )


class SinglePointNumbers(BaseModel):
    """What was computed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    formula: str = Field(description="Sum formula of all atoms, by Hill's convention.")
    energy_ev: float = Field(
        description="Potential energy in eV. Its zero is the calculator's own: only differences of one method count."
    )
    energy_per_atom_ev: float = Field(description="The same, divided by the number of atoms.")
    max_force_ev_per_angstrom: float = Field(description="Greatest force on an atom, fixed ones included, in eV/Å.")
    stress_gpa: list[float] | None = Field(
        description="Stress xx, yy, zz, yz, xz, xy in GPa, positive under tension. Null if it is not periodic in all "
        "directions."
    )
    pressure_gpa: float | None = Field(description="Pressure in GPa, minus a third of the stress's trace; or null.")
    cell: Cell | None = Field(description="The cell; null if it is not periodic in all directions.")
    converged: Literal[True] = Field(
        description="Always true. With gfn1 and gfn2 the self-consistent field has converged: it is an error if not. "
        "The others iterate nothing."
    )


class SinglePointResult(Background, SinglePointNumbers):
    """What ``single_point`` returns. All forces are in the artifact ``structure``."""


class RelaxNumbers(BaseModel):
    """What was computed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    formula: str = Field(description="Sum formula of all atoms, by Hill's convention.")
    converged: bool = Field(description="Whether it converged; false only with require_convergence: false.")
    steps: int = Field(description="Steps of the optimizer; 0 if the structure was converged as it came.")
    energy_before_ev: float = Field(description="Potential energy of the structure as it came, in eV.")
    energy_ev: float = Field(description="Potential energy of the last structure, in eV.")
    energy_per_atom_ev: float = Field(description="The same, divided by the number of atoms.")
    enthalpy_ev: float | None = Field(
        description="energy_ev plus pressure times volume, which is what was minimised; null if the cell stayed."
    )
    max_force_ev_per_angstrom: float = Field(description="Greatest force on an atom that is not fixed, in eV/Å.")
    fmax_reached_ev_per_angstrom: float = Field(
        description="What was compared with fmax_ev_per_angstrom: that, or the greatest row of the virial divided by "
        "the number of atoms, if the cell was relaxed and that is more."
    )
    stress_gpa: list[float] | None = Field(
        description="Stress of the last structure, xx, yy, zz, yz, xz, xy, in GPa, positive under tension. Null if it "
        "is not periodic in all directions."
    )
    cell_before: Cell | None = Field(description="The cell as it came; null if not periodic in all directions.")
    cell: Cell | None = Field(description="The last cell; null if not periodic in all directions.")
    structure: Geometry | None = Field(
        description=f"The last structure, if it has at most {MOST_INLINE} atoms; null: it has more. That of any size "
        "is the artifact relaxed_structure."
    )
    n_frames: int = Field(description="Frames of the trajectory: the structure as it came, and one after each step.")
    resumed: int = Field(description="How often it went on from a checkpoint.")
    exact: bool = Field(
        description="Whether each step is as if it had never been interrupted. The optimizer's memory is always kept. "
        "With gfn1, gfn2, chgnet and mace false once it was interrupted: their last digits may depend on what was "
        "computed before."
    )
    wall_s: float = Field(description="Wall time of all steps, over all attempts whose work is in it, in s.")


class RelaxResult(Background, RelaxNumbers):
    """What ``relax`` returns. The structure is the artifact ``relaxed_structure``."""


class AseMdNumbers(BaseModel):
    """What was computed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    formula: str = Field(description="Sum formula of all atoms, by Hill's convention.")
    steps: int = Field(description="Steps that were integrated.")
    simulated_ns: float = Field(description="Simulated time in ns: steps times timestep.")
    ns_per_day: float = Field(description="Simulated ns per day of wall time, reports included.")
    potential_energy_ev: MeanStd = Field(description="Potential energy in eV.")
    kinetic_energy_ev: MeanStd = Field(description="Kinetic energy in eV.")
    total_energy_ev: MeanStd = Field(description="Their sum in eV.")
    temperature_k: MeanStd = Field(
        description="Instantaneous temperature in K: 2 E_kin / (f k_B), with f the degrees of freedom."
    )
    degrees_of_freedom: int = Field(
        description="3 for each atom that can move, less 3 for the centre of mass unless atoms are fixed."
    )
    energy_drift_ev_per_atom_per_ps: float | None = Field(
        description="With NVE: slope of the least-squares line through the total energy, in eV per atom and ps. It "
        "should be small against 1e-4. Null with NVT, or with a single frame."
    )
    pressure_gpa: MeanStd | None = Field(
        description="Pressure in GPa, with the ideal-gas part; null if not periodic in all directions."
    )
    cell: Cell | None = Field(description="The cell, which stays; null if not periodic in all directions.")
    n_frames: int = Field(description="Frames of the trajectory, and rows of the state table.")
    resumed: int = Field(description="How often it went on from a checkpoint.")
    exact: bool = Field(
        description="Whether the trajectory is as if it had never been interrupted. Positions, velocities and random "
        "numbers always go on where they were. With gfn1, gfn2, chgnet and mace false once it was interrupted: their "
        "last digits may depend on what was computed before, and trajectories drift apart from there."
    )
    wall_s: float = Field(description="Wall time of all steps, over all attempts whose work is in it, in s.")


class AseMdResult(Background, AseMdNumbers):
    """What ``ase_md`` returns. Averages are over the frames, the start excluded."""
