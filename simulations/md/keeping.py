"""The start of production, on disk: so that a later attempt has the same particles, forces and reference coordinates.

It is written once, beside the first checkpoint, and named by its content. Nothing in it is code: numbers, text, and the
System in OpenMM's XML, which keeps every digit.
"""

from __future__ import annotations

import hashlib
import io
import json
from typing import Any

import numpy as np
import openmm as mm
from numpy.typing import NDArray
from openmm import app, unit

from simulations.md.repairs import RepairReport
from simulations.md.start import Start
from simulations.md.system import describe
from simulations.workspace import Workspace

Arrays = dict[str, NDArray[Any]]


def pack(arrays: Arrays, *, compressed: bool) -> bytes:
    """Arrays by name as the bytes of an ``.npz`` file."""
    stream = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(stream, **arrays)  # type: ignore[arg-type]
    return stream.getvalue()


def unpack(content: bytes) -> Arrays:
    """The arrays of `pack`.

    Raises:
        ValueError: If it is no such file, or holds objects.
    """
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return dict(arrays)


def as_bytes(content: bytes) -> NDArray[np.uint8]:
    """Bytes as an array."""
    return np.frombuffer(content, dtype=np.uint8)


def keep_start(start: Start, workspace: Workspace) -> str:
    """Writes a start, durably.

    Returns:
        Its name, which tells its content.

    Raises:
        ToolError: ``DiskFull`` or ``DiskFailed``.
    """
    prepared = start.prepared
    about = {
        "topology": _plain_topology(prepared.topology),
        "box_origin": prepared.box_origin,
        "cutoff_nm": prepared.cutoff_nm,
        "suffix": start.suffix,
        "minimized": start.minimized,
        "repairs": prepared.repairs.plain() if prepared.repairs else None,
    }
    arrays: Arrays = {
        "about": as_bytes(json.dumps(about).encode()),
        "system": as_bytes(mm.XmlSerializer.serialize(prepared.system).encode()),
        "prepared_positions": prepared.positions,
        "positions": start.positions,
        "reference": start.reference,
        "topology_text": as_bytes(start.topology_text),
    }
    if prepared.box is not None:
        arrays["box"] = prepared.box
    if start.velocities is not None:
        arrays["velocities"] = start.velocities
    content = pack(arrays, compressed=True)
    name = f"saved.start.{hashlib.sha256(content).hexdigest()}"
    workspace.write(name, content)
    return name


def find_kept_start(name: str, workspace: Workspace) -> Start | None:
    """Reads a start; None if it is not there or not whole."""
    try:
        content = (workspace.folder / name).read_bytes()
    except FileNotFoundError:
        return None
    if name != f"saved.start.{hashlib.sha256(content).hexdigest()}":
        return None
    arrays = unpack(content)
    about = json.loads(arrays["about"].tobytes())
    box = arrays.get("box")
    return Start(
        prepared=describe(
            _topology(about["topology"], box),
            mm.XmlSerializer.deserialize(arrays["system"].tobytes().decode()),
            arrays["prepared_positions"],
            box,
            about["box_origin"],
            about["cutoff_nm"],
            RepairReport.restored(about["repairs"]) if about["repairs"] else None,
        ),
        positions=arrays["positions"],
        reference=arrays["reference"],
        topology_text=arrays["topology_text"].tobytes(),
        suffix=about["suffix"],
        minimized=about["minimized"],
        velocities=arrays.get("velocities"),
    )


def _plain_topology(topology: Any) -> dict[str, Any]:
    return {
        "chains": [chain.id for chain in topology.chains()],
        "residues": [
            [residue.chain.index, residue.name, residue.id, residue.insertionCode] for residue in topology.residues()
        ],
        "atoms": [
            [atom.residue.index, atom.name, atom.element.symbol if atom.element else None, atom.id, atom.formalCharge]
            for atom in topology.atoms()
        ],
        "bonds": [
            [bond.atom1.index, bond.atom2.index, str(bond.type) if bond.type else None, bond.order]
            for bond in topology.bonds()
        ],
    }


def _topology(plain: dict[str, Any], box: NDArray[np.float64] | None) -> Any:
    topology = app.Topology()
    chains = [topology.addChain(name) for name in plain["chains"]]
    residues = [
        topology.addResidue(name, chains[chain], number, code) for chain, name, number, code in plain["residues"]
    ]
    atoms = [
        topology.addAtom(name, app.Element.getBySymbol(symbol) if symbol else None, residues[residue], number, charge)
        for residue, name, symbol, number, charge in plain["atoms"]
    ]
    kinds = {str(kind): kind for kind in (app.Single, app.Double, app.Triple, app.Aromatic, app.Amide)}
    for first, second, kind, order in plain["bonds"]:
        topology.addBond(atoms[first], atoms[second], kinds[kind] if kind else None, order)
    if box is not None:
        topology.setPeriodicBoxVectors(box * unit.nanometer)
    return topology
