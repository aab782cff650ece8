"""Reading all Outcomes of a run: from all Directors, each once, and what a lost Director had comes before the error."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from director.call import DirectorLost
from director.following import follow, outcomes_so_far
from simulations.records import Outcome, Status
from tests.helpers import NOON


def outcome(name, director=0):
    return Outcome(
        id=name,
        key=f"key-{name}",
        tool="mock_md",
        tool_version="1",
        status=Status.OK,
        inputs={},
        director=director,
        partition=["local-0"],
        submitted_at=NOON,
        finished_at=NOON,
    )


class Scripted:
    """A Director that follows a script, and pages as the real one does: after a cursor, and no more than fits.

    Args:
        names: Its Outcomes, in the order in which it has them.
        known: After how many calls it has how many of them; all at once if not given.
        fits: How many go into one page.
        lost_after: After how many calls it is lost.
        failure: What keeps it from going on, once it has said all that it has.
    """

    def __init__(self, names, *, known=None, fits=1000, lost_after=None, failure=None):
        self.all = [outcome(name).model_dump(mode="json") for name in names]
        self.known = known or [len(names)]
        self.fits, self.lost_after, self.failure = fits, lost_after, failure
        self.calls = 0
        self.waits_s = []

    async def __call__(self, action, after, limit, wait_s, *, timeout_s, holds_s):
        assert action == "outcomes"
        assert holds_s == wait_s < timeout_s
        self.waits_s.append(wait_s)
        await asyncio.sleep(0)
        if self.lost_after is not None and self.calls >= self.lost_after:
            raise DirectorLost("Director 1 did not answer within 20 s")
        have = self.known[min(self.calls, len(self.known) - 1)]
        self.calls += 1
        page = self.all[after : min(have, after + min(limit, self.fits))]
        return {
            "outcomes": page,
            "next": after + len(page),
            "failure": self.failure if have == len(self.all) else None,
            "hopeless": None,
            "open": len(self.all) - have,
        }


async def read(stream):
    """Names of the Outcomes, in the order in which they came, and the error at the end, if there was one."""
    names = []
    try:
        async with asyncio.timeout(20):
            async for item in stream:
                names.append(item.id)  # noqa: PERF401  (what came before an error counts)
    except DirectorLost as error:
        return names, str(error)
    return names, None


NAMES = [f"r{number}" for number in range(10)]


async def test_what_there_is_by_now_comes_in_pages_and_nobody_waits():
    first, second = Scripted(NAMES[:7], fits=3), Scripted(NAMES[7:], known=[2])
    names, error = await read(outcomes_so_far([first, second]))
    assert error is None
    assert sorted(names) == NAMES[:9]
    assert [name for name in names if name in NAMES[:7]] == NAMES[:7], "a Director's own order stays"
    assert set(first.waits_s + second.waits_s) == {0.0}


async def test_following_goes_on_until_nothing_is_open():
    directors = [Scripted(NAMES[:5], known=[0, 0, 1, 3, 3, 5]), Scripted(NAMES[5:], known=[0, 5])]
    names, error = await read(follow(directors))
    assert error is None
    assert sorted(names) == NAMES
    assert max(directors[0].waits_s) > 0, "it waits there, instead of asking all the time"


async def test_following_a_director_that_never_had_anything_ends():
    assert await read(follow([Scripted([]), Scripted([])])) == ([], None)
    assert await read(follow([])) == ([], None)


@pytest.mark.parametrize("way", [outcomes_so_far, follow])
async def test_when_one_director_is_lost_in_the_middle_all_others_are_read_to_their_end_first(way):
    steady = Scripted(NAMES[:6], fits=1)
    lost = Scripted(NAMES[6:], fits=2, lost_after=1)
    names, error = await read(way([lost, steady]))
    assert sorted(names) == sorted([*NAMES[:6], *NAMES[6:8]])
    assert "Director 1 did not answer" in error


@pytest.mark.parametrize("way", [outcomes_so_far, follow])
async def test_when_all_are_lost_each_is_named(way):
    names, error = await read(way([Scripted(["a"], lost_after=0), Scripted(["b"], failure="its disk is full")]))
    assert names == ["b"]
    assert "did not answer" in error
    assert "its disk is full" in error


async def test_a_director_that_cannot_go_on_says_so_after_its_outcomes():
    names, error = await read(follow([Scripted(NAMES, fits=4, failure="its disk is full")]))
    assert names == NAMES
    assert error == "its disk is full"


@pytest.mark.parametrize("way", [outcomes_so_far, follow])
async def test_an_answer_that_cannot_be_read_is_an_error_and_not_an_early_end(way):
    strange = Scripted(NAMES)
    strange.all[3]["colour"] = "a field that this version does not know"
    # Ending as if all were done would pass off a part of the run as the whole.
    with pytest.raises(Exception, match="colour"):
        await read(way([strange, Scripted(["z"])]))


async def test_who_stops_reading_leaves_no_task_behind():
    stream = follow([Scripted(NAMES, fits=1), Scripted(["z"], known=[0] * 10_000 + [1])])
    async for _ in stream:
        break
    await stream.aclose()
    async with asyncio.timeout(5):
        while any(task.get_name() == "follow" for task in asyncio.all_tasks()):
            await asyncio.sleep(0)


@given(
    st.lists(
        st.tuples(st.integers(0, 6), st.integers(1, 4), st.none() | st.integers(0, 6)),
        min_size=1,
        max_size=4,
    ),
    st.booleans(),
)
@settings(max_examples=100)
def test_no_outcome_comes_twice_or_out_of_its_directors_order_and_none_is_missing(scripts, until_done):
    directors = [
        Scripted(
            [f"d{index}-{number}" for number in range(count)], known=list(range(count + 1)), fits=fits, lost_after=lost
        )
        for index, (count, fits, lost) in enumerate(scripts)
    ]
    names, error = asyncio.run(read((follow if until_done else outcomes_so_far)(directors)))
    assert len(set(names)) == len(names)
    any_lost = False
    for index, (director, (count, _, _)) in enumerate(zip(directors, scripts, strict=True)):
        mine = [name for name in names if name.startswith(f"d{index}-")]
        assert mine == [f"d{index}-{number}" for number in range(len(mine))]
        was_lost = director.lost_after is not None and director.calls >= director.lost_after
        # A script ends by itself before it would be lost, or it was lost: the last call that it got tells.
        lost = was_lost and len(director.waits_s) > director.calls
        any_lost = any_lost or lost
        if until_done and not lost:
            assert len(mine) == count
    assert (error is not None) == any_lost
