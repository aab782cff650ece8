import json
from dataclasses import replace

import pytest

from simulations.errors import Cancelled
from tests.helpers import workspace


def test_a_workspace_that_is_not_written_to_is_not_made(tmp_path):
    space = workspace(tmp_path)
    space.raise_if_cancelled()
    space.progress(lambda: {"step": 1})
    assert not space.folder.exists()


def test_artifacts_are_named_relative_to_the_run_folder(tmp_path):
    space = workspace(tmp_path)
    space.artifact("trajectory", "trajectory.dcd").write_bytes(b"x")
    assert space.artifacts == {"trajectory": "director-0/work/r1/trajectory.dcd"}
    assert (tmp_path / space.artifacts["trajectory"]).read_bytes() == b"x"


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x"])
def test_no_path_leads_out(tmp_path, name):
    with pytest.raises(ValueError, match="leads out"):
        workspace(tmp_path).path(name)


def test_a_link_that_leads_out_is_refused(tmp_path):
    space = workspace(tmp_path)
    space.path("here").write_text("")
    (space.folder / "out").symlink_to("/tmp")
    with pytest.raises(ValueError, match="leads out"):
        space.path("out/x")


def test_a_file_is_replaced_as_a_whole(tmp_path):
    space = workspace(tmp_path)
    space.write("state.chk", b"one")
    space.write("state.chk", b"two")
    assert space.path("state.chk").read_bytes() == b"two"
    assert [path.name for path in space.folder.iterdir()] == ["state.chk"]


def test_progress_is_written_once_a_second_at_most(tmp_path):
    now = [0.0]
    space = replace(workspace(tmp_path), clock=lambda: now[0])
    asked = []

    def report(step):
        return lambda: asked.append(step) or {"step": step}

    for step in range(50):
        now[0] = step * 0.1
        space.progress(report(step))
    assert asked == [10, 20, 30, 40]
    assert json.loads((space.folder / "progress.json").read_text()) == {"step": 40}


def test_a_stop_flag_ends_the_simulation(tmp_path):
    space = workspace(tmp_path)
    space.path("stop").touch()
    with pytest.raises(Cancelled):
        space.raise_if_cancelled()
