import pytest
from hypothesis import given
from hypothesis import strategies as st

from partitions import Allocation, Node, by_hosts, by_size, by_weight, carve, even
from partitions.hostlist import compress


def allocation(count: int) -> Allocation:
    return Allocation("local", tuple(Node(f"n{index}", (0,)) for index in range(count)))


def sizes(count: int, shares) -> list[int]:
    return [len(partition.nodes) for partition in carve(allocation(count), shares)]


@pytest.mark.parametrize(
    ("count", "shares", "expected"),
    [
        (4, even(2), [2, 2]),
        (4, even(1), [4]),
        (4, even(4), [1, 1, 1, 1]),
        (5, even(2), [3, 2]),
        (7, even(3), [3, 2, 2]),
        (4, by_weight([1, 1, 2]), [1, 1, 2]),
        (10, by_weight([3, 1]), [8, 2]),
        (4, by_weight([1000, 1, 1]), [2, 1, 1]),
        (4, by_size([3, 1]), [3, 1]),
        (4, by_weight([1e308, 1e308]), [2, 2]),
    ],
)
def test_sizes(count, shares, expected):
    assert sizes(count, shares) == expected


counts = st.integers(1, 300)
weights = st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=40)


@given(counts, weights)
def test_any_carve_is_disjoint_and_covers_in_order_with_at_least_one_node_each(count, values):
    values = values[:count]
    partitions = carve(allocation(count), by_weight(values))
    assert [partition.index for partition in partitions] == list(range(len(values)))
    assert [node for partition in partitions for node in partition.nodes] == list(allocation(count).nodes)
    assert all(partition.nodes for partition in partitions)


@given(counts, weights)
def test_every_director_computes_the_same_carve(count, values):
    shares = by_weight(values[:count])
    assert carve(allocation(count), shares) == carve(allocation(count), shares)


@given(counts, st.integers(1, 40))
def test_even_sizes_differ_by_at_most_one(count, directors):
    directors = min(count, directors)
    found = sizes(count, even(directors))
    assert max(found) - min(found) <= 1


@given(counts, weights)
def test_weights_are_met_within_a_node_unless_the_one_node_minimum_binds(count, values):
    values = values[:count]
    ideals = [count * value / sum(values) for value in values]
    if min(ideals) >= 1:
        assert all(
            abs(size - ideal) < 1 + 1e-9 for size, ideal in zip(sizes(count, by_weight(values)), ideals, strict=True)
        )


@given(st.lists(st.integers(1, 20), min_size=1, max_size=20))
def test_weights_that_add_up_to_the_nodes_are_sizes(values):
    assert sizes(sum(values), by_weight(values)) == sizes(sum(values), by_size(values)) == values


@pytest.mark.parametrize(
    ("count", "shares", "message"),
    [
        (4, even(5), "5 Directors cannot share 4 nodes"),
        (1, even(2), "2 Directors cannot share 1 node:"),
        (4, even(0), "at least one Director"),
        (4, by_weight([1, 0]), "entry 1 is 0"),
        (4, by_weight([1, -1]), "entry 1 is -1"),
        (4, by_weight([float("nan"), 1]), "entry 0 is nan"),
        (4, by_weight([float("inf"), 1]), "entry 0 is inf"),
        (4, by_size([2, 3]), "add up to 5, but the allocation has 4 nodes"),
        (4, by_size([1, 2]), "add up to 3, but the allocation has 4 nodes"),
        (4, by_size([2.5, 1.5]), "whole numbers"),
    ],
)
def test_what_cannot_be_shared_is_refused_with_the_numbers(count, shares, message):
    with pytest.raises(ValueError, match=message):
        carve(allocation(count), shares)


def test_an_allocation_names_each_node_once():
    with pytest.raises(ValueError, match="names n1 more than once"):
        Allocation("pbs", (Node("n1", (0,)), Node("n2", (0,)), Node("n1", (0,))))
    with pytest.raises(ValueError, match="has no nodes"):
        Allocation("pbs", ())


def named(*patterns, hosts=("n1", "n2", "n3", "gpu07"), **options):
    granted = Allocation("slurm", tuple(Node(name, (0,)) for name in hosts))
    return [partition.hostnames for partition in carve(granted, by_hosts(patterns), **options)]


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["n[1-2]", "n3,gpu07"], [["n1", "n2"], ["n3", "gpu07"]]),
        (["gpu*", "n*"], [["gpu07"], ["n1", "n2", "n3"]]),
        (["n?,gpu0?"], [["n1", "n2", "n3", "gpu07"]]),
        (["n3,n1", "n2,gpu[07]"], [["n1", "n3"], ["n2", "gpu07"]]),
    ],
)
def test_hosts_can_be_named(patterns, expected):
    assert named(*patterns) == expected


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        (["n[1-3]", "n3,gpu07"], r"n3 is in entry 0 \('n\[1-3\]'\) and in entry 1"),
        (["n1", "n2"], "no entry names n3, gpu07"),
        (["n*", "gpu*,node9"], "names node9, not to be found"),
        (["n*", "gpu*", "x*"], "names x"),
        (["n[1-", "n2"], "brackets that do not match"),
        (["n1", "n2", "n3", "gpu07", "n1"], "5 Directors cannot share 4 nodes"),
    ],
)
def test_names_that_cannot_be_met_are_refused(patterns, message):
    with pytest.raises(ValueError, match=message):
        named(*patterns)


@given(st.data(), st.integers(1, 60))
def test_any_partition_by_names_is_the_one_that_was_named(data, count):
    owners = data.draw(st.lists(st.integers(0, 4), min_size=count, max_size=count))
    used = sorted(set(owners))
    patterns = [compress([f"n{i}" for i, owner in enumerate(owners) if owner == who]) for who in used]
    found = carve(allocation(count), by_hosts(patterns))
    assert [partition.hostnames for partition in found] == [
        [f"n{i}" for i, owner in enumerate(owners) if owner == who] for who in used
    ]


@given(st.integers(2, 200), weights)
def test_a_lead_node_that_is_kept_free_is_in_no_partition_and_all_others_are(count, values):
    values = values[: count - 1]
    partitions = carve(allocation(count), by_weight(values), lead_free=True)
    assert [name for part in partitions for name in part.hostnames] == [f"n{i}" for i in range(1, count)]


def test_one_director_too_many_beside_a_free_lead_node_is_refused_with_the_numbers():
    with pytest.raises(ValueError, match="4 Directors cannot share 3 nodes beside the lead node n0"):
        carve(allocation(4), even(4), lead_free=True)
