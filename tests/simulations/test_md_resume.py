"""Runs of the md tool that are interrupted in every way and go on, beside runs that are not."""

import csv
import errno
import multiprocessing
import os
import random
import signal
from pathlib import Path

import mdtraj
import numpy as np
import openmm as mm
import pytest

from simulations.cache import BuildCache
from simulations.checkpoints import decode
from simulations.errors import Paused, Superseded, ToolError
from simulations.md import TOOL, MdRequest
from simulations.md.saved import derived_seed
from simulations.workspace import Resources, Workspace
from tests.helpers import NOON, wait_until
from tests.simulations.test_md_run import WATER, Ticking

STEPS = 400
INPUTS = {"structure": "alanine-dipeptide", "steps": STEPS, "report_interval_steps": 30, "platform": "Reference"}
MANY = 10**9


@pytest.fixture(scope="module")
def cache():
    return BuildCache()


class Killed(BaseException):
    """Ends an attempt as a kill does: nothing that comes after is done."""


def attempt(tmp_path, epoch=1, cache=None, name="work", **more):
    cache = BuildCache() if cache is None else cache
    return Workspace(tmp_path / name, tmp_path, Resources("host", "host/0"), cache=cache, epoch=epoch, **more)


def run(workspace, **inputs):
    return TOOL.run(MdRequest(**{**INPUTS, **inputs}), workspace)


def run_paused(tmp_path, steps_each, cache=None, name="work", **inputs):
    """Runs a request in attempts that are asked to pause when they have done so many steps each, and one to the end."""
    for epoch, limit in enumerate([*steps_each, MANY], 1):
        workspace = attempt(tmp_path, epoch, cache, name, clock=Ticking())
        pause_after(workspace, limit)
        try:
            return run(workspace, **inputs), workspace
        except Paused:
            assert limit != MANY
    raise AssertionError("unreachable")


def pause_after(workspace, steps):
    progress = workspace.progress

    def watched(report, amount=None):
        progress(report, amount)
        done = report()["step"] * (1 - workspace.course.from_amount / amount)
        if done >= steps - 0.5 and not workspace.flag():
            workspace.path(f"stop.{workspace.epoch}").write_text("pause")

    workspace.progress = watched


def table(folder):
    """Rows of the state table, without what depends on the wall clock."""
    with (folder / "state.csv").open() as stream:
        return [{key: value for key, value in row.items() if key != "ns_per_day"} for row in csv.DictReader(stream)]


def averages(result):
    return result.model_dump(exclude={"ns_per_day", "wall_s", "built_from_cache", "resumed", "exact"})


@pytest.fixture(scope="module")
def whole(tmp_path_factory, cache):
    """The run that nothing interrupts."""
    folder = tmp_path_factory.mktemp("whole")
    return folder / "work", run(attempt(folder, cache=cache))


def assert_same(folder, whole_folder):
    for name in ("trajectory.dcd", "checkpoint.chk", "analysis.json"):
        assert (folder / name).read_bytes() == (whole_folder / name).read_bytes()
    assert table(folder) == table(whole_folder)
    for name in ("topology.pdb", "final.pdb"):
        ours, theirs = ((path / name).read_text().splitlines()[1:] for path in (folder, whole_folder))
        assert ours == theirs  # but for OpenMM's first line, which has the date


@pytest.mark.parametrize("steps_each", [[100], [0, 0, 0], [1, 90, 200], [399]])
def test_a_run_that_paused_is_byte_by_byte_that_which_did_not(tmp_path, cache, whole, steps_each):
    whole_folder, expected = whole
    result, workspace = run_paused(tmp_path, steps_each, cache)
    assert_same(tmp_path / "work", whole_folder)
    assert averages(result) == averages(expected)
    assert (result.resumed, result.exact) == (len(steps_each), True)
    assert (workspace.course.exact, workspace.course.amount) == (True, pytest.approx(STEPS * 2e-6))
    assert workspace.course.from_saved_at is not None
    assert workspace.notes == []


def test_going_on_builds_and_minimises_nothing(tmp_path, cache, monkeypatch):
    workspace = attempt(tmp_path, cache=cache, clock=Ticking())
    pause_after(workspace, 50)
    with pytest.raises(Paused):
        run(workspace)
    monkeypatch.setattr(mm.LocalEnergyMinimizer, "minimize", lambda *arguments: pytest.fail("it minimised again"))
    monkeypatch.setattr("simulations.md.start.prepare", lambda *arguments: pytest.fail("it built again"))
    assert run(attempt(tmp_path, 2)).resumed == 1


@pytest.mark.parametrize("strike", range(3, 80, 11))
def test_a_run_that_ends_at_any_write_of_a_checkpoint_is_that_which_did_not(tmp_path, cache, whole, strike):
    """Ends the first attempt at its n-th synchronisation or renaming, the second at its n-th again, and so on."""
    whole_folder, expected = whole
    sync, rename = os.fsync, Path.replace
    left = [0]

    def tick():
        left[0] -= 1
        if left[0] == 0:
            raise Killed

    def struck(does):
        def does_or_ends(*arguments):
            tick()
            answer = does(*arguments)
            tick()
            return answer

        return does_or_ends

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(os, "fsync", struck(sync))
        monkeypatch.setattr(Path, "replace", struck(rename))
        for epoch in range(1, 4):
            left[0] = strike if epoch < 3 else 0
            workspace = attempt(tmp_path, epoch, cache, clock=Ticking())
            if epoch < 3:
                with pytest.raises(Killed):
                    run(workspace, checkpoint_interval_s=20.0)
            else:
                result = run(workspace)
    assert workspace.notes == []
    assert result.resumed >= (strike > 50)
    assert averages(result) == averages(expected)
    assert_same(tmp_path / "work", whole_folder)


@pytest.mark.parametrize("lost", ["saved.1.*", "saved.start.*", "trajectory.dcd", "state.csv"])
def test_where_something_is_missing_it_begins_anew_and_ends_the_same(tmp_path, cache, whole, lost):
    workspace = attempt(tmp_path, cache=cache, clock=Ticking())
    pause_after(workspace, 100)
    with pytest.raises(Paused):
        run(workspace, checkpoint_interval_s=86_400.0)
    for path in (tmp_path / "work").glob(lost):
        path.write_bytes(path.read_bytes()[:-1])
    again = attempt(tmp_path, 2, cache)
    assert run(again).resumed == 0
    assert again.notes
    assert (again.course.exact, again.course.from_saved_at) == (None, None)
    assert_same(tmp_path / "work", whole[0])


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: b"", lambda data: bytes(len(data))])
def test_where_the_newest_checkpoint_is_damaged_it_goes_on_from_the_one_before(tmp_path, cache, whole, damage):
    workspace = attempt(tmp_path, cache=cache, clock=Ticking())
    pause_after(workspace, 200)
    with pytest.raises(Paused):
        run(workspace, checkpoint_interval_s=20.0)
    before, newest = sorted((tmp_path / "work").glob("saved.1.*"), key=lambda path: int(path.suffix[1:]))
    good = decode(before.read_bytes(), 1, 1)
    newest.write_bytes(damage(newest.read_bytes()))
    again = attempt(tmp_path, 2, cache)
    result = run(again)
    assert (result.resumed, result.exact) == (1, True)
    assert [newest.name in note for note in again.notes] == [True]
    assert 0 < again.course.from_amount == good.amount
    assert again.course.from_saved_at == good.saved_at
    assert_same(tmp_path / "work", whole[0])


def test_another_simulations_checkpoint_is_of_no_use(tmp_path, cache):
    workspace = attempt(tmp_path, cache=cache, clock=Ticking())
    pause_after(workspace, 100)
    with pytest.raises(Paused):
        run(workspace)
    again = attempt(tmp_path, 2, cache)
    assert run(again, seed=5).resumed == 0
    assert "another simulation" in again.notes[0]


def test_a_stale_attempt_that_still_runs_ends_and_spoils_nothing(tmp_path, cache, whole):
    """The first attempt is given up for lost in the middle; while the second runs, the first takes some more steps."""
    stale = attempt(tmp_path, 1, cache, clock=Ticking())
    progress, steps = stale.progress, []

    def watched(report, amount=None):
        steps.append(amount)
        if len(steps) == 12:
            later = attempt(tmp_path, 2, cache)
            assert run(later).resumed == 1
        progress(report, amount)

    stale.progress = watched
    with pytest.raises(Superseded):
        run(stale, checkpoint_interval_s=10.0)
    assert len(steps) == 12
    assert_same(tmp_path / "work", whole[0])


def test_another_platform_goes_on_from_the_coordinates_and_says_so(tmp_path, cache):
    workspace = attempt(tmp_path, cache=cache, clock=Ticking())
    pause_after(workspace, 100)
    with pytest.raises(Paused):
        run(workspace, timestep_fs=1.0)
    again = attempt(tmp_path, 2)
    result = run(again, platform="CPU", timestep_fs=1.0)
    assert (result.platform, result.resumed, result.exact) == ("CPU", 1, False)
    assert again.course.exact is False
    assert "another OpenMM, platform or device" in again.notes[0]
    rows = table(tmp_path / "work")
    assert [int(row["step"]) for row in rows] == [*range(30, STEPS, 30), STEPS]
    assert [float(row["time_ps"]) for row in rows] == pytest.approx([int(row["step"]) * 1e-3 for row in rows])
    trajectory = mdtraj.load(tmp_path / "work" / "trajectory.dcd", top=tmp_path / "work" / "topology.pdb")
    assert trajectory.n_frames == len(rows) == result.n_frames
    moved_nm = np.linalg.norm(np.diff(trajectory.xyz, axis=0), axis=2).max(axis=1)
    assert moved_nm.max() < 3 * np.median(moved_nm)  # nothing jumps where it went on
    # A third attempt on the same platform is exact, the trajectory as a whole is not.
    assert averages(result)["n_atoms"] == 22


def test_going_on_elsewhere_repeats_no_random_numbers():
    seeds = {derived_seed(seed, step) for seed in (1, 2, 2**31 - 1) for step in range(1000)}
    assert len(seeds) == 3000
    assert all(0 < seed < 2**31 for seed in seeds)


def test_a_periodic_system_goes_on_with_the_same_particles(tmp_path, cache):
    inputs = {"solvent": "explicit", "padding_nm": 0.65, "ionic_strength_m": 0.3, "ensemble": "NPT"}
    inputs |= {
        "platform": "CPU",
        "timestep_fs": 1.0,
        "report_interval_steps": 25,
        "steps": 200,
        "minimize_max_iterations": 60,
    }
    result, workspace = run_paused(tmp_path, [60, 60], cache, **inputs)
    assert (result.resumed, result.exact, result.box) == (2, False, "built")
    assert "barostat" in workspace.notes[0]
    rows = table(tmp_path / "work")
    assert [int(row["step"]) for row in rows] == list(range(25, 201, 25))
    trajectory = mdtraj.load(tmp_path / "work" / "trajectory.dcd", top=tmp_path / "work" / "topology.pdb")
    assert trajectory.n_frames == result.n_frames == 8
    assert trajectory.unitcell_volumes == pytest.approx([float(row["volume_nm3"]) for row in rows], rel=1e-5)
    assert float(rows[-1]["temperature_k"]) == pytest.approx(300, abs=60)


def test_a_periodic_system_on_reference_goes_on_exactly(tmp_path):
    water = tmp_path / "water.pdb"
    water.write_text(WATER)
    more = {"structure": "water.pdb", "solvent": "explicit", "padding_nm": 1.0, "minimize": False, "timestep_fs": 0.5}
    more |= {"steps": 14, "report_interval_steps": 4}
    whole = attempt(tmp_path, name="whole", inputs={"structure": water})
    run(whole, **more)
    pausing = attempt(tmp_path, inputs={"structure": water}, clock=Ticking())
    pause_after(pausing, 6)
    with pytest.raises(Paused):
        run(pausing, **more)
    assert run(attempt(tmp_path, 2, inputs={"structure": water}), **more).exact
    assert_same(tmp_path / "work", tmp_path / "whole")


def test_the_wall_time_is_that_of_all_attempts(tmp_path, cache):
    result, _ = run_paused(tmp_path, [100, 100], cache)
    assert result.wall_s.integrate > 100  # seconds of a clock that ticks when it is read
    assert result.ns_per_day == pytest.approx(STEPS * 2e-6 / result.wall_s.integrate * 86_400)


def test_asked_before_it_begins_it_pauses_and_saves_nothing(tmp_path):
    workspace = attempt(tmp_path, pause_at=NOON, cache=BuildCache())
    with pytest.raises(Paused):
        run(workspace)
    assert workspace.cache.count == 0
    assert not workspace.folder.exists()


def test_a_run_loses_no_result_that_took_long(tmp_path, cache):
    """Its result may be lost with its worker after its last step; the next attempt has it at once."""
    first = run(attempt(tmp_path, cache=cache, clock=Ticking()))
    again = attempt(tmp_path, 2, cache)
    result = run(again)
    assert averages(result) == averages(first)
    assert again.course.from_amount == pytest.approx(STEPS * 2e-6)


@pytest.mark.parametrize("name", ["trajectory.dcd", "state.csv"])
def test_a_full_disk_is_an_error_that_says_so(tmp_path, cache, monkeypatch, name):
    workspace = attempt(tmp_path, cache=cache)
    opener = Path.open

    class Full:
        """A file on a disk that takes no more."""

        def __init__(self, stream):
            self._stream = stream

        def write(self, content):
            if len(content) > 250 or name == "state.csv":
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return self._stream.write(content)

        def __getattr__(self, attribute):
            return getattr(self._stream, attribute)

    def open_full(path, *rest, **more):
        stream = opener(path, *rest, **more)
        return Full(stream) if path.name == name else stream

    monkeypatch.setattr(Path, "open", open_full)
    with pytest.raises(ToolError) as caught:
        run(workspace)
    assert (caught.value.kind, caught.value.transient) == ("DiskFull", False)
    assert str(workspace.folder) in caught.value.message


def test_speed_is_learned_for_requests_of_one_kind():
    def size(**inputs):
        return TOOL.size(MdRequest(**{**INPUTS, **inputs}))

    assert size(seed=4, steps=7, temperature_k=310.0) == size()
    assert len({size(), size(structure="chignolin"), size(solvent="vacuum"), size(timestep_fs=1.0)}) == 4
    assert TOOL.amount(MdRequest(**INPUTS)) == pytest.approx(STEPS * 2e-6)
    assert (TOOL.unit, TOOL.checkpoints) == ("ns", True)


class Fast:
    """A clock on which three seconds pass each time that it is read ten times."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        self.now += 0.3
        return self.now


def run_in_child(folder, epoch, inputs):
    """What a child process does."""
    run(Workspace(folder, folder.parent, Resources("host", "host/0"), epoch=epoch, clock=Fast()), **inputs)


@pytest.fixture(scope="module")
def processes():
    """Starts processes that have OpenMM loaded already, so that kills hit the run and not its imports."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["simulations.md.run", "tests.simulations.test_md_resume"])
    return context


def owner(folder):
    """Epoch of the attempt that has the folder, as far as it has begun."""
    try:
        return int((folder / "owner").read_text())
    except FileNotFoundError:
        return int(folder.exists())  # the first attempt writes nothing down


def run_and_kill(process, folder, epoch, after_s):
    """Starts an attempt and kills it so long after it took its folder; returns its exit code."""
    process.start()
    wait_until(lambda: not process.is_alive() or owner(folder) == epoch, timeout_s=60)
    process.join(after_s)
    process.kill()
    process.join()
    return process.exitcode


def test_a_run_that_is_killed_at_random_moments_is_byte_by_byte_that_which_was_not(tmp_path, cache, processes):
    inputs = {"steps": 2000, "report_interval_steps": 70, "checkpoint_interval_s": 30.0}
    run(attempt(tmp_path, cache=cache, name="whole"), **inputs)
    moments, folder = random.Random(1), tmp_path / "work"
    codes = []
    for epoch in range(1, 11):
        process = processes.Process(target=run_in_child, args=(folder, epoch, inputs))
        codes.append(run_and_kill(process, folder, epoch, moments.uniform(0, 0.5) if epoch < 10 else None))
        if codes[-1] == 0:
            break
    assert codes[-1] == 0
    assert codes.count(-signal.SIGKILL) == len(codes) - 1 >= 3
    assert_same(folder, tmp_path / "whole")
