"""Everything that can happen to a Director, in any order, and what must be true between any two steps."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from simulations.records import Ending
from tests.faults.stand_ins import Task
from tests.faults.world import World, request_of

# So many examples of so many steps take a minute or so. More of them by hand: FAULTS_EXAMPLES=5000.
EXAMPLES = int(os.environ.get("FAULTS_EXAMPLES", "500"))
STEPS = 60
PROFILE = settings(
    max_examples=EXAMPLES,
    stateful_step_count=STEPS,
    derandomize="FAULTS_EXAMPLES" not in os.environ,
    print_blob=True,
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)
REQUESTS = 8
numbers = st.integers(1, REQUESTS)
which = st.integers(0, 5)
maybe_soon = st.sampled_from([None, None, None, 5.0, 30.0])
draft = st.fixed_dictionaries(
    {
        "number": numbers,
        "equal": st.sampled_from([0, 0, 0, 1, 2]),
        "tool": st.sampled_from(["plain", "saver"]),
        "priority": st.sampled_from([0, 0, -5, 5]),
        "timeout_s": maybe_soon,
        "deadline_s": maybe_soon,
        "reuse": st.sampled_from([True, True, False]),
    }
)


class Lives(RuleBasedStateMachine):
    """A Director, its clients, its workers, its disk, and those who take over from it.

    Attributes:
        counted: How many examples there were, and how many steps in all of them.
    """

    counted: ClassVar[Counter[str]] = Counter()

    @initialize()
    def begin(self) -> None:
        """The first life."""
        self.world = World()
        self.world.start()

    def teardown(self) -> None:
        """In the end everything that was acknowledged becomes terminal, in bounded time."""
        if not hasattr(self, "world"):
            return
        self.counted["examples"] += 1
        try:
            self.world.finish_everything()
        finally:
            self.world.close()

    @invariant()
    def all_is_well(self) -> None:
        """See `World.check`."""
        if hasattr(self, "world"):
            self.counted["steps"] += 1
            self.world.check()

    # ---- clients

    def going_on(self) -> bool:
        """Whether there is a Director to ask."""
        return self.world.life is not None and self.world.life.going_on

    @precondition(going_on)
    @rule(drafts=st.lists(draft, min_size=1, max_size=4))
    def submit(self, drafts: list[dict[str, Any]]) -> None:
        """Requests: new ones, and ones that are known."""
        requests = [self._request(item) for item in drafts]
        self.world.submit(self.world.life, list({request.id: request for request in requests}.values()))
        self.world.settle()

    @precondition(going_on)
    @rule(chosen=st.sets(numbers, min_size=1, max_size=3))
    def cancel(self, chosen: set[int]) -> None:
        """Also of those that nobody has submitted, and of those that are done."""
        self.world.cancel(self.world.life, [f"r{number}" for number in sorted(chosen)])
        self.world.settle()

    @precondition(going_on)
    @rule(number=numbers, priority=st.integers(-9, 9))
    def prioritize(self, number: int, priority: int) -> None:
        """Changes what starts next."""
        self.world.prioritize(self.world.life, [f"r{number}"], priority)
        self.world.settle()

    @precondition(going_on)
    @rule()
    def pause(self) -> None:
        """Asks all that runs to stop for now."""
        self.world.life.call(self.world.life.engine.pause())
        self.world.settle()

    @precondition(going_on)
    @rule()
    def unpause(self) -> None:
        """Goes on."""
        self.world.life.call(self.world.life.engine.unpause())
        self.world.settle()

    # ---- workers

    def working(self) -> bool:
        """Whether the Director waits for an attempt."""
        return self.going_on() and bool(self.world.life.workers.open_tasks())

    @precondition(working)
    @rule(index=which, saved=st.booleans())
    def progress(self, index: int, saved: bool) -> None:
        """An attempt says how far it is."""
        self.world.life.workers.progress(self._task(index), saved=saved)

    @precondition(working)
    @rule(index=which, ending=st.sampled_from([Ending.OK, Ending.OK, Ending.FAILED, Ending.AGAIN]), twice=st.booleans())
    def finish(self, index: int, ending: Ending, twice: bool) -> None:
        """Also of an attempt that was given up, and also reported twice."""
        self.world.life.workers.finish(self._task(index), ending, twice=twice)
        self.world.settle()

    @precondition(working)
    @rule(index=which)
    def obey(self, index: int) -> None:
        """An attempt stops as it was asked to, or ends ok if nobody asked."""
        self.world.life.workers.obey(self._task(index))
        self.world.settle()

    @precondition(working)
    @rule(index=which, with_node=st.sampled_from([False, False, False, True]))
    def lose(self, index: int, with_node: bool) -> None:
        """The worker under an attempt, or its whole node."""
        self.world.life.workers.lose(self._task(index), with_node=with_node)
        self.world.settle()

    @precondition(working)
    @rule(index=which)
    def lose_often(self, index: int) -> None:
        """The workers under one Request, again and again."""
        name = self._task(index).attempts[0].id
        for _ in range(4):
            if not self.working():
                return
            for task in self.world.life.workers.open_tasks():
                if task.attempts[0].id == name:
                    self.world.life.workers.lose(task, with_node=False)
            self.world.settle()
            self.world.check()

    @precondition(going_on)
    @rule(number=which, ending=st.sampled_from([Ending.OK, Ending.FAILED]))
    def late(self, number: int, ending: Ending) -> None:
        """A result of an attempt that is not the latest, or whose Request has its Outcome, reaches the ledger."""
        self.world.late(number, ending)

    # ---- time

    @rule(seconds=st.sampled_from([0.1, 1.0, 6.0, 30.0]))
    def wait(self, seconds: float) -> None:
        """Lets time go on."""
        self.world.tick(seconds)

    @precondition(lambda self: self.going_on() and not self.held())
    @rule()
    def be_stubborn(self) -> None:
        """Nothing that is asked to pause does so: it is given up, and may come back later."""
        self.pause()
        for seconds in (11.0, 6.0, 11.0, 1.0):
            self.wait(seconds)
        if self.going_on():
            self.unpause()

    @precondition(lambda self: self.going_on() and not self.held())
    @rule(item=draft)
    def be_late(self, item: dict[str, Any]) -> None:
        """Nothing ends by itself, until a Request's deadline has passed, and what can be done about it was done."""
        request = self._request(item | {"deadline_s": 5.0})
        self.world.submit(self.world.life, [request])
        self.world.settle()
        due = self.world.now + timedelta(seconds=6.0)
        for seconds in (6.0, 11.0, 6.0, 11.0, 1.0):
            self.wait(seconds)
        self.world.check_not_overdue(request.id, due)

    # ---- the disk

    @precondition(going_on)
    @rule()
    def hold_the_disk(self) -> None:
        """From now on each write waits for the test."""
        self.world.life.disk.held = True

    def held(self) -> bool:
        """Whether the disk waits for the test."""
        return self.world.life is not None and self.world.life.disk.held

    @precondition(lambda self: self.working() and not self.held())
    @rule(index=which, crashes=st.booleans())
    def hang(self, index: int, crashes: bool) -> None:
        """The disk hangs while an attempt ends that is to be tried again, and for longer than until that is due."""
        self.hold_the_disk()
        self.finish(index, Ending.AGAIN, twice=False)
        self.wait(6.0)
        if crashes:
            self.crash()

    @precondition(held)
    @rule(answered=st.booleans())
    def write(self, answered: bool) -> None:
        """One write; its answer may still be under way."""
        self.world.life.disk.write()
        if answered:
            self.world.life.disk.answer()
        self.world.settle()

    @precondition(held)
    @rule()
    def release_the_disk(self) -> None:
        """It works by itself again."""
        self.world.life.disk.held = False
        self.world.settle()

    @precondition(going_on)
    @rule(written=st.booleans())
    def fail_the_disk(self, written: bool) -> None:
        """The next turn fails, and nobody is told whether it was written."""
        self.world.life.ledger.fails = "after" if written else "before"
        self.world.life.provoked = True
        self.world.tick(1.0)

    # ---- lives

    @precondition(lambda self: self.world.life is not None)
    @rule()
    def crash(self) -> None:
        """``kill -9``, whatever is under way."""
        self.world.crash()

    @precondition(lambda self: self.world.old is None)
    @rule(held=st.sampled_from([False, False, True]))
    def live(self, held: bool) -> None:
        """A new life; if there is one already, it is taken over from."""
        self.world.start(held=held)

    @precondition(lambda self: self.world.old is not None)
    @rule(what=st.sampled_from(["tick", "finish", "lose", "submit", "nothing"]), item=draft)
    def wake(self, what: str, item: dict[str, Any]) -> None:
        """The one that was taken over from goes on for a while, and finds out, or does not yet."""
        self.world.wake(what, self._request(item))

    # ---- small things

    def _task(self, index: int) -> Task:
        tasks = self.world.life.workers.open_tasks()
        return tasks[index % len(tasks)]

    def _request(self, item: dict[str, Any]) -> Any:
        known = self.world.offered.get(f"r{item['number']}")
        if known is not None:
            return known
        more = {name: item[name] for name in ("priority", "timeout_s", "reuse")}
        seconds = item["deadline_s"]
        deadline = None if seconds is None else self.world.now + timedelta(seconds=seconds)
        return request_of(item["number"], item["equal"], item["tool"], deadline=deadline, **more)


@pytest.mark.timeout(3600)  # to make a failure short takes far longer than to find it
def test_whatever_happens_nothing_acknowledged_is_lost_and_nothing_is_doubled(
    record_property: Callable[[str, object], None],
) -> None:
    Lives.counted.clear()
    run_state_machine_as_test(Lives, settings=PROFILE)
    examples, steps = Lives.counted["examples"], Lives.counted["steps"]
    seeds = "the same each time" if PROFILE.derandomize else "others each time"
    record_property("table", f"state machine: {examples} examples ({seeds}), {steps} steps: all invariants hold")
    assert steps > 10 * EXAMPLES, "most examples end before anything can happen"
