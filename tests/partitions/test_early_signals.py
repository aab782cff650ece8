"""The scheduler's warnings: who outlives them, when they are passed on, and what they mean for a Partition."""

import os
import signal
import subprocess
import sys

import pytest

from partitions.early_signals import SETTLE_S, WARNINGS, Warned, word_of
from partitions.line import KeeperView
from tests.helpers import wait_until

PROGRAM = """
import subprocess, sys, time
from partitions.early_signals import {what}
{what}()
child = subprocess.Popen(["sleep", "600"])
print(child.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("number", WARNINGS)
@pytest.mark.parametrize(("what", "child_too"), [("ignore", True), ("outlive", False)])
def test_a_process_outlives_the_warnings_and_its_programs_do_if_they_are_to(number, what, child_too):
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(what=what)], stdout=subprocess.PIPE, text=True
    ) as process:
        child = int(process.stdout.readline())
        os.kill(child, number)
        process.send_signal(number)
        wait_until(lambda: (state(child) == "Z") is not child_too, 20, "what becomes of the program")
        assert state(process.pid) in "SR"
        if child_too:
            os.kill(child, signal.SIGKILL)
        process.kill()


def state(pid):
    with open(f"/proc/{pid}/stat") as stream:  # noqa: PTH123
        return stream.read().rpartition(")")[2].split()[0]


def test_a_warning_is_passed_on_once_when_it_has_settled_and_the_time_counts_from_the_first():
    now = 100.0
    warned = Warned(20.0, lambda: now)
    assert (warned.due(), warned.over) == ([], False)
    warned.note(signal.SIGTERM)
    warned.note(signal.SIGUSR1)
    assert warned.due() == [signal.SIGUSR1]
    now += SETTLE_S[signal.SIGTERM]
    warned.note(signal.SIGTERM)
    assert warned.due() == [signal.SIGTERM]
    assert warned.due() == []
    now = 119.9
    assert not warned.over
    now = 120.0
    assert warned.over


def test_without_a_sigterm_there_is_no_end():
    now = 0.0
    warned = Warned(20.0, lambda: now)
    warned.note(signal.SIGUSR1)
    now = 1000.0
    assert not warned.over


def keepers(*warned):
    return [
        KeeperView("0", f"node{index}", "host", 4, warned=set(numbers)) for index, numbers in enumerate(warned, start=1)
    ]


TERM, USR1 = signal.SIGTERM, signal.SIGUSR1


@pytest.mark.parametrize(
    ("number", "views", "word"),
    [
        (USR1, keepers((), (), (USR1,)), "SIGUSR1 on node3"),
        (USR1, keepers((), (TERM,)), None),
        (TERM, keepers((TERM,)), "SIGTERM on node1"),
        (TERM, keepers((TERM,), ()), None),
        (TERM, keepers((TERM,), (USR1, TERM), ()), "SIGTERM on node1 and 1 more"),
        (TERM, keepers((TERM,), (TERM,), (), ()), None),
        (TERM, [], None),
    ],
)
def test_sigusr1_on_any_node_is_meant_for_all_and_sigterm_if_more_than_half_have_had_it(number, views, word):
    assert word_of(number, views) == (word and f"the scheduler warned the nodes: {word}")
