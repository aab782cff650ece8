"""The pool as it is, on logical nodes: what stops an attempt, and what a loss of any part of it costs."""

import os
import signal
import time

import pytest

from director import parsl_life, parsl_pool
from director.pool import How, LostError
from partitions.environment import INTERRUPT_SIGNAL
from simulations.workspace import Stop, stop_file
from tests.director.pooling import kill, left, running_pool
from tests.helpers import alive, end_all, wait_until

LONG_S = 300.0


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """A pool of 2 nodes with 2 workers each."""
    with running_pool(tmp_path_factory.mktemp("pool") / "director-0", nodes=2, workers_per_node=2) as made:
        yield made
        assert not made.failures
        assert not made.pool._pending


def begin(running, *names, **inputs):
    """Attempts that take long, once workers run them."""
    futures = [running.pool.submit([running.attempt(name, **{"duration_s": LONG_S, **inputs})]) for name in names]
    wait_until(lambda: running.begun(*(f"{name}.1" for name in names)), 60, "the attempts' begin")
    return futures


def ending(future):
    (result,) = future.result(90)
    return result.ending


def test_what_is_asked_to_stop_stops_by_itself_and_its_neighbours_go_on(running):
    stopped, neighbour = begin(running, "asked", "neighbour")
    before = running.workers
    running.pool.stop({"asked": 1}, Stop.CANCEL, How.ASK)
    assert ending(stopped) == "cancelled"
    assert not neighbour.done()
    running.pool.stop({"neighbour": 1}, Stop.CANCEL, How.ASK)
    assert ending(neighbour) == "cancelled"
    assert running.workers == before


def test_what_is_killed_is_lost_at_once_and_its_worker_is_replaced_while_its_neighbours_go_on(running):
    killed, *others = begin(running, "killed", "other-1", "other-2")
    before = set(running.workers)
    end_all(before, signal.SIGSTOP)  # else it might find its flag first, and stop by itself
    try:
        running.pool.stop({"killed": 1}, Stop.CANCEL, How.KILL)
        with pytest.raises(LostError, match="killed, as was asked") as caught:  # not by Parsl, when it looks at workers
            killed.result(40)
    finally:
        end_all(before, signal.SIGCONT)
    assert not caught.value.with_node
    wait_until(lambda: len(running.workers) == 4, 60, "the worker's successor")
    assert len(before & set(running.workers)) == 3
    assert not any(other.done() for other in others)
    assert [state.state for state in running.states()] == ["up", "up"]
    running.pool.stop({"other-1": 1, "other-2": 1}, Stop.CANCEL, How.ASK)
    assert [ending(other) for other in others] == ["cancelled", "cancelled"]
    after = [running.pool.submit([running.attempt(f"after-{index}", duration_s=0.5)]) for index in range(8)]
    assert {ending(future) for future in after} == {"ok"}


def test_what_has_not_begun_is_neither_interrupted_nor_killed_but_finds_its_flag_when_it_begins(running):
    futures = begin(running, "busy-1", "busy-2", "busy-3", "busy-4")
    queued = running.pool.submit([running.attempt("queued", duration_s=LONG_S)])
    before = running.workers
    for how in How:
        running.pool.stop({"queued": 1}, Stop.CANCEL, how)
    running.pool.stop({f"busy-{index}": 1 for index in range(1, 5)}, Stop.CANCEL, How.ASK)
    assert [ending(future) for future in [*futures, queued]] == ["cancelled"] * 5
    assert running.workers == before


def test_what_has_ended_is_left_alone(running):
    assert ending(running.pool.submit([running.attempt("done")])) == "ok"
    before = running.workers
    for how in How:
        running.pool.stop({"done": 1, "never": 3}, Stop.CANCEL, how)
    assert not (running.place.work / "never").exists()
    assert not (running.place.work / "done" / stop_file(1)).exists()
    futures = [running.pool.submit([running.attempt(f"next-{index}", duration_s=0.3)]) for index in range(4)]
    assert {ending(future) for future in futures} == {"ok"}
    assert running.workers == before


def test_a_signal_that_comes_without_a_reason_ends_no_worker(running):
    (future,) = begin(running, "undisturbed", duration_s=1.5)
    before = running.workers
    for pid in before:
        os.kill(pid, INTERRUPT_SIGNAL)
    assert ending(future) == "ok"
    assert running.workers == before


def test_an_interrupt_reaches_the_worker_that_runs_the_attempt_and_only_that_one(running):
    interrupted, other = begin(running, "interrupted", "undisturbed-2")
    running.pool.stop({"interrupted": 1}, Stop.TIMEOUT, How.INTERRUPT)
    assert ending(interrupted) == "timeout"
    assert not other.done()
    running.pool.stop({"undisturbed-2": 1}, Stop.CANCEL, How.ASK)
    assert ending(other) == "cancelled"


def test_a_worker_that_is_killed_by_somebody_else_is_replaced_and_its_attempt_is_lost_without_its_node(running):
    (future,) = begin(running, "struck", crash="worker", duration_s=1.0)
    with pytest.raises(LostError) as caught:
        future.result(60)
    assert not caught.value.with_node
    wait_until(lambda: len(running.workers) == 4, 60, "the worker's successor")


@pytest.mark.parametrize("times", [1, 2])
def test_when_the_interchange_is_killed_parsl_is_started_again_and_what_came_meanwhile_runs(running, times):
    for turn in range(times):
        prefix = f"ix-{times}-{turn}"
        lost = begin(running, f"{prefix}-lost-1", f"{prefix}-lost-2")
        workers, interchange = set(running.workers), running.interchange
        kill(interchange)
        for future in lost:
            with pytest.raises(LostError) as caught:
                future.result(40)
            assert caught.value.with_node
        meanwhile = [running.pool.submit([running.attempt(f"{prefix}-{index}", duration_s=0.1)]) for index in range(6)]
        assert {ending(future) for future in meanwhile} == {"ok"}
        assert running.interchange != interchange
        assert not any(alive(pid) for pid in workers)
        wait_until(running.up, 60, "all nodes")
        assert running.pool.workers == len(running.workers) == 4
        assert running.pool.hopeless is None


def test_whichever_idle_worker_is_killed_its_node_goes_on_with_the_others(running):
    for turn in range(4):
        wait_until(lambda: len(running.workers) == 4, 60, "all workers")
        kill(running.workers[turn])
        futures = [
            running.pool.submit([running.attempt(f"idle-{turn}-{index}", duration_s=0.01)]) for index in range(9)
        ]
        for future in futures:
            # One that was about to take the next attempt may take that one with it, and no more.
            assert future.exception(60) is None or isinstance(future.exception(), LostError)
        assert sum(future.exception() is None for future in futures) >= 8


def test_packs_that_travel_together_are_killed_together_and_nothing_else_is(running):
    pack = [running.attempt("first", duration_s=LONG_S), running.attempt("second", duration_s=LONG_S)]
    together = running.pool.submit(pack)
    (other,) = begin(running, "apart")
    wait_until(lambda: running.begun("first.1"))
    running.pool.stop({"second": 1}, Stop.TIMEOUT, How.KILL)
    with pytest.raises(LostError):
        together.result(40)
    assert (running.place.work / "second" / stop_file(1)).read_text() == "timeout"
    assert not other.done()
    running.pool.stop({"apart": 1}, Stop.CANCEL, How.ASK)
    assert ending(other) == "cancelled"


def test_when_the_interchange_hangs_it_counts_as_lost(running, monkeypatch):
    monkeypatch.setattr(parsl_life, "ANSWER_S", 2.0)
    wait_until(running.up, 60, "all nodes")
    hung = running.interchange
    (lost,) = begin(running, "hung")
    os.kill(hung, signal.SIGSTOP)
    with pytest.raises(LostError):
        lost.result(40)
    assert ending(running.pool.submit([running.attempt("after-the-hang")])) == "ok"
    assert not alive(hung)
    wait_until(running.up, 60, "all nodes")


def test_a_schedulers_warnings_to_all_processes_end_none_of_them_and_are_passed_on(tmp_path):
    with running_pool(tmp_path / "director-0") as made:
        (future,) = begin(made, "a", duration_s=5.0)
        before = left(made.place.mark)
        assert made.interchange in before
        assert set(made.workers) <= set(before)
        said = "the scheduler warned the nodes: {} on local-0"
        for number in (signal.SIGUSR1, signal.SIGTERM):
            for pid in before:
                os.kill(pid, number)
            wait_until(lambda number=number: (number, said.format(number.name)) in made.warnings, 60, "the warning")
        assert ending(future) == "ok"
        assert ending(made.pool.submit([made.attempt("b")])) == "ok"
        assert set(left(made.place.mark)) == set(before)
        assert len(made.warnings) == 2


def test_when_parsl_ends_again_and_again_the_pool_says_so_and_leaves_open_what_is_open(tmp_path, monkeypatch):
    monkeypatch.setattr(parsl_pool, "restart_pause_s", lambda before, now: None if before else 0.0)
    with running_pool(tmp_path / "director-0") as made:
        kill(made.interchange)
        again = made.pool.submit([made.attempt("a", duration_s=LONG_S)])
        wait_until(lambda: again.done() or made.begun("a.1"), 60, "the second life")
        if again.done():  # it was submitted before the end was noticed
            again = made.pool.submit([made.attempt("a", epoch=2, duration_s=LONG_S)])
            wait_until(lambda: made.begun("a.2"), 60, "the second life")
        kill(made.interchange)
        wait_until(lambda: bool(made.failures), 60, "the pool's last word")
        assert "Parsl's interchange has ended, although Parsl was started again" in made.failures[0]
        with pytest.raises(LostError):
            again.result(1)
        assert not made.pool.submit([made.attempt("b")]).done()


def test_a_pool_that_is_closed_while_parsl_is_started_again_leaves_nothing(tmp_path):
    with running_pool(tmp_path / "director-0") as made:
        (lost,) = begin(made, "a")
        kill(made.interchange)
        with pytest.raises(LostError):
            lost.result(40)
    assert not made.failures


def test_a_pool_whose_interchange_dies_while_it_is_closed_is_closed_in_time(tmp_path):
    with running_pool(tmp_path / "director-0") as made:
        begin(made, "a")
        kill(made.interchange)
        at = time.monotonic()
        made.pool.close()
        assert time.monotonic() - at < 60  # Parsl would wait for its interchange for two minutes
