"""The analysis at the end of an md run, beside MDTraj, MDAnalysis and theory; and that interruptions change nothing."""

import csv
import json
import math
import sys
import tempfile
from pathlib import Path

import MDAnalysis
import mdtraj
import numpy as np
import openmm
import pdbfixer
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from MDAnalysis.analysis import align, rms
from openmm import app

from simulations.cache import BuildCache
from simulations.errors import Paused, ToolError
from simulations.md import TOOL, MdRequest, end_to_end, secondary_structure, trajectory
from simulations.md.fluctuations import square_fluctuations, superposed
from simulations.md.output import DcdWriter
from simulations.md.results import MdAnalysis
from simulations.md.statistics import LEAST_BLOCKS, RunningDrift, RunningStatistics
from simulations.md.trajectory import Trajectory
from simulations.workspace import Resources, Workspace
from tests.simulations.test_md_run import WATER, Ticking

VILLIN = Path(openmm.__file__).parent / "app" / "data" / "test.pdb"
INTEGRASE = Path(pdbfixer.__file__).parent / "tests" / "data" / "1BHL.pdb"
SHAPES = st.tuples(st.integers(1, 6), st.integers(1, 30), st.booleans())


@pytest.fixture(scope="module")
def helix(tmp_path_factory):
    """A hot helix that moves, its result, and its folder."""
    workspace = make_workspace(tmp_path_factory.mktemp("helix"))
    inputs = {"structure": "ala10", "solvent": "vacuum", "temperature_k": 800.0, "timestep_fs": 1.0}
    return run(workspace, **inputs, steps=800, report_interval_steps=20), workspace


def make_workspace(folder, epoch=1, **more):
    return Workspace(folder / "work", folder, Resources("host", "host/0"), epoch=epoch, **more)


def run(workspace, **inputs):
    return TOOL.run(MdRequest(**{"structure": "alanine-dipeptide", "platform": "Reference", **inputs}), workspace)


def path(workspace, name):
    return workspace.run_folder / workspace.artifacts[name]


def analysis(workspace):
    return MdAnalysis.model_validate_json(path(workspace, "analysis").read_bytes())


def table(workspace):
    with path(workspace, "state_table").open() as stream:
        return list(csv.DictReader(stream))


def test_fluctuations_are_mdanalysis_own(helix):
    result, workspace = helix
    files = str(path(workspace, "topology")), str(path(workspace, "trajectory"))
    heavy = "not element H"
    universe = MDAnalysis.Universe(*files)
    mean = align.AverageStructure(universe, MDAnalysis.Universe(files[0]), select=heavy).run().results.universe
    align.AlignTraj(universe, mean, select=heavy, in_memory=True).run()
    atoms = universe.select_atoms(heavy)
    theirs = rms.RMSF(atoms).run().results.rmsf / 10
    assert result.rmsf_nm == pytest.approx(math.sqrt((theirs**2).mean()), rel=1e-4)
    assert result.rmsf_nm > 0.02
    for ours, residue in zip(analysis(workspace).residues, universe.residues, strict=True):
        here = atoms.residues.resindices == residue.resindex
        assert here.sum() == 1
        inside = [value for value, atom in zip(theirs, atoms, strict=True) if atom.residue == residue]
        alpha = [
            value for value, atom in zip(theirs, atoms, strict=True) if atom.residue == residue and atom.name == "CA"
        ]
        assert ours.rmsf_nm == pytest.approx(math.sqrt(np.mean(np.square(inside))), rel=1e-4)
        assert ours.rmsf_ca_nm == (pytest.approx(alpha[0], rel=1e-4) if alpha else None)
        assert (ours.chain, ours.residue, ours.name) == (residue.segid, str(residue.resid), residue.resname)


def test_series_of_rmsd_and_radius_have_the_means_of_their_columns(helix):
    result, workspace = helix
    for name, mean in (
        ("rmsd_nm", result.rmsd_over_frames_nm),
        ("radius_of_gyration_nm", result.radius_of_gyration_over_frames_nm),
    ):
        column = np.array([float(row[name]) for row in table(workspace)])
        assert len(column) == result.n_frames == 40
        assert (mean.mean, mean.std) == (pytest.approx(column.mean()), pytest.approx(column.std()))
    total = np.array(
        [float(row["potential_energy_kj_mol"]) + float(row["kinetic_energy_kj_mol"]) for row in table(workspace)]
    )
    assert result.total_energy_kj_mol.mean == pytest.approx(total.mean())
    assert result.total_energy_kj_mol.std == pytest.approx(total.std())
    assert result.energy_drift is None


def test_the_distance_between_the_ends_is_mdtrajs(helix):
    result, workspace = helix
    frames = mdtraj.load(path(workspace, "trajectory"), top=path(workspace, "topology"))
    alphas = frames.topology.select("name CA")
    assert len(alphas) == 10
    theirs = mdtraj.compute_distances(frames, [[alphas[0], alphas[-1]]], periodic=False)[:, 0]
    ours = result.end_to_end_distance_nm
    assert (ours.mean, ours.std) == (pytest.approx(theirs.mean(), rel=1e-5), pytest.approx(theirs.std(), rel=1e-3))
    assert ours.std > 0.01
    assert analysis(workspace).blocking["end_to_end_distance_nm"][0].blocks == 40


def test_ends_are_those_of_the_one_chain_with_two_amino_acids_or_more():
    def residues(*chains):
        topology = app.Topology()
        for names in chains:
            chain = topology.addChain()
            for name in names:
                residue = topology.addResidue(name, chain)
                for atom in ("CH3",) if name == "ACE" else ("N", "CA", "C", "O"):
                    topology.addAtom(atom, app.Element.getBySymbol(atom[0]), residue)
        return list(topology.residues())

    assert end_to_end.ends(residues(["ACE", "ALA", "GLY", "ALA"])) == (2, 10)
    assert end_to_end.ends(residues(["GLY"], ["ALA", "GLY"])) == (5, 9)
    assert "no chain of two" in end_to_end.ends(residues(["ACE", "ALA"]))
    assert "2 chains" in end_to_end.ends(residues(["ALA", "GLY"], ["ALA", "GLY"]))


def test_secondary_structure_is_mdtrajs_dssp(helix):
    result, workspace = helix
    frames = mdtraj.load(path(workspace, "trajectory"), top=path(workspace, "topology"))
    codes = mdtraj.compute_dssp(frames, simplified=True)
    amino = codes[0] != "NA"
    assert amino.sum() == result.secondary_structure.n_residues == 10
    for name, code in (("helix", "H"), ("strand", "E"), ("coil", "C")):
        share = (codes == code).mean(axis=0)
        ours = [getattr(residue, name) for residue in analysis(workspace).residues]
        assert ours == [
            pytest.approx(value) if is_amino else None for value, is_amino in zip(share, amino, strict=True)
        ]
        assert getattr(result.secondary_structure, name) == pytest.approx(share[amino].mean())
    assert 0.1 < result.secondary_structure.helix < 1
    assert result.secondary_structure.n_frames == 40
    assert result.missing == {}


@pytest.mark.parametrize(("structure", "helix", "strand"), [(VILLIN, 0.6, 0.0), (INTEGRASE, 0.4, 0.2)])
def test_a_protein_in_water_has_mdtrajs_secondary_structure(structure, helix, strand):
    pdb = app.PDBFile(str(structure))
    residues = [residue for residue in pdb.topology.residues() if len(list(residue.atoms())) > 3]
    atoms = [atom.index for residue in residues for atom in secondary_structure.backbone(residue)]
    noise = np.random.default_rng(3).normal(scale=0.02, size=(5, pdb.topology.getNumAtoms(), 3))
    moved = np.array(pdb.getPositions(asNumpy=True)._value) + noise
    shares, amino, n_frames = secondary_structure.shares(residues, lambda: iter((moved[:2, atoms], moved[2:, atoms])))
    theirs = mdtraj.load(structure)
    theirs = mdtraj.Trajectory(moved.astype(np.float32), theirs.topology)
    codes = mdtraj.compute_dssp(theirs.atom_slice(theirs.topology.select("not water")), simplified=True)[
        :, : len(residues)
    ]
    assert n_frames == 5
    assert np.array_equal(amino, codes[0] != "NA")
    for index, code in enumerate(secondary_structure.CODES):
        assert shares[:, index] == pytest.approx((codes == code).mean(axis=0))
    assert shares[amino].mean(axis=0)[:2] == pytest.approx([helix, strand], abs=0.12)


def test_without_mdtraj_the_rest_is_there_and_the_result_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mdtraj", None)
    workspace = make_workspace(tmp_path)
    result = run(workspace, steps=20, report_interval_steps=10)
    assert result.secondary_structure is None
    assert result.missing == analysis(workspace).missing
    assert "mdtraj" in result.missing["secondary_structure"]
    assert 'pip install "md-director[analysis]"' in result.missing["secondary_structure"]
    assert {residue.helix for residue in analysis(workspace).residues} == {None}
    assert result.rmsf_nm > 0


def test_a_broken_mdtraj_spoils_no_simulation(tmp_path, monkeypatch):
    (tmp_path / "mdtraj.py").write_text("raise ImportError('libstdc++.so.6: version not found')")
    monkeypatch.delitem(sys.modules, "mdtraj")
    monkeypatch.syspath_prepend(tmp_path)
    result = run(make_workspace(tmp_path), steps=2)
    assert result.secondary_structure is None
    assert "libstdc++.so.6" in result.missing["secondary_structure"]


def test_one_frame_has_no_fluctuations_and_says_so(tmp_path):
    workspace = make_workspace(tmp_path)
    result = run(workspace, steps=3)
    assert result.rmsf_nm is None
    assert "report_interval_steps" in result.missing["rmsf_nm"]
    assert {residue.rmsf_nm for residue in analysis(workspace).residues} == {None}
    assert (result.temperature_k.sem, result.temperature_k.n_effective) == (None, None)
    assert result.secondary_structure.n_frames == 1


def test_water_alone_has_means_and_no_solute(tmp_path):
    (tmp_path / "water.pdb").write_text(WATER)
    workspace = make_workspace(tmp_path, inputs={"structure": tmp_path / "water.pdb"})
    inputs = {"structure": "water.pdb", "solvent": "explicit", "padding_nm": 1.0, "platform": "CPU"}
    result = run(workspace, **inputs, steps=4, report_interval_steps=2, minimize_max_iterations=5)
    assert (result.rmsf_nm, result.secondary_structure, result.rmsd_over_frames_nm) == (None, None, None)
    assert set(result.missing) == {"rmsf_nm", "secondary_structure", "end_to_end_distance_nm"}
    assert result.end_to_end_distance_nm is None
    said = analysis(workspace)
    assert (said.n_frames, said.residues) == (2, [])
    assert "temperature_k" in said.blocking


def test_asked_to_pause_while_it_analyses_it_loses_nothing(tmp_path, monkeypatch):
    inputs = {"steps": 100, "report_interval_steps": 10}
    monkeypatch.setattr(trajectory, "PIECE_BYTES", 1)
    whole = make_workspace(tmp_path / "whole")
    run(whole, **inputs)
    cache = BuildCache()
    workspace = make_workspace(tmp_path, cache=cache, clock=Ticking())
    pieces = Trajectory.pieces

    def asked(*arguments):
        for count, piece in enumerate(pieces(*arguments)):
            if count == 3:
                workspace.path("stop.1").write_text("pause")
            yield piece

    with monkeypatch.context() as patched:
        patched.setattr(Trajectory, "pieces", asked)
        with pytest.raises(Paused):
            run(workspace, **inputs)
    assert not (workspace.folder / "analysis.json").exists()
    again = make_workspace(tmp_path, 2)
    monkeypatch.setattr(openmm.LangevinMiddleIntegrator, "step", lambda *arguments: pytest.fail("it stepped again"))
    assert run(again, **inputs).resumed == 1
    assert path(again, "analysis").read_bytes() == path(whole, "analysis").read_bytes()


# Parts


@given(SHAPES, st.integers(1, 2000), st.data())
@settings(max_examples=40)
def test_the_trajectory_is_read_as_it_was_written(shape, piece_bytes, data):
    n_frames, n_atoms, periodic = shape
    every = data.draw(st.integers(1, 4))
    atoms = np.array(sorted(data.draw(st.sets(st.integers(0, n_atoms - 1), min_size=1))))
    xyz = np.random.default_rng(n_atoms).normal(scale=5, size=(n_frames, n_atoms, 3))
    with (
        pytest.MonkeyPatch.context() as monkeypatch,
        tempfile.TemporaryDirectory() as folder,
        DcdWriter(Path(folder) / "t.dcd", n_atoms, 1, 0.002, periodic=periodic) as dcd,
    ):
        monkeypatch.setattr(trajectory, "PIECE_BYTES", piece_bytes)
        for step, frame in enumerate(xyz):
            dcd.write(frame, np.eye(3) * 3.0 if periodic else None, step)
        dcd.sync()
        pieces = list(Trajectory(dcd.handle, n_atoms, n_frames, periodic=periodic).pieces(atoms, every))
    assert np.concatenate(pieces) == pytest.approx(xyz[::every][:, atoms], abs=1e-5)
    assert all(len(piece) == 1 or piece.nbytes <= piece_bytes for piece in pieces)


def test_a_trajectory_that_something_else_cut_is_an_error(tmp_path):
    with DcdWriter(tmp_path / "t.dcd", 5, 1, 0.002, periodic=False) as dcd:
        for step in range(3):
            dcd.write(np.zeros((5, 3)), None, step)
        dcd.sync()
        with (tmp_path / "t.dcd").open("r+b") as stream:
            stream.truncate(stream.seek(0, 2) - 10)
        with pytest.raises(ToolError, match="frame 3 of 3") as caught:
            list(Trajectory(dcd.handle, 5, 3, periodic=False).pieces(np.arange(5)))
    assert caught.value.kind == "DiskFailed"


def turned(points, rng):
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    turn[:, 0] *= np.sign(np.linalg.det(turn))
    return points @ turn + rng.normal(size=3)


def test_frames_are_superposed_without_mirroring():
    rng = np.random.default_rng(4)
    reference = rng.normal(size=(9, 3))
    moved = np.stack([turned(reference, rng) for _ in range(6)])
    assert superposed(moved, reference) == pytest.approx(np.stack([reference] * 6), abs=1e-10)
    mirrored = superposed(reference[None] * [1, 1, -1], reference)
    assert np.abs(mirrored - reference).max() > 0.1


def test_fluctuations_are_those_put_in_whatever_the_tumbling():
    """One atom of 200 moves along x by ± 0.1: its mean square fluctuation is 0.01, that of the others nearly 0."""
    rng = np.random.default_rng(5)
    reference = rng.normal(size=(200, 3))
    frames = np.stack([reference] * 40)
    frames[::2, 0, 0] += 0.1
    frames[1::2, 0, 0] -= 0.1
    tumbling = np.stack([turned(frame, rng) for frame in frames])
    squares = square_fluctuations(lambda: (tumbling[:7], tumbling[7:]), reference)
    assert squares[0] == pytest.approx(0.01, rel=0.03)
    assert squares[1:].max() < 1e-4


def correlated(n, tau, rng):
    """A stationary first-order autoregressive series of variance 1: its correlation falls by e in tau frames."""
    factor = math.exp(-1 / tau) if tau else 0.0
    noise = rng.normal(size=n) * math.sqrt(1 - factor**2)
    series = np.empty(n)
    series[0] = rng.normal()
    for index in range(1, n):
        series[index] = factor * series[index - 1] + noise[index]
    inefficiency = (1 + factor) / (1 - factor)
    return series, inefficiency


def statistics_of(values):
    statistics = RunningStatistics()
    for value in values:
        statistics.add(float(value))
    return statistics


@pytest.mark.parametrize("tau", [0, 2, 10])
def test_the_error_of_a_mean_is_that_of_theory(tau):
    rng = np.random.default_rng(6)
    ratios = []
    for _ in range(20):
        series, inefficiency = correlated(4000, tau, rng)
        said = statistics_of(series).result()
        ratios.append(said.sem / math.sqrt(inefficiency / 4000))
        assert said.n_effective == pytest.approx(4000 * (said.std / said.sem) ** 2 / 4000, rel=0.01)
    assert np.mean(ratios) == pytest.approx(1, abs=0.12)


def test_without_enough_independent_frames_no_error_is_told():
    rng = np.random.default_rng(7)
    assert statistics_of(correlated(500, 200, rng)[0]).result().sem is None
    assert statistics_of(np.arange(1000)).result().sem is None  # a drift
    assert statistics_of(rng.normal(size=LEAST_BLOCKS - 1)).result().sem is None
    assert statistics_of([2.5] * 50).result().sem == 0


def test_blocks_are_those_of_plain_arithmetic():
    values = np.random.default_rng(8).normal(size=77)
    for block in statistics_of(values).blocks():
        whole = values[: 77 // block.frames * block.frames].reshape(-1, block.frames).mean(axis=1)
        assert block.blocks == len(whole)
        assert block.sem == pytest.approx(whole.std(ddof=1) / math.sqrt(len(whole)))


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=70), st.integers(0, 70))
@settings(max_examples=60)
def test_statistics_go_on_exactly_from_their_state(values, cut):
    whole, first = RunningStatistics(), RunningStatistics()
    line, part = RunningDrift(), RunningDrift()
    for index, value in enumerate(values):
        whole.add(value)
        line.add(index, value)
    for index, value in enumerate(values[:cut]):
        first.add(value)
        part.add(index, value)
    again = RunningStatistics.restored(json.loads(json.dumps(first.state)))
    rest = RunningDrift.restored(json.loads(json.dumps(part.state)))
    for index, value in enumerate(values[cut:], cut):
        again.add(value)
        rest.add(index, value)
    assert again.state == whole.state
    assert rest.state == line.state
    assert again.result() == whole.result()


def test_a_drift_is_the_slope_of_least_squares():
    rng = np.random.default_rng(9)
    times = np.arange(1, 60) * 0.5
    energies = -40_000 + 3.25 * times + rng.normal(size=len(times))
    drift = RunningDrift()
    for time, energy in zip(times, energies, strict=True):
        drift.add(time, energy)
    said = drift.result(dof=100)
    (slope, offset), covariance = np.polyfit(times, energies, 1, cov=True)
    assert said.kj_mol_ns == pytest.approx(slope)
    assert said.kj_mol_ns_per_dof == pytest.approx(slope / 100)
    assert said.sem_kj_mol_ns == pytest.approx(math.sqrt(covariance[0, 0]))
    assert said.scatter_kj_mol == pytest.approx((energies - slope * times - offset).std())
    assert RunningDrift().result(dof=3) is None
