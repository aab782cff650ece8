import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulations.cache import BuildCache


def test_what_was_built_is_kept():
    cache = BuildCache()
    built = [cache.get("k", object, lambda _: 1) for _ in range(3)]
    assert built[0] is built[1] is built[2]
    assert (cache.hits, cache.misses) == (2, 1)


def test_the_least_recently_used_goes_first():
    cache = BuildCache(capacity=2)
    for key in ("a", "b", "a", "c"):
        cache.get(key, object, lambda _: 1)
    misses = cache.misses
    cache.get("a", lambda: "a", lambda _: 1)
    assert cache.misses == misses
    cache.get("b", lambda: "b", lambda _: 1)
    assert cache.misses == misses + 1


@given(st.lists(st.tuples(st.integers(0, 20), st.floats(0, 50)), max_size=200))
def test_it_never_keeps_more_than_its_capacity(uses):
    cache = BuildCache(capacity=100)
    for key, size in uses:
        assert cache.get(str(key), lambda size=size: size, lambda value: value) is not None
        assert cache.used <= 100


def test_what_is_too_large_is_built_and_not_kept():
    cache = BuildCache(capacity=1)
    assert cache.get("k", lambda: "large", lambda _: 2) == "large"
    assert cache.count == 0


def test_a_failure_to_build_is_not_kept():
    cache = BuildCache()
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            cache.get("k", lambda: 1 / 0, lambda _: 1)
    assert (cache.count, cache.misses) == (0, 2)
