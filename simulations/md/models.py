"""What ``md`` takes. Users script against it: change it only with a new version."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from simulations.md.molecule_inputs import MoleculeInputs
from simulations.md.stage_inputs import (
    DEFAULT_RESTRAINT_KJ_MOL_NM2,
    Restraint,
    Stage,
    check_restraint,
    with_restraint_default,
)

VERSION = "3"
"""The Tool's version."""

DEFAULT_PRESSURE_BAR = 1.0
DEFAULT_FRICTION_PER_PS = 1.0

PlatformName = Literal["auto", "CPU", "Reference", "CUDA", "HIP", "OpenCL"]


class MdRequest(MoleculeInputs):
    """Inputs of ``md``.

    Langevin dynamics (LFMiddle, J. Phys. Chem. A 2019, 123, 6056) at constant temperature, or Verlet dynamics.
    """

    steps: int = Field(ge=1, le=10**12, description="Integration steps of the production run.")
    stages: tuple[Stage, ...] = Field(
        default=(),
        max_length=20,
        strict=False,
        description="Stages that are run before production, in this order: each has kind (heat or equilibrate), steps, "
        "and may have from_temperature_k, temperature_k, ensemble, restraint and restraint_kj_mol_nm2. They are saved "
        "and gone on with like production, and leave no frames.",
    )
    restart: str | None = Field(
        default=None,
        min_length=1,
        max_length=4096,
        description="The artifact final_state of another run of the same atoms, or any OpenMM State in XML: "
        "coordinates, velocities and box are taken from it, and nothing is minimised. The other inputs must describe "
        "the same atoms. Steps count from zero again.",
        json_schema_extra={"x-file": []},
    )
    ensemble: Literal["NVT", "NPT", "NVE"] = Field(
        default="NVT",
        description="NVT: Langevin thermostat. NPT adds a Monte Carlo barostat, every 25 steps; only with explicit "
        "solvent. NVE: neither (Verlet).",
    )
    pressure_bar: float | None = Field(
        default=None,
        ge=-1000,
        le=100_000,
        description=f"Pressure in bar; only with NPT, where it is {DEFAULT_PRESSURE_BAR} if not given.",
    )
    temperature_k: float = Field(
        default=300.0,
        gt=0,
        le=2000,
        description="Temperature of thermostat and of the first velocities, in K. With NVE of the first velocities "
        "only.",
    )
    timestep_fs: float = Field(
        default=2.0,
        gt=0,
        le=5,
        description="Timestep in fs. As a rule at most 1 without constraints, 2 with constraints hbonds, and 4 if also "
        "hydrogen_mass_da is 3 or more; the result remarks on longer ones.",
    )
    friction_per_ps: float | None = Field(
        default=None,
        gt=0,
        le=1000,
        description=f"Langevin friction, in 1/ps: {DEFAULT_FRICTION_PER_PS} if not given. Not with NVE, except for its "
        "stages.",
    )
    constraints: Literal["none", "hbonds", "allbonds", "hangles"] = Field(
        default="hbonds",
        description="Of fixed length: none, bonds to hydrogen, all bonds, or all bonds and the angles H-X-H and "
        "H-O-X. Water is rigid either way.",
    )
    hydrogen_mass_da: float | None = Field(
        default=None,
        ge=1.0,
        le=4.0,
        description="Mass of hydrogens in Da, taken from the atom that each is bonded to, those of water excepted "
        "(hydrogen mass repartitioning); null leaves them as they are. With 3, timesteps of 4 fs are usual.",
    )
    restraint: Restraint = Field(
        default="none",
        description="Atoms of the solute that are held near their places at the start (the artifact topology) by a "
        "harmonic potential: none, heavy (all but hydrogen), backbone (N, CA, C, O) or calpha. Its energy is part of "
        "the potential energy.",
    )
    restraint_kj_mol_nm2: float | None = Field(
        default=None,
        gt=0,
        le=1e7,
        description="Force constant k of the restraint's k/2 r², in kJ/mol/nm²; only with a restraint, where it is "
        f"{DEFAULT_RESTRAINT_KJ_MOL_NM2} if not given.",
    )
    minimize: bool = Field(
        default=True,
        description="Minimise the potential energy first (L-BFGS, to 10 kJ/mol/nm root mean square force). false if "
        "not given with restart.",
    )
    minimize_max_iterations: int = Field(
        default=1000, ge=1, le=10**7, description="Most iterations of the minimiser; it ends earlier if it converges."
    )
    seed: int = Field(default=1, ge=1, le=2**31 - 1, description="Seed of first velocities, thermostat and barostat.")
    report_interval_steps: int = Field(
        default=1000,
        ge=1,
        le=10**9,
        description="Steps between frames. There is also a frame at the last step if it is no multiple of this, so a "
        "run shorter than the interval has one frame. Averages are over these frames.",
    )
    checkpoint_interval_s: float = Field(
        default=300.0,
        gt=0,
        le=86_400,
        description="Wall time between checkpoints, in s; also at a pause and at the end.",
    )
    platform: PlatformName = Field(
        default="auto",
        description="OpenMM platform. auto takes the fastest that works on the worker, and on one that owns an "
        "accelerator a GPU's only; the result says which. A named one that is not there is an error.",
    )

    @property
    def ensembles(self) -> set[str]:
        """The ensembles of production and all stages."""
        return {self.ensemble, *(stage.ensemble for stage in self.stages)}

    @property
    def stage_steps(self) -> int:
        """Steps of all stages, which are taken before those of production."""
        return sum(stage.steps for stage in self.stages)

    @model_validator(mode="before")
    @classmethod
    def _fill_defaults(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        ensembles = _ensembles(data)
        filled = dict(with_restraint_default(data))
        if "NPT" in ensembles and filled.get("pressure_bar") is None:
            filled["pressure_bar"] = DEFAULT_PRESSURE_BAR
        if ensembles - {"NVE"} and filled.get("friction_per_ps") is None:
            filled["friction_per_ps"] = DEFAULT_FRICTION_PER_PS
        if filled.get("restart") is not None:
            filled.setdefault("minimize", False)
        return filled

    @model_validator(mode="after")
    def _check_ensemble(self) -> Self:
        if "NPT" in self.ensembles and self.solvent != "explicit":
            raise ValueError(f"ensemble NPT needs solvent explicit, not {self.solvent}: there is no box to scale")
        if "NPT" not in self.ensembles and self.pressure_bar is not None:
            raise ValueError(f"pressure_bar has no meaning with ensemble {self.ensemble}: leave it out or use NPT")
        if self.ensembles == {"NVE"} and self.friction_per_ps is not None:
            raise ValueError("friction_per_ps has no meaning with ensemble NVE, which has no thermostat: leave it out")
        return self

    @model_validator(mode="after")
    def _check_rest(self) -> Self:
        check_restraint(self.restraint, self.restraint_kj_mol_nm2)
        if self.restart is not None and self.minimize:
            raise ValueError(
                "minimize has no meaning with restart, whose velocities belong to its coordinates: leave it out"
            )
        if self.water_box_nm is not None and {self.restraint, *(s.restraint for s in self.stages)} != {"none"}:
            raise ValueError("restraint has no meaning with water_box_nm, which has no solute: leave it out")
        return self


def _ensembles(data: dict[str, Any]) -> set[Any]:
    """What unchecked inputs say of ensembles, as far as they are what they should be."""
    stages = data.get("stages") or ()
    parts = [data, *(stages if isinstance(stages, list | tuple) else ())]
    said = [
        part.get("ensemble", "NVT") if isinstance(part, dict) else getattr(part, "ensemble", "NVT") for part in parts
    ]
    return {ensemble for ensemble in said if isinstance(ensemble, str)}
