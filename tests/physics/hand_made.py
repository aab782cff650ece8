"""Runs of md over systems that were put together by hand: everything after the build is the product's own."""

from __future__ import annotations

import csv
from pathlib import Path

import mdtraj
import numpy as np
import openmm as mm
import pytest
from openmm import app, unit

from simulations.md import TOOL, MdRequest
from simulations.md.results import MdResult
from simulations.md.system import describe
from simulations.workspace import Resources, Workspace

BOLTZMANN_KJ_MOL_K = 8.31446261815324e-3
"""CODATA 2018, per mole."""


class Run:
    """One run of md and what it left.

    Args:
        folder: Run folder.
        files: The request's file inputs, by field.
        inputs: Of the request.
    """

    def __init__(self, folder: Path, files: dict[str, Path] | None = None, **inputs: object) -> None:
        self.workspace = Workspace(folder / "work", folder, Resources("host", "host/0"), files or {})
        request = {"structure": "alanine-dipeptide", "platform": "Reference", **inputs}
        self.result: MdResult = TOOL.run(MdRequest(**request), self.workspace)

    def path(self, name: str) -> Path:
        """Of an artifact."""
        return self.workspace.run_folder / self.workspace.artifacts[name]

    def column(self, name: str) -> np.ndarray:
        """A column of the state table."""
        with self.path("state_table").open() as stream:
            return np.array([float(row[name]) for row in csv.DictReader(stream)])

    def xyz(self) -> np.ndarray:
        """Coordinates of the trajectory in nm, shape (frames, atoms, 3)."""
        return mdtraj.load(self.path("trajectory"), top=self.path("topology")).xyz.astype(float)


def argon(n: int) -> app.Topology:
    """A topology of so many atoms that know nothing of each other."""
    topology = app.Topology()
    chain = topology.addChain("A")
    for _ in range(n):
        topology.addAtom("AR", app.element.argon, topology.addResidue("AR", chain))
    return topology


def use_system(
    monkeypatch: pytest.MonkeyPatch, system: mm.System, positions: np.ndarray, box: np.ndarray | None = None
) -> None:
    """Makes md simulate this system, whatever structure it is given."""
    topology = argon(len(positions))
    if box is not None:
        topology.setPeriodicBoxVectors(box * unit.nanometer)
    prepared = describe(topology, system, positions, box, "none" if box is None else "kept", 0.0, None)
    monkeypatch.setattr("simulations.md.start.prepare", lambda *arguments: prepared)


def free_particles(n: int, mass_da: float) -> mm.System:
    """A system of particles on which no force acts."""
    system = mm.System()
    for _ in range(n):
        system.addParticle(mass_da)
    return system
