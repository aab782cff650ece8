"""Whether another Director of the run is at work, as its lease and its ledger tell."""

import os

import pytest

from director.lease import Holder, Lease
from director.ledger import Accepted, Finished, SqliteLedger
from director.runfolder import RunFolder
from director.siblings import SILENT_S, Siblings
from simulations.records import Outcome, Request, Status
from tests.helpers import NOON


class Clock:
    """A clock that goes on when the test says so."""

    def __init__(self):
        self.now_s = 1000.0

    def __call__(self):
        return self.now_s

    def sleep(self, seconds):
        self.now_s += seconds


class Sibling:
    """The lease and the ledger of a Director that does nothing by itself."""

    def __init__(self, folder: RunFolder, index: int, launch: str = "1") -> None:
        folder.director(index).mkdir(parents=True, exist_ok=True)
        holder = Holder(
            run_id="r1", director=index, launch_id=launch, host="there", pid=os.getpid(), job_id=None, since=NOON
        )
        # The lease counts its own time, which passes only while it looks.
        clock = Clock()
        self.lease = Lease.acquire(folder.lease(index), holder, clock=clock, sleep=clock.sleep)
        self.ledger = SqliteLedger(folder.ledger(index))

    def accept(self, name: str) -> None:
        request = Request(id=name, tool="mock_md", inputs={"duration_s": 0})
        self.ledger.turn(accepted=[Accepted(request, f"key-{name}", "1", NOON)])

    def finish(self, name: str) -> None:
        outcome = Outcome(
            id=name,
            key=f"key-{name}",
            tool="mock_md",
            tool_version="1",
            status=Status.OK,
            inputs={},
            director=1,
            partition=["local-1"],
            submitted_at=NOON,
            finished_at=NOON,
        )
        self.ledger.turn(finished=[Finished(outcome, 0)])


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def sibling(folder):
    made = Sibling(folder, 1)
    yield made
    made.ledger.close()


def siblings(folder, clock, others=(1,)):
    return Siblings(folder, others, clock)


def test_a_sibling_is_busy_while_it_lives_and_has_something_open(folder, clock, sibling):
    look = siblings(folder, clock)
    assert not look.busy(), "it has nothing to do"
    sibling.accept("a")
    assert look.busy()
    sibling.accept("b")
    sibling.finish("a")
    assert look.busy()
    sibling.finish("b")
    assert not look.busy()


def test_a_sibling_that_shows_that_it_lives_stays_busy_for_as_long_as_it_works(folder, clock, sibling):
    sibling.accept("a")
    look = siblings(folder, clock)
    for _ in range(10):
        assert look.busy()
        clock.now_s += SILENT_S - 1
        sibling.lease.renew()


def test_a_sibling_that_has_died_is_waited_for_no_longer_than_it_may_be_silent(folder, clock, sibling):
    sibling.accept("a")
    look = siblings(folder, clock)
    assert look.busy()
    clock.now_s += SILENT_S - 1
    assert look.busy()
    clock.now_s += 2
    assert not look.busy()


def test_a_sibling_that_comes_back_counts_again(folder, clock, sibling):
    sibling.accept("a")
    look = siblings(folder, clock)
    assert look.busy()
    clock.now_s += 10 * SILENT_S
    assert not look.busy()
    sibling.lease.renew()
    assert look.busy()


def test_a_sibling_that_is_launched_again_counts_by_its_next_life(folder, clock, sibling):
    sibling.accept("a")
    look = siblings(folder, clock)
    assert look.busy()
    clock.now_s += 10 * SILENT_S
    assert not look.busy()
    sibling.ledger.close()
    again = Sibling(folder, 1, "2")
    assert again.lease.life == 2
    assert look.busy()
    again.ledger.close()


def test_a_sibling_that_has_ended_is_not_waited_for(folder, clock, sibling):
    sibling.accept("a")
    look = siblings(folder, clock)
    assert look.busy()
    sibling.lease.release()
    assert not look.busy()


def test_a_sibling_that_has_never_begun_is_not_waited_for(folder, clock):
    assert not siblings(folder, clock).busy()
    folder.lease(1).mkdir(parents=True)
    assert not siblings(folder, clock).busy()


def test_a_sibling_whose_ledger_is_just_being_made_is_waited_for(folder, clock, sibling):
    sibling.ledger.close()
    for file in folder.director(1).glob("ledger.sqlite*"):
        file.unlink()
    look = siblings(folder, clock)
    assert look.busy()
    clock.now_s += SILENT_S + 1
    assert not look.busy(), "it is not waited for longer than it lives"


def test_one_that_works_is_enough_and_the_silence_of_the_others_is_still_counted(folder, clock, sibling):
    other = Sibling(folder, 2)
    sibling.accept("a")
    other.accept("b")
    look = siblings(folder, clock, others=(1, 2))
    assert look.busy()
    clock.now_s += SILENT_S + 1
    sibling.lease.renew()
    assert look.busy()
    sibling.finish("a")
    assert not look.busy(), "the other one has been silent all the while"
    other.lease.renew()
    assert look.busy()
    other.ledger.close()
