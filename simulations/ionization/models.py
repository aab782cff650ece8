"""What ``ionization_energy`` takes and returns. Users script against it: change it only with a new version."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

VERSION = "1"
"""The Tool's version."""

METHOD = "GFN2-xTB vertical IE, raw (no empirical shift)"

ForceFieldName = Literal["MMFF94", "UFF", "none"]


class IonizationRequest(BaseModel):
    """Inputs of ``ionization_energy``: one neutral molecule with closed shells, in vacuum."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)

    smiles: str = Field(
        min_length=1,
        max_length=2000,
        # RDKit takes what follows a space for a name, or for more to read.
        pattern=r"^[!-~]+$",
        description="SMILES of one neutral molecule without unpaired electrons, without spaces. Hydrogens are added.",
    )
    seed: int = Field(
        default=1,
        ge=1,
        le=2**31 - 1,
        description="Seed of the first geometries. Another seed may lead to another conformer, with another energy.",
    )
    conformers: int = Field(
        default=1,
        ge=1,
        le=500,
        description="How many first geometries are made; that of the lowest GFN2-xTB energy is relaxed. The ionization "
        "energies of a flexible molecule's conformers differ by 0.1 to 0.3 eV.",
    )
    force_field: ForceFieldName = Field(
        default="MMFF94",
        description="Relaxes the first geometries before GFN2-xTB does. A molecule that it has no parameters for is an "
        "error. none: GFN2-xTB begins with a geometry as embedded.",
    )
    fmax_ev_per_angstrom: float = Field(
        default=0.005,
        ge=0.001,
        le=0.5,
        description="The relaxation has converged when no atom's force is greater than this, in eV/Å.",
    )
    max_steps: int = Field(
        default=500, ge=1, le=100_000, description="Most steps of the relaxation. It fails if that is not enough."
    )
    max_atoms: int = Field(
        default=200,
        ge=1,
        le=2000,
        description="Refuses larger molecules: most atoms, hydrogens included. The time grows with their third power.",
    )


class IonizationResult(BaseModel):
    """What ``ionization_energy`` returns."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ionization_energy_ev: float = Field(
        description="Vertical ionization energy in eV: cation_energy_ev less neutral_energy_ev. Raw GFN2-xTB: about "
        "5 eV above what is measured, since nothing is subtracted for the method's known offset."
    )
    smiles: str = Field(description="Canonical SMILES, as RDKit writes it.")
    method: str = Field(description="How it was computed.")
    converged: bool = Field(description="Whether relaxation and both energies converged; else it would have failed.")
    neutral_energy_ev: float = Field(
        description="GFN2-xTB total energy of the relaxed neutral molecule (singlet), in eV."
    )
    cation_energy_ev: float = Field(
        description="GFN2-xTB total energy of the cation (charge +1, doublet) at the same geometry, in eV."
    )
    neutral_multiplicity: int = Field(description="Spin multiplicity of the neutral molecule: 1.")
    cation_multiplicity: int = Field(description="Spin multiplicity of the cation: 2.")
    formula: str = Field(description="Sum formula in Hill's order.")
    n_atoms: int = Field(description="Number of atoms, hydrogens included.")
    relaxation_steps: int = Field(description="Steps of the GFN2-xTB relaxation, over all attempts.")
    max_force_ev_per_angstrom: float = Field(
        description="Greatest force on an atom of the neutral molecule in the end, in eV/Å."
    )
    conformers: int = Field(description="How many first geometries there were to choose from.")
    force_field: ForceFieldName = Field(description="What relaxed the first geometries.")
    force_field_converged: bool | None = Field(
        description="Whether that came to its end within its steps for the one that was chosen; null with none. "
        "GFN2-xTB goes on from there."
    )
    unspecified_stereo: int = Field(
        description="Stereocentres and double bonds whose configuration the SMILES leaves open. The seed chose one."
    )
    resumed: int = Field(description="How often it went on from a checkpoint.")
