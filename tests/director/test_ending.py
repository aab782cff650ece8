"""How a Director's end is asked for: by several at once, and by a client that says goodbye or does not."""

import asyncio
import os
import threading

import pytest

from director.ending import CLOSED, GOODBYE, Ending, watch_lifeline
from director.engine import Engine
from director.ledger import MemoryLedger
from simulations.mock_md import TOOL
from tests.helpers import HandPool, mock_request, partition, tools_of


async def settle():
    for _ in range(5):
        await asyncio.sleep(0)


async def test_who_asks_again_does_not_take_the_time_away_that_was_given_but_for_less_than_that():
    """A scheduler signals a Director and its client, which then asks the Director: that is one end, not two."""
    ending = Ending()
    ending.ask_softly("signal SIGTERM", 5)
    ending.ask_softly("signal SIGTERM to its client", 20)
    await settle()
    assert ending.softly.is_set()
    assert not ending.asked.is_set()
    assert (ending.reason, ending.within_s) == ("signal SIGTERM", 5)
    first = ending.give_up
    ending.ask_softly(CLOSED, 0)
    await settle()
    assert ending.give_up < first
    assert not ending.asked.is_set()
    assert ending.reason == "signal SIGTERM"


@pytest.mark.parametrize(("said", "reason"), [(GOODBYE, CLOSED), (b"", "its client is gone")])
def test_a_client_that_closes_its_run_says_so_and_one_that_is_killed_cannot(said, reason):
    reading, writing = os.pipe()
    told, heard = [], threading.Event()
    watch_lifeline(lambda why: (told.append(why), heard.set()), stdin=reading)
    assert not told
    os.write(writing, said)
    os.close(writing)
    assert heard.wait(60)
    assert told == [reason]
    os.close(reading)


@pytest.mark.parametrize("how", ["drain", "wind down"])
async def test_a_director_that_takes_no_more_knows_what_it_has_again(how):
    """Else its sender, whose first answer was lost, would give the Request to another Director too."""
    engine = Engine(
        index=0, partition=partition(), tools=tools_of(TOOL), ledger=MemoryLedger(), pool=HandPool(), ticking=False
    )
    await engine.start()
    try:
        first = asyncio.create_task(engine.submit([mock_request("a")]))
        await asyncio.sleep(0)  # it is on its way to the ledger
        await (engine.drain() if how == "drain" else engine.wind_down("walltime", 1))
        again = await engine.submit([mock_request("a"), mock_request("b")])
        assert [verdict.problems == () for verdict in again] == [True, False]
        assert again[1].problems[0].where == "director"
        assert (await first)[0].problems == ()
        assert engine.open_ids() == ["a"]
    finally:
        await engine.close()
