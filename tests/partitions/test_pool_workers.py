import json
import os
import signal
import subprocess

import pytest

from partitions.pool_workers import PoolWorkers
from tests.helpers import wait_until


@pytest.fixture
def workers():
    processes = [subprocess.Popen(["sleep", "600"]) for _ in range(2)]
    yield processes
    for process in processes:
        process.kill()
        process.wait()


def said(**words):
    return json.dumps(words).encode()


def pool_of(workers):
    pool = PoolWorkers(os.getpid())
    for rank, process in enumerate(workers):
        assert pool.note(said(rank=rank, pid=process.pid))
    return pool


def order(name, *, rank=0, what="kill"):
    return {"signal": what, "rank": rank, "began": name}


def test_a_worker_is_killed_for_what_it_runs_and_its_end_is_told_once(workers):
    pool = pool_of(workers)
    assert pool.note(said(rank=0, began="a.1"))
    assert pool.note(said(rank=1, began="b.1"))
    assert pool.obey(order("a.1"))
    assert pool.dying
    told = []
    wait_until(lambda: bool(told.extend(pool.dead()) or told))
    assert told == ["a.1"]
    assert pool.dead() == []
    assert not pool.dying
    assert workers[0].wait(10) == -signal.SIGKILL
    assert workers[1].poll() is None


@pytest.mark.parametrize("what", ["kill", "interrupt"])
def test_a_worker_that_runs_something_else_or_nothing_is_left_alone(workers, what):
    pool = pool_of(workers)
    assert not pool.obey(order("a.1", what=what)), "it has begun nothing"
    pool.note(said(rank=0, began="a.1"))
    pool.note(said(rank=0, began="b.1"))
    assert not pool.obey(order("a.1", what=what)), "it has begun something else since"
    assert not pool.note(said(rank=0, ended="b.1")), "the Director learns of an end from the result"
    assert not pool.obey(order("b.1", what=what)), "it has ended it"
    assert not pool.obey(order("b.1", rank=7, what=what)), "there is no such worker"
    assert [process.poll() for process in workers] == [None, None]
    assert not pool.dying


def test_a_workers_successor_is_not_signalled_for_what_its_predecessor_ran(workers):
    pool = pool_of(workers[:1])
    pool.note(said(rank=0, began="a.1"))
    pool.note(said(rank=0, pid=workers[1].pid))
    assert not pool.obey(order("a.1"))
    pool.note(said(rank=0, began="a.2"))
    assert pool.obey(order("a.2"))
    assert workers[1].wait(10) == -signal.SIGKILL
    assert workers[0].poll() is None


def test_who_is_no_process_of_the_pool_is_not_signalled_whatever_it_says():
    pool = PoolWorkers(os.getpid())
    pool.note(said(rank=0, pid=os.getppid()))
    pool.note(said(rank=0, began="a.1"))
    assert not pool.obey(order("a.1", what="interrupt"))
    pool.note(said(rank=0, pid="1"))
    pool.note(said(rank=0, began="a.1"))
    assert not pool.obey(order("a.1", what="interrupt"))


@pytest.mark.parametrize("noise", [b"", b"x", b"[]", b"{}", b'{"rank": null}', b'{"rank": "x", "began": "a"}', b"\xff"])
def test_what_is_no_report_is_not_passed_on(noise):
    assert not PoolWorkers(os.getpid()).note(noise)


@pytest.mark.parametrize("noise", [{}, {"signal": "stop", "rank": 0, "began": "a"}, {"signal": "kill", "rank": 0}])
def test_an_order_that_is_none_is_an_error(noise):
    with pytest.raises(KeyError):
        PoolWorkers(os.getpid()).obey(noise)
