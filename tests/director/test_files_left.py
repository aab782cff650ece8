"""How many files a Request leaves: they are what the file systems of clusters suffer from."""

from pathlib import Path

import pytest

from director.attempt import Attempt
from director.worker import Worker
from simulations.tool import find_tools
from simulations.workspace import Resources

SHORT = {"structure": "alanine-dipeptide", "solvent": "vacuum", "steps": 20, "minimize": False, "platform": "Reference"}
MD_FILES = 7
"""topology, trajectory, state_table, checkpoint, final_structure, final_state and analysis."""


@pytest.fixture
def worker(tmp_path):
    return Worker(Resources(host="here", worker="here/0"), find_tools())


def left(worker, tmp_path, tool, inputs, *, epoch=1):
    result = worker.run(Attempt("r1", epoch, tool, inputs), tmp_path, tmp_path / "work")
    assert result.ending == "ok", result.error
    folder = tmp_path / "work"
    return result, {str(path.relative_to(tmp_path)) for path in folder.rglob("*") if path.is_file()}


def test_a_short_md_request_leaves_its_artifacts_and_nothing_else(worker, tmp_path):
    result, files = left(worker, tmp_path, "md", SHORT)
    assert files == set(result.artifacts.values())
    assert len(files) <= MD_FILES


def test_how_far_it_was_is_not_left_when_it_has_ended(worker, tmp_path, monkeypatch):
    monkeypatch.setattr("simulations.workspace.PROGRESS_PERIOD_S", 0.0)
    monkeypatch.setattr("simulations.md.production.HOUSEKEEPING_S", 0.0)
    written = []
    whole = Path.replace
    monkeypatch.setattr(
        Path, "replace", lambda path, target: (written.append(Path(target).name), whole(path, target))[1]
    )
    _, files = left(worker, tmp_path, "md", {**SHORT, "report_interval_steps": 5})
    assert "progress.json" in written
    assert not [name for name in files if name.endswith("progress.json")]


def test_what_simulates_nothing_leaves_nothing(worker, tmp_path):
    _, files = left(worker, tmp_path, "mock_md", {"duration_s": 0.0})
    assert files == set()
    assert not (tmp_path / "work").exists()


def test_a_later_attempt_leaves_whose_the_folder_is_so_that_an_earlier_one_sees_it(worker, tmp_path):
    result, files = left(worker, tmp_path, "md", SHORT, epoch=2)
    assert files == {*result.artifacts.values(), "work/r1/owner"}
