import os
import signal
import subprocess
import sys

import pytest

from partitions.guard import session_members
from tests.helpers import alive, wait_until

# A process that has itself guarded, then starts children: one in its process group, one in another, and one that
# starts a grandchild and ends.
OWNER = """
import subprocess, sys, time
from partitions.guard import Guard
guard = Guard()
sleep = [sys.executable, "-S", "-c", "import time; time.sleep(600)"]
subprocess.Popen(sleep)
subprocess.Popen(sleep, process_group=0)
subprocess.run([sys.executable, "-S", "-c", f"import subprocess; subprocess.Popen({sleep!r})"])
print(guard.pid, flush=True)
if sys.argv[1] == "release":
    guard.release()
    print("released", flush=True)
time.sleep(600)
"""


def owner(mode: str) -> tuple[subprocess.Popen[str], int]:
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, mode], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout
    return process, int(process.stdout.readline())


def test_when_the_owner_is_killed_its_whole_session_ends_and_so_does_the_guard():
    process, guard = owner("hold")
    assert len(session_members(process.pid)) == 4
    process.kill()
    process.wait()
    wait_until(lambda: not session_members(process.pid), 5, "the end of the session")
    wait_until(lambda: not alive(guard), 5, "the end of the guard")


def test_a_stopped_owner_is_not_a_dead_one():
    process, guard = owner("hold")
    try:
        os.kill(process.pid, signal.SIGSTOP)
        with pytest.raises(AssertionError):
            wait_until(lambda: len(session_members(process.pid)) < 4, 0.5)
    finally:
        process.kill()
        process.wait()
    wait_until(lambda: not alive(guard), 5, "the end of the guard")


def test_the_guard_outlives_signals_meant_for_others():
    process, guard = owner("hold")
    os.kill(guard, signal.SIGTERM)
    os.kill(guard, signal.SIGINT)
    process.kill()
    process.wait()
    wait_until(lambda: not session_members(process.pid), 5, "the end of the session")


def test_a_released_guard_leaves_the_session_alone():
    process, guard = owner("release")
    assert process.stdout
    assert process.stdout.readline() == "released\n"
    assert not alive(guard)
    assert len(session_members(process.pid)) == 4
    for pid in session_members(process.pid):
        os.kill(pid, signal.SIGKILL)
    process.wait()


def test_only_the_leader_of_a_session_may_be_guarded():
    code = "from partitions.guard import Guard\ntry:\n    Guard()\nexcept RuntimeError as error:\n    print(error)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, process_group=0)
    assert "only the leader of a session" in done.stdout
