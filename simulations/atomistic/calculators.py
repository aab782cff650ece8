"""The calculators: which elements each can do, and how it is made from a request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.emt import EMT
from ase.calculators.emt import parameters as emt_parameters
from ase.calculators.lj import LennardJones
from ase.data import atomic_numbers, chemical_symbols

from simulations.atomistic.inputs import AtomisticInputs
from simulations.atomistic.learned import chgnet_calculator, mace_calculator
from simulations.errors import ToolError
from simulations.extras import need
from simulations.threads import use_threads
from simulations.workspace import Workspace

HEAVIEST_GFN = 86
"""Radon: GFN1-xTB and GFN2-xTB have parameters for hydrogen to radon."""

ACCURACY = 1.0
"""tblite's own: energies of the self-consistent field to 1e-6 hartree, charges to 2e-5 e."""

METHODS = {"gfn1": "GFN1-xTB", "gfn2": "GFN2-xTB"}


@dataclass(frozen=True)
class Engine:
    """A calculator, and what is to be said of it.

    Attributes:
        calculator: ASE's.
        method: What it computes, for people.
        charge: Total charge in e; None if it knows none.
        multiplicity: 2S+1; None if it knows none.
        exact: Whether its numbers depend on the structure alone, to the last digit, and on what `memory_of` saves.
    """

    calculator: Any
    method: str
    charge: int | None = None
    multiplicity: int | None = None
    exact: bool = False


def make_engine(request: AtomisticInputs, atoms: Atoms, workspace: Workspace) -> Engine:
    """Makes the calculator that a request names, for its atoms. It is not attached to them.

    Raises:
        ToolError: ``UnsupportedElement``, ``BadCharge``, ``BadModel``, ``BadStructure``, ``DeviceUnavailable`` or
            ``MissingExtra``.
    """
    makers: dict[str, Callable[[AtomisticInputs, Atoms, Workspace], Engine]] = {
        "emt": _emt,
        "lj": _lj,
        "gfn1": _gfn,
        "gfn2": _gfn,
        "chgnet": _chgnet,
        "mace": _mace,
    }
    engine = makers[request.calculator](request, atoms, workspace)
    use_threads(workspace.resources.threads)  # now that all libraries are loaded
    return engine


def check_elements(atoms: Atoms, supported: set[str], name: str, note: str = "") -> None:
    """Refuses elements that a calculator has no parameters for.

    Raises:
        ToolError: ``UnsupportedElement``.
    """
    missing = sorted(set(atoms.get_chemical_symbols()) - supported)
    if missing:
        listed = ", ".join(sorted(supported, key=lambda symbol: atomic_numbers[symbol]))
        raise ToolError(
            f"calculator {name} has no parameters for {', '.join(missing)}",
            hint=f"choose another calculator; {name} supports {note or listed}",
            kind="UnsupportedElement",
        )


def lowest_multiplicity(electrons: int) -> int:
    """The lowest 2S+1 that this many electrons can have: 1 if their number is even, else 2."""
    return 1 + electrons % 2


def _emt(request: AtomisticInputs, atoms: Atoms, workspace: Workspace) -> Engine:
    check_elements(atoms, set(emt_parameters), "emt")
    return Engine(EMT(), "effective medium theory (ASE)", exact=True)


def _lj(request: AtomisticInputs, atoms: Atoms, workspace: Workspace) -> Engine:
    smooth = request.lj_smooth_from_angstrom
    calculator = LennardJones(
        epsilon=request.lj_epsilon_ev,
        sigma=request.lj_sigma_angstrom,
        rc=request.lj_cutoff_angstrom,
        ro=smooth,
        smooth=smooth is not None,
    )
    return Engine(calculator, f"Lennard-Jones, {'smoothed' if smooth is not None else 'shifted'} (ASE)", exact=True)


def _gfn(request: AtomisticInputs, atoms: Atoms, workspace: Workspace) -> Engine:
    method = METHODS[request.calculator]
    supported = set(chemical_symbols[1 : HEAVIEST_GFN + 1])
    check_elements(atoms, supported, request.calculator, "hydrogen to radon")
    if atoms.pbc.any() and not atoms.pbc.all():
        raise ToolError(
            f"calculator {request.calculator} takes molecules in vacuum and crystals; this structure is periodic in "
            f"{int(atoms.pbc.sum())} of three directions",
            hint="make it periodic in all three, with vacuum where it should have some; or use mace",
            kind="BadStructure",
        )
    charge = request.charge or 0
    electrons = int(atoms.numbers.sum()) - charge
    multiplicity = request.multiplicity or lowest_multiplicity(electrons)
    # tblite takes a wrong number of unpaired electrons without a word, if it is zero.
    if electrons < multiplicity - 1 or (electrons - multiplicity + 1) % 2:
        raise ToolError(
            f"{electrons} electrons (charge {charge:+d}) cannot have multiplicity {multiplicity}",
            hint="an even number of electrons has an odd multiplicity, and the other way round; leave multiplicity out "
            "for the lowest",
            kind="BadCharge",
            details={"electrons": electrons, "charge": charge, "multiplicity": multiplicity},
        )
    tblite = need("tblite.ase", "chem")
    calculator = tblite.TBLite(
        method=method,
        charge=charge,
        multiplicity=multiplicity,
        spin_polarization=1.0 if request.spin_polarized else None,
        accuracy=ACCURACY,
        electronic_temperature=request.electronic_temperature_k,
        max_iterations=request.scf_max_iterations,
        verbosity=0,
    )
    # J. Comput. Chem. 2023, 44, 2120.
    label = f"{'sp' if request.spin_polarized else ''}{method} (tblite{', Γ point only' if atoms.pbc.any() else ''})"
    return Engine(calculator, label, charge, multiplicity)


def _chgnet(request: AtomisticInputs, atoms: Atoms, workspace: Workspace) -> Engine:
    calculator, supported = chgnet_calculator(request, atoms, workspace)
    check_elements(atoms, supported, "chgnet", "hydrogen to plutonium")
    return Engine(calculator, f"CHGNet {request.model} on {request.device}")


def _mace(request: AtomisticInputs, atoms: Atoms, workspace: Workspace) -> Engine:
    calculator, supported = mace_calculator(request, workspace)
    check_elements(atoms, supported, "mace")
    return Engine(calculator, f"MACE {request.model}, {request.precision}, on {request.device}")


# What a calculator remembers


Memory = dict[str, np.ndarray[Any, np.dtype[Any]]]


def memory_of(calculator: Any) -> Memory:
    """What decides a calculator's next numbers beside the structure: where its neighbour list was made.

    A sum over neighbours depends in its last digits on their order, which is that of the list's making.
    """
    neighbors = getattr(getattr(calculator, "nl", None), "nl", None)
    if neighbors is None or not neighbors.nupdates:
        return {}
    return {
        "list_positions": np.array(neighbors.coordinates),
        "list_cell": np.array(neighbors.cell),
        "list_pbc": np.array(neighbors.pbc),
    }


def remember(calculator: Any, memory: Memory, atoms: Atoms) -> None:
    """Gives a new calculator the memory of another one.

    Args:
        calculator: Of the same kind and parameters.
        memory: Of `memory_of`.
        atoms: The structure, for its elements; it is not changed.
    """
    if not memory:
        return
    then = Atoms(
        numbers=atoms.numbers,
        positions=memory["list_positions"],
        cell=memory["list_cell"] if atoms.cell.rank else None,
        pbc=memory["list_pbc"],
    )
    calculator.calculate(then)
