"""Adding hydrogens, the same ones at the same places every time."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import openmm as mm
from openmm import app, unit

from simulations.md.analysis import Array


@contextmanager
def seeded_random(seed: str) -> Iterator[None]:
    """Seeds the module-level generator, from which OpenMM's Modeller draws and it takes no other."""
    kept = random.getstate()
    try:
        random.seed(seed)
        yield
    finally:
        random.setstate(kept)


def with_hydrogens(topology: Any, positions: Array, ph: float, seed: str) -> tuple[Any, Array]:
    """Adds the hydrogens that are missing, by `openmm.app.Modeller.addHydrogens`.

    Protonation follows from the pH and the usual pKa of each amino acid; of histidine's two neutral forms, the one
    with the better hydrogen bond is taken. The new atoms, and no others, are then moved to places of low energy.

    Args:
        topology: OpenMM Topology, which is not changed.
        positions: Coordinates in nm, shape (atoms, 3).
        ph: The pH.
        seed: Where hydrogens are placed first depends on it.

    Returns:
        The new Topology and its coordinates in nm.

    Raises:
        Exception: Whatever OpenMM's Modeller trips over.
    """
    modeller = app.Modeller(topology, positions * unit.nanometer)
    with seeded_random(seed):
        # Reference: on several threads forces add up in another order each time.
        modeller.addHydrogens(pH=ph, platform=mm.Platform.getPlatformByName("Reference"))
    return modeller.topology, np.array(modeller.positions.value_in_unit(unit.nanometer), dtype=np.float64)
