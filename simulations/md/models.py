"""What ``md`` takes and what it returns. Users script against both: change them only with a new version."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from simulations.md.forcefields import FORCE_FIELDS

SHIPPED = ("alanine-dipeptide", "ala10", "chignolin")
"""Structures that need no file; see ``simulations/structures/README.md``."""

CAPPED = ("alanine-dipeptide", "ala10")
"""Those with residues ACE and NME."""

VERSION = "2"
"""The Tool's version."""

DEFAULT_PRESSURE_BAR = 1.0
DEFAULT_PADDING_NM = 1.0

ForceFieldName = Literal["amber14", "amber19", "amber99sbildn", "charmm36"]
Solvent = Literal["vacuum", "implicit", "explicit"]
PlatformName = Literal["auto", "CPU", "Reference", "CUDA", "HIP", "OpenCL"]


class MdRequest(BaseModel):
    """Inputs of ``md``. Langevin dynamics (LFMiddle, J. Phys. Chem. A 2019, 123, 6056) at constant temperature."""

    # Strict: "300", true and 1.0 steps are mistakes in a batch file more often than they are meant.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)

    structure: str = Field(
        min_length=1,
        max_length=4096,
        description="A PDB or mmCIF file, with all hydrogens, or the name of a shipped structure: "
        + ", ".join(SHIPPED)
        + ". Of several models the first is used. Nothing is repaired.",
        json_schema_extra={"x-file": list(SHIPPED)},
    )
    steps: int = Field(ge=1, le=10**12, description="Integration steps of the production run.")
    force_field: ForceFieldName = Field(
        default="amber14",
        description="amber14 is ff14SB (TIP3P if explicit), amber19 is ff19SB (OPC), amber99sbildn is ff99SB-ILDN "
        "(TIP3P), charmm36 is CHARMM36 (CHARMM's TIP3P), which has no residues ACE and NME.",
    )
    solvent: Solvent = Field(
        default="implicit",
        description="vacuum and implicit (Generalized Born, OBC2): no cutoff, no box. explicit: water and neutralising "
        "Na+/Cl- in a cubic periodic box, PME, cutoff 1.0 nm (charmm36: 1.2 nm, switched from 1.0 nm). A file that "
        "already is a box full of water keeps its own box and water.",
    )
    padding_nm: float | None = Field(
        default=None,
        gt=0,
        le=10,
        description="Distance from the sphere around the solute to the faces of the box, in nm; periodic copies "
        f"are twice this apart. Only with explicit solvent that is added, where null means {DEFAULT_PADDING_NM}.",
    )
    ionic_strength_m: float = Field(
        default=0.0,
        ge=0,
        le=5,
        description="NaCl in the added water, in mol/L, beside the ions that neutralise. Only with explicit solvent.",
    )
    ensemble: Literal["NVT", "NPT"] = Field(
        default="NVT", description="NPT adds a Monte Carlo barostat, every 25 steps; only with explicit solvent."
    )
    pressure_bar: float | None = Field(
        default=None,
        ge=-1000,
        le=100_000,
        description=f"Pressure in bar; only with NPT, where it is {DEFAULT_PRESSURE_BAR} if not given.",
    )
    temperature_k: float = Field(
        default=300.0, gt=0, le=2000, description="Temperature of thermostat and of the first velocities, in K."
    )
    timestep_fs: float = Field(default=2.0, gt=0, le=5, description="Timestep in fs.")
    friction_per_ps: float = Field(default=1.0, gt=0, le=1000, description="Langevin friction, in 1/ps.")
    constraints: Literal["none", "hbonds"] = Field(
        default="hbonds", description="Bonds of fixed length: none, or all to hydrogen. Water is rigid either way."
    )
    minimize: bool = Field(
        default=True,
        description="Minimise the potential energy first (L-BFGS, to 10 kJ/mol/nm root mean square force).",
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
        description="OpenMM platform. auto takes the fastest that works on the worker; the result says which. A named "
        "one that is not there is an error.",
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_pressure(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("ensemble") == "NPT" and data.get("pressure_bar") is None:
            return {**data, "pressure_bar": DEFAULT_PRESSURE_BAR}
        return data

    @model_validator(mode="after")
    def _check_force_field(self) -> Self:
        if self.solvent == "implicit" and FORCE_FIELDS[self.force_field].implicit is None:
            options = ", ".join(name for name, fields in FORCE_FIELDS.items() if fields.implicit)
            raise ValueError(f"force_field {self.force_field} has no implicit solvent: choose one of {options}")
        if self.force_field == "charmm36" and self.structure in CAPPED:
            raise ValueError(
                f"force_field charmm36 has no residues ACE and NME, which structure {self.structure} has: choose an "
                "amber force field, or structure chignolin"
            )
        return self

    @model_validator(mode="after")
    def _check_combination(self) -> Self:
        if self.solvent != "explicit":
            if self.padding_nm is not None:
                raise ValueError(f"padding_nm has no meaning with solvent {self.solvent}: leave it out or use explicit")
            if self.ionic_strength_m != 0:
                raise ValueError(f"ionic_strength_m needs solvent explicit, not {self.solvent}: leave it out")
            if self.ensemble == "NPT":
                raise ValueError(f"ensemble NPT needs solvent explicit, not {self.solvent}: there is no box to scale")
        if self.ensemble != "NPT" and self.pressure_bar is not None:
            raise ValueError(f"pressure_bar has no meaning with ensemble {self.ensemble}: leave it out or use NPT")
        return self


class MeanStd(BaseModel):
    """Mean and population standard deviation (divided by n, not n-1) over the frames."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mean: float = Field(description="Arithmetic mean over the frames, in the unit of the quantity.")
    std: float = Field(description="Population standard deviation over the frames, in the unit of the quantity.")


class WallTime(BaseModel):
    """Where the wall time went, over all attempts.

    What came from the worker's cache costs nothing; work that was lost with an attempt does not count.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    build: float = Field(description="Reading, parametrising, solvating, and making the context, in s.")
    minimize: float = Field(description="Minimisation, in s.")
    integrate: float = Field(description="All steps with their reports and checkpoints, in s.")


class MdResult(BaseModel):
    """What ``md`` returns. Energies and temperatures are over the frames of the trajectory, the start excluded."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(description="Steps that were integrated.")
    simulated_ns: float = Field(description="Simulated time in ns: steps times timestep.")
    ns_per_day: float = Field(description="Simulated ns per day of wall time spent integrating, reports included.")
    platform: str = Field(description="OpenMM platform that ran it.")
    threads: int | None = Field(description="Threads of the CPU platform; null on the others.")
    potential_energy_kj_mol: MeanStd = Field(description="Potential energy of all atoms, in kJ/mol.")
    kinetic_energy_kj_mol: MeanStd = Field(description="Kinetic energy of all atoms, in kJ/mol.")
    temperature_k: MeanStd = Field(
        description="Instantaneous temperature in K: 2 E_kin / (f R), with f = 3 per massive particle, less the "
        "constraints, less 3 for the centre of mass."
    )
    density_g_cm3: MeanStd | None = Field(description="Density of the box in g/cm3; null without a box.")
    rmsd_nm: float | None = Field(
        description="Root mean square deviation in nm of the last frame from the start of production (the coordinates "
        "of the artifact topology), unweighted over the solute's heavy atoms, after superposition (Kabsch 1976). "
        "Null if the solute has none. Solute: every residue but water and single-atom ions."
    )
    radius_of_gyration_nm: float | None = Field(
        description="Mass-weighted radius of gyration of all atoms of the solute in the last frame, in nm. Null "
        "without a solute."
    )
    n_atoms: int = Field(description="Particles in topology and trajectory, solvent and virtual sites included.")
    n_frames: int = Field(description="Frames of the trajectory, and rows of the state table.")
    resumed: int = Field(description="How often it went on from a checkpoint.")
    exact: bool = Field(
        description="Whether the trajectory is as if it had never been interrupted: each time it went on with the same "
        "random numbers, on the same platform and kind of device. With NPT, false once it was interrupted, for then "
        "the barostat learns the size of its moves anew. Either way no frame is missing or there twice."
    )
    box: Literal["none", "built", "kept"] = Field(
        description="Periodic box: none, built around the solute, or kept from the structure with its water."
    )
    minimized: bool = Field(description="Whether the start was minimised.")
    built_from_cache: bool = Field(description="Whether the worker had the same minimised system from before.")
    wall_s: WallTime = Field(description="Wall time by phase, in s.")
