"""On logical nodes of this machine: whatever is killed, nothing is lost, nothing is doubled, nothing is left."""

import pytest

from tests.faults.soak import Injected, Tally, plan
from tests.faults.soak_bars import DURATION_S, SEED, assert_nothing_lost
from tests.faults.soak_driving import drive
from tests.faults.soak_here import DIRECTOR, RunApart, RunHere
from tests.faults.soak_round import requests

WEIGHTS = {
    "worker": 4, "helper": 1, "manager": 2, "keeper": 2, "interchange": 2, "director": 4, "client": 3, "exchange": 3,
}  # fmt: skip


def test_the_plan_of_faults_is_decided_by_its_seed_and_has_every_kind():
    faults = plan(SEED, WEIGHTS, DURATION_S)
    assert faults == plan(SEED, WEIGHTS, DURATION_S)
    assert faults != plan(SEED + 1, WEIGHTS, DURATION_S)
    assert {fault.kind for fault in plan(SEED, WEIGHTS, 450)[: len(WEIGHTS)]} == set(WEIGHTS)
    assert {fault.eager for fault in plan(SEED, WEIGHTS, 450)} == {True, False}
    assert all(0 <= fault.pick < 1 and fault.gap_s >= 2 for fault in faults)


def test_a_fault_is_the_cause_only_where_it_struck():
    node = Injected("worker", 100.0, director=0, host="local-1")
    assert node.may_have_ended(0, "local-1")
    assert node.may_have_ended(0, None)
    assert not node.may_have_ended(0, "local-0")
    assert not node.may_have_ended(1, "local-1")
    assert Injected("client", 100.0).may_have_ended(1, "local-3")


@pytest.mark.timeout(2400)
def test_whatever_is_killed_on_this_machine_nothing_is_lost_doubled_or_left(tmp_path, record_property):
    tally = Tally()

    def begin(number, share):
        kind = RunHere if number % 2 else RunApart
        return kind(tmp_path / f"round-{number}", requests(SEED + number, share))

    faults = plan(SEED, WEIGHTS, DURATION_S)
    seconds = drive(begin, faults, DURATION_S, tally, director=DIRECTOR)
    assert_nothing_lost("this machine", tally, seconds, tmp_path, record_property, kinds=WEIGHTS)
