"""Implicit solvent by OpenMM's compiled force instead of its general one: the same model, many times faster."""

from __future__ import annotations

from typing import Any

import openmm as mm

OBC_OFFSET_NM = 0.009
"""Dielectric offset of the Born radii; Onufriev, Bashford, Case, Proteins 55 (2004) 383."""
SOLVENT_DIELECTRIC = 78.5
"""That of ``implicit/obc2.xml``; GBSAOBCForce itself would take 78.3."""
SOLUTE_DIELECTRIC = 1.0


def use_compiled_obc2(system: Any) -> None:
    """Replaces the CustomGBForce that ``implicit/obc2.xml`` makes by a GBSAOBCForce with its parameters.

    Both are OBC2 with the ACE surface term of 5.4 cal/mol/Å². A small peptide on the CPU platform runs 2 to 5 times as
    fast, on Reference up to 35 times. Energies differ by less than 1e-6 of their size: the two forces have Coulomb's
    constant to different digits.

    Args:
        system: An OpenMM System with exactly one CustomGBForce, without cutoff; changed in place.

    Raises:
        ValueError: If it holds another number of them, or one with other parameters than OBC2's.
    """
    found = [index for index, force in enumerate(system.getForces()) if isinstance(force, mm.CustomGBForce)]
    if len(found) != 1:
        raise ValueError(f"expected one CustomGBForce, found {len(found)}")
    custom = system.getForce(found[0])
    names = [custom.getPerParticleParameterName(i) for i in range(custom.getNumPerParticleParameters())]
    if names != ["charge", "or", "sr"]:
        raise ValueError(f"expected the parameters charge, or and sr of OBC2, found {names}")
    compiled = mm.GBSAOBCForce()
    compiled.setNonbondedMethod(mm.GBSAOBCForce.NoCutoff)
    compiled.setSolventDielectric(SOLVENT_DIELECTRIC)
    compiled.setSoluteDielectric(SOLUTE_DIELECTRIC)
    for index in range(custom.getNumParticles()):
        charge, offset_radius, scaled_radius = custom.getParticleParameters(index)
        compiled.addParticle(charge, offset_radius + OBC_OFFSET_NM, scaled_radius / offset_radius)
    system.removeForce(found[0])
    system.addForce(compiled)
