"""Files and names become atoms, or a plain word on why not. Nothing is guessed, and nothing of a file is lost."""

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.constraints import FixAtoms, FixScaled
from ase.io.formats import all_formats
from hypothesis import given, settings
from hypothesis import strategies as st

from simulations.atomistic import SinglePointRequest
from simulations.atomistic.structures import FORMATS, build_atoms, n_fixed
from simulations.errors import ToolError
from simulations.workspace import Resources, Workspace

EMT = {"calculator": "emt"}


def place(tmp_path, path=None):
    inputs = {} if path is None else {"structure": path}
    return Workspace(tmp_path / "work", tmp_path, Resources("host", "host/0"), inputs=inputs)


def from_file(tmp_path, name, content, **inputs):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return build_atoms(SinglePointRequest(structure=name, **EMT, **inputs), place(tmp_path, path))


def written(tmp_path, atoms, name, form, **more):
    ase.io.write(tmp_path / name, atoms, format=form, **more)
    return from_file(tmp_path, name, (tmp_path / name).read_bytes())


@pytest.mark.parametrize(
    ("name", "form"),
    [("a.cif", "cif"), ("a.xyz", "extxyz"), ("a.extxyz", "extxyz"), ("POSCAR", "vasp"), ("a.vasp", "vasp")],
)
def test_a_crystal_is_read_from_each_format(tmp_path, name, form):
    expected = bulk("NaCl", "rocksalt", a=5.64, cubic=True)
    found = written(tmp_path, expected, name, form)
    assert found.pbc.all()
    assert found.get_volume() == pytest.approx(5.64**3, rel=1e-6)
    assert sorted(found.get_chemical_symbols()) == sorted(expected.get_chemical_symbols())


def test_a_plain_xyz_file_is_a_molecule_in_vacuum(tmp_path):
    found = written(tmp_path, molecule("CH3OH"), "a.xyz", "xyz")
    assert not found.pbc.any()
    assert found.positions == pytest.approx(molecule("CH3OH").positions, abs=1e-7)


def test_what_belongs_to_the_atoms_is_kept_and_what_other_programs_said_is_not(tmp_path):
    atoms = bulk("Cu", cubic=True)
    atoms.set_momenta(np.arange(12.0).reshape(4, 3))
    atoms.set_masses([63.0, 65.0, 63.0, 65.0])
    atoms.set_initial_magnetic_moments([1.0] * 4)
    found = written(tmp_path, atoms, "a.extxyz", "extxyz")
    assert found.get_momenta() == pytest.approx(atoms.get_momenta())
    assert list(found.get_masses()) == [63.0, 65.0, 63.0, 65.0]
    assert not found.has("initial_magmoms")
    assert found.calc is None


def test_atoms_that_a_file_fixes_are_fixed(tmp_path):
    atoms = bulk("Cu", cubic=True)
    atoms.set_constraint(FixAtoms([0, 2]))
    assert n_fixed(written(tmp_path, atoms, "POSCAR", "vasp")) == 2
    assert n_fixed(written(tmp_path, atoms, "a.extxyz", "extxyz")) == 2


def test_single_coordinates_that_are_fixed_are_refused(tmp_path):
    atoms = bulk("Cu", cubic=True)
    atoms.set_constraint(FixScaled(1, (True, False, False)))
    with pytest.raises(ToolError, match="fixes single coordinates"):
        written(tmp_path, atoms, "POSCAR", "vasp")


def test_which_of_several_structures_is_meant_has_to_be_said(tmp_path):
    frames = [bulk("Cu", a=a) for a in (3.5, 3.6, 3.7)]
    ase.io.write(tmp_path / "a.xyz", frames, format="extxyz")
    content = (tmp_path / "a.xyz").read_bytes()
    with pytest.raises(ToolError, match="holds 3 structures") as caught:
        from_file(tmp_path, "a.xyz", content)
    assert caught.value.details == {"structures": 3}
    for frame, a in ((0, 3.5), (2, 3.7), (-1, 3.7)):
        assert from_file(tmp_path, "a.xyz", content, frame=frame).get_volume() == pytest.approx(a**3 / 4)
    with pytest.raises(ToolError, match="has no frame 3"):
        from_file(tmp_path, "a.xyz", content, frame=3)


def test_a_disordered_crystal_is_refused_and_not_rounded(tmp_path):
    text = (
        "data_x\n_cell_length_a 3.7\n_cell_length_b 3.7\n_cell_length_c 3.7\n_cell_angle_alpha 90\n"
        "_cell_angle_beta 90\n_cell_angle_gamma 90\n_symmetry_space_group_name_H-M 'P 1'\nloop_\n"
        "_atom_site_label\n_atom_site_type_symbol\n_atom_site_fract_x\n_atom_site_fract_y\n_atom_site_fract_z\n"
        "_atom_site_occupancy\nCu1 Cu 0 0 0 {}\nAu1 Au 0.5 0.5 0.5 1\n"
    )
    assert len(from_file(tmp_path, "whole.cif", text.format(1.0))) == 2
    with pytest.raises(ToolError, match="disordered: site 0 is occupied by Cu 0"):
        from_file(tmp_path, "half.cif", text.format(0.75))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.pdb", "ATOM", "ends in .pdb, which tells no format"),
        ("a.cif", "this is no CIF", "no readable CIF file|no atoms"),
        ("a.xyz", "2\n\nCu 0 0 0\n", "no readable XYZ file"),
        ("a.xyz", "1\n\nXx 0 0 0\n", "no readable XYZ file"),
        ("a.xyz", "1\n\nX 0 0 0\n", "of no element"),
        ("a.xyz", "1\n\nCu nan 0 0\n", "no finite numbers"),
        ("a.xyz", "2\n\nCu 0 0 0\nCu 0 0 0.01\n", "atoms 0 and 1 .* 0.010 Å apart"),
        ("a.xyz", '1\npbc="T T T"\nCu 0 0 0\n', "no length"),
        ("a.xyz", b"\xff\xfe\x00", "no readable XYZ file"),
        ("a.xyz", "0\n\n", "no atoms|no readable"),
        ("POSCAR", "hello", "no readable POSCAR file"),
    ],
)
def test_what_is_no_structure_is_said_to_be_none(tmp_path, name, content, said):
    with pytest.raises(ToolError, match=said) as caught:
        from_file(tmp_path, name, content)
    assert caught.value.kind == "BadStructure"
    assert caught.value.hint


def test_the_format_is_never_guessed_from_content(tmp_path):
    """ASE would unpickle a file that says it is one of its old trajectories, and evaluate others."""
    assert set(FORMATS.values()) == {"cif", "extxyz", "vasp"} <= set(all_formats)
    ase.io.write(tmp_path / "a.traj", bulk("Cu"))
    with pytest.raises(ToolError, match="no readable XYZ file"):
        from_file(tmp_path, "a.xyz", (tmp_path / "a.traj").read_bytes())


@settings(max_examples=40)
@given(st.sampled_from(["a.cif", "a.xyz", "POSCAR"]), st.text(max_size=60))
def test_any_text_is_atoms_or_a_plain_word(tmp_path_factory, name, text):
    try:
        atoms = from_file(tmp_path_factory.mktemp("any"), name, text.encode("utf-8", "surrogatepass"))
    except ToolError as error:
        kind = error.kind
    else:
        kind = "fine" if np.isfinite(atoms.positions).all() else "not finite"
    assert kind in ("fine", "BadStructure", "StructureTooLarge")


@pytest.mark.parametrize(
    ("inputs", "n_atoms", "volume"),
    [
        ({"bulk": "Cu", "a_angstrom": 3.6}, 1, 3.6**3 / 4),
        ({"bulk": "Cu", "a_angstrom": 3.6, "cubic": True, "supercell": [1, 2, 3]}, 24, 6 * 3.6**3),
        ({"bulk": "NaCl", "crystal_structure": "rocksalt", "a_angstrom": 5.64}, 2, 5.64**3 / 4),
        ({"bulk": "CaF2", "crystal_structure": "fluorite", "a_angstrom": 5.46, "cubic": True}, 12, 5.46**3),
        (
            {"bulk": "Zn", "crystal_structure": "hcp", "a_angstrom": 2.66, "c_angstrom": 4.95},
            2,
            0.75**0.5 * 2.66**2 * 4.95,
        ),
    ],
)
def test_crystals_are_built_by_name(tmp_path, inputs, n_atoms, volume):
    atoms = build_atoms(SinglePointRequest(**inputs, **EMT), place(tmp_path))
    assert len(atoms) == n_atoms
    assert atoms.get_volume() == pytest.approx(volume)


@pytest.mark.parametrize("inputs", [{"bulk": "Mn"}, {"bulk": "Cu", "crystal_structure": "bcc"}, {"bulk": "H"}])
def test_a_crystal_without_a_lattice_constant_is_refused(tmp_path, inputs):
    with pytest.raises(ToolError, match="cannot be built") as caught:
        build_atoms(SinglePointRequest(**inputs, **EMT), place(tmp_path))
    assert "a_angstrom" in caught.value.hint


def test_molecules_are_those_of_ase(tmp_path):
    atoms = build_atoms(SinglePointRequest(molecule="C6H6", **EMT), place(tmp_path))
    assert atoms == molecule("C6H6")


def test_a_molecule_cannot_be_repeated(tmp_path):
    with pytest.raises(ToolError, match="along a cell vector that has no length"):
        build_atoms(SinglePointRequest(molecule="H2O", supercell=[2, 1, 1], **EMT), place(tmp_path))


def test_too_many_atoms_are_refused_before_they_are_made(tmp_path):
    with pytest.raises(ToolError, match="has 1000000000 atoms") as caught:
        build_atoms(SinglePointRequest(bulk="Cu", supercell=[1000, 1000, 1000], **EMT), place(tmp_path))
    assert caught.value.kind == "StructureTooLarge"


def test_a_smiles_becomes_a_geometry_that_its_seed_decides(tmp_path):
    def built(seed):
        request = SinglePointRequest(smiles="CCCO", conformer_seed=seed, calculator="gfn2")
        return build_atoms(request, place(tmp_path))

    assert built(1).get_chemical_formula() == "C3H8O"
    assert (built(1).positions == built(1).positions).all()
    assert not np.allclose(built(1).positions, built(2).positions)


@pytest.mark.parametrize(
    ("inputs", "kind"),
    [
        ({"smiles": "C1CC"}, "BadSmiles"),
        ({"smiles": "C(C)(C)(C)(C)C"}, "BadSmiles"),
        ({"smiles": "[NH4+]"}, "BadCharge"),
        ({"smiles": "[Fe]"}, "NotParametrised"),
    ],
)
def test_a_smiles_that_has_no_geometry_is_refused(tmp_path, inputs, kind):
    with pytest.raises(ToolError) as caught:
        build_atoms(SinglePointRequest(**inputs, calculator="gfn2"), place(tmp_path))
    assert caught.value.kind == kind


def test_an_ion_by_smiles_has_the_charge_that_both_say(tmp_path):
    atoms = build_atoms(SinglePointRequest(smiles="[NH4+]", charge=1, calculator="gfn2"), place(tmp_path))
    assert isinstance(atoms, Atoms)
    assert len(atoms) == 5
