import os
import signal
import subprocess
import sys

import pytest

from partitions.guard import MARK_VARIABLE, Guard, marked, new_mark
from tests.helpers import alive, wait_until

# A process that has itself guarded, then starts children: one in its process group, one in another, and one that
# starts a grandchild in a session of its own and ends.
OWNER = """
import os, subprocess, sys, time
from partitions.guard import Guard
guard = Guard(os.environ)
sleep = [sys.executable, "-S", "-c", "import time; time.sleep(600)"]
subprocess.Popen(sleep)
subprocess.Popen(sleep, process_group=0)
subprocess.run([sys.executable, "-S", "-c", f"import subprocess; subprocess.Popen({sleep!r}, start_new_session=True)"])
print(guard.pid, flush=True)
if sys.argv[1] == "release":
    guard.release()
    print("released", flush=True)
time.sleep(600)
"""


def owner(mode: str) -> tuple[subprocess.Popen[str], int, str]:
    mark = new_mark()
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, mode],
        stdout=subprocess.PIPE,
        text=True,
        process_group=0,
        env={**os.environ, MARK_VARIABLE: mark},
    )
    assert process.stdout
    return process, int(process.stdout.readline()), mark


def test_when_the_owner_is_killed_all_that_it_started_ends_and_so_does_the_guard():
    process, guard, mark = owner("hold")
    assert len(marked(mark)) == 4
    process.kill()
    process.wait()
    wait_until(lambda: not marked(mark), 5, "the end of all that carries the mark")
    wait_until(lambda: not alive(guard), 5, "the end of the guard")


def test_a_stopped_owner_is_not_a_dead_one():
    process, guard, mark = owner("hold")
    try:
        os.kill(process.pid, signal.SIGSTOP)
        with pytest.raises(AssertionError):
            wait_until(lambda: len(marked(mark)) < 4, 0.5)
    finally:
        process.kill()
        process.wait()
    wait_until(lambda: not alive(guard), 5, "the end of the guard")


def test_the_guard_outlives_signals_meant_for_others():
    process, guard, mark = owner("hold")
    os.kill(guard, signal.SIGTERM)
    os.kill(guard, signal.SIGINT)
    os.kill(guard, signal.SIGUSR1)
    process.kill()
    process.wait()
    wait_until(lambda: not marked(mark), 5, "the end of all that carries the mark")


def test_a_released_guard_leaves_the_processes_alone():
    process, guard, mark = owner("release")
    assert process.stdout
    assert process.stdout.readline() == "released\n"
    assert not alive(guard)
    assert len(marked(mark)) == 4
    for pid in marked(mark):
        os.kill(pid, signal.SIGKILL)
    process.wait()


def test_a_process_without_a_mark_cannot_be_guarded():
    with pytest.raises(RuntimeError, match="carries no mark"):
        Guard({"PATH": "/bin"})


def test_marks_differ_and_nothing_carries_a_new_one():
    assert new_mark() != new_mark()
    assert marked(new_mark()) == []
