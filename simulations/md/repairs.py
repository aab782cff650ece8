"""What was changed in a user's structure: an account of it, in the result and in the artifact ``repair_report``."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any

from simulations.md.results import Repairs

SHOWN = 20
"""Changes that the result itself lists; all are in the artifact."""


@dataclass(frozen=True)
class RepairReport:
    """Every change, in words that name each residue as the file does.

    Attributes:
        removed: Heterogens that were taken out, and water in one line.
        left_out: Residues that the sequence has and the coordinates have not, and that were not built.
        built: Residues that were built.
        replaced: Residues that were replaced by standard ones.
        kept: Residues that are no standard ones, and were left as they are.
        heavy_atoms: Heavy atoms that were added, by residue.
        hydrogens: Hydrogens that were added, by residue.
        n_removed: Heterogens that were taken out.
        n_heavy_atoms: Heavy atoms that were added to residues that were there.
        n_hydrogens: Hydrogens that were added.
        n_built: Residues that were built.
        n_left_out: Residues that were left out.
    """

    removed: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    built: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    heavy_atoms: tuple[str, ...] = ()
    hydrogens: tuple[str, ...] = ()
    n_removed: int = 0
    n_heavy_atoms: int = 0
    n_hydrogens: int = 0
    n_built: int = 0
    n_left_out: int = 0

    def result(self) -> Repairs:
        """The field ``repairs`` of the result."""
        lines = [line for _, changes in self._by_kind() for line in changes]
        return Repairs(
            heterogens_removed=self.n_removed,
            residues_left_out=self.n_left_out,
            residues_built=self.n_built,
            residues_replaced=len(self.replaced),
            heavy_atoms_added=self.n_heavy_atoms,
            hydrogens_added=self.n_hydrogens,
            changes=lines[:SHOWN],
            changes_not_shown=max(0, len(lines) - SHOWN),
        )

    def text(self) -> bytes:
        """Content of the artifact ``repair_report``."""
        said = {"summary": self.result().model_dump(exclude={"changes", "changes_not_shown"})}
        return json.dumps(said | {kind: list(lines) for kind, lines in self._by_kind()}, indent=1).encode()

    def plain(self) -> dict[str, Any]:
        """JSON values, for `restored`."""
        return asdict(self)

    @classmethod
    def restored(cls, plain: dict[str, Any]) -> RepairReport:
        """The report of `plain`."""
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in plain.items()}
        return cls(**values)

    def _by_kind(self) -> list[tuple[str, tuple[str, ...]]]:
        found = ((item.name, getattr(self, item.name)) for item in fields(self))
        return [(name, lines) for name, lines in found if isinstance(lines, tuple)]
