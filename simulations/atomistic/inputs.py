"""What `single_point`, `relax` and `ase_md` have in common: a structure, and a calculator for it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from simulations.atomistic.names import CRYSTALS, ELEMENTS, HEXAGONAL, MOLECULES

CalculatorName = Literal["emt", "lj", "gfn1", "gfn2", "chgnet", "mace"]
CrystalName = Literal[
    "sc", "fcc", "bcc", "hcp", "diamond", "zincblende", "rocksalt", "cesiumchloride", "fluorite", "wurtzite"
]

CHGNET_MODELS = ("0.3.0", "r2scan")
"""Names of the models that come with the package chgnet."""

MAX_ATOMS = {"emt": 20_000, "lj": 20_000, "gfn1": 1_000, "gfn2": 1_000, "chgnet": 10_000, "mace": 10_000}
"""Most atoms for each calculator: above, one evaluation takes minutes, or more memory than a node has."""

_GFN = ("charge", "multiplicity", "spin_polarized", "electronic_temperature_k", "scf_max_iterations")
_LJ = ("lj_epsilon_ev", "lj_sigma_angstrom", "lj_cutoff_angstrom")
_USED = {
    "emt": (),
    "lj": (*_LJ, "lj_smooth_from_angstrom"),
    "gfn1": _GFN,
    "gfn2": _GFN,
    "chgnet": ("model", "device"),
    "mace": ("model", "model_sha256", "device", "precision"),
}
_NEEDED = {"lj": _LJ, "chgnet": ("model", "device"), "mace": ("model", "model_sha256", "device")}
_FILLED: dict[str, dict[str, Any]] = {
    "gfn1": {"charge": 0, "spin_polarized": False, "electronic_temperature_k": 300.0, "scf_max_iterations": 250},
    "gfn2": {"charge": 0, "spin_polarized": False, "electronic_temperature_k": 300.0, "scf_max_iterations": 250},
    "mace": {"precision": "float64"},
}
_SOURCES = ("structure", "molecule", "bulk", "smiles")
_OF_SOURCE = {
    "structure": ("frame",),
    "molecule": (),
    "bulk": ("crystal_structure", "a_angstrom", "c_angstrom", "cubic"),
    "smiles": ("conformer_seed",),
}


class AtomisticInputs(BaseModel):
    """A structure and a calculator. Exactly one of structure, molecule, bulk and smiles says what the structure is."""

    # Strict: "300", true and 1.0 steps are mistakes in a batch file more often than they are meant.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)

    structure: str | None = Field(
        default=None,
        min_length=1,
        max_length=4096,
        description="A file: CIF (.cif), XYZ or extended XYZ (.xyz, .extxyz), or VASP's POSCAR (.vasp, .poscar, "
        ".contcar, or no suffix). Atoms that it fixes stay fixed.",
        json_schema_extra={"x-file": []},
    )
    frame: int | None = Field(
        default=None,
        ge=-(10**6),
        le=10**6,
        description="Which of several structures in the file, from 0; -1 is the last. Null: there must be only one.",
    )
    molecule: str | None = Field(
        default=None,
        max_length=64,
        description="Name of a molecule of the G2 set, such as H2O, CH3OH or C6H6, with its MP2 geometry, in vacuum.",
    )
    bulk: str | None = Field(
        default=None,
        max_length=64,
        description="A crystal: symbol of its element, or its formula, such as Cu, NaCl or CaF2 (fluorite).",
    )
    crystal_structure: CrystalName | None = Field(
        default=None,
        description="Of bulk. Null: that of the element in ASE's table of experimental reference states.",
    )
    a_angstrom: float | None = Field(
        default=None,
        gt=0,
        le=100,
        description="Of bulk: lattice constant in Å. Null: the element's, from the same table; an error if it has "
        "none in this crystal structure.",
    )
    c_angstrom: float | None = Field(
        default=None,
        gt=0,
        le=100,
        description="Of bulk, hcp and wurtzite only: the second lattice constant in Å. Null: c/a is the element's from "
        "the same table if that is hcp and is meant, else the ideal √(8/3).",
    )
    cubic: bool | None = Field(
        default=None,
        description="Of bulk: the conventional cubic cell in place of the primitive one, which is the default.",
    )
    smiles: str | None = Field(
        default=None,
        min_length=1,
        max_length=2000,
        pattern=r"^[!-~]+$",
        description="A molecule in vacuum: hydrogens are added, and the geometry comes from RDKit (ETKDGv3, then "
        "MMFF94). Needs the extra chem.",
    )
    conformer_seed: int | None = Field(
        default=None,
        ge=1,
        le=2**31 - 1,
        description="Of smiles: seed of the geometry, 1 if not given. Another seed may give another conformer.",
    )
    supercell: list[int] | None = Field(
        default=None,
        min_length=3,
        max_length=3,
        description="How often the cell is repeated along each of its vectors, such as [3, 3, 3].",
    )
    calculator: CalculatorName = Field(
        description="emt: effective medium theory, metals. lj: Lennard-Jones, the same for all atoms. gfn1, gfn2: "
        "GFN1-xTB and GFN2-xTB with tblite, extra chem. chgnet, mace: machine-learned, extras of those names."
    )
    lj_epsilon_ev: float | None = Field(default=None, gt=0, le=1e3, description="Of lj: depth of the well, in eV.")
    lj_sigma_angstrom: float | None = Field(
        default=None, gt=0, le=100, description="Of lj: distance at which a pair's energy is zero, in Å."
    )
    lj_cutoff_angstrom: float | None = Field(
        default=None,
        gt=0,
        le=1000,
        description="Of lj: pairs that are farther apart do not interact; in Å. The energy is shifted to zero there.",
    )
    lj_smooth_from_angstrom: float | None = Field(
        default=None,
        gt=0,
        le=1000,
        description="Of lj: in place of shifting, bring energy and force smoothly to zero from this distance to the "
        "cutoff, in Å. Null: shift; the force then jumps at the cutoff.",
    )
    charge: int | None = Field(
        default=None, ge=-100, le=100, description="Of gfn1 and gfn2: total charge in e; 0 if not given."
    )
    multiplicity: int | None = Field(
        default=None,
        ge=1,
        le=100,
        description="Of gfn1 and gfn2: 2S+1, one more than the number of unpaired electrons. Null: the lowest that "
        "the number of electrons allows, 1 or 2; the result says which.",
    )
    spin_polarized: bool | None = Field(
        default=None,
        description="Of gfn1 and gfn2: adds the spin polarisation of spGFN-xTB, without which multiplicities cannot be "
        "compared: plain GFN puts singlet O2 below triplet O2. False if not given.",
    )
    electronic_temperature_k: float | None = Field(
        default=None,
        gt=0,
        le=50_000,
        description="Of gfn1 and gfn2: temperature in K of the Fermi smearing of the occupations; 300 if not given.",
    )
    scf_max_iterations: int | None = Field(
        default=None,
        ge=1,
        le=10_000,
        description="Of gfn1 and gfn2: most iterations of the self-consistent field; 250 if not given. It is an error "
        "if it has not converged then.",
    )
    model: str | None = Field(
        default=None,
        max_length=255,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$",
        description=f"Of chgnet: name of a model that comes with it, {' or '.join(CHGNET_MODELS)}. Of mace: name of a "
        "file in ~/.cache/mace, where mace-torch keeps the models that it downloads. Needed for both.",
    )
    model_sha256: str | None = Field(
        default=None,
        pattern=r"^[0-9a-f]{64}$",
        description="Of mace: SHA-256 of that file, as sha256sum prints it. Needed, as it says what is computed.",
    )
    device: Literal["cpu", "cuda"] | None = Field(
        default=None, description="Of chgnet and mace: where the network is evaluated. Needed for both."
    )
    precision: Literal["float32", "float64"] | None = Field(
        default=None, description="Of mace: of all floating-point numbers; float64 if not given."
    )

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        name = data.get("calculator")
        filled = dict(_FILLED.get(name, {})) if isinstance(name, str) else {}
        if data.get("smiles") is not None:
            filled["conformer_seed"] = 1
        if data.get("bulk") is not None:
            filled["cubic"] = False
        return {**data, **{field: value for field, value in filled.items() if data.get(field) is None}}

    @model_validator(mode="after")
    def _check_source(self) -> Self:
        given = [name for name in _SOURCES if getattr(self, name) is not None]
        if len(given) != 1:
            said = "none of them is given" if not given else f"{' and '.join(given)} are given"
            raise ValueError(f"exactly one of {', '.join(_SOURCES)} says what the structure is; {said}")
        for source, fields in _OF_SOURCE.items():
            for field in fields:
                if source != given[0] and getattr(self, field) is not None:
                    raise ValueError(f"{field} belongs to {source} and has no meaning with {given[0]}: leave it out")
        if self.molecule is not None and self.molecule not in MOLECULES:
            raise ValueError(f"molecule {self.molecule!r} is not in the G2 set{_guess(self.molecule, MOLECULES)}")
        if self.supercell is not None and not all(1 <= count <= 1000 for count in self.supercell):
            raise ValueError(f"supercell {self.supercell}: each count must be from 1 to 1000")
        return self

    @model_validator(mode="after")
    def _check_bulk(self) -> Self:
        if self.bulk is None:
            return self
        elements = elements_of(self.bulk)
        if self.crystal_structure is None:
            if len(elements) != 1:
                raise ValueError(f"bulk {self.bulk} is no element: give crystal_structure and a_angstrom")
            return self
        wanted = CRYSTALS[self.crystal_structure]
        if len(elements) != wanted:
            raise ValueError(
                f"crystal_structure {self.crystal_structure} is built of {wanted} atom{'s' * (wanted > 1)}, but bulk "
                f"{self.bulk} names {len(elements)}"
            )
        if len(elements) > 1 and self.a_angstrom is None:
            raise ValueError(f"bulk {self.bulk} is no element: give a_angstrom")
        if self.c_angstrom is not None and self.crystal_structure not in HEXAGONAL:
            raise ValueError(f"crystal_structure {self.crystal_structure} has no c_angstrom: leave it out")
        return self

    @model_validator(mode="after")
    def _check_calculator(self) -> Self:
        name = self.calculator
        for field in dict.fromkeys(field for fields in _USED.values() for field in fields):
            if field not in _USED[name] and getattr(self, field) is not None:
                users = " and ".join(other for other, fields in _USED.items() if field in fields)
                raise ValueError(f"{field} belongs to calculator {users} and has no meaning with {name}: leave it out")
        missing = [field for field in _NEEDED.get(name, ()) if getattr(self, field) is None]
        if missing:
            raise ValueError(f"calculator {name} needs {', '.join(missing)}: give it; no default is put in its place")
        if name == "chgnet" and self.model not in CHGNET_MODELS:
            raise ValueError(f"model {self.model!r} does not come with chgnet: choose {' or '.join(CHGNET_MODELS)}")
        return self

    @model_validator(mode="after")
    def _check_lj(self) -> Self:
        sigma, cutoff, smooth = self.lj_sigma_angstrom, self.lj_cutoff_angstrom, self.lj_smooth_from_angstrom
        if sigma is not None and cutoff is not None and cutoff <= sigma:
            raise ValueError(f"lj_cutoff_angstrom {cutoff:g} must be greater than lj_sigma_angstrom {sigma:g}")
        if cutoff is not None and smooth is not None and smooth >= cutoff:
            raise ValueError(f"lj_smooth_from_angstrom {smooth:g} must be less than lj_cutoff_angstrom {cutoff:g}")
        return self


def elements_of(formula: str) -> list[str]:
    """The atoms that a formula names, in its order: ``CaF2`` is Ca, F, F.

    Raises:
        ValueError: If it is no formula, or names an element that does not exist.
    """
    if not re.fullmatch(r"([A-Z][a-z]?\d{0,2})+", formula):
        raise ValueError(f"bulk {formula!r} is no formula such as Cu, NaCl or CaF2{_guess(formula, ELEMENTS)}")
    found: list[str] = []
    for symbol, count in re.findall(r"([A-Z][a-z]?)(\d*)", formula):
        if symbol not in ELEMENTS:
            raise ValueError(f"bulk {formula!r}: {symbol!r} is no chemical element{_guess(symbol, ELEMENTS)}")
        found += [symbol] * int(count or 1)
    return found


def _guess(name: str, known: Iterable[str]) -> str:
    by_lower = {item.lower(): item for item in sorted(known)}
    close = [by_lower[item] for item in difflib.get_close_matches(name.lower(), by_lower, n=5)]
    return f"; did you mean {' or '.join(close)}?" if close else ""
