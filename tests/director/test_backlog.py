from hypothesis import given
from hypothesis import strategies as st

from director.backlog import Backlog
from director.job import Job
from director.ledger import Accepted
from simulations.records import Request
from tests.helpers import NOON


def job(name, priority=0):
    return Job.of(Accepted(Request(id=name, tool="mock_md", priority=priority), "key", "1", NOON))


def emptied(backlog):
    names = []
    while first := backlog.first():
        assert backlog.take(first.name) is first
        names.append(first.name)
    assert not backlog
    return names


def test_higher_priorities_go_first_and_within_one_it_is_first_come_first_served():
    backlog = Backlog()
    for name, priority in (("a", 0), ("b", 5), ("c", 0), ("d", -1), ("e", 5)):
        backlog.add(job(name, priority))
    assert [item.name for item in backlog] == ["b", "e", "a", "c", "d"]
    assert emptied(backlog) == ["b", "e", "a", "c", "d"]


def test_what_has_waited_already_goes_before_all_others_of_its_priority():
    backlog = Backlog()
    backlog.add(job("a"))
    backlog.add(job("high", 1))
    backlog.add(job("again"), first=True)
    assert emptied(backlog) == ["high", "again", "a"]


def test_a_job_that_is_given_another_priority_comes_last_among_its_new_equals():
    backlog = Backlog()
    for name, priority in (("a", 0), ("b", 3), ("c", 0)):
        backlog.add(job(name, priority))
    assert backlog.prioritize("a", 3)
    assert not backlog.prioritize("ghost", 3)
    assert emptied(backlog) == ["b", "a", "c"]


@given(st.lists(st.tuples(st.sampled_from(["add", "take", "change"]), st.integers(0, 20), st.integers(-2, 2))))
def test_it_always_holds_what_was_added_and_not_taken_in_order(steps):
    backlog, held = Backlog(), {}
    for what, number, priority in steps:
        name = f"r{number}"
        if what == "add" and name not in held:
            backlog.add(job(name, priority))
            held[name] = priority
        elif what == "take":
            taken = backlog.take(name)
            assert (taken is not None) == (held.pop(name, None) is not None)
        elif what == "change":
            assert backlog.prioritize(name, priority) == (name in held)
            if name in held:
                held[name] = priority
        assert len(backlog) == len(held)
    assert sorted(name for name in held) == sorted(item.name for item in backlog)
    priorities = [held[name] for name in emptied(backlog)]
    assert priorities == sorted(priorities, reverse=True)
