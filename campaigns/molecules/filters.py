"""What keeps molecules out that are not worth their evaluation."""

from __future__ import annotations

from collections.abc import Sequence

from campaigns.components import FilterResult
from campaigns.environment import View
from campaigns.errors import refuse
from campaigns.molecules.candidate import MOST_ATOMS, Molecule
from campaigns.stateful import Stateless
from simulations.errors import ToolError
from simulations.extras import need
from simulations.ionization.molecule import read_molecule


class MoleculeValidityFilter(Stateless):
    """Rejects what the Tool would refuse: no SMILES, several molecules, charges, open shells, unknown elements.

    Args:
        max_atoms: Reject larger molecules too: most atoms, hydrogens included.

    Raises:
        NotAcceptable: If that is not a number from 1 to 2000.
    """

    filter_name = "MoleculeValidityFilter"

    def __init__(self, max_atoms: int = 200) -> None:
        if isinstance(max_atoms, bool) or not 1 <= max_atoms <= MOST_ATOMS:
            raise refuse("max_atoms", f"is {max_atoms!r}", f"A whole number from 1 to {MOST_ATOMS}")
        self._max_atoms = max_atoms

    def filter(self, candidates: Sequence[Molecule], view: View[Molecule]) -> list[FilterResult]:
        """One result for each candidate.

        Raises:
            ToolError: ``MissingExtra``.
        """
        return [self._look(candidate) for candidate in candidates]

    def _look(self, candidate: Molecule) -> FilterResult:
        try:
            canonical = read_molecule(candidate.smiles, self._max_atoms).smiles
        except ToolError as error:
            if error.kind == "MissingExtra":
                raise
            return FilterResult(False, self.filter_name, error.message)
        if canonical != candidate.smiles:
            return FilterResult(False, self.filter_name, f"{candidate.smiles} is not canonical: {canonical} is")
        return FilterResult(True, self.filter_name)


class ElementFilter(Stateless):
    """Rejects molecules with other elements than some.

    Args:
        elements: Symbols of those that are allowed; hydrogen always is.

    Raises:
        NotAcceptable: If one is no element's symbol.
        ToolError: ``MissingExtra``.
    """

    filter_name = "ElementFilter"

    def __init__(self, elements: Sequence[str]) -> None:
        from ase.data import atomic_numbers

        unknown = [symbol for symbol in elements if symbol not in atomic_numbers or symbol == "X"]
        if unknown or not elements or isinstance(elements, str):
            raise refuse("elements", f"has {unknown or elements!r}", "A list of symbols, such as [C, N, O]")
        self._allowed = {"H", *elements}

    def filter(self, candidates: Sequence[Molecule], view: View[Molecule]) -> list[FilterResult]:
        """One result for each candidate.

        Raises:
            ToolError: ``MissingExtra``.
        """
        chem = need("rdkit.Chem", "chem")
        results = []
        for candidate in candidates:
            parsed = chem.MolFromSmiles(candidate.smiles)
            if parsed is None:
                results.append(FilterResult(False, self.filter_name, f"{candidate.smiles} is no SMILES"))
                continue
            others = sorted({atom.GetSymbol() for atom in parsed.GetAtoms()} - self._allowed)
            reason = f"{candidate.smiles} has {', '.join(others)}" if others else None
            results.append(FilterResult(not others, self.filter_name, reason))
        return results
