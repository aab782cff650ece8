import asyncio
import contextlib
import os
import signal

import pytest

from director import winding
from director.totals import Sums, totals_of
from director.winding import CLOSING_S, WindingDown, leftover, reasons_of, time_for


class Link:
    """The client's end of a Director, which is lost when the test says so."""

    def __init__(self):
        self.index = 0
        self.lost = asyncio.get_running_loop().create_future()
        self.summary = None

    def mark_lost(self, reason, *, summary=None):
        if not self.lost.done():
            self.lost.set_result(reason)
            self.summary = summary


class Fleet:
    """Notes for how long it is asked to wind down."""

    def __init__(self):
        self.links = [Link()]
        self.asked = []

    async def wind_down(self, reason, within_s):
        self.asked.append((reason, within_s))


@pytest.fixture(autouse=True)
def early_word():
    """What this process does on the early word, afterwards as before."""
    before = signal.getsignal(signal.SIGUSR1)
    yield
    signal.signal(signal.SIGUSR1, before)


@contextlib.asynccontextmanager
async def told(fleet):
    """A client with this Fleet, that is told to end by signals; gives what sends them, and whether it was ended."""
    ended = asyncio.get_running_loop().create_future()
    ready = asyncio.Event()

    async def client():
        with WindingDown(40.0, lambda text: None) as ending:
            if fleet is not None:
                ending.of(fleet)
            ready.set()
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                ended.set_result(ending.signal)
                raise

    async def send(number):
        os.kill(os.getpid(), number)
        for _ in range(20):
            await asyncio.sleep(0.001)

    task = asyncio.create_task(client())
    await ready.wait()
    try:
        yield send, ended
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_signal_is_passed_on_once_and_a_later_one_ends_the_client_at_once(monkeypatch):
    monkeypatch.setattr(winding, "TOGETHER_S", 3600.0)
    fleet = Fleet()
    async with told(fleet) as (send, ended):
        await send(signal.SIGTERM)
        await send(signal.SIGTERM)  # to its process group too
        assert fleet.asked == [("signal SIGTERM to its client", winding.SOON_S)]
        assert not ended.done()
        monkeypatch.setattr(winding, "TOGETHER_S", 0.0)
        await send(signal.SIGTERM)
        assert await ended is signal.SIGTERM


async def test_after_an_early_word_the_first_sigterm_only_leaves_less_time(monkeypatch):
    monkeypatch.setattr(winding, "TOGETHER_S", 0.0)
    fleet = Fleet()
    async with told(fleet) as (send, ended):
        await send(signal.SIGUSR1)
        await send(signal.SIGUSR1)
        await send(signal.SIGTERM)
        await send(signal.SIGUSR1)
        assert [within_s for _, within_s in fleet.asked] == [40.0 - CLOSING_S, winding.SOON_S]
        assert not ended.done()
        await send(signal.SIGINT)
        assert await ended is signal.SIGINT


async def test_before_the_directors_answer_one_signal_is_enough():
    async with told(None) as (send, ended):
        await send(signal.SIGTERM)
        assert await ended is signal.SIGTERM


async def test_a_director_that_does_not_answer_is_given_up(monkeypatch):
    monkeypatch.setattr(winding, "SOON_S", 0.05)
    monkeypatch.setattr(winding, "CLOSING_S", 0.05)
    fleet = Fleet()
    fleet.wind_down = lambda reason, within_s: asyncio.sleep(3600)
    async with told(fleet) as (send, _):
        await send(signal.SIGTERM)
        async with asyncio.timeout(60):
            assert "did not end within" in await fleet.links[0].lost
        assert fleet.links[0].summary == {}


def test_a_soft_word_gives_the_reserve_and_one_that_sigkill_follows_gives_little():
    assert time_for(signal.SIGUSR1, 40.0) == 40.0 - CLOSING_S
    assert time_for(signal.SIGUSR1, None) == 60.0 - CLOSING_S
    assert time_for(signal.SIGUSR1, 1.0) == 1.0
    for number in (signal.SIGTERM, signal.SIGINT):
        assert time_for(number, 600.0) + CLOSING_S < 10.0, "PBS kills 10 s after it has asked"


def totals(node_hours, wasted_node_hours):
    """A Director's totals, with a worker on its node that idled for what was wasted."""
    kept_s = 3600 * (node_hours - wasted_node_hours)
    return totals_of(Sums(run_s=kept_s), node_hours, 3600 * node_hours).model_dump(mode="json")


def test_what_is_left_is_what_the_directors_say_and_what_they_never_had():
    summaries = [
        {"ok": True, "reason": "walltime", "done": 4, "paused": 2, "queued": 1, "accounting": totals(0.5, 0.1)},
        {"ok": True, "reason": "walltime", "done": 3, "paused": 1, "queued": 0, "accounting": totals(0.25, 0.05)},
    ]
    left = leftover(reasons_of(summaries, "?"), summaries, total=20, done=7)
    assert (left.reasons, left.done, left.paused, left.queued, left.node_hours) == (("walltime",), 7, 3, 10, 0.75)
    assert left.wasted_node_hours == pytest.approx(0.15)
    assert str(left) == "ended (walltime): 7 done, 3 paused, 10 queued, 0.75 node-hours used, 0.15 of them wasted"


def test_what_is_left_is_said_although_no_director_could_say_anything():
    left = leftover(reasons_of([{}], "Director 0 did not end within 5 s"), [{}], total=5, done=2)
    assert (left.reasons, left.paused, left.queued) == (("Director 0 did not end within 5 s",), 0, 3)
    assert "node-hours" not in str(left)


async def test_an_early_word_that_comes_when_all_is_wound_down_does_not_end_the_client():
    with WindingDown(40.0, lambda text: None) as ending:
        ending.of(Fleet())
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_IGN
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
