import pytest
from hypothesis import given
from hypothesis import strategies as st

from partitions import local_allocation


@given(st.integers(1, 64), st.sets(st.integers(0, 255), min_size=1, max_size=64))
def test_every_node_has_cores_and_none_is_shared_while_there_are_enough(nodes, cores):
    found = local_allocation(nodes, sorted(cores)).nodes
    assert len({node.hostname for node in found}) == nodes
    assert all(node.cores and set(node.cores) <= cores for node in found)
    if len(cores) >= nodes:
        dealt = [core for node in found for core in node.cores]
        assert sorted(dealt) == sorted(cores)


def test_more_nodes_than_cores_take_turns():
    assert [node.cores for node in local_allocation(4, [3, 5]).nodes] == [(3,), (5,), (3,), (5,)]


@pytest.mark.parametrize(("nodes", "cores"), [(0, [0]), (-1, [0]), (2000, [0]), (1, [])])
def test_what_this_machine_cannot_be_is_refused(nodes, cores):
    with pytest.raises(ValueError, match=r"nodes|core"):
        local_allocation(nodes, cores)
