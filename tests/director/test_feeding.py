"""Handing Requests out: equal ones together, and what becomes of them when Directors end. Directors are stand-ins."""

import asyncio
from collections import Counter

import pytest

from director.call import DirectorLost, TakesNoMore, WoundDown
from director.door import Problem, Refused
from director.feeding import Feeding
from director.link import Rate
from director.staging import Ready
from simulations.records import Outcome, Request, Status
from tests.helpers import NOON


class Link:
    """The client's end of a Director, which acknowledges at once and completes Requests when the test says so."""

    def __init__(self, index, feeding, workers=2):
        self.index, self.workers, self._feeding = index, workers, feeding
        self.outstanding = {}
        self.rate = Rate()
        self.hopeless = None
        self.closed = None
        self.summary = None
        self.lost = asyncio.get_running_loop().create_future()
        self.sent = []
        self.refuses = set()
        self.ending = None

    def post(self, request):
        answer = asyncio.get_running_loop().create_future()
        if self.lost.done():
            answer.set_exception(self.error())
        elif self.ending is not None:
            self.closed = self.ending
            answer.set_exception(TakesNoMore(self.ending))
        elif request.id in self.refuses:
            answer.set_exception(Refused([Problem("tool", "is not known", "Correct it")]))
        else:
            self.sent.append(request.id)
            self.outstanding[request.id] = request
            answer.set_result(None)
        answer.add_done_callback(lambda done: done.exception())
        return answer

    def expect(self, names):
        self.outstanding |= dict.fromkeys(names)

    def error(self):
        return WoundDown(self.lost.result()) if self.summary is not None else DirectorLost(self.lost.result())

    def complete(self, name):
        self.outstanding.pop(name)
        self._feeding.receive(outcome(name, self.index))

    def lose(self, reason, summary=None):
        self.summary = summary
        self.lost.set_result(reason)


def outcome(name, director):
    return Outcome(
        id=name, key="k", tool="t", tool_version="1", status=Status.OK, inputs={}, director=director, partition=[],
        submitted_at=NOON, finished_at=NOON,
    )  # fmt: skip


def ready(name, key=None, **more):
    return Ready(Request(id=name, tool="t", **more), key or f"key of {name}")


def fed(count=2, workers=2):
    feeding = Feeding()
    feeding.begin([Link(index, feeding, workers) for index in range(count)])
    return feeding, feeding.links


async def settle():
    for _ in range(50):
        await asyncio.sleep(0)


def reading(stream):
    """Reads a stream in a task; its result is the names that came, and the error at the end."""

    async def read():
        names = []
        try:
            async for item in stream:
                names.append(item.id)  # noqa: PERF401  (what came before an error counts)
        except (DirectorLost, Refused) as error:
            return names, error
        return names, None

    return asyncio.create_task(read())


async def finish(links, task):
    """Completes all that is sent, until the reader has come to its end."""
    async with asyncio.timeout(10):
        while not task.done():
            await asyncio.sleep(0)
            for link in links:
                for name in list(link.outstanding):
                    if not link.lost.done():
                        link.complete(name)
    return task.result()


async def test_equal_requests_go_to_one_director_and_leave_room_for_others():
    feeding, links = fed(workers=1)
    requests = [ready(f"same{index}", "same") for index in range(50)] + [ready(f"r{index}") for index in range(50)]
    task = reading(feeding.map(requests))
    await settle()
    homes = {link.index for link in links if any(name.startswith("same") for name in link.sent)}
    assert len(homes) == 1
    (home,) = homes
    assert len([name for name in links[home].sent if name.startswith("same")]) == 50, "none waits for room"
    others = Counter(link.index for link in links for name in link.sent if name.startswith("r"))
    assert others[1 - home] >= others[home] > 0, "those that wait for an equal one are no load"
    names, error = await finish(links, task)
    assert error is None
    assert sorted(names) == sorted(item.request.id for item in requests)


async def test_distinct_requests_are_shared_out_as_evenly_as_without_keys():
    feeding, links = fed(count=3, workers=4)
    task = reading(feeding.map([ready(f"r{index}") for index in range(36)]))
    await settle()
    assert [len(link.sent) for link in links] == [12, 12, 12]
    assert len((await finish(links, task))[0]) == 36


async def test_requests_that_want_no_reuse_go_anywhere():
    feeding, links = fed()
    task = reading(feeding.map([ready(f"r{index}", "same", reuse=False) for index in range(8)]))
    await settle()
    assert [len(link.sent) for link in links] == [4, 4]
    await finish(links, task)


async def test_single_calls_of_equal_inputs_go_to_one_director_and_nothing_is_kept_of_them():
    feeding, links = fed()
    calls = [asyncio.create_task(feeding.run(ready(f"r{index}", "same"))) for index in range(5)]
    await settle()
    assert sorted(len(link.sent) for link in links) == [0, 5]
    for link in links:
        for name in list(link.outstanding):
            link.complete(name)
    assert len(await asyncio.gather(*calls)) == 5
    assert len(feeding._affinity) == 0
    assert not feeding._waiting


async def test_a_home_without_workers_is_left():
    feeding, links = fed()
    first = asyncio.create_task(feeding.run(ready("a", "same")))
    await settle()
    home = next(link for link in links if link.sent)
    home.hopeless = "all its nodes are lost"
    second = asyncio.create_task(feeding.run(ready("b", "same")))
    await settle()
    other = links[1 - home.index]
    assert other.sent == ["b"]
    home.complete("a")
    other.complete("b")
    await asyncio.gather(first, second)


async def test_when_one_director_winds_down_the_other_one_does_the_rest_and_then_it_is_said():
    feeding, links = fed(workers=1)
    task = reading(feeding.map([ready(f"r{index}") for index in range(20)]))
    await settle()
    left = list(links[0].outstanding)
    assert left
    links[0].lose("Director 0 ended: walltime", summary={"ok": True})
    names, error = await finish(links, task)
    assert isinstance(error, WoundDown)
    assert error.left == len(left)
    assert sorted([*names, *left]) == sorted(f"r{index}" for index in range(20))


async def test_when_all_wind_down_what_was_never_handed_over_is_counted_too():
    feeding, links = fed(workers=1)
    task = reading(feeding.map([ready(f"r{index}") for index in range(40)]))
    await settle()
    links[0].complete(links[0].sent[0])
    for link in links:
        link.lose("Director ended: walltime", summary={"ok": True})
    names, error = await finish(links, task)
    assert (len(names), error.left) == (1, 39)
    assert str(error) == "Director ended: walltime"


async def test_a_director_that_is_lost_is_an_error_after_all_other_outcomes():
    feeding, links = fed(workers=1)
    task = reading(feeding.map([ready(f"r{index}") for index in range(20)]))
    await settle()
    left = list(links[1].outstanding)
    links[1].lose("Director 1 ended with signal SIGKILL")
    names, error = await finish(links, task)
    assert type(error) is DirectorLost
    assert "SIGKILL" in str(error)
    assert len(names) == 20 - len(left)


async def test_a_lost_director_is_what_is_said_when_others_have_wound_down():
    feeding, links = fed(workers=1)
    task = reading(feeding.map([ready(f"r{index}") for index in range(20)]))
    await settle()
    links[0].lose("walltime", summary={"ok": True})
    links[1].lose("it was killed")
    _, error = await finish(links, task)
    assert type(error) is DirectorLost
    assert str(error) == "it was killed"


async def test_what_directors_have_already_is_waited_for_and_counts_as_load():
    feeding, links = fed(workers=1)
    task = reading(feeding.map([ready("new")], [(0, "old0"), (0, "old1"), (1, "old2")]))
    await settle()
    assert (links[0].sent, links[1].sent) == ([], ["new"])
    names, error = await finish(links, task)
    assert error is None
    assert sorted(names) == ["new", "old0", "old1", "old2"]


async def test_what_a_director_had_that_is_gone_already_has_no_outcome():
    feeding, links = fed()
    links[0].lose("Director 0 ended: walltime", summary={"ok": True})
    names, error = await finish(links, reading(feeding.map([], [(0, "old0"), (1, "old1")])))
    assert names == ["old1"]
    assert (type(error), error.left) == (WoundDown, 1)


async def test_a_refusal_ends_the_map():
    feeding, links = fed()
    for link in links:
        link.refuses.add("bad")
    async with asyncio.timeout(5):
        names, error = await reading(feeding.map([ready("bad")]))
    assert (names, type(error)) == ([], Refused)
    assert len(feeding._affinity) == 0


async def test_what_a_director_refuses_because_it_ends_is_done_by_another_one():
    feeding, links = fed(workers=1)
    links[0].ending = "it is ending: walltime"
    task = reading(feeding.map([ready(f"r{index}", "same" if index % 2 else None) for index in range(20)]))
    await settle()
    assert links[0].sent == []
    names, error = await finish(links, task)
    assert error is None
    assert sorted(names) == sorted(f"r{index}" for index in range(20))
    assert len(feeding._affinity) == 0
    assert not feeding._moving


async def test_what_no_director_takes_is_counted_as_left_in_the_way_in_which_they_end():
    feeding, links = fed(workers=1)
    task = reading(feeding.map([ready(f"r{index}") for index in range(200)]))
    await settle()
    for link in links:
        link.ending = "it is ending: walltime"
    for link in links:
        link.complete(link.sent[0])
    await settle()
    assert not task.done()
    for link in links:
        link.lose("ended: walltime", summary={"ok": True})
    names, error = await task
    assert (type(error), error.left, str(error)) == (WoundDown, 200 - len(names), "ended: walltime")


async def test_a_director_that_takes_no_more_and_then_cannot_go_on_is_lost():
    feeding, links = fed(count=1)
    links[0].ending = "it cannot go on: the disk is full"
    task = reading(feeding.map([ready("a")]))
    await settle()
    links[0].lose("the disk is full")
    names, error = await task
    assert (names, type(error), str(error)) == ([], DirectorLost, "the disk is full")


async def test_directors_that_drain_do_what_they_have_and_the_rest_is_left(monkeypatch):
    monkeypatch.setattr("director.feeding.REASON_S", 0.01)
    feeding, links = fed(workers=1)
    task = reading(feeding.map([ready(f"r{index}") for index in range(500)]))
    await settle()
    taken = [name for link in links for name in link.sent]
    for link in links:
        link.ending = "it is draining"
    names, error = await finish(links, task)
    assert sorted(names) == sorted(taken)
    assert (isinstance(error, WoundDown), error.left, str(error)) == (True, 500 - len(taken), "it is draining")


async def test_a_single_call_goes_to_a_director_that_takes_it_or_says_that_none_does(monkeypatch):
    monkeypatch.setattr("director.feeding.REASON_S", 0.01)
    feeding, links = fed()
    links[0].ending = "it is draining"
    call = asyncio.create_task(feeding.run(ready("a")))
    await settle()
    links[1].complete("a")
    assert (await call).id == "a"
    links[1].ending = "it is draining too"
    with pytest.raises(WoundDown, match="it is draining"):
        await feeding.run(ready("b"))
    assert not feeding._waiting


async def test_one_request_given_twice_is_one_outcome():
    feeding, links = fed()
    names, error = await finish(links, reading(feeding.map([ready("a"), ready("b"), ready("a")])))
    assert (sorted(names), error) == (["a", "b"], None)
