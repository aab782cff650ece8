import pytest

from director.relaunching import MAX_RELAUNCHES, crashed, launch_again, orderly

KILLED = {"director": 0, "ok": False, "crashed": True, "error": "Director 0 ended with signal SIGKILL"}


def test_a_director_that_was_killed_is_launched_again_so_often_and_no_more():
    assert [launch_again(KILLED, count) for count in range(MAX_RELAUNCHES + 2)] == [True] * MAX_RELAUNCHES + [False] * 2
    assert not launch_again(KILLED, 0, limit=0)


@pytest.mark.parametrize(
    "summary",
    [
        {"ok": True, "reason": "walltime"},
        {"ok": False, "error": "the ledger cannot be written"},
        {"ok": False, "held": True, "error": "another Director lives"},
        {},
    ],
)
def test_a_director_that_says_why_it_ended_is_not(summary):
    assert not launch_again(summary, 0)


def test_an_orderly_end_is_one_that_the_director_calls_so():
    assert orderly({"ok": True})
    assert not orderly(KILLED)
    assert crashed(KILLED)
    assert not crashed({"ok": True})
