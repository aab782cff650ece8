"""From a structure to an OpenMM System: force field, solvent, box. All that does not depend on the dynamics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import openmm as mm
from numpy.typing import NDArray
from openmm import app, unit

from simulations.cache import BuildCache
from simulations.errors import ToolError
from simulations.md import analysis
from simulations.md.analysis import Array
from simulations.md.forcefields import FORCE_FIELDS, ForceFieldSet
from simulations.md.hydrogens import seeded_random
from simulations.md.implicit import use_compiled_obc2
from simulations.md.models import MdRequest
from simulations.md.molecule import Molecule, find_molecule
from simulations.md.molecule_inputs import DEFAULT_PADDING_NM
from simulations.md.repairs import RepairReport
from simulations.md.residues import parametrisation_error
from simulations.md.structure import WATER_NAMES, Source, is_solvent

FORCE_FIELD_SIZE = 10_000
"""What a parsed force field costs in the cache, in atoms: some 30 MB."""
FILLED_G_CM3 = 0.8
"""A box denser than this is full of water; the cell of a crystal without its water and copies is not."""
NPT_MARGIN = 1.05
"""A freshly built box shrinks by up to 3 % in length until its density is that of water."""
CONSTRAINTS = {"none": None, "hbonds": app.HBonds, "allbonds": app.AllBonds, "hangles": app.HAngles}


@dataclass(frozen=True)
class Prepared:
    """A parametrised system, shared between requests: nothing here may be changed.

    Attributes:
        topology: OpenMM Topology, with the box if there is one.
        system: OpenMM System, without barostat.
        positions: Coordinates in nm, shape (atoms, 3).
        box: Box vectors in nm, shape (3, 3), or None.
        box_origin: Whether the box was built or kept.
        cutoff_nm: Nonbonded cutoff; 0 without a box.
        solute: Indices of the solute's atoms, virtual sites excluded.
        heavy: Indices of the solute's atoms other than hydrogen.
        solute_masses: Masses of the solute's elements in Da, in the order of ``solute``.
        mass_da: Mass of everything.
        dof: Degrees of freedom.
        repairs: What was changed in the user's structure; None if nothing was to be.
    """

    topology: Any
    system: Any
    positions: Array
    box: Array | None
    box_origin: Literal["none", "built", "kept"]
    cutoff_nm: float
    solute: NDArray[np.int64]
    heavy: NDArray[np.int64]
    solute_masses: Array
    mass_da: float
    dof: int
    repairs: RepairReport | None = None

    @property
    def n_atoms(self) -> int:
        """Number of particles."""
        return len(self.positions)


def prepare(request: MdRequest, source: Source, cache: BuildCache) -> Prepared:
    """Finds the molecule, solvates and parametrises it.

    Raises:
        ToolError: ``BadStructure``, ``MissingResidues``, ``MissingAtoms``, ``UnknownResidue`` or ``BoxTooSmall``.
    """
    molecule = find_molecule(request, source)
    topology, positions = molecule.topology, molecule.positions
    fields = FORCE_FIELDS[request.force_field]
    solute = not all(is_solvent(residue) for residue in topology.residues())
    files = fields.files(request.solvent, request.implicit_model, request.water_model, solute=solute)
    force_field = cache.get("md/ff/" + ",".join(files), lambda: app.ForceField(*files), lambda _: FORCE_FIELD_SIZE)
    origin: Literal["none", "built", "kept"] = "none"
    if request.solvent != "explicit":
        topology.setPeriodicBoxVectors(None)  # a crystal's cell means nothing without a solvent to fill it
    elif _is_filled(topology):
        _refuse_solvation_settings(request, source)
        origin = "kept"
    else:
        topology, positions = _solvate(molecule, force_field, fields, request, source)
        origin = "built"
    system = _create_system(topology, force_field, fields, request, source)
    vectors = topology.getPeriodicBoxVectors()
    box = None if vectors is None else np.array(vectors.value_in_unit(unit.nanometer), dtype=np.float64)
    cutoff = 0.0 if box is None else fields.cutoff_nm
    if box is not None:
        check_box(box, cutoff, request)
        _refuse_charged(system, source)
    return describe(topology, system, positions, box, origin, cutoff, molecule.repairs)


def check_box(box: Array, cutoff_nm: float, request: MdRequest) -> None:
    """Refuses a box in which an atom would meet two copies of another one.

    Raises:
        ToolError: ``BoxTooSmall``, if the box is narrower than twice the cutoff, with a margin for NPT.
    """
    width = float(min(box[0, 0], box[1, 1], box[2, 2]))
    scaled = "NPT" in request.ensembles
    needed = 2 * cutoff_nm * (NPT_MARGIN if scaled else 1.0)
    if width < needed:
        raise ToolError(
            f"the periodic box is {width:.3f} nm wide; a cutoff of {cutoff_nm} nm with "
            f"{'NPT' if scaled else request.ensemble} needs {needed:.3f} nm",
            hint=f"raise padding_nm by at least {(needed - width) / 2:.2f}, or give a structure with a larger box"
            if request.water_box_nm is None
            else f"raise water_box_nm to {needed:.3f} at least",
            kind="BoxTooSmall",
            details={"box_nm": width, "needed_nm": needed},
        )


def describe(
    topology: Any,
    system: Any,
    positions: Array,
    box: Array | None,
    origin: Literal["none", "built", "kept"],
    cutoff: float,
    repairs: RepairReport | None,
) -> Prepared:
    """Finds in a parametrised system what analysis needs to know of it; see `Prepared`."""
    solute = [
        atom
        for residue in topology.residues()
        if not is_solvent(residue)
        for atom in residue.atoms()
        if atom.element is not None
    ]
    masses = [system.getParticleMass(i).value_in_unit(unit.dalton) for i in range(system.getNumParticles())]
    return Prepared(
        topology=topology,
        system=system,
        positions=positions,
        box=box,
        box_origin=origin,
        cutoff_nm=cutoff,
        solute=np.array([atom.index for atom in solute], dtype=np.int64),
        heavy=np.array([atom.index for atom in solute if atom.element.symbol not in ("H", "D")], dtype=np.int64),
        solute_masses=np.array([atom.element.mass.value_in_unit(unit.dalton) for atom in solute], dtype=np.float64),
        mass_da=float(sum(masses)),
        dof=analysis.degrees_of_freedom(system),
        repairs=repairs,
    )


def _create_system(topology: Any, force_field: Any, fields: ForceFieldSet, request: MdRequest, source: Source) -> Any:
    settings: dict[str, Any] = {
        "constraints": CONSTRAINTS[request.constraints],
        "rigidWater": True,
    }
    if request.hydrogen_mass_da is not None:
        settings["hydrogenMass"] = request.hydrogen_mass_da * unit.dalton
    if request.solvent == "explicit":
        settings |= {"nonbondedMethod": app.PME, "nonbondedCutoff": fields.cutoff_nm * unit.nanometer}
        if fields.switch_nm is not None:
            settings["switchDistance"] = fields.switch_nm * unit.nanometer
    else:
        settings["nonbondedMethod"] = app.NoCutoff
    try:
        system = force_field.createSystem(topology, **settings)
    except Exception as error:  # OpenMM raises plain Exception where templates are ambiguous
        raise parametrisation_error(error, force_field, topology, request, source) from error
    if request.solvent == "implicit" and request.implicit_model == "obc2":
        use_compiled_obc2(system)
    return system


def _is_filled(topology: Any) -> bool:
    vectors = topology.getPeriodicBoxVectors()
    if vectors is None or not any(is_solvent(residue) for residue in topology.residues()):
        return False
    volume = float(abs(np.linalg.det(np.array(vectors.value_in_unit(unit.nanometer)))))
    mass = sum(atom.element.mass.value_in_unit(unit.dalton) for atom in topology.atoms() if atom.element is not None)
    return volume > 0 and analysis.density_g_cm3(mass, volume) >= FILLED_G_CM3


def _solvate(
    molecule: Molecule, force_field: Any, fields: ForceFieldSet, request: MdRequest, source: Source
) -> tuple[Any, Array]:
    width = _box_width(molecule.positions, request)
    check_box(np.eye(3) * width, fields.cutoff_nm, request)  # before the water, which takes far longer
    water = fields.water(request.water_model)
    modeller = app.Modeller(molecule.topology, molecule.positions * unit.nanometer)
    # Ions are part of what is shared between seeds, so they depend on the content alone.
    with seeded_random(source.key):
        try:
            if water.has_virtual_site and any(r.name in WATER_NAMES for r in molecule.topology.residues()):
                modeller.addExtraParticles(force_field)  # the structure's own water has none
            modeller.addSolvent(
                force_field,
                model=water.template,
                boxSize=mm.Vec3(width, width, width) * unit.nanometer,
                positiveIon=request.cation,
                ionicStrength=request.ionic_strength_m * unit.molar,
            )
        except Exception as error:  # see _create_system
            raise parametrisation_error(error, force_field, molecule.topology, request, source) from error
    return modeller.topology, np.array(modeller.positions.value_in_unit(unit.nanometer), dtype=np.float64)


def _box_width(positions: Array, request: MdRequest) -> float:
    if request.water_box_nm is not None:
        return request.water_box_nm
    padding = DEFAULT_PADDING_NM if request.padding_nm is None else request.padding_nm
    centre = (positions.min(axis=0) + positions.max(axis=0)) / 2
    return 2 * (float(np.linalg.norm(positions - centre, axis=1).max()) + padding)


def _refuse_solvation_settings(request: MdRequest, source: Source) -> None:
    given = next(
        (
            name
            for name in ("padding_nm", "ionic_strength_m", "cation")
            if getattr(request, name) != MdRequest.model_fields[name].default
        ),
        None,
    )
    if given:
        raise ToolError(
            f"structure {source.label!r} is already a box full of water, which is kept: {given} has no effect",
            hint=f"leave {given} out, or remove water and CRYST1 record from the structure to have water added",
            kind="BadStructure",
        )


def _refuse_charged(system: Any, source: Source) -> None:
    charge = sum(
        force.getParticleParameters(i)[0].value_in_unit(unit.elementary_charge)
        for force in system.getForces()
        if isinstance(force, mm.NonbondedForce)
        for i in range(force.getNumParticles())
    )
    if abs(charge) > 0.01:
        raise ToolError(
            f"the periodic box of structure {source.label!r} has a total charge of {charge:+.2f} e",
            hint="add counter-ions to the structure, or remove its water and CRYST1 record to have both added",
            kind="BadStructure",
        )
