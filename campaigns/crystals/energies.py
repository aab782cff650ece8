"""Energies of evaluated crystals, and the three ways to score them."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeAlias, get_args

from campaigns.crystals.candidate import Crystal

ScoreFunction: TypeAlias = Literal["energy_per_atom", "formation_energy_per_atom", "e_above_hull"]

SCORE_FUNCTIONS: tuple[str, ...] = get_args(ScoreFunction)
"""Each in eV per atom, and less is better; a score is the negative."""


@dataclass(frozen=True)
class Entry:
    """A crystal whose energy is known and converged.

    Attributes:
        name: Id of the Outcome.
        crystal: The structure that the energy belongs to.
        fractions: Its composition: shares of the environment's elements.
        energy_ev_per_atom: Its energy by the Tool.
        formation_energy_ev_per_atom: From the elements in their references.
    """

    name: str
    crystal: Crystal
    fractions: tuple[float, ...]
    energy_ev_per_atom: float
    formation_energy_ev_per_atom: float

    def value(self, score_function: str, above_hull_ev_per_atom: float) -> float:
        """What a score function says of it, in eV per atom.

        Args:
            score_function: One of `SCORE_FUNCTIONS`.
            above_hull_ev_per_atom: How far above the hull it is.
        """
        values = {
            "energy_per_atom": self.energy_ev_per_atom,
            "formation_energy_per_atom": self.formation_energy_ev_per_atom,
            "e_above_hull": above_hull_ev_per_atom,
        }
        return values[score_function]

    @cached_property
    def packed(self) -> str:
        """The entry as a short text, made once: a campaign saves all entries at each step."""
        crystal = [self.crystal.cell, self.crystal.species, self.crystal.positions]
        energies = [self.energy_ev_per_atom, self.formation_energy_ev_per_atom]
        return pack([self.name, crystal, self.fractions, energies])

    @classmethod
    def unpack(cls, text: str) -> Entry:
        """The entry of such a text."""
        name, crystal, fractions, energies = unpack(text)
        return cls(name, crystal_of(crystal), tuple(fractions), *energies)


def pack(document: Any) -> str:
    """A JSON document as a short text; numbers keep all digits."""
    return base64.b85encode(zlib.compress(json.dumps(document, separators=(",", ":")).encode())).decode()


def unpack(text: str) -> Any:
    """The document of such a text."""
    return json.loads(zlib.decompress(base64.b85decode(text)))


def crystal_of(parts: Sequence[Any]) -> Crystal:
    """The crystal of its cell, species and positions, as JSON has them."""
    cell, species, positions = parts
    return Crystal(tuple(map(tuple, cell)), tuple(species), tuple(map(tuple, positions)))  # type: ignore[arg-type]
