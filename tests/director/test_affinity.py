from hypothesis import given
from hypothesis import strategies as st

from director.affinity import Affinity


def test_a_key_has_a_home_for_as_long_as_a_request_of_it_is_in_flight():
    affinity = Affinity()
    assert affinity.home("k") is None
    affinity.sent("a", "k", 1)
    affinity.sent("b", "k", 1)
    assert affinity.home("k") == 1
    affinity.ended("a")
    assert affinity.home("k") == 1
    affinity.ended("b")
    assert affinity.home("k") is None
    affinity.ended("b")
    affinity.ended("nobody")


def test_those_that_wait_for_an_equal_one_are_no_load():
    affinity = Affinity()
    for name in "abc":
        affinity.sent(name, "k", 0)
    affinity.sent("d", "other", 0)
    assert (affinity.waiting(0), affinity.waiting(1)) == (2, 0)
    affinity.ended("b")
    affinity.ended("d")
    assert affinity.waiting(0) == 1


def test_a_director_that_is_gone_is_no_home():
    affinity = Affinity()
    affinity.sent("a", "k", 0)
    affinity.forget(0)
    assert affinity.home("k") is None
    affinity.sent("b", "k", 1)
    assert affinity.home("k") == 1
    affinity.ended("a")
    assert affinity.home("k") == 1


def test_a_key_that_has_ended_where_it_was_sent_last_is_at_home_where_it_still_is():
    affinity = Affinity()
    affinity.sent("a", "k", 1)
    affinity.sent("b", "k", 0)
    assert affinity.home("k") == 0
    affinity.ended("b")
    assert affinity.home("k") == 1
    affinity.ended("a")
    assert affinity.home("k") is None


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("sent"), st.integers(0, 9), st.integers(0, 3), st.integers(0, 2)),
            st.tuples(st.just("ended"), st.integers(0, 9)),
            st.tuples(st.just("forget"), st.integers(0, 2)),
        ),
        max_size=60,
    )
)
def test_counts_are_those_of_what_is_in_flight_and_nothing_else_is_kept(steps):
    affinity = Affinity()
    flying = {}
    keys = {}
    for step in steps:
        if step[0] == "sent":
            _, number, key, director = step
            key = keys.setdefault(number, key)  # a Request's key never changes
            flying.setdefault(number, (key, director))
            affinity.sent(f"r{number}", f"k{key}", director)
        elif step[0] == "ended":
            flying.pop(step[1], None)
            affinity.ended(f"r{step[1]}")
        else:
            flying = {number: place for number, place in flying.items() if place[1] != step[1]}
            affinity.forget(step[1])
        assert len(affinity) == len(flying)
        for director in range(3):
            here = [place for place in flying.values() if place[1] == director]
            assert affinity.waiting(director) == len(here) - len(set(here))
        for key in range(4):
            homes = {place[1] for place in flying.values() if place[0] == key}
            assert affinity.home(f"k{key}") in (homes or {None})
    for number in list(flying):
        affinity.ended(f"r{number}")
    assert not affinity._homes
