"""What the three Tools take. Users script against it: change it only with a new version."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from simulations.atomistic.inputs import AtomisticInputs

VERSION = "1"
"""Version of ``single_point`` and ``ase_md``, and of all checkpoints."""

RELAX_VERSION = "2"
"""Version of ``relax``. 2: the relaxed structure stands in the result."""

OptimizerName = Literal["bfgs", "lbfgs", "lbfgslinesearch", "fire"]
CellRelaxation = Literal["none", "full", "hydrostatic"]
Ensemble = Literal["NVE", "NVT"]

DEFAULT_FRICTION_PER_PS = 10.0


class SinglePointRequest(AtomisticInputs):
    """Inputs of ``single_point``: energy, forces and stress of a structure as it is."""


class RelaxRequest(AtomisticInputs):
    """Inputs of ``relax``: a structure is moved downhill until no force on an atom, and none on the cell, is left."""

    optimizer: OptimizerName = Field(
        default="lbfgs",
        description="bfgs: quasi-Newton with a dense Hessian, few atoms. lbfgs: with little memory. lbfgslinesearch: "
        "the same with a line search, robust and with more evaluations. fire: damped dynamics, far from the minimum.",
    )
    fmax_ev_per_angstrom: float = Field(
        default=0.01,
        gt=0,
        le=10,
        description="Converged when the force on each atom is below this, in eV/Å; with relax_cell also the three "
        "rows of the virial, divided by the number of atoms.",
    )
    max_steps: int = Field(default=500, ge=1, le=10**6, description="Most steps of the optimizer.")
    relax_cell: CellRelaxation = Field(
        default="none",
        description="none: the cell stays. full: shape and volume are relaxed too. hydrostatic: the volume only.",
    )
    pressure_gpa: float | None = Field(
        default=None,
        ge=-1000,
        le=10_000,
        description="External pressure in GPa; only if the cell is relaxed, where it is 0 if not given.",
    )
    require_convergence: bool = Field(
        default=True,
        description="Whether a relaxation that has not converged after max_steps is a failure. If false, the result "
        "says converged: false.",
    )
    checkpoint_interval_s: float = Field(
        default=300.0, gt=0, le=86_400, description="Wall time between checkpoints, in s; also at a pause."
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_pressure(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("relax_cell") in ("full", "hydrostatic"):
            return {**data, "pressure_gpa": 0.0 if data.get("pressure_gpa") is None else data["pressure_gpa"]}
        return data

    @model_validator(mode="after")
    def _check_cell(self) -> Self:
        if self.relax_cell == "none" and self.pressure_gpa is not None:
            raise ValueError("pressure_gpa has no meaning if the cell stays: leave it out, or set relax_cell")
        if self.relax_cell != "none" and (self.molecule is not None or self.smiles is not None):
            raise ValueError("relax_cell needs a crystal: a molecule in vacuum has no cell")
        return self


class AseMdRequest(AtomisticInputs):
    """Inputs of ``ase_md``: molecular dynamics with any of the calculators.

    NVE is velocity Verlet; NVT is Langevin dynamics (Vanden-Eijnden and Ciccotti, Chem. Phys. Lett. 2006, 429, 310).
    """

    ensemble: Ensemble = Field(description="NVE: constant energy. NVT: constant temperature, Langevin thermostat.")
    steps: int = Field(ge=1, le=10**10, description="Integration steps.")
    timestep_fs: float = Field(
        gt=0,
        le=50,
        description="Timestep in fs. 0.5 with hydrogen, 1 to 2 with light atoms, 5 with heavy metals.",
    )
    temperature_k: float = Field(
        gt=0,
        le=100_000,
        description="Temperature in K of the thermostat and of the first velocities. With NVE, a structure that begins "
        "relaxed comes to about half of it, as half of the energy becomes potential.",
    )
    friction_per_ps: float | None = Field(
        default=None,
        gt=0,
        le=1000,
        description=f"Langevin friction in 1/ps; only with NVT, where it is {DEFAULT_FRICTION_PER_PS:g} if not given.",
    )
    velocities: Literal["random", "structure"] = Field(
        default="random",
        description="First velocities. random: drawn at temperature_k. structure: those in the file (extended XYZ with "
        "momenta), such as the final_structure of another run. Motion of the centre of mass is removed from either.",
    )
    seed: int = Field(default=1, ge=1, le=2**31 - 1, description="Seed of first velocities and thermostat.")
    report_interval_steps: int = Field(
        default=100,
        ge=1,
        le=10**9,
        description="Steps between frames. There is also a frame at the last step if it is no multiple of this. "
        "Averages are over these frames.",
    )
    checkpoint_interval_s: float = Field(
        default=300.0, gt=0, le=86_400, description="Wall time between checkpoints, in s; also at a pause."
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_friction(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("ensemble") == "NVT" and data.get("friction_per_ps") is None:
            return {**data, "friction_per_ps": DEFAULT_FRICTION_PER_PS}
        return data

    @model_validator(mode="after")
    def _check_dynamics(self) -> Self:
        if self.ensemble != "NVT" and self.friction_per_ps is not None:
            raise ValueError(f"friction_per_ps has no meaning with ensemble {self.ensemble}: leave it out, or use NVT")
        if self.velocities == "structure" and self.structure is None:
            raise ValueError("velocities structure needs a file with momenta: give structure, or use random")
        return self
