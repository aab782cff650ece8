"""CHGNet and MACE, where they are installed: what their packages give, loaded once for each worker."""

import hashlib

import ase.io
import numpy as np
import pytest
from ase.build import bulk, molecule

from simulations.cache import BuildCache
from simulations.errors import ToolError
from tests.simulations.atomistic_runs import run, run_paused, workspace

CHGNET = {"calculator": "chgnet", "model": "0.3.0", "device": "cpu"}
SI = {"bulk": "Si", **CHGNET}


@pytest.fixture(scope="module")
def chgnet():
    return pytest.importorskip("chgnet.model.dynamics", reason="the extra chgnet is not installed")


@pytest.fixture(scope="module")
def cache():
    return BuildCache()


def test_chgnet_is_that_of_its_package(tmp_path, chgnet, cache):
    atoms = bulk("NaCl", "rocksalt", a=5.5)
    atoms.rattle(0.05, seed=1)
    ase.io.write(tmp_path / "a.extxyz", atoms)
    atoms = ase.io.read(tmp_path / "a.extxyz")
    place = workspace(tmp_path, inputs={"structure": tmp_path / "a.extxyz"}, cache=cache)
    found = run("single_point", place, structure="a.extxyz", **CHGNET)
    atoms.calc = chgnet.CHGNetCalculator(use_device="cpu")
    assert found.energy_ev == pytest.approx(float(atoms.get_potential_energy()), abs=1e-5)
    assert found.max_force_ev_per_angstrom == pytest.approx(np.linalg.norm(atoms.get_forces(), axis=1).max(), abs=1e-5)
    assert found.stress_gpa == pytest.approx(list(atoms.get_stress() * 160.21766208), abs=1e-3)


def test_its_network_is_loaded_once_for_each_worker(tmp_path, chgnet, cache, capfd):
    for name in ("a", "b"):
        run("single_point", workspace(tmp_path / name, cache=cache), **SI)
    assert cache.hits >= 1
    assert 0 < cache.used < 10_000
    assert capfd.readouterr().out == ""


def test_it_relaxes_cells_and_moves_atoms(tmp_path, chgnet, cache):
    found = run("relax", workspace(tmp_path / "relax", cache=cache), bulk="NaCl", crystal_structure="rocksalt",
                a_angstrom=5.5, relax_cell="full", **CHGNET)  # fmt: skip
    assert (4 * found.cell.volume_angstrom3) ** (1 / 3) == pytest.approx(5.70, abs=0.03)  # with PBE, 5.70 Å
    moved = run("ase_md", workspace(tmp_path / "md", cache=cache), **SI, cubic=True, ensemble="NVE", steps=10,
                timestep_fs=1.0, temperature_k=300.0, report_interval_steps=2)  # fmt: skip
    assert moved.total_energy_ev.std < 0.1 * moved.kinetic_energy_ev.std


def test_a_simulation_with_it_goes_on_and_does_not_say_that_it_is_exact(tmp_path, chgnet, cache):
    asked = {**SI, "ensemble": "NVT", "steps": 8, "timestep_fs": 1.0, "temperature_k": 300.0}
    found, _ = run_paused("ase_md", tmp_path, [2], {"cache": cache}, **asked)
    assert (found.resumed, found.exact) == (1, False)


@pytest.mark.parametrize(
    ("inputs", "kind"),
    [
        ({"bulk": None, "molecule": "H2O"}, "BadStructure"),
        ({"crystal_structure": "fcc", "a_angstrom": 25.0}, "CalculationFailed"),
        ({"bulk": "Cm", "crystal_structure": "fcc", "a_angstrom": 5.0}, "UnsupportedElement"),
    ],
)
def test_what_it_cannot_do_is_refused(tmp_path, chgnet, cache, inputs, kind):
    with pytest.raises(ToolError) as caught:
        run("single_point", workspace(tmp_path, cache=cache), **{**SI, **inputs})
    assert caught.value.kind == kind


def test_a_gpu_that_is_not_there_is_no_cpu(tmp_path, chgnet, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ToolError, match="PyTorch finds no GPU") as caught:
        run("single_point", workspace(tmp_path), **{**SI, "device": "cuda"})
    assert caught.value.kind == "DeviceUnavailable"


@pytest.fixture
def mace(tmp_path, monkeypatch):
    """A small network with random weights, in the folder where mace-torch keeps its own; its name and checksum."""
    modules = pytest.importorskip("mace.modules", reason="the extra mace is not installed")
    import torch
    from e3nn.o3 import Irreps

    torch.manual_seed(1)
    torch.set_default_dtype(torch.float64)
    blocks = modules.interaction_classes
    network = modules.ScaleShiftMACE(
        r_max=4.0,
        num_bessel=4,
        num_polynomial_cutoff=5,
        max_ell=2,
        interaction_cls=blocks["RealAgnosticResidualInteractionBlock"],
        interaction_cls_first=blocks["RealAgnosticInteractionBlock"],
        num_interactions=2,
        num_elements=2,
        hidden_irreps=Irreps("8x0e"),
        MLP_irreps=Irreps("8x0e"),
        atomic_energies=np.array([-1.0, -2.0]),
        avg_num_neighbors=8,
        atomic_numbers=[1, 8],
        correlation=2,
        gate=torch.nn.functional.silu,
        atomic_inter_scale=1.0,
        atomic_inter_shift=0.0,
    )
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "cache" / "mace"
    folder.mkdir(parents=True)
    torch.save(network, folder / "small.model")
    (folder / "torn.model").write_bytes(b"torn")
    content = (folder / "small.model").read_bytes()
    return {"calculator": "mace", "model": "small.model", "model_sha256": hashlib.sha256(content).hexdigest(),
            "device": "cpu"}  # fmt: skip


def test_mace_is_that_of_its_package_and_says_what_it_cannot_do(tmp_path, mace, chgnet):
    from mace.calculators import MACECalculator

    found = run("single_point", workspace(tmp_path / "a"), molecule="H2O", **mace)
    water = molecule("H2O")
    water.calc = MACECalculator(str(tmp_path / "cache/mace/small.model"), device="cpu", default_dtype="float64")
    assert found.energy_ev == pytest.approx(float(water.get_potential_energy()), abs=1e-9)
    rough = run("single_point", workspace(tmp_path / "b"), molecule="H2O", precision="float32", **mace)
    assert rough.energy_ev == pytest.approx(found.energy_ev, abs=1e-5)
    assert rough.energy_ev != found.energy_ev
    after = run("single_point", workspace(tmp_path / "c"), **SI)
    assert after.energy_per_atom_ev == pytest.approx(-5.312, abs=0.01)  # CHGNet minds not that MACE was there before
    for inputs, kind in (
        ({"molecule": "CH4"}, "UnsupportedElement"),
        ({"model_sha256": "0" * 64}, "BadModel"),
        ({"model": "gone.model"}, "BadModel"),
        ({"model": "torn.model", "model_sha256": hashlib.sha256(b"torn").hexdigest()}, "BadModel"),
    ):
        with pytest.raises(ToolError) as caught:
            run("single_point", workspace(tmp_path / "d"), **{"molecule": "H2O", **mace, **inputs})
        assert caught.value.kind == kind
