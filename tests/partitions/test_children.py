import os
import subprocess

from partitions.children import dead_children, longest_dead
from tests.helpers import wait_until


def test_dead_children_are_seen():
    child = subprocess.Popen(["true"])
    wait_until(lambda: child.pid in dead_children(os.getpid()))
    child.wait()
    assert child.pid not in dead_children(os.getpid())
    assert dead_children(999_999_999) == set()


def test_how_long_a_child_is_dead_is_counted_from_the_first_look():
    since = longest_dead({}, {1, 2}, 10.0)
    assert longest_dead(since, {2, 3}, 12.0) == {2: 10.0, 3: 12.0}
