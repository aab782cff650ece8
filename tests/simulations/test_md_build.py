"""From structure to system: what is shipped, what is refused, and that energies are OpenMM's."""

import mdtraj
import numpy as np
import openmm as mm
import pytest
from openmm import app, unit

from simulations.cache import BuildCache
from simulations.errors import ToolError
from simulations.md import TOOL, MdRequest
from simulations.md.molecule_inputs import CAPPED, SHIPPED
from simulations.md.structure import STRUCTURES, Source, find_source, structure_text
from simulations.md.system import prepare
from simulations.workspace import Resources, Workspace

WATER = (
    "HETATM    1  O   HOH A   7       0.000   0.000   0.000  1.00  0.00           O\n"
    "HETATM    2  H1  HOH A   7       0.957   0.000   0.000  1.00  0.00           H\n"
    "HETATM    3  H2  HOH A   7      -0.240   0.927   0.000  1.00  0.00           H\n"
)

TRIED = ["amber14", "amber19", "amber99sbildn", "charmm36"]
"""All force fields with all their waters are built by tests/physics/test_md_force_fields.py, which takes longer."""

REFERENCE = mm.Platform.getPlatformByName("Reference")


@pytest.fixture(scope="module")
def cache():
    """Shared by this module: a force field takes longer to load than a test should."""
    return BuildCache()


def prepared(cache, structure, **inputs):
    request = MdRequest(structure=structure, steps=1, **inputs)
    return prepare(request, find_source(structure, {}), cache)


def run_file(tmp_path, name, text, cache=None, **inputs):
    path = tmp_path / name
    path.write_text(text)
    cache = BuildCache() if cache is None else cache
    workspace = Workspace(tmp_path / "work", tmp_path, Resources("host", "host/0"), {"structure": path}, cache)
    return TOOL.run(MdRequest(structure=name, **{"steps": 1, "platform": "Reference", **inputs}), workspace)


def potential(system, positions):
    context = mm.Context(system, mm.VerletIntegrator(0.001), REFERENCE)
    context.setPositions(positions)
    return context.getState(energy=True).getPotentialEnergy().value_in_unit(unit.kilojoules_per_mole)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_structures_are_l_peptides_with_sound_bonds(name):
    frame = mdtraj.load(STRUCTURES / f"{name}.pdb")
    xyz = frame.xyz[0]
    chiral = 0
    for residue in frame.topology.residues:
        at = {atom.name: xyz[atom.index] for atom in residue.atoms}
        if "CB" in at:
            n, c, cb = (at[atom] - at["CA"] for atom in ("N", "C", "CB"))
            assert np.dot(np.cross(n, c), cb) > 0.002, f"{residue} is not L"
            chiral += 1
        if residue.name == "THR":
            og, ca, cg = (at[atom] - at["CB"] for atom in ("OG1", "CA", "CG2"))
            assert np.dot(np.cross(og, ca), cg) < -0.002, f"{residue} is allo-threonine"
    assert chiral == {"alanine-dipeptide": 1, "ala10": 10, "chignolin": 7}[name]
    bonds = [[a.index, b.index] for a, b in frame.topology.bonds]
    lengths = mdtraj.compute_distances(frame, bonds)[0]
    assert len(bonds) >= frame.n_atoms - 1
    assert lengths.min() > 0.095
    assert lengths.max() < 0.156
    assert (mdtraj.compute_phi(frame)[1] < 0).all()
    if frame.n_residues > 3:
        assert np.abs(mdtraj.compute_omega(frame)[1]).min() > np.radians(170)


def test_ala10_is_a_right_handed_helix():
    frame = mdtraj.load(STRUCTURES / "ala10.pdb")
    assert np.degrees(mdtraj.compute_phi(frame)[1]).mean() == pytest.approx(-65, abs=10)
    assert np.degrees(mdtraj.compute_psi(frame)[1]).mean() == pytest.approx(-40, abs=10)


def total_charge(built):
    charges = next(force for force in built.system.getForces() if isinstance(force, mm.NonbondedForce))
    return sum(charges.getParticleParameters(i)[0]._value for i in range(built.n_atoms))


@pytest.mark.parametrize("solvent", ["vacuum", "implicit"])
@pytest.mark.parametrize("force_field", TRIED)
@pytest.mark.parametrize("structure", SHIPPED)
def test_every_force_field_builds_the_shipped_structures_it_allows(cache, structure, force_field, solvent):
    if force_field == "charmm36" and structure in CAPPED:
        with pytest.raises(ValueError, match="charmm36"):
            MdRequest(structure=structure, steps=1, force_field=force_field, solvent=solvent)
        return
    built = prepared(cache, structure, force_field=force_field, solvent=solvent)
    assert np.isfinite(potential(built.system, built.positions))
    assert built.box is None
    assert total_charge(built) == pytest.approx(0 if structure in CAPPED else -2, abs=1e-3)


@pytest.mark.parametrize("force_field", [name for name in TRIED if name != "charmm36"])
def test_explicit_solvent_fills_a_neutral_box_around_the_solute(cache, force_field):
    built = prepared(cache, "alanine-dipeptide", force_field=force_field, solvent="explicit", padding_nm=0.6)
    assert len(built.solute) == 22
    assert len(built.heavy) == 10
    assert total_charge(built) == pytest.approx(0, abs=1e-3)
    density = built.mass_da / built.box[0, 0] ** 3 * 1.66053906660e-3
    assert density == pytest.approx(0.95, abs=0.08)


def test_charmm36_has_water_too(tmp_path, cache):
    (tmp_path / "water.pdb").write_text(WATER)
    request = MdRequest(
        structure="water.pdb", steps=1, force_field="charmm36", solvent="explicit", padding_nm=1.2, constraints="none"
    )
    built = prepare(request, find_source("water.pdb", {"structure": tmp_path / "water.pdb"}), cache)
    assert built.n_atoms > 1000
    assert len(built.solute) == 0
    assert built.system.getNumConstraints() == built.n_atoms  # rigid water: three per molecule


def test_water_of_the_structure_gets_the_virtual_sites_that_its_model_has(cache):
    water = WATER.replace("HETATM    ", "HETATM   9").replace(
        "       0.000   0.000   0.000", "       9.000   9.000   0.000"
    )
    water = water.replace("       0.957   0.000", "       9.957   9.000").replace(
        "      -0.240   0.927", "       8.760   9.927"
    )
    wet = (STRUCTURES / "alanine-dipeptide.pdb").read_text().replace("END\n", water + "END\n")
    request = MdRequest(structure="wet.pdb", steps=1, force_field="amber19", solvent="explicit", padding_nm=0.5)
    built = prepare(request, Source("wet.pdb", ".pdb", wet.encode()), cache)
    waters = [residue for residue in built.topology.residues() if residue.name == "HOH"]
    assert {len(list(residue.atoms())) for residue in waters} == {4}
    assert waters[0].id == "7"


def test_water_alone_needs_no_protein_for_its_force_field(cache):
    request = MdRequest(structure="water.pdb", steps=1, force_field="amber19", solvent="explicit", padding_nm=1.2)
    three_sites = prepare(
        request.model_copy(update={"water_model": "tip3p"}), Source("water.pdb", ".pdb", WATER.encode()), cache
    )
    assert {residue.name for residue in three_sites.topology.residues()} == {"HOH"}


def test_charge_is_neutralised(cache):
    built = prepared(cache, "chignolin", solvent="explicit", padding_nm=0.5)
    assert total_charge(built) == pytest.approx(0, abs=1e-3)
    assert [residue.name for residue in built.topology.residues()].count("NA") == 2


@pytest.mark.parametrize(("solvent", "files"), [("vacuum", []), ("implicit", ["implicit/obc2.xml"])])
@pytest.mark.parametrize("structure", SHIPPED)
def test_potential_energy_is_that_of_a_plain_openmm_script(cache, structure, solvent, files):
    pdb = app.PDBFile(str(STRUCTURES / f"{structure}.pdb"))
    system = app.ForceField("amber14-all.xml", *files).createSystem(pdb.topology, constraints=app.HBonds)
    built = prepared(cache, structure, solvent=solvent)
    assert potential(built.system, built.positions) == pytest.approx(potential(system, pdb.positions), rel=1e-6)


def test_added_water_and_ions_are_the_same_every_time():
    inputs = {"solvent": "explicit", "padding_nm": 0.6, "ionic_strength_m": 0.3}
    first, second = (prepared(BuildCache(), "alanine-dipeptide", **inputs) for _ in range(2))
    assert np.array_equal(first.positions, second.positions)
    ions = [residue.name for residue in first.topology.residues() if residue.name in ("NA", "CL")]
    assert ions.count("NA") == ions.count("CL") > 0


def test_a_box_too_small_is_refused_before_water_is_added(cache):
    with pytest.raises(ToolError) as caught:
        prepared(cache, "alanine-dipeptide", solvent="explicit", padding_nm=0.2)
    assert caught.value.kind == "BoxTooSmall"
    assert "padding_nm" in caught.value.hint


def test_a_filled_box_is_kept_and_refuses_settings_that_would_have_no_effect(cache):
    built = prepared(cache, "alanine-dipeptide", solvent="explicit", padding_nm=0.6)
    boxed = Source("box.pdb", ".pdb", structure_text(built.topology, built.positions, built.box, ".pdb"))
    kept = prepare(MdRequest(structure="box.pdb", steps=1, solvent="explicit"), boxed, cache)
    assert (kept.box_origin, kept.n_atoms) == ("kept", built.n_atoms)
    assert kept.box == pytest.approx(built.box, abs=1e-3)
    with pytest.raises(ToolError, match="padding_nm has no effect"):
        prepare(MdRequest(structure="box.pdb", steps=1, solvent="explicit", padding_nm=1.0), boxed, cache)


def test_an_unknown_residue_is_named_with_its_number_and_chain(tmp_path, cache):
    text = (STRUCTURES / "alanine-dipeptide.pdb").read_text().replace("ALA A   2", "LIG B  42")
    with pytest.raises(ToolError) as caught:
        run_file(tmp_path, "ligand.pdb", text, cache)
    error = caught.value
    assert error.kind == "UnknownResidue"
    assert "LIG 42 (chain B)" in error.message
    assert "repairs nothing" in error.hint
    assert "heterogens remove" in error.hint
    assert "charmm36" in error.hint


def test_missing_hydrogens_are_said_to_be_missing(tmp_path, cache):
    lines = (STRUCTURES / "alanine-dipeptide.pdb").read_text().splitlines()
    heavy = "\n".join(line for line in lines if line[76:78].strip() != "H" and not line.startswith("CONECT"))
    with pytest.raises(ToolError) as caught:
        run_file(tmp_path, "heavy.pdb", heavy, cache)
    assert caught.value.kind == "UnknownResidue"
    assert "no hydrogens" in caught.value.message
    assert "Add hydrogens" in caught.value.hint


def test_water_without_explicit_solvent_is_an_unknown_residue_with_the_remedy(tmp_path, cache):
    with pytest.raises(ToolError, match=r"HOH 7 \(chain A\)") as caught:
        run_file(tmp_path, "water.pdb", WATER, cache)
    assert "solvent explicit" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("empty.pdb", ""),
        ("prose.pdb", "this is no structure\n"),
        ("remark.pdb", "REMARK nothing\nEND\n"),
        ("cut.pdb", "ATOM      1  N   ALA A   1      xx.xxx  11.000  10.000  1.00  0.00           N\n"),
        ("nan.pdb", "ATOM      1  N   ALA A   1         nan  11.000  10.000  1.00  0.00           N\n"),
        ("prose.cif", "this is no structure\n"),
        ("empty.cif", ""),
        ("structure.xyz", "1\n\nH 0 0 0\n"),
        ("nosuffix", "ATOM"),
    ],
)
def test_a_malformed_file_is_a_bad_structure(tmp_path, name, text):
    with pytest.raises(ToolError) as caught:
        run_file(tmp_path, name, text)
    assert caught.value.kind == "BadStructure"
    assert name in caught.value.message
    assert caught.value.hint


def test_bytes_that_are_no_text_are_a_bad_structure(tmp_path):
    path = tmp_path / "binary.pdb"
    path.write_bytes(b"\xff\xfe\x00\x01" * 50)
    workspace = Workspace(tmp_path / "work", tmp_path, Resources("host", "host/0"), inputs={"structure": path})
    with pytest.raises(ToolError) as caught:
        TOOL.run(MdRequest(structure="binary.pdb", steps=1), workspace)
    assert caught.value.kind == "BadStructure"


def test_a_name_that_is_neither_shipped_nor_a_file_lists_what_is_shipped():
    with pytest.raises(ToolError) as caught:
        find_source("villin", {})
    assert caught.value.kind == "BadStructure"
    assert all(name in caught.value.hint for name in SHIPPED)


def test_mmcif_gives_the_same_as_pdb(tmp_path, cache):
    pdb = app.PDBFile(str(STRUCTURES / "alanine-dipeptide.pdb"))
    with (tmp_path / "written.cif").open("w") as stream:
        app.PDBxFile.writeFile(pdb.topology, pdb.positions, stream, keepIds=True)
    source = find_source("written.cif", {"structure": tmp_path / "written.cif"})
    built = prepare(MdRequest(structure="written.cif", steps=1), source, cache)
    assert potential(built.system, built.positions) == pytest.approx(
        potential(prepared(cache, "alanine-dipeptide").system, pdb.positions), abs=1e-3
    )
