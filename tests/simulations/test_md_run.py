"""Runs of the md tool, with real OpenMM: results, artifacts, reproducibility, failures."""

import csv
import json
import math
import pickle
import subprocess
import sys

import MDAnalysis
import mdtraj
import numpy as np
import openmm as mm
import pytest
from MDAnalysis.analysis import rms

from simulations.cache import BuildCache
from simulations.errors import Cancelled, ToolError
from simulations.md import TOOL, MdRequest
from simulations.md.analysis import kabsch_rmsd
from simulations.md.platforms import choose_platform
from simulations.md.production import STRIDE_MOST, next_stride
from simulations.md.statistics import RunningStatistics
from simulations.md.structure import STRUCTURES, fitting_suffix
from simulations.workspace import Resources, Workspace

ARTIFACTS = {"final_state", "trajectory", "topology", "state_table", "analysis", "checkpoint", "final_structure"}
WATER = (
    "HETATM    1  O   HOH A   7       0.000   0.000   0.000  1.00  0.00           O\n"
    "HETATM    2  H1  HOH A   7       0.957   0.000   0.000  1.00  0.00           H\n"
    "HETATM    3  H2  HOH A   7      -0.240   0.927   0.000  1.00  0.00           H\n"
)


@pytest.fixture(scope="module")
def cache():
    return BuildCache()


def make_workspace(tmp_path, cache=None, name="work", threads=1, **more):
    resources = Resources("host", "host/0", threads=threads)
    cache = BuildCache() if cache is None else cache  # an empty one is false
    return Workspace(tmp_path / name, tmp_path, resources, cache=cache, **more)


def run(workspace, structure="alanine-dipeptide", **inputs):
    return TOOL.run(MdRequest(structure=structure, **{"steps": 20, "platform": "Reference", **inputs}), workspace)


def path(workspace, name):
    return workspace.run_folder / workspace.artifacts[name]


def frames(workspace):
    return mdtraj.load(path(workspace, "trajectory"), top=path(workspace, "topology"))


def table(workspace):
    with path(workspace, "state_table").open() as stream:
        return [{key: float(value) if value else None for key, value in row.items()} for row in csv.DictReader(stream)]


def test_result_follows_from_the_request_and_the_table(tmp_path, cache):
    workspace = make_workspace(tmp_path, cache)
    result = run(workspace, steps=250, report_interval_steps=100, timestep_fs=1.0)
    rows = table(workspace)
    assert (result.steps, result.simulated_ns, result.n_atoms) == (250, pytest.approx(2.5e-4), 22)
    assert [row["step"] for row in rows] == [100, 200, 250]
    assert [row["time_ps"] for row in rows] == pytest.approx([0.1, 0.2, 0.25])
    assert result.n_frames == 3
    for name in ("potential_energy_kj_mol", "kinetic_energy_kj_mol", "temperature_k"):
        values = [row[name] for row in rows]
        assert getattr(result, name).mean == pytest.approx(np.mean(values))
        assert getattr(result, name).std == pytest.approx(np.std(values))
    assert (result.platform, result.threads, result.box, result.density_g_cm3) == ("Reference", None, "none", None)
    assert result.minimized
    assert result.ns_per_day == pytest.approx(2.5e-4 / result.wall_s.integrate * 86_400)
    # 22 atoms, 12 bonds to hydrogen held fixed, the centre of mass at rest
    freedom = 3 * 22 - 12 - 3
    kinetic = rows[-1]["kinetic_energy_kj_mol"]
    assert rows[-1]["temperature_k"] == pytest.approx(2 * kinetic / (freedom * 8.31446261815324e-3))


def test_artifacts_open_elsewhere_and_repeat_our_numbers(tmp_path, cache):
    workspace = make_workspace(tmp_path, cache)
    result = run(workspace, "ala10", steps=60, report_interval_steps=20, temperature_k=600.0)
    assert set(workspace.artifacts) == ARTIFACTS
    trajectory, start = frames(workspace), mdtraj.load(path(workspace, "topology"))
    heavy = trajectory.topology.select("element != H")
    masses = np.array([atom.element.mass for atom in trajectory.topology.atoms])
    assert (trajectory.n_frames, trajectory.n_atoms) == (result.n_frames, result.n_atoms) == (3, 112)
    rows = table(workspace)
    rmsds = mdtraj.rmsd(trajectory, start, atom_indices=heavy)
    assert rmsds == pytest.approx([row["rmsd_nm"] for row in rows], abs=2e-6)
    # mdtraj.compute_rg takes distances from the unweighted centre, so only its centre of mass is of use here.
    offsets = trajectory.xyz - mdtraj.compute_center_of_mass(trajectory)[:, None]
    radii = np.sqrt((offsets**2).sum(axis=2) @ masses / masses.sum())
    assert radii == pytest.approx([row["radius_of_gyration_nm"] for row in rows], abs=2e-6)
    assert (result.rmsd_nm, result.radius_of_gyration_nm) == pytest.approx(
        (rows[-1]["rmsd_nm"], rows[-1]["radius_of_gyration_nm"]), rel=1e-8
    )
    assert result.rmsd_nm > 0.01
    final = mdtraj.load(path(workspace, "final_structure"))
    assert final.xyz[0] == pytest.approx(trajectory.xyz[-1], abs=1e-4)

    universe = MDAnalysis.Universe(str(path(workspace, "topology")), str(path(workspace, "trajectory")))
    start_heavy = MDAnalysis.Universe(str(path(workspace, "topology"))).select_atoms("not element H").positions
    assert len(universe.trajectory) == 3
    assert universe.trajectory.dt == pytest.approx(0.04, rel=1e-4)
    _ = universe.trajectory[-1]
    superposed = rms.rmsd(universe.select_atoms("not element H").positions, start_heavy, superposition=True)
    assert superposed / 10 == pytest.approx(result.rmsd_nm, abs=2e-6)
    assert universe.atoms.radius_of_gyration() / 10 == pytest.approx(result.radius_of_gyration_nm, abs=2e-5)


def test_what_does_not_fit_into_pdb_is_written_as_mmcif():
    near = np.zeros((10, 3))
    assert fitting_suffix(near) == ".pdb"
    assert fitting_suffix(near - 100.0) == ".cif"
    assert fitting_suffix(near + 1000.0) == ".cif"
    assert fitting_suffix(np.zeros((100_000, 3))) == ".cif"


def test_a_run_shorter_than_the_interval_has_one_frame_at_its_end(tmp_path, cache):
    workspace = make_workspace(tmp_path, cache)
    result = run(workspace, steps=7, report_interval_steps=1000)
    assert result.n_frames == 1
    assert [row["step"] for row in table(workspace)] == [7]


def test_seed_decides_on_reference_whatever_was_cached_and_in_any_process(tmp_path):
    cache = BuildCache()
    fresh, again, other = (make_workspace(tmp_path, cache, name) for name in ("fresh", "again", "other"))
    first = run(fresh, steps=150, report_interval_steps=50)
    run(other, steps=150, report_interval_steps=50, seed=2)
    second = run(again, steps=150, report_interval_steps=50)
    assert (first.built_from_cache, second.built_from_cache) == (False, True)
    code = (
        "import sys, pickle; from simulations.md import TOOL, MdRequest;"
        "TOOL.run(MdRequest(structure='alanine-dipeptide', steps=150, report_interval_steps=50, platform='Reference'),"
        "pickle.loads(bytes.fromhex(sys.argv[1])))"
    )
    elsewhere = make_workspace(tmp_path, name="elsewhere")
    subprocess.run([sys.executable, "-c", code, pickle.dumps(elsewhere).hex()], check=True)
    expected = path(fresh, "trajectory").read_bytes()
    assert path(again, "trajectory").read_bytes() == expected
    assert (tmp_path / "elsewhere" / "trajectory.dcd").read_bytes() == expected
    assert path(other, "trajectory").read_bytes() != expected
    assert path(again, "topology").read_bytes() == path(fresh, "topology").read_bytes()


def test_trajectory_does_not_depend_on_how_often_it_was_looked_at(tmp_path, cache):
    often, seldom = make_workspace(tmp_path, cache, "often"), make_workspace(tmp_path, cache, "seldom")
    run(often, steps=120, report_interval_steps=3)
    run(seldom, steps=120, report_interval_steps=60)
    assert np.array_equal(frames(often).xyz[19::20], frames(seldom).xyz)


def test_cache_is_hit_by_another_seed_and_missed_by_another_system(tmp_path, cache):
    run(make_workspace(tmp_path, cache, "a"), solvent="vacuum", constraints="none", timestep_fs=0.5)
    seed = run(make_workspace(tmp_path, cache, "b"), solvent="vacuum", constraints="none", timestep_fs=1.0, seed=9)
    system = run(make_workspace(tmp_path, cache, "c"), solvent="vacuum", constraints="hbonds")
    start = run(make_workspace(tmp_path, cache, "d"), solvent="vacuum", constraints="none", minimize=False)
    assert [result.built_from_cache for result in (seed, system, start)] == [True, False, False]
    assert seed.wall_s.minimize == 0
    assert not start.minimized


def test_cache_is_keyed_by_content_and_stays_within_its_bound(tmp_path):
    cache = BuildCache(capacity=10_030)  # one force field and not two systems of 22 atoms
    user = tmp_path / "mine.pdb"
    user.write_text((STRUCTURES / "alanine-dipeptide.pdb").read_text())
    results = []
    for index in range(3):
        workspace = make_workspace(tmp_path, cache, f"w{index}", inputs={"structure": user})
        results.append(run(workspace, "mine.pdb", minimize=False, steps=1))
        assert cache.used <= 10_030
        user.write_text(user.read_text().replace("END", "REMARK changed\nEND"))
    assert [result.built_from_cache for result in results] == [False, False, False]


def test_explicit_npt_has_the_density_of_water(tmp_path):
    workspace = make_workspace(tmp_path, threads=2)
    result = run(
        workspace,
        solvent="explicit",
        ensemble="NPT",
        padding_nm=0.65,
        steps=400,
        report_interval_steps=100,
        minimize_max_iterations=60,
        platform="CPU",
    )
    assert result.density_g_cm3.mean == pytest.approx(0.97, abs=0.08)
    rows = table(workspace)
    assert rows[0]["volume_nm3"] != rows[-1]["volume_nm3"]
    trajectory = frames(workspace)
    assert trajectory.unitcell_volumes == pytest.approx([row["volume_nm3"] for row in rows], rel=1e-5)
    heavy = trajectory.topology.select("not water and element != H")
    start = mdtraj.load(path(workspace, "topology"))
    assert mdtraj.rmsd(trajectory, start, atom_indices=heavy)[-1] == pytest.approx(result.rmsd_nm, abs=5e-6)
    assert mdtraj.load(path(workspace, "final_structure")).unitcell_volumes[0] == pytest.approx(
        rows[-1]["volume_nm3"], rel=1e-3
    )


def test_virtual_sites_of_four_site_water_are_in_the_files(tmp_path):
    workspace = make_workspace(tmp_path)
    result = run(
        workspace,
        force_field="amber19",
        solvent="explicit",
        padding_nm=0.6,
        steps=2,
        minimize=False,
        timestep_fs=0.1,
        platform="CPU",
    )
    assert frames(workspace).n_atoms == result.n_atoms
    universe = MDAnalysis.Universe(str(path(workspace, "topology")), str(path(workspace, "trajectory")))
    assert len(universe.atoms) == result.n_atoms


def test_without_a_solute_there_is_no_rmsd(tmp_path):
    (tmp_path / "water.pdb").write_text(WATER)
    workspace = make_workspace(tmp_path, inputs={"structure": tmp_path / "water.pdb"})
    result = run(
        workspace, "water.pdb", solvent="explicit", padding_nm=1.0, steps=2, minimize_max_iterations=5, platform="CPU"
    )
    assert (result.rmsd_nm, result.radius_of_gyration_nm) == (None, None)
    assert table(workspace)[0]["rmsd_nm"] is None
    json.loads(result.model_dump_json())


def test_a_blow_up_names_its_step_and_the_last_good_one(tmp_path, cache):
    with pytest.raises(ToolError) as caught:
        run(
            make_workspace(tmp_path, cache),
            "chignolin",
            steps=5000,
            timestep_fs=5.0,
            temperature_k=2000.0,
            constraints="none",
            minimize=False,
        )
    error = caught.value
    assert error.kind == "SimulationDiverged"
    step, good = error.details["step"], error.details["last_good_step"]
    assert 0 <= good < step <= good + 100
    assert f"step {step}" in error.message
    assert "timestep_fs" in error.hint


def test_clashing_atoms_are_a_divergence(tmp_path):
    lines = (STRUCTURES / "alanine-dipeptide.pdb").read_text().splitlines(keepends=True)
    atoms = [index for index, line in enumerate(lines) if line.startswith(("ATOM", "HETATM"))]
    first, other = lines[atoms[16]], lines[atoms[5]]
    lines[atoms[5]] = other[:30] + first[30:54] + other[54:]
    (tmp_path / "clash.pdb").write_text("".join(lines))
    workspace = make_workspace(tmp_path, inputs={"structure": tmp_path / "clash.pdb"})
    with pytest.raises(ToolError) as caught:
        run(workspace, "clash.pdb", minimize=False, steps=1000)
    assert caught.value.kind == "SimulationDiverged"
    assert caught.value.details["last_good_step"] < caught.value.details["step"] <= 20


@pytest.mark.parametrize("platform", ["CUDA", "HIP", "OpenCL"])
def test_a_platform_that_is_not_there_is_an_error_that_lists_the_others(tmp_path, platform):
    installed = {mm.Platform.getPlatform(i).getName() for i in range(mm.Platform.getNumPlatforms())}
    if platform in installed:
        pytest.skip(f"{platform} is installed here")
    with pytest.raises(ToolError) as caught:
        run(make_workspace(tmp_path), platform=platform)
    assert caught.value.kind == "PlatformUnavailable"
    assert platform in caught.value.message
    assert "Reference" in caught.value.hint


def test_auto_takes_the_fastest_that_works_and_says_so(tmp_path, cache):
    assert run(make_workspace(tmp_path, cache), platform="auto", steps=1).platform in ("CUDA", "HIP", "OpenCL", "CPU")


@pytest.mark.parametrize("threads", [1, 2])
def test_the_cpu_platform_uses_the_workers_threads(tmp_path, cache, threads):
    choice = choose_platform("CPU", threads, BuildCache())
    system = mm.System()
    system.addParticle(1.0)
    context = choice.context(system, mm.VerletIntegrator(0.001))
    assert context.getPlatform().getPropertyValue(context, "Threads") == str(threads)
    assert run(make_workspace(tmp_path, cache, threads=threads), platform="CPU", steps=1).threads == threads


class Ticking:
    """A clock that gains a second each time it is read, so that housekeeping is due at each occasion."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        self.now += 1.0
        return self.now


def test_a_cancelled_run_stops(tmp_path, cache):
    workspace = make_workspace(tmp_path, cache, clock=Ticking())
    run(make_workspace(tmp_path, cache, "warm"))
    seen = []

    def stop_after_first_progress(report, amount):
        seen.append(report())
        (workspace.folder / "stop.1").write_text("cancel")

    workspace.progress = stop_after_first_progress
    with pytest.raises(Cancelled):
        run(workspace, steps=10**9, report_interval_steps=10**9)
    assert len(seen) == 1
    assert seen[0]["steps"] == 10**9
    assert seen[0]["step"] < 100
    assert math.isfinite(seen[0]["temperature_k"] + seen[0]["potential_energy_kj_mol"] + seen[0]["ns_per_day"])


def test_a_run_cancelled_before_it_starts_builds_nothing(tmp_path):
    cache = BuildCache()
    workspace = make_workspace(tmp_path, cache)
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "stop.1").write_text("cancel")
    with pytest.raises(Cancelled):
        run(workspace)
    assert cache.count == 0


def test_checkpoints_come_by_the_clock_and_the_artifact_holds_the_last_state(tmp_path, cache):
    workspace = make_workspace(tmp_path, cache, clock=Ticking())
    amounts, written = [], []
    save, write = workspace.save, workspace.write
    workspace.save = lambda amount, content: amounts.append(amount) or save(amount, content)
    workspace.write = lambda name, content: written.append((name, content)) or write(name, content)
    run(workspace, steps=50, report_interval_steps=10, checkpoint_interval_s=2.0)
    assert len(amounts) > 2
    assert amounts == sorted(set(amounts))
    states = [content for name, content in written if name == "checkpoint.chk"]
    assert path(workspace, "checkpoint").read_bytes() == states[-1] != states[0]
    assert len([entry for entry in workspace.folder.iterdir() if entry.name.startswith("saved.1.")]) == 2


def test_checks_cost_little_and_strides_stay_bounded():
    assert next_stride(10, 10e-3, 20e-6) == 10  # a step of 1 ms: seven steps would do, ten are the least
    assert next_stride(10, 1e-3, 60e-6) == 200  # 0.1 ms: a check of 60 µs is then 0.3 per cent
    assert next_stride(10, 1e-6, 1e-3) == STRIDE_MOST
    assert next_stride(10, 20.0, 1e-3) == 1  # 2 s a step: each one is a chance to cancel


def test_kabsch_ignores_rotation_and_translation_but_not_reflection():
    points = np.random.default_rng(1).normal(size=(12, 3))
    angle = 0.7
    turn = np.array([[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0], [0, 0, 1]])
    assert kabsch_rmsd(points, points @ turn.T + 3.0) == pytest.approx(0, abs=1e-7)
    assert kabsch_rmsd(points, points * [1, 1, -1]) > 0.1
    assert kabsch_rmsd(points[:1], points[1:2]) == pytest.approx(0, abs=1e-7)


def test_running_statistics_are_the_populations():
    statistics = RunningStatistics()
    values = [1e6 + value for value in (1.0, 2.0, 4.0)]
    for value in values:
        statistics.add(value)
    assert statistics.result().mean == pytest.approx(np.mean(values))
    assert statistics.result().std == pytest.approx(np.std(values))
