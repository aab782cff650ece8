"""No task is lost or held up, whichever worker is killed and whenever."""

import contextlib
import json
import multiprocessing
import os
import queue
import random
import threading
import time

import pytest

from partitions.task_desk import TaskDesk, WorkerEnd
from tests.helpers import wait_until

SPAWN = multiprocessing.get_context("spawn")


def end_of(desk, rank):
    """A worker's end, in this process."""
    with desk.opening(rank):
        make, (connection,) = desk.__reduce__()
        return make(type(connection)(os.dup(connection.fileno())))


def ask(end):
    """Lets a worker say that it is ready; a task may be there already."""
    try:
        return end.get(0.0)
    except queue.Empty:
        return None


@pytest.fixture
def desk():
    """A desk whose messages are taken by a thread, as they are in a pool."""
    made = TaskDesk()
    made.results = queue.SimpleQueue()
    thread = threading.Thread(target=lambda: [made.results.put(item) for item in iter(made.get_result, None)])
    thread.start()
    yield made
    made.put(None)
    thread.join(10)
    assert not thread.is_alive()


def test_each_task_goes_to_one_worker_that_is_ready_and_its_result_comes_back(desk):
    ends = [end_of(desk, rank) for rank in range(3)]
    for number in range(3):
        desk.put_task({"task_id": number})
    tasks = [end.get(5.0)["task_id"] for end in ends]
    assert sorted(tasks) == [0, 1, 2]
    for end, task in zip(ends, tasks, strict=True):
        end.put(json.dumps(task).encode())
    assert sorted(json.loads(desk.results.get(timeout=5)) for _ in ends) == [0, 1, 2]
    assert desk.qsize() == 0


def test_tasks_and_results_may_be_large(desk):
    end = end_of(desk, 0)
    threading.Thread(target=desk.put_task, args=(b"x" * 10_000_000,)).start()
    assert len(end.get(10.0)) == 10_000_000
    end.put(b"y" * 10_000_000)
    assert desk.results.get(timeout=10) == b"y" * 10_000_000


def test_what_a_worker_had_when_it_died_is_known_although_it_never_said_that_it_took_it(desk):
    end = end_of(desk, 0)
    assert ask(end) is None
    wait_until(lambda: desk.value == 1)
    desk.put_task("task")
    end._connection.close()
    assert desk.pop(0) == "task"
    with pytest.raises(KeyError):
        desk.pop(0)


def test_a_result_that_was_handed_over_before_its_worker_died_counts(desk):
    # Often, since it is a matter of microseconds who takes it: the desk's thread, or whoever asks what the worker had.
    for _ in range(300):
        end = end_of(desk, 0)
        desk.put_task("task")
        assert end.get(60.0) == "task"
        end.put(b"result")
        end._connection.close()
        with pytest.raises(KeyError):
            desk.pop(0)
        assert desk.results.get(timeout=60) == b"result"


def test_a_worker_that_died_with_nothing_to_do_gets_no_task(desk):
    dead, living = end_of(desk, 0), end_of(desk, 1)
    assert ask(dead) is ask(living) is None
    wait_until(lambda: desk.value == 2)
    dead._connection.close()
    desk.put_task("first")
    assert living.get(5.0) == "first"
    desk.put_task("second")
    assert ask(end_of(desk, 0)) in {None, "second"}


def test_a_worker_whose_pool_is_gone_finds_no_task_and_does_not_spin():
    ours, theirs = SPAWN.Pipe()
    ours.close()
    end, at = WorkerEnd(theirs), time.monotonic()
    with pytest.raises(queue.Empty):
        end.get(0.3)
    assert time.monotonic() - at >= 0.3
    end.put(b"result")


def serve(end):
    """A worker: it answers with what it was asked."""
    while True:
        with contextlib.suppress(queue.Empty):
            end.put(json.dumps(end.get(1.0)).encode())


class Workers:
    """Worker processes, each of which is replaced when it has died, as a pool's are."""

    def __init__(self, desk, count):
        self.desk, self.lost, self.processes = desk, [], {}
        for rank in range(count):
            self.begin(rank)

    def begin(self, rank):
        with self.desk.opening(rank):
            self.processes[rank] = SPAWN.Process(target=serve, args=(self.desk,), daemon=True)
            self.processes[rank].start()

    def look(self):
        for rank, process in self.processes.items():
            if not process.is_alive():
                with contextlib.suppress(KeyError):
                    self.lost.append(self.desk.pop(rank))
                self.begin(rank)

    def end(self):
        for process in self.processes.values():
            process.kill()
            process.join()


def test_whenever_workers_are_killed_every_task_is_answered_or_known_to_be_lost(desk):
    chance, count, kills, answered = random.Random(1), 4000, 0, []
    workers = Workers(desk, 3)
    for number in range(count):
        desk.put_task(number)
    deadline = time.monotonic() + 60
    while len(workers.lost) + len(answered) < count:
        assert time.monotonic() < deadline, f"{count - len(workers.lost) - len(answered)} of {count} are nowhere"
        time.sleep(chance.uniform(0, 0.01))
        if kills < 12 and chance.random() < 0.2:
            workers.processes[chance.randrange(3)].kill()
            kills += 1
        workers.look()
        while not desk.results.empty():
            answered.append(json.loads(desk.results.get()))
    workers.end()
    assert kills >= 5
    assert sorted(workers.lost + answered) == list(range(count))
