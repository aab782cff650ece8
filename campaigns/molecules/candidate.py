"""A molecule as a candidate."""

from __future__ import annotations

from dataclasses import dataclass

from simulations.ionization.molecule import read_molecule

MOST_ATOMS = 2000
"""As many as the Tool takes at most, hydrogens included."""


@dataclass(frozen=True)
class Molecule:
    """A molecule.

    Attributes:
        smiles: Canonical SMILES, as RDKit writes it.
    """

    smiles: str


def molecule_of(smiles: str) -> Molecule:
    """The molecule of a SMILES that need not be canonical.

    Raises:
        ToolError: If the Tool would refuse it: no SMILES, several molecules, a charge, open shells, an element without
            parameters; or ``MissingExtra``.
    """
    return Molecule(read_molecule(smiles, MOST_ATOMS).smiles)
