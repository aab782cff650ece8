import contextlib
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from partitions.worker_signals import SIGNALS, runs, send, worker_process
from tests.helpers import alive, wait_until


@pytest.fixture
def child():
    process = subprocess.Popen(["sleep", "600"])
    yield process
    process.kill()
    process.wait()


def test_a_child_of_the_pool_is_known_and_signalled(child):
    found = worker_process(child.pid, os.getpid())
    assert found is not None
    assert runs(found)
    assert send(signal.SIGTERM, found)
    assert child.wait(10) == -signal.SIGTERM
    assert not runs(found)
    assert not send(signal.SIGKILL, found)


def test_a_grandchild_of_the_pool_is_known():
    body = "import subprocess; print(subprocess.Popen(['sleep', '600']).pid, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-S", "-c", body], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as pool:
        grandchild = int(pool.stdout.readline())
        found = worker_process(grandchild, os.getpid())
        assert found == worker_process(grandchild, pool.pid)
        assert send(SIGNALS["kill"], found)
        wait_until(lambda: not alive(grandchild))
        pool.kill()


def test_a_process_of_somebody_else_is_not_a_worker(child):
    assert worker_process(os.getppid(), os.getpid()) is None
    assert worker_process(1, os.getpid()) is None
    assert worker_process(os.getpid(), os.getpid()) is None
    assert worker_process(child.pid, os.getppid() + 1_000_000) is None
    assert worker_process(999_999_999, os.getpid()) is None


def test_a_process_that_has_come_to_have_a_workers_id_is_never_signalled(child):
    found = worker_process(child.pid, os.getpid())
    earlier = replace(found, started=str(int(found.started) - 1))
    assert not runs(earlier)
    assert not send(signal.SIGKILL, earlier)
    assert child.poll() is None


def test_a_worker_that_died_and_was_not_collected_does_not_run(child):
    found = worker_process(child.pid, os.getpid())
    child.kill()
    wait_until(lambda: not runs(found))
    assert worker_process(child.pid, os.getpid()) is None


def test_where_the_kernel_has_no_handles_to_processes_the_signal_still_arrives(child, monkeypatch):
    monkeypatch.delattr(os, "pidfd_open")
    found = worker_process(child.pid, os.getpid())
    assert send(signal.SIGTERM, found)
    assert child.wait(10) == -signal.SIGTERM


def handles():
    """How many handles of processes this one has; other descriptors may come and go with threads of other tests."""
    found = 0
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found += "pidfd" in str(entry.readlink())
    return found


def test_no_handle_to_a_process_is_left_open(child):
    found = worker_process(child.pid, os.getpid())
    before = handles()
    for _ in range(50):
        assert send(signal.SIGCONT, found)
    assert handles() == before
