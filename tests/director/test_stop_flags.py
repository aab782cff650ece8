import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from director.stop_flags import StopFlags, replaces
from simulations.workspace import Stop, stop_file


def content(work, name="r1", epoch=1):
    return (work / name / stop_file(epoch)).read_text()


@given(st.lists(st.sampled_from(Stop), min_size=1))
def test_pause_never_takes_the_place_of_what_ends_a_request_and_else_the_last_reason_counts(reasons):
    now = None
    for reason in reasons:
        now = reason.value if replaces(reason, now) else now
    ends = [reason for reason in reasons if reason is not Stop.PAUSE]
    assert now == (ends[-1] if ends else Stop.PAUSE)


def test_a_flag_is_for_one_attempt_and_a_later_reason_overwrites_it(tmp_path):
    flags = StopFlags(tmp_path / "work")
    flags.set("r1", 2, Stop.PAUSE)
    assert content(tmp_path / "work", epoch=2) == "pause"
    flags.set("r1", 2, Stop.CANCEL)
    flags.set("r1", 2, Stop.PAUSE)
    assert content(tmp_path / "work", epoch=2) == "cancel"
    flags.set("r1", 3, Stop.TIMEOUT)
    folder = tmp_path / "work" / "r1"
    assert sorted(path.name for path in folder.iterdir()) == [stop_file(2), stop_file(3)]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_flag_with_a_content_that_no_director_wrote_is_overwritten(tmp_path):
    (tmp_path / "r1").mkdir()
    (tmp_path / "r1" / stop_file(1)).write_text("")
    StopFlags(tmp_path).set("r1", 1, Stop.PAUSE)
    assert content(tmp_path) == "pause"


def test_a_flag_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "r1").write_text("a file in the folder's place")
    with pytest.raises(OSError, match="r1"):
        StopFlags(tmp_path).set("r1", 1, Stop.CANCEL)
