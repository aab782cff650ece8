"""Another run's last state: how it is left, and how a run starts from it.

It is OpenMM's State in XML, which every OpenMM reads on every platform, with one more element that lists the atoms.
"""

from __future__ import annotations

import hashlib
import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import openmm as mm
from openmm import unit

from simulations.errors import ToolError
from simulations.md.analysis import Array
from simulations.md.system import Prepared

FINAL_STATE = ("final_state", "final_state.xml")
_END = "</State>"
_ATOMS = re.compile(r"<Atoms>\n(.*?)\n</Atoms>", re.DOTALL)
HINT = "give the artifact final_state of a run of the same atoms, with the same structure, solvent and force field"


@dataclass(frozen=True)
class Restart:
    """A state to start from.

    Attributes:
        key: Hash that names it.
        positions: In nm, shape (atoms, 3).
        velocities: In nm/ps, shape (atoms, 3).
        box: Box vectors in nm, shape (3, 3).
        residues: For each residue its name and those of its atoms; None if the file does not list them.
    """

    key: str
    positions: Array
    velocities: Array
    box: Array
    residues: list[str] | None


def final_state(context: Any, topology: Any) -> bytes:
    """Coordinates, velocities and box of a context, to the last digit, with the names of the atoms."""
    text: str = mm.XmlSerializer.serialize(context.getState(positions=True, velocities=True))
    body, end, rest = text.rpartition(_END)
    listed = html.escape("\n".join(_residues(topology)), quote=False)
    return f"{body}<Atoms>\n{listed}\n</Atoms>\n{end}{rest}".encode()


def find_restart(inputs: Mapping[str, Path]) -> Restart | None:
    """Reads the file that the input ``restart`` names; None if there is none.

    Raises:
        ToolError: ``BadRestart`` if it is no state with coordinates and velocities.
    """
    path = inputs.get("restart")
    if path is None:
        return None
    content = path.read_bytes()
    try:
        text = content.decode()
        state = mm.XmlSerializer.deserialize(text)
        positions = np.array(state.getPositions(asNumpy=True).value_in_unit(unit.nanometer), dtype=np.float64)
        velocities = np.array(
            state.getVelocities(asNumpy=True).value_in_unit(unit.nanometer / unit.picosecond), dtype=np.float64
        )
        box = np.array(state.getPeriodicBoxVectors().value_in_unit(unit.nanometer), dtype=np.float64)
    except Exception as error:  # OpenMM raises its own where there is another object, or no XML, in it
        raise _bad(f"restart is no OpenMM State with coordinates and velocities: {error}") from error
    if not (np.isfinite(positions).all() and np.isfinite(velocities).all()):
        raise _bad("restart has coordinates or velocities that are no finite numbers")
    listed = _ATOMS.search(text)
    residues = html.unescape(listed.group(1)).split("\n") if listed else None
    return Restart(hashlib.sha256(content).hexdigest(), positions, velocities, box, residues)


def check_same_atoms(restart: Restart, prepared: Prepared) -> None:
    """Refuses a state of other atoms than those that the inputs describe.

    Raises:
        ToolError: ``BadRestart``, which tells the first difference.
    """
    if restart.residues is not None:
        ours = _residues(prepared.topology)
        for number, (here, there) in enumerate(zip(ours, restart.residues, strict=False), 1):
            if here != there:
                raise _bad(f"restart is of other atoms: residue {number} is {there!r} there, and {here!r} here")
        if len(ours) != len(restart.residues):
            raise _bad(f"restart is of {len(restart.residues)} residues; the inputs describe {len(ours)}")
    if len(restart.positions) != prepared.n_atoms:
        raise _bad(f"restart is of {len(restart.positions)} particles; the inputs describe {prepared.n_atoms}")


def _residues(topology: Any) -> list[str]:
    return [" ".join([f"{residue.name}:", *(atom.name for atom in residue.atoms())]) for residue in topology.residues()]


def _bad(message: str) -> ToolError:
    return ToolError(message, hint=HINT, kind="BadRestart")
