"""Elemental references: the energy per atom from which formation energies are measured, by the same Tool and method.

The shipped ones are in `references.json`. ``python -m campaigns.crystals.references`` computes them anew; a test does,
too. For each element the lowest of some simple crystals counts, relaxed with its cell.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any

from campaigns.crystals.candidate import Crystal
from campaigns.crystals.evaluating import METHOD_FIELDS, ToolSettings, evaluate_here, relaxed_crystal
from simulations.errors import ToolError

FILE = "references.json"

RELAXED: Mapping[str, Any] = {"relax_cell": "full", "optimizer": "bfgs", "max_steps": 1000}
"""How references are relaxed."""

FMAX_EV_PER_ANGSTROM = {"emt": 1e-4, "lj": 1e-4}
"""When they have converged, by calculator. Energies of 1e-6 eV per atom need no more."""

OTHER_FMAX_EV_PER_ANGSTROM = 5e-3
"""The same for all others, whose forces are no more exact than that: networks in single precision, say."""

SIMPLE = ("fcc", "hcp", "bcc", "diamond")
"""Crystals that are tried for each element, in this order; of equal energies the first counts."""

SAME_EV_PER_ATOM = 1e-6


@dataclass(frozen=True)
class Reference:
    """An element as formation energies are measured from it.

    Attributes:
        element: Its symbol.
        crystal_structure: Name of the crystal; empty if it was given as an energy only.
        energy_ev_per_atom: Its energy by the method.
        crystal: Its relaxed cell; None if it was given as an energy only.
        tried: What came of each simple crystal: energy per atom in eV, or why there is none.
    """

    element: str
    crystal_structure: str
    energy_ev_per_atom: float
    crystal: Crystal | None
    tried: Mapping[str, float | str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The reference as JSON has it."""
        return {
            "crystal_structure": self.crystal_structure,
            "energy_ev_per_atom": self.energy_ev_per_atom,
            "tried": dict(self.tried),
            "crystal": None if self.crystal is None else self.crystal.to_json(),
        }

    @classmethod
    def from_json(cls, element: str, document: Mapping[str, Any]) -> Reference:
        """The reference of such a document."""
        crystal = document["crystal"]
        return cls(
            element,
            document["crystal_structure"],
            float(document["energy_ev_per_atom"]),
            None if crystal is None else Crystal.from_json(crystal),
            dict(document["tried"]),
        )


class NoReferenceError(ValueError):
    """There is no reference for an element. Its text says what to do."""


def shipped(method: Mapping[str, Any]) -> dict[str, Reference]:
    """The shipped references of a method, by element; empty if there are none."""
    text = resources.files("campaigns.crystals").joinpath(FILE).read_text()
    for entry in json.loads(text)["methods"]:
        if entry["method"] == dict(method):
            return {element: Reference.from_json(element, one) for element, one in entry["elements"].items()}
    return {}


def references_for(
    elements: Sequence[str], settings: ToolSettings, source: str | Mapping[str, float]
) -> list[Reference]:
    """One reference for each element.

    Args:
        elements: Symbols.
        settings: Whose method it is to be.
        source: ``shipped``, ``computed`` (here and now, which is quick for EMT and Lennard-Jones), or energies per atom
            in eV by element.

    Raises:
        NoReferenceError: If one is missing.
        ValueError: If the source is none of these.
    """
    if isinstance(source, str) and source not in ("shipped", "computed"):
        raise ValueError(f"references: {source!r} is neither shipped nor computed, nor energies by element")
    if source == "computed":
        return [compute(element, settings) for element in elements]
    found = shipped(settings.method) if isinstance(source, str) else _given(source)
    missing = [element for element in elements if element not in found]
    if missing:
        have = f"there are some for {', '.join(found)}" if found else "there are none for this method"
        raise NoReferenceError(
            f"no reference for {', '.join(missing)} with calculator {settings.calculator}: {have}. Choose other "
            "elements, set references: computed, or give references as energies in eV per atom, such as {Cu: -0.0070}, "
            "from the same Tool and calculator"
        )
    return [found[element] for element in elements]


def _given(energies: Mapping[str, float]) -> dict[str, Reference]:
    for element, energy in energies.items():
        if isinstance(energy, bool) or not isinstance(energy, int | float) or not math.isfinite(energy):
            raise ValueError(f"references: {element}: {energy!r} is no energy in eV per atom")
    return {element: Reference(element, "", float(energy), None) for element, energy in energies.items()}


def compute(element: str, settings: ToolSettings) -> Reference:
    """Relaxes simple crystals of an element with the Tool ``relax``, and takes the lowest.

    Args:
        element: Symbol.
        settings: Whose calculator is used; it is relaxed as `tight` says.

    Raises:
        NoReferenceError: If none of the crystals could be relaxed.
    """
    relaxing = tight(settings)
    best: Reference | None = None
    tried: dict[str, float | str] = {}
    for name in SIMPLE:
        try:
            result = evaluate_here(relaxing, _prototype(element, name, _neighbour_angstrom(element, settings.inputs)))
        except ToolError as error:
            tried[name] = error.message
            continue
        energy = tried[name] = float(result["energy_per_atom_ev"])
        if best is None or energy < best.energy_ev_per_atom - SAME_EV_PER_ATOM:
            best = Reference(element, name, energy, relaxed_crystal(result))
    if best is None:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in tried.items())
        raise NoReferenceError(
            f"no reference for {element} could be computed with calculator {settings.calculator}: {reasons}"
        )
    return replace(best, tried=tried)


def tight(settings: ToolSettings) -> ToolSettings:
    """How the references of a method are relaxed."""
    method = {name: settings.inputs[name] for name in (*METHOD_FIELDS, "device") if name in settings.inputs}
    calculator = method.pop("calculator")
    fmax = FMAX_EV_PER_ANGSTROM.get(calculator, OTHER_FMAX_EV_PER_ANGSTROM)
    return ToolSettings("relax", calculator, {**RELAXED, "fmax_ev_per_angstrom": fmax, **method}, "references")


def _neighbour_angstrom(element: str, inputs: Mapping[str, Any]) -> float:
    """Where to begin: a distance of nearest neighbours."""
    if "lj_sigma_angstrom" in inputs:
        return float(2 ** (1 / 6) * inputs["lj_sigma_angstrom"])
    from ase.data import atomic_numbers, covalent_radii

    return float(2 * covalent_radii[atomic_numbers[element]])


def _prototype(element: str, name: str, neighbour_angstrom: float) -> Crystal:
    import ase.build

    per_neighbour = {"fcc": math.sqrt(2), "hcp": 1.0, "bcc": 2 / math.sqrt(3), "diamond": 4 / math.sqrt(3)}
    a = per_neighbour[name] * neighbour_angstrom
    ideal = {"c": math.sqrt(8 / 3) * a} if name == "hcp" else {}
    return Crystal.from_ase(ase.build.bulk(element, name, a=a, **ideal))


# ---- The shipped file

KEPT_INPUTS = ("relax_cell", "optimizer", "fmax_ev_per_angstrom", "max_steps")

SHIPPED: Sequence[tuple[str, Mapping[str, Any], Sequence[str]]] = (
    ("emt", {}, ("Ag", "Al", "Au", "Cu", "Ni", "Pd", "Pt")),
    (
        "lj",
        {"lj_epsilon_ev": 0.0104, "lj_sigma_angstrom": 3.4, "lj_cutoff_angstrom": 10.2},
        ("Ar", "Kr", "Ne", "Xe"),
    ),
    (
        "chgnet",
        {"model": "0.3.0", "device": "cpu"},
        # Those whose ground state is one of `SIMPLE`, without magnetic order that a relaxation might miss.
        (
            "Ag",
            "Al",
            "Au",
            "Be",
            "Ca",
            "Cd",
            "Cu",
            "Hf",
            "Ir",
            "K",
            "Li",
            "Mg",
            "Mo",
            "Na",
            "Nb",
            "Os",
            "Pb",
            "Pd",
            "Pt",
            "Rb",
            "Re",
            "Rh",
            "Ru",
            "Sc",
            "Si",
            "Sr",
            "Ta",
            "Ti",
            "V",
            "W",
            "Y",
            "Zn",
            "Zr",
        ),
    ),
)
"""What is shipped: calculator, inputs that decide its energies, elements."""


def compute_all(calculators: Iterable[str], kept: Mapping[str, Any]) -> dict[str, Any]:
    """The content of the shipped file.

    Args:
        calculators: Those that are computed anew.
        kept: The file as it is; the others stay as they are there.
    """
    before = {json.dumps(entry["method"], sort_keys=True): entry for entry in kept.get("methods", [])}
    entries = []
    for calculator, inputs, elements in SHIPPED:
        settings = ToolSettings("relax", calculator, inputs, "references")
        name = json.dumps(settings.method, sort_keys=True)
        if calculator not in calculators:
            if name in before:
                entries.append(before[name])
            continue
        entries.append(
            {
                "method": settings.method,
                "tool": "relax",
                "tool_version": settings.tool.version,
                "inputs": {name: value for name, value in tight(settings).inputs.items() if name in KEPT_INPUTS},
                "elements": {element: compute(element, settings).to_json() for element in elements},
            }
        )
    return {"unit": "energies in eV per atom, lengths in angstrom", "methods": entries}


def main(arguments: Sequence[str] | None = None) -> None:
    """Computes the shipped file anew."""
    parser = argparse.ArgumentParser(description="Computes the references of elements that are shipped.")
    names = [calculator for calculator, _, _ in SHIPPED]
    parser.add_argument("calculators", nargs="*", default=names, help=f"of {', '.join(names)}; all if none is named")
    parser.add_argument("--to", type=Path, default=Path(__file__).with_name(FILE), help="file to write")
    chosen = parser.parse_args(arguments)
    kept = json.loads(chosen.to.read_text()) if chosen.to.exists() else {}
    content = compute_all(chosen.calculators, kept)
    chosen.to.write_text(_written(content))


def _written(content: Mapping[str, Any]) -> str:
    """JSON with a line for each element."""
    blocks = []
    for entry in content["methods"]:
        head = {name: value for name, value in entry.items() if name != "elements"}
        lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(one)}" for name, one in entry["elements"].items())
        blocks.append(f'{json.dumps(head)[:-1]}, "elements": {{\n{lines}}}}}')
    return f'{{"unit": {json.dumps(content["unit"])}, "methods": [\n' + ",\n".join(blocks) + "]}\n"


if __name__ == "__main__":
    main()
