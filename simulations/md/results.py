"""What ``md`` returns. Users script against it: change it only with a new version."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class MeanStd(BaseModel):
    """Mean over the frames, its statistical error, and the population standard deviation (divided by n, not n-1)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mean: float = Field(description="Arithmetic mean over the frames, in the unit of the quantity.")
    std: float = Field(description="Population standard deviation over the frames, in the unit of the quantity.")
    sem: float | None = Field(
        description="Standard error of the mean in the unit of the quantity, correlation between frames included "
        "(blocking: Flyvbjerg & Petersen 1989). Null if the run is too short for its correlation time to be told, or "
        "the quantity still drifts: the mean has not converged then."
    )
    n_effective: float | None = Field(
        description="Number of independent frames that would give this error: frames divided by the statistical "
        "inefficiency. Null if there is no sem."
    )


class EnergyDrift(BaseModel):
    """A straight line through the total energy of the frames against time, by least squares."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kj_mol_ns: float = Field(description="Slope in kJ/mol per ns, of the whole system.")
    kj_mol_ns_per_dof: float = Field(description="Slope in kJ/mol per ns and degree of freedom.")
    sem_kj_mol_ns: float = Field(
        description="Standard error of the slope in kJ/mol per ns, if the deviations from the line are independent."
    )
    scatter_kj_mol: float = Field(
        description="Root mean square deviation of the total energy from the line, in kJ/mol: how well it is conserved "
        "from frame to frame."
    )


class SecondaryStructure(BaseModel):
    """Shares of the solute's amino acids by secondary structure, over the frames (DSSP, Kabsch & Sander 1983)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    helix: float = Field(description="Share in a helix: DSSP's codes H, G and I. From 0 to 1.")
    strand: float = Field(description="Share in a strand: E and B. From 0 to 1.")
    coil: float = Field(description="Share in neither: turns, bends and loops. From 0 to 1.")
    n_residues: int = Field(description="Amino acids with atoms N, CA, C and O, which are counted.")
    n_frames: int = Field(description="Frames that were looked at: all, or 1000 or fewer evenly spaced ones.")


class Blocks(BaseModel):
    """The standard error of a mean from blocks of one length."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    frames: int = Field(description="Successive frames in a block.")
    blocks: int = Field(description="Whole blocks.")
    sem: float = Field(
        description="Standard error of the mean if these blocks are independent, in the unit of the quantity. It "
        "rises with their length to a plateau, which is the error."
    )


class ResidueAnalysis(BaseModel):
    """What is said of one residue of the solute over the frames."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    chain: str = Field(description="Chain as in the artifact topology.")
    residue: str = Field(description="Number as in the artifact topology, with its insertion code if it has one.")
    name: str = Field(description="Name, such as ALA.")
    rmsf_nm: float | None = Field(
        description="Root mean square fluctuation in nm, over the residue's heavy atoms: the root of the mean of their "
        "squared fluctuations. Null without heavy atoms, or with fewer than two frames."
    )
    rmsf_ca_nm: float | None = Field(
        description="Root mean square fluctuation of the C-alpha atom in nm. Null if it has none, or with fewer than "
        "two frames."
    )
    helix: float | None = Field(description="Share of frames in a helix (DSSP's H, G, I). Null if it was not found.")
    strand: float | None = Field(description="Share of frames in a strand (DSSP's E, B). Null if it was not found.")
    coil: float | None = Field(description="Share of frames in neither. Null if it was not found.")


class MdAnalysis(BaseModel):
    """Content of the artifact ``analysis``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    n_frames: int = Field(description="Frames of the trajectory, all of which count for fluctuations and errors.")
    residues: list[ResidueAnalysis] = Field(description="Residues of the solute, in their order.")
    blocking: dict[str, list[Blocks]] = Field(
        description="For each mean of the result its error from blocks of 1, 2, 4 … frames."
    )
    missing: dict[str, str] = Field(description="What could not be computed, and why.")


class Repairs(BaseModel):
    """What was changed in the user's structure before it was parametrised. All of it is in ``repair_report``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    heterogens_removed: int = Field(description="Ligands, ions and waters that were removed.")
    residues_left_out: int = Field(
        description="Residues that the file's sequence has and its coordinates have not, and that were not built."
    )
    residues_built: int = Field(description="Residues that were built: a guess.")
    residues_replaced: int = Field(description="Modified residues that were replaced by standard ones.")
    heavy_atoms_added: int = Field(description="Heavy atoms that were added to residues that were there.")
    hydrogens_added: int = Field(description="Hydrogens that were added.")
    changes: list[str] = Field(description="The first changes, one for each residue and kind; hydrogens come last.")
    changes_not_shown: int = Field(description="How many more there are in the artifact repair_report.")


class StageEnd(BaseModel):
    """What one stage before production came to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str = Field(description="heat or equilibrate.")
    steps: int = Field(description="Steps that were integrated.")
    potential_energy_kj_mol: float = Field(description="Potential energy of all atoms after its last step, in kJ/mol.")
    temperature_k: float = Field(description="Instantaneous temperature after its last step, in K.")
    density_g_cm3: float | None = Field(description="Density after its last step, in g/cm3; null without a box.")


class WallTime(BaseModel):
    """Where the wall time went, over all attempts.

    What came from the worker's cache costs nothing; work that was lost with an attempt does not count.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    build: float = Field(description="Reading, parametrising, solvating, and making the context, in s.")
    minimize: float = Field(description="Minimisation, in s.")
    stages: float = Field(description="Stages before production, in s.")
    integrate: float = Field(description="All steps of production with their reports and checkpoints, in s.")
    analyse: float = Field(description="The analysis of the trajectory at the end, in s.")


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
    total_energy_kj_mol: MeanStd = Field(
        description="Potential and kinetic energy, in kJ/mol. It is what NVE conserves; a thermostat changes it."
    )
    energy_drift: EnergyDrift | None = Field(
        description="Drift of the total energy with NVE. Null with a thermostat, and with fewer than three frames."
    )
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
    rmsd_over_frames_nm: MeanStd | None = Field(description="Of the same RMSD in nm, over the frames.")
    radius_of_gyration_over_frames_nm: MeanStd | None = Field(
        description="Of the same radius of gyration in nm, over the frames."
    )
    end_to_end_distance_nm: MeanStd | None = Field(
        description="Distance in nm between the C-alpha atoms of the first and the last amino acid of the solute's "
        "chain, over the frames; its std squared is the variance. Null if the solute has several chains of two amino "
        "acids or more, or none: see missing."
    )
    rmsf_nm: float | None = Field(
        description="Root mean square fluctuation in nm, over the solute's heavy atoms and all frames, about their "
        "mean position after superposition on the mean structure. By residue in the artifact analysis. Null if the "
        "solute has none, or with fewer than two frames."
    )
    secondary_structure: SecondaryStructure | None = Field(
        description="Null if the solute has no amino acids, or MDTraj is not installed on the worker: see missing."
    )
    missing: dict[str, str] = Field(description="What of this could not be computed, and why.")
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
    remarks: list[str] = Field(
        description="What is unusual about the inputs and no error, such as a timestep longer than is usual."
    )
    restarted: bool = Field(description="Whether the start was another run's state.")
    repairs: Repairs | None = Field(
        description="What was changed in the structure; null if nothing was to be repaired or removed."
    )
    stages: list[StageEnd] = Field(description="How each stage before production ended, in their order.")
    built_from_cache: bool = Field(description="Whether the worker had the same minimised system from before.")
    wall_s: WallTime = Field(description="Wall time by phase, in s.")
