"""The inputs of ``md`` that decide what is simulated: where its atoms come from, and what may be added to them."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from simulations.md.forcefields import FORCE_FIELDS

SHIPPED = ("alanine-dipeptide", "ala10", "chignolin")
"""Structures that need no file; see ``simulations/structures/README.md``."""

CAPPED = ("alanine-dipeptide", "ala10")
"""Those with residues ACE and NME."""

DEFAULT_PADDING_NM = 1.0
DEFAULT_PH = 7.0
LONGEST_SEQUENCE = 500

ForceFieldName = Literal[
    "amber14", "amber19", "amber99sbildn", "amber99sb", "amber03", "amberfb15", "charmm36", "charmm36_2024"
]
Solvent = Literal["vacuum", "implicit", "explicit"]
WaterName = Literal[
    "tip3p",
    "tip3pfb",
    "spce",
    "opc3",
    "tip4pew",
    "tip4pfb",
    "opc",
    "tip4p2005",
    "tip3p-pme-b",
    "tip3p-pme-f",
]

_SOURCES = ("structure", "sequence", "water_box_nm")
_NEEDS: dict[str, tuple[str, ...]] = {
    "repair": ("structure",),
    "missing_residues": ("structure",),
    "nonstandard": ("structure",),
    "heterogens": ("structure",),
    "conformation": ("sequence",),
    "n_terminus": ("sequence",),
    "c_terminus": ("sequence",),
}
"""Inputs that have a meaning with some sources only."""


class MoleculeInputs(BaseModel):
    """Where the atoms come from, and by which force field in which solvent they are described."""

    # Strict: "300", true and 1.0 steps are mistakes in a batch file more often than they are meant.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)

    structure: str | None = Field(
        default=None,
        min_length=1,
        max_length=4096,
        description="A PDB or mmCIF file, or the name of a shipped structure: "
        + ", ".join(SHIPPED)
        + ". Of several models the first is used. Nothing is repaired unless repair says so. Give exactly one of "
        "structure, sequence and water_box_nm.",
        json_schema_extra={"x-file": list(SHIPPED)},
    )
    sequence: str | None = Field(
        default=None,
        pattern="^[ACDEFGHIKLMNPQRSTVWY]+$",
        max_length=LONGEST_SEQUENCE,
        description="A peptide by its amino acids, in one-letter code from the N-terminus, such as GYDPETGTWG: L amino "
        "acids, trans peptide bonds, no disulfide bonds, hydrogens for the pH of ph.",
    )
    conformation: Literal["extended", "helix"] = Field(
        default="extended",
        description="Backbone of the sequence: extended (phi -120°, psi 130°) or right-handed alpha helix (-57°, "
        "-47°). It is a start, not a fold.",
    )
    n_terminus: Literal["free", "ACE"] = Field(
        default="free", description="First end of the sequence: free (an amino group), or capped with acetyl."
    )
    c_terminus: Literal["free", "NME"] = Field(
        default="free", description="Last end of the sequence: free (a carboxylate), or capped with N-methylamide."
    )
    water_box_nm: float | None = Field(
        default=None,
        gt=0,
        le=30,
        description="A cubic box of pure water with this edge, in nm, and ions if ionic_strength_m says so. Needs "
        "solvent explicit.",
    )
    repair: Literal["none", "hydrogens", "missing_atoms"] = Field(
        default="none",
        description="What may be added to the structure: nothing; hydrogens; or hydrogens, missing heavy atoms and "
        "chain ends (PDBFixer). The result and the artifact repair_report list all that was added.",
    )
    ph: float | None = Field(
        default=None,
        ge=0,
        le=14,
        description="pH for which hydrogens are added, by the usual pKa of each amino acid; only where hydrogens are "
        f"added, where it is {DEFAULT_PH} if not given.",
    )
    missing_residues: Literal["refuse", "loops", "all"] = Field(
        default="refuse",
        description="Residues that SEQRES or the mmCIF's sequence has and the coordinates have not: refuse gaps and "
        "leave chain ends as they are, build loops inside of chains, or all, also at the ends. Needs repair "
        "missing_atoms to build. What is built is a guess without knots, not a prediction.",
    )
    nonstandard: Literal["keep", "replace"] = Field(
        default="keep",
        description="Modified residues, such as MSE: kept, which no force field here knows, or replaced by the "
        "standard residue that they come from. Needs repair missing_atoms to replace.",
    )
    heterogens: Literal["keep", "keep_water", "remove"] = Field(
        default="keep",
        description="Residues of the structure that are neither amino acids nor nucleotides, caps apart: kept, removed "
        "except for water, or removed with the water. Ions are among them.",
    )
    force_field: ForceFieldName = Field(
        default="amber14",
        description="amber14 is ff14SB (TIP3P if explicit), amber19 is ff19SB (OPC), amber99sbildn is ff99SB-ILDN "
        "(TIP3P), amber99sb ff99SB (TIP3P), amber03 ff03 (TIP3P), amberfb15 FB15 (TIP3P-FB), charmm36 CHARMM36 and "
        "charmm36_2024 its version of 2024 (CHARMM's TIP3P), which have no residues ACE and NME.",
    )
    solvent: Solvent = Field(
        default="implicit",
        description="vacuum and implicit (Generalized Born): no cutoff, no box. explicit: water and neutralising "
        "ions in a cubic periodic box, PME, cutoff 1.0 nm (CHARMM: 1.2 nm, switched from 1.0 nm). A file that "
        "already is a box full of water keeps its own box and water.",
    )
    implicit_model: Literal["obc2", "gbn2"] = Field(
        default="obc2",
        description="Generalized Born model of solvent implicit: OBC2 (Onufriev 2004), or GBn2 (Nguyen 2013), which is "
        "slower.",
    )
    water_model: WaterName | None = Field(
        default=None,
        description="Model of water of solvent explicit; null means the one that force_field was validated with. "
        "Amber: tip3p, tip3pfb, spce, opc3, tip4pew, tip4pfb, opc. CHARMM: tip3p (CHARMM's), tip3p-pme-b, tip3p-pme-f, "
        "spce, tip4pew, tip4p2005.",
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
        description="Salt in the added water, in mol/L, beside the ions that neutralise. Only with explicit solvent.",
    )
    cation: Literal["Na+", "K+"] = Field(
        default="Na+", description="The positive ion that is added with explicit solvent; the negative one is Cl-."
    )

    @property
    def adds_hydrogens(self) -> bool:
        """Whether hydrogens are added."""
        return self.sequence is not None or self.repair != "none"

    @property
    def source_name(self) -> str:
        """How messages and the learned speeds name what is simulated."""
        if self.sequence is not None:
            ends = f"{self.n_terminus} {self.c_terminus}".replace("free free", "").strip()
            return " ".join(filter(None, (f"sequence {self.sequence}", self.conformation, ends)))
        return f"water box {self.water_box_nm:g} nm" if self.water_box_nm is not None else str(self.structure)

    @model_validator(mode="before")
    @classmethod
    def _fill_ph(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("ph") is None:
            adds = data.get("sequence") is not None or data.get("repair") in ("hydrogens", "missing_atoms")
            return {**data, "ph": DEFAULT_PH} if adds else data
        return data

    @model_validator(mode="after")
    def _check_source(self) -> Self:
        given = [name for name in _SOURCES if getattr(self, name) is not None]
        if len(given) != 1:
            what = f"{' and '.join(given)} are given" if given else "none is given"
            raise ValueError(f"give exactly one of structure, sequence and water_box_nm: {what}")
        for name, sources in _NEEDS.items():
            if getattr(self, name) != type(self).model_fields[name].default and given[0] not in sources:
                raise ValueError(f"{name} has no meaning with {given[0]}: leave it out or give {' or '.join(sources)}")
        if self.ph is not None and not self.adds_hydrogens:
            raise ValueError("ph has no meaning where no hydrogens are added: leave it out or set repair")
        for name, value in (("missing_residues", "refuse"), ("nonstandard", "keep")):
            if getattr(self, name) != value and self.repair != "missing_atoms":
                raise ValueError(f"{name} {getattr(self, name)} needs repair missing_atoms, not {self.repair}")
        return self

    @model_validator(mode="after")
    def _check_force_field(self) -> Self:
        fields = FORCE_FIELDS[self.force_field]
        if self.solvent == "implicit" and self.implicit_model not in fields.implicit:
            options = ", ".join(name for name, others in FORCE_FIELDS.items() if self.implicit_model in others.implicit)
            raise ValueError(
                f"force_field {self.force_field} has no implicit solvent {self.implicit_model}: choose one of {options}"
            )
        if not fields.caps and self.structure in CAPPED:
            raise ValueError(
                f"force_field {self.force_field} has no residues ACE and NME, which structure {self.structure} has: "
                "choose an amber force field, or structure chignolin"
            )
        if not fields.caps and (self.n_terminus, self.c_terminus) != ("free", "free"):
            raise ValueError(
                f"force_field {self.force_field} has no residues ACE and NME: choose an amber force field, or leave "
                "n_terminus and c_terminus out"
            )
        if fields.caps and len(self.sequence or "GG") == 1 and (self.n_terminus, self.c_terminus) == ("free", "free"):
            raise ValueError(
                f"force_field {self.force_field} has no parameters for a single amino acid with two free ends: set "
                "n_terminus ACE or c_terminus NME, or choose a charmm force field"
            )
        if self.water_model is not None and self.water_model not in fields.waters:
            raise ValueError(
                f"force_field {self.force_field} does not go with water_model {self.water_model}: choose one of "
                + ", ".join(fields.waters)
            )
        return self

    @model_validator(mode="after")
    def _check_solvent(self) -> Self:
        if self.solvent != "implicit" and self.implicit_model != "obc2":
            raise ValueError(f"implicit_model has no meaning with solvent {self.solvent}: leave it out or use implicit")
        if self.water_box_nm is not None and self.padding_nm is not None:
            raise ValueError("padding_nm has no meaning with water_box_nm, which is the edge of the box: leave it out")
        if self.solvent == "explicit":
            return self
        if self.water_box_nm is not None:
            raise ValueError(f"water_box_nm needs solvent explicit, not {self.solvent}")
        if self.padding_nm is not None:
            raise ValueError(f"padding_nm has no meaning with solvent {self.solvent}: leave it out or use explicit")
        if self.ionic_strength_m != 0:
            raise ValueError(f"ionic_strength_m needs solvent explicit, not {self.solvent}: leave it out")
        if self.water_model is not None:
            raise ValueError(f"water_model needs solvent explicit, not {self.solvent}: leave it out")
        if self.cation != "Na+":
            raise ValueError(f"cation needs solvent explicit, not {self.solvent}: leave it out")
        return self
