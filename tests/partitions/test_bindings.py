import pytest
from hypothesis import given
from hypothesis import strategies as st

from partitions.allocation import Node
from partitions.bindings import Binding, Owned, bind, dump, load, resolve, shared, worker_environment


def node(cores=8, accelerators=0):
    return Node("n", tuple(range(cores)), tuple(str(index) for index in range(accelerators)))


@pytest.mark.parametrize(
    ("cores", "accelerators", "options", "threads", "owners"),
    [
        (4, 0, {}, [1, 1, 1, 1], [None] * 4),
        (4, 0, {"threads": 2}, [2, 2], [None] * 2),
        (4, 0, {"workers": 1}, [4], [None]),
        (4, 0, {"workers": 8}, [1] * 8, [None] * 8),
        (64, 4, {}, [16] * 4, [0, 1, 2, 3]),
        (64, 4, {"workers_per_accelerator": 2}, [8] * 8, [0, 0, 1, 1, 2, 2, 3, 3]),
        (64, 4, {"workers": 2}, [32] * 2, [0, 1]),
        (8, 2, {"workers": 3, "threads": 1}, [1] * 3, [0, 0, 1]),
    ],
)
def test_a_node_is_shared_out(cores, accelerators, options, threads, owners):
    found = bind(node(cores, accelerators), **options)
    assert [binding.threads for binding in found] == threads
    assert [binding.accelerator for binding in found] == owners
    assert shared(found) is (len(set(owners)) < len(owners) and owners[0] is not None)


@given(st.integers(1, 128), st.integers(0, 12), st.one_of(st.none(), st.integers(1, 128)), st.integers(1, 4))
def test_workers_own_disjoint_cores_where_there_are_enough_and_every_accelerator_is_used(
    cores, accelerators, workers, per_accelerator
):
    found = bind(node(cores, accelerators), workers=workers, workers_per_accelerator=per_accelerator)
    taken = [core for binding in found for core in binding.cores]
    assert all(binding.cores for binding in found)
    if len(found) <= cores:
        assert len(set(taken)) == len(taken)
        assert all(len(binding.cores) == binding.threads for binding in found)
    if accelerators and len(found) >= accelerators:
        assert {binding.accelerator for binding in found} == set(range(accelerators))
    used = [binding.accelerator for binding in found if binding.accelerator is not None]
    counts = [used.count(index) for index in set(used)]
    assert max(counts, default=0) - min(counts, default=0) <= 1


def resolved(bindings, granted, **changes):
    given_here = {"named": False, "cores_here": range(len(granted.cores)), "environment": {}} | changes
    return resolve(bindings, granted=granted, **given_here)


def test_the_node_itself_says_which_cores_and_accelerators_were_granted():
    granted = node(4, 2)
    found = resolved(
        bind(granted), granted, cores_here=[12, 13, 14, 15], environment={"CUDA_VISIBLE_DEVICES": "GPU-a,GPU-b"}
    )
    assert found == [Owned((12, 13), 2, "GPU-a"), Owned((14, 15), 2, "GPU-b")]


def test_where_nothing_confines_the_job_its_workers_are_not_pinned_to_cores_of_others():
    granted = node(4)
    assert [item.cores for item in resolved(bind(granted), granted, cores_here=range(64))] == [()] * 4


def test_names_of_the_user_and_of_logical_nodes_are_kept():
    tiles = Node("n", (0, 1), ("0.0", "0.1"))
    environment = {"ZE_AFFINITY_MASK": "3,4"}
    assert [item.accelerator for item in resolved(bind(tiles), tiles, environment=environment)] == ["0.0", "0.1"]
    logical = Node("local-1", (6, 7))
    assert resolved(bind(logical, workers=1), logical, named=True, cores_here=range(8)) == [Owned((6, 7), 2)]


def test_a_worker_sees_its_accelerator_whoever_made_it():
    seen = worker_environment(Owned((0, 1), 2, "3"))
    assert seen["CUDA_VISIBLE_DEVICES"] == seen["ROCR_VISIBLE_DEVICES"] == seen["ZE_AFFINITY_MASK"] == "3"
    assert seen["HIP_VISIBLE_DEVICES"] == "0"
    assert seen["OPENMM_CPU_THREADS"] == seen["OMP_NUM_THREADS"] == "2"
    assert "ZE_FLAT_DEVICE_HIERARCHY" not in seen
    assert worker_environment(Owned((), 1, "0.1"))["ZE_FLAT_DEVICE_HIERARCHY"] == "COMPOSITE"
    assert "CUDA_VISIBLE_DEVICES" not in worker_environment(Owned((), 1))


def test_what_workers_own_survives_the_way_to_them():
    owned = [Owned((1, 2), 2, "0.1"), Owned((), 1)]
    assert load(dump(owned)) == owned
    assert Binding((0,), 1) == bind(node(1))[0]
