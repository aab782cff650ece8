from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from director.pool import How
from director.stopping import Patience, Stopping, stopped
from simulations.workspace import Stop
from tests.helpers import NOON

PATIENCE = Patience(ask_s=10, interrupt_s=5, kill_s=2)


def at(seconds):
    return NOON + timedelta(seconds=seconds)


def test_an_attempt_is_asked_then_interrupted_then_killed_each_in_its_own_time():
    stopping = stopped(None, Stop.CANCEL, at(0), PATIENCE)
    assert stopping.how is How.ASK
    assert stopping.due(at(9.9)) is None
    stopping = stopping.due(at(10))
    assert stopping.how is How.INTERRUPT
    assert stopping.due(at(14.9)) is None
    stopping = stopping.due(at(15))
    assert stopping.how is How.KILL
    assert stopping.due(at(100)) is None
    assert not stopping.hopeless(at(16.9))
    assert stopping.hopeless(at(17))


def test_what_stops_for_good_is_not_asked_to_pause_but_a_pause_gives_way_to_a_cancellation():
    cancelling = stopped(None, Stop.CANCEL, at(0), PATIENCE)
    assert stopped(cancelling, Stop.PAUSE, at(1), PATIENCE) is None
    assert stopped(cancelling, Stop.TIMEOUT, at(1), PATIENCE) is None
    pausing = Stopping(Stop.PAUSE, How.KILL, at(0), PATIENCE)
    again = stopped(pausing, Stop.CANCEL, at(1), PATIENCE)
    assert (again.why, again.how, again.since) == (Stop.CANCEL, How.ASK, at(1))


def test_less_patience_replaces_more_and_not_the_other_way_round():
    endless = stopped(None, Stop.PAUSE, at(0), Patience(ask_s=float("inf")))
    assert endless.due(at(1e6)) is None
    sooner = stopped(endless, Stop.PAUSE, at(5), PATIENCE)
    assert sooner.patience == PATIENCE
    assert stopped(sooner, Stop.PAUSE, at(6), Patience(ask_s=float("inf"))) is None


@given(st.floats(0.1, 1000))
def test_all_ways_together_take_no_longer_than_there_is_time(total_s):
    short = PATIENCE.within(total_s)
    assert short.ask_s + short.interrupt_s + short.kill_s <= total_s * (1 + 1e-9)
    assert short.ask_s <= PATIENCE.ask_s
