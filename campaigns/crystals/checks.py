"""What a `CrystalEnvironment` is given, looked at before anything starts."""

from __future__ import annotations

import math
from collections.abc import Sequence

from campaigns.crystals.energies import SCORE_FUNCTIONS
from simulations.atomistic.names import ELEMENTS


def checked_elements(elements: Sequence[str]) -> tuple[str, ...]:
    """The elements, if they are some, and each is named once.

    Raises:
        ValueError: If not.
    """
    if isinstance(elements, str) or not elements:
        raise ValueError("elements: give at least one symbol, as a list such as [Cu, Au]")
    strange = [str(symbol) for symbol in elements if symbol not in ELEMENTS]
    if strange:
        raise ValueError(f"elements: {', '.join(strange)}: no chemical element")
    if len(set(elements)) < len(elements):
        raise ValueError(f"elements: {', '.join(elements)}: one is named twice")
    return tuple(elements)


def check_numbers(
    max_stoichiometry: int, stability_tolerance: float, score_function: str, timeout_s: float | None
) -> None:
    """Refuses numbers and names that mean nothing.

    Raises:
        ValueError: It names the parameter.
    """
    if isinstance(max_stoichiometry, bool) or not isinstance(max_stoichiometry, int) or max_stoichiometry < 1:
        raise ValueError(f"max_stoichiometry: {max_stoichiometry!r} is no number of atoms")
    if not (math.isfinite(stability_tolerance) and stability_tolerance >= 0):
        raise ValueError(f"stability_tolerance: {stability_tolerance} must be 0 or more, in eV/atom")
    if score_function not in SCORE_FUNCTIONS:
        raise ValueError(f"score_function: {score_function!r} is none of {', '.join(SCORE_FUNCTIONS)}")
    if timeout_s is not None and not timeout_s > 0:
        raise ValueError(f"timeout_s: {timeout_s} must be positive, in s")


def check_calculator(elements: Sequence[str], calculator: str) -> None:
    """Refuses elements that a calculator is known not to know.

    Raises:
        ValueError: It names them, and those that the calculator knows.
    """
    known, listed = _supported(calculator)
    missing = [symbol for symbol in elements if known is not None and symbol not in known]
    if missing:
        raise ValueError(
            f"calculator {calculator} has no parameters for {', '.join(missing)}: choose another calculator, or "
            f"elements that it knows: {listed}"
        )


def _supported(calculator: str) -> tuple[frozenset[str] | None, str]:
    """Elements that a calculator knows; None where that is known only to its model."""
    from ase.data import chemical_symbols

    if calculator == "emt":
        from ase.calculators.emt import parameters

        return frozenset(parameters), ", ".join(parameters)
    if calculator in ("gfn1", "gfn2"):
        return frozenset(chemical_symbols[1:87]), "hydrogen to radon"
    if calculator == "chgnet":
        return frozenset(chemical_symbols[1:95]), "hydrogen to plutonium"
    return None, ""
