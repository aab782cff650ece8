"""Setting nodes aside for services, and what is then left to share."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partitions import Allocation, Aside, Node, by_size, by_weight, carve, even, set_aside
from partitions.set_aside import without

NAMES = "abcdefgh"


def allocation(count: int) -> Allocation:
    return Allocation("slurm", tuple(Node(f"n{index}", (0,)) for index in range(count)), job_id="1")


@st.composite
def wishes(draw: st.DrawFn) -> tuple[Allocation, list[Aside], int]:
    """An Allocation, services that fit into it, some of which name their nodes, and how many Directors fit beside."""
    count = draw(st.integers(2, 60))
    numbers = draw(st.lists(st.integers(1, 5), max_size=4))
    named = draw(st.lists(st.sets(st.integers(1, count - 1), min_size=1, max_size=3), max_size=2))
    taken: set[int] = set()
    asides = []
    for place, indices in enumerate(named):
        mine = sorted(indices - taken)
        if mine and count - 1 - len(taken) - len(mine) >= 0:
            taken |= set(mine)
            asides.append(Aside(f"named{place}", hosts=",".join(f"n{index}" for index in mine)))
    room = count - 1 - len(taken)
    for place, number in enumerate(numbers):
        if number <= room:
            room -= number
            asides.append(Aside(f"counted{place}", number))
    order = draw(st.permutations(asides))
    return allocation(count), order, draw(st.integers(1, room + 1))


@given(wishes())
def test_services_and_partitions_are_disjoint_and_cover_and_the_lead_node_stays(case):
    granted, asides, directors = case
    services = set_aside(granted, asides)
    taken = [name for service in services for name in service.hostnames]
    partitions = carve(granted, even(directors), aside=frozenset(taken))
    every = taken + [name for partition in partitions for name in partition.hostnames]
    assert sorted(every) == sorted(node.hostname for node in granted.nodes)
    assert partitions[0].hostnames[0] == granted.lead.hostname
    assert [service.name for service in services] == [aside.name for aside in asides]
    for service, aside in zip(services, asides, strict=True):
        assert service.nodes
        assert aside.hosts is not None or len(service.nodes) == aside.nodes


@given(wishes())
def test_everybody_computes_the_same(case):
    granted, asides, _ = case
    assert set_aside(granted, asides) == set_aside(granted, asides)


@given(st.integers(1, 60), st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=10))
def test_without_services_the_carve_is_as_ever(count, weights):
    shares = by_weight(weights[:count])
    assert carve(allocation(count), shares, aside=frozenset()) == carve(allocation(count), shares)
    assert set_aside(allocation(count), []) == []


@given(wishes())
def test_what_is_left_beside_services_is_what_their_directors_see_as_the_allocation(case):
    granted, asides, directors = case
    taken = frozenset(name for service in set_aside(granted, asides) for name in service.hostnames)
    left = without(granted, taken)
    assert carve(left, even(directors)) == carve(granted, even(directors), aside=taken)
    assert left.lead == granted.lead


def test_counted_nodes_come_from_the_end_and_named_ones_are_what_they_are():
    asides = [Aside("a"), Aside("b", hosts="n[1-2]"), Aside("c", 2)]
    found = {service.name: service.hostnames for service in set_aside(allocation(8), asides)}
    assert found == {"a": ["n5"], "b": ["n1", "n2"], "c": ["n6", "n7"]}


def test_the_lead_node_is_given_to_a_service_only_if_it_names_it():
    with pytest.raises(ValueError, match="beside the lead node n0 there are 1"):
        set_aside(allocation(2), [Aside("a", 2)])
    assert set_aside(allocation(2), [Aside("a", hosts="n0")])[0].hostnames == ["n0"]


@pytest.mark.parametrize(
    ("asides", "said"),
    [
        ([Aside("a"), Aside("a")], "'a' is given twice"),
        ([Aside("a", hosts="n1"), Aside("b", hosts="n*")], "n1 belongs to service 'a' already"),
        ([Aside("a", hosts="gpu1")], "services.a.hosts: gpu1 is not to be found"),
        ([Aside("a", 4)], "4 nodes are to be set aside"),
    ],
)
def test_what_cannot_be_set_aside_says_why(asides, said):
    with pytest.raises(ValueError, match=said):
        set_aside(allocation(4), asides)


def test_a_carve_with_too_little_left_names_what_was_set_aside():
    with pytest.raises(ValueError, match="cannot share 1 node, and 3 nodes set aside for services"):
        carve(allocation(4), even(2), aside={"n1", "n2", "n3"})
    assert [len(p.nodes) for p in carve(allocation(4), by_size([1, 1]), aside={"n2", "n3"})] == [1, 1]
    free = carve(allocation(4), even(1), lead_free=True, aside={"n3"})
    assert free[0].hostnames == ["n1", "n2"]


def test_the_lead_node_cannot_be_taken_from_those_who_run_on_it():
    with pytest.raises(ValueError, match="the lead node n0 is set aside"):
        without(allocation(3), {"n0"})
