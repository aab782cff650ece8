import os
import subprocess
import sys

from partitions.watch_pool import BROKEN, dead_children, longest_dead, watched
from tests.helpers import alive, wait_until

START_CHILD = (
    "import os, subprocess, sys, time; child = subprocess.Popen(['sleep', '600']); print(child.pid, flush=True); "
)


def pool(body: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        watched([sys.executable, "-S", "-c", body]),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )


def test_a_pool_ends_with_its_own_exit_code():
    assert pool("import sys; sys.exit(7)").wait() == 7
    assert pool("import os; os.kill(os.getpid(), 9)").wait() == 137


def test_a_pool_that_does_not_collect_a_dead_child_is_ended_with_all_of_its_children():
    process = pool(
        START_CHILD + "other = subprocess.Popen(['sleep', '600']); print(other.pid, flush=True); time.sleep(600)"
    )
    assert process.stdout
    assert process.stderr
    helper, worker = int(process.stdout.readline()), int(process.stdout.readline())
    subprocess.run(["kill", "-9", str(helper)], check=True)
    assert process.wait(20) == BROKEN
    assert f"process {helper} of the worker pool died" in process.stderr.read()
    wait_until(lambda: not alive(worker), 5, "the end of the worker")


def test_a_pool_that_collects_its_dead_children_goes_on():
    process = pool(START_CHILD + "child.kill(); time.sleep(1); child.wait(); time.sleep(5); print('done', flush=True)")
    assert process.wait(30) == 0
    assert process.stdout
    assert "done" in process.stdout.read()


def test_dead_children_are_seen():
    child = subprocess.Popen(["true"])
    wait_until(lambda: child.pid in dead_children(os.getpid()))
    child.wait()
    assert child.pid not in dead_children(os.getpid())
    assert dead_children(999_999_999) == set()


def test_how_long_a_child_is_dead_is_counted_from_the_first_look():
    since = longest_dead({}, {1, 2}, 10.0)
    assert longest_dead(since, {2, 3}, 12.0) == {2: 10.0, 3: 12.0}
