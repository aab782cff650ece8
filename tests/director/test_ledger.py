"""What a Ledger promises, on disk and in memory."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from director.ledger import Changed, FencedError, Interrupted, MemoryLedger, Noted, SqliteLedger, Started
from simulations.records import Course, Ending, Outcome, Status
from tests.director.journaling import (
    accepted,
    at,
    attempt,
    change,
    finish,
    finished,
    interrupt,
    kinds,
    start,
    still_open,
    take,
)
from tests.helpers import NOON


@pytest.fixture(params=["sqlite", "memory"])
def ledger(request, tmp_path):
    made = SqliteLedger(tmp_path / "ledger.sqlite") if request.param == "sqlite" else MemoryLedger()
    yield made
    made.close()


def test_a_request_is_open_until_it_has_an_outcome(ledger):
    assert take(ledger, "a", "b") == {"a", "b"}
    start(ledger, "a", 1)
    assert finish(ledger, "a", 1) == ["a"]
    assert still_open(ledger) == ["b"]


def test_accepting_a_known_id_again_changes_nothing(ledger):
    take(ledger, "a")
    assert take(ledger, "a", "b", "b") == {"b"}
    assert ledger.known(["a", "b", "c"]) == {"a", "b"}
    assert still_open(ledger) == ["a", "b"]


def test_all_of_one_request_may_be_journaled_in_one_turn(ledger):
    turned = ledger.turn([accepted("a")], [Started("a", 1, NOON)], finished=[finished("a", 1)])
    assert (turned.accepted, [entry.id for entry in turned.finished]) == ({"a"}, ["a"])


def test_a_late_attempt_cannot_overwrite(ledger):
    take(ledger, "a")
    start(ledger, "a", 1)
    start(ledger, "a", 2)
    assert finish(ledger, "a", 1, Status.FAILED) == []
    assert finish(ledger, "a", 3, Status.FAILED) == []  # nor one that was never begun
    assert finish(ledger, "a", 2) == ["a"]
    assert finish(ledger, "a", 2, Status.FAILED) == []
    assert [entry.body.count('"ok"') for entry in ledger.page(0, 10)] == [1]


def test_a_new_life_has_new_epochs_so_that_an_attempt_of_the_old_one_is_late(ledger):
    take(ledger, "a", "b")
    start(ledger, "a", 1)
    taken = {item.request.id: (item.epoch, len(item.history)) for item in ledger.take_up()}
    assert taken == {"a": (2, 1), "b": (1, 0)}
    # The life before may have begun b's first attempt and died before it journaled that.
    start(ledger, "b", 2)
    assert finish(ledger, "a", 1) == []
    assert finish(ledger, "b", 1) == []
    assert finish(ledger, "b", 2) == ["b"]


def test_an_outcome_of_a_request_that_was_never_accepted_is_ignored(ledger):
    assert finish(ledger, "ghost", 0) == []


def test_pages_follow_the_order_of_journaling(ledger):
    names = [f"r{index}" for index in range(10)]
    take(ledger, *names)
    for name in reversed(names):
        finish(ledger, name, 0)
    first = ledger.page(0, 4)
    second = ledger.page(first[-1].seq, 100)
    assert [entry.id for entry in first + second] == names[::-1]


def test_every_transition_is_an_event_with_its_time_and_life(ledger):
    ledger.turn(noted=[Noted("began", at(-1), {"nodes": ["n1", "n2"]})])
    ledger.claim(7, at(0))
    take(ledger, "a")
    start(ledger, "a", 1, seconds=2)
    interrupt(ledger, "a", 1)
    change(ledger, "a", 5)
    start(ledger, "a", 2, seconds=6)
    finish(ledger, "a", 2)
    assert [(e.seq, e.at, e.life, e.kind, e.id, e.epoch, e.data) for e in ledger.events(0, 100)] == [
        (1, at(-1), 0, "began", None, None, {"nodes": ["n1", "n2"]}),
        (2, at(0), 7, "claimed", None, None, {}),
        (3, NOON, 7, "accepted", "a", None, {}),
        (4, at(2), 7, "started", "a", 1, {}),
        (5, at(5), 7, "interrupted", "a", 1, attempt(1).model_dump(mode="json")),
        (6, at(1), 7, "changed", "a", None, {"priority": 5, "cancel": False}),
        (7, at(6), 7, "started", "a", 2, {}),
        (8, at(10), 7, "finished", "a", 2, {"status": "ok", "reused_from": None}),
    ]
    assert [e.seq for e in ledger.events(5, 2)] == [6, 7]


def test_what_does_not_count_is_no_event(ledger):
    take(ledger, "a", "b")
    start(ledger, "a", 2)
    finish(ledger, "b", 0)
    before = kinds(ledger)
    take(ledger, "a")
    start(ledger, "a", 1)
    start(ledger, "a", 2)
    interrupt(ledger, "a", 1)
    finish(ledger, "a", 1)
    for name in ("b", "ghost"):
        start(ledger, name, 9)
        interrupt(ledger, name, 0)
        change(ledger, name, 3, cancel=True)
        finish(ledger, name, 0)
    assert kinds(ledger) == before


def test_a_time_is_kept_to_the_microsecond(ledger):
    exact = at(1.234567)
    record = attempt(1).model_copy(update={"course": Course(began_at=exact, amount=0.1, saved_at=exact)})
    take(ledger, "a")
    ledger.turn(started=[Started("a", 1, exact)], interrupted=[Interrupted("a", record)])
    assert ledger.events(0, 9)[1].at == exact
    assert ledger.take_up()[0].history == (record,)


def test_an_attempt_is_interrupted_once_and_its_request_goes_on(ledger):
    take(ledger, "a")
    start(ledger, "a", 1)
    interrupt(ledger, "a", 1)
    interrupt(ledger, "a", 1, Ending.WORKER_LOST)
    start(ledger, "a", 2)
    interrupt(ledger, "a", 2, Ending.NODE_LOST)
    (item,) = ledger.take_up()
    assert [(record.epoch, record.ended) for record in item.history] == [(1, Ending.PAUSED), (2, Ending.NODE_LOST)]
    assert item.epoch == 3


def test_an_attempt_that_an_earlier_life_left_open_was_lost_with_its_director(ledger):
    ledger.claim(1, at(0))
    take(ledger, "a", "b")
    start(ledger, "a", 1, seconds=2)
    start(ledger, "b", 1, seconds=3)
    interrupt(ledger, "b", 1)
    ledger.turn(noted=[Noted("nodes", at(30))])  # the last that this life tells
    ledger.claim(2, at(100))
    a, b = ledger.take_up(at(101))
    (lost,) = a.history
    assert (lost.epoch, lost.started_at, lost.ended_at, lost.ended) == (1, at(2), at(30), Ending.DIRECTOR_LOST)
    assert [record.ended for record in b.history] == [Ending.PAUSED]
    lines = [(e.kind, e.at, e.life) for e in ledger.events(0, 100)][-3:]
    assert lines == [("claimed", at(100), 2), ("interrupted", at(30), 2), ("taken_up", at(101), 2)]
    ledger.claim(3, at(200))
    assert [len(item.history) for item in ledger.take_up(at(201))] == [1, 1]  # it is told once


def test_an_attempt_that_was_lost_did_not_end_before_it_began(ledger):
    ledger.claim(1, at(0))
    take(ledger, "a")
    start(ledger, "a", 1, seconds=50)
    ledger.turn(noted=[Noted("nodes", at(30))])  # a clock that was set back
    ledger.claim(2, at(60))
    assert ledger.take_up()[0].history[0].ended_at == at(50)


def test_what_was_asked_for_a_request_outlives_its_director(ledger):
    take(ledger, "a", "b")
    change(ledger, "a", 7)
    change(ledger, "b", cancel=True)
    change(ledger, "a", -3)
    change(ledger, "b", 2)
    taken = {item.request.id: (item.request.priority, item.cancelled) for item in ledger.take_up()}
    assert taken == {"a": (-3, False), "b": (2, True)}


def test_all_of_a_turn_is_told_in_its_order(ledger):
    ledger.turn(
        [accepted("a")],
        [Started("a", 1, NOON)],
        [Interrupted("a", attempt(1))],
        [Changed("a", NOON, cancel=True)],
        [finished("a", 1, Status.CANCELLED)],
        [Noted("ended", NOON)],
    )
    told = [kind for kind, *_ in kinds(ledger)]
    assert told == ["accepted", "started", "interrupted", "changed", "finished", "ended"]


def test_the_earliest_outcome_that_was_run_and_is_ok_stands_for_its_key(ledger):
    take(ledger, *"abcde")
    ledger.turn(
        finished=[
            finished("a", 0, Status.FAILED, key="k"),
            finished("b", 0, key="k", reused_from="elsewhere"),
            finished("c", 0, key="k"),
            finished("d", 0, key="k"),
            finished("e", 0, Status.TIMEOUT, key="other"),
        ]
    )
    found = ledger.find_ok(["k", "other", "unheard-of"])
    assert {key: Outcome.model_validate_json(body).id for key, body in found.items()} == {"k": "c"}
    assert ledger.find_ok([]) == {}


def test_outcomes_are_counted_by_their_status(ledger):
    assert ledger.counts() == {}
    take(ledger, *"abc")
    finish(ledger, "a", 0)
    finish(ledger, "b", 0, Status.TIMEOUT)
    finish(ledger, "c", 0)
    finish(ledger, "c", 0, Status.FAILED)
    assert ledger.counts() == {"ok": 2, "timeout": 1}


@pytest.fixture(params=["sqlite", "memory"])
def hands(request, tmp_path):
    """One ledger, as three processes have it open."""
    if request.param == "sqlite":
        made = [SqliteLedger(tmp_path / "ledger.sqlite") for _ in range(3)]
    else:
        first = MemoryLedger()
        made = [first, first.opened_again(), first.opened_again()]
    yield made
    for hand in made:
        hand.close()


def test_a_later_life_takes_the_ledger_over_and_the_earlier_one_can_only_read(hands):
    old, new, _ = hands
    old.claim(1)
    take(old, "a", "b")
    start(old, "a", 1)
    new.claim(2)
    message = "another Director has taken over this ledger: it belongs to life 2, and this Director is life 1"
    for write in (lambda: take(old, "c"), lambda: start(old, "b", 1), lambda: finish(old, "a", 1), old.take_up):
        with pytest.raises(FencedError, match=message):
            write()
    assert old.known(["a", "b", "c"]) == {"a", "b"}
    assert (old.last(), old.page(0, 10)) == (0, [])
    assert [(item.request.id, item.epoch, len(item.history)) for item in new.take_up()] == [("a", 2, 1), ("b", 1, 0)]
    assert finish(new, "a", 2) == ["a"]


def test_a_life_that_comes_late_to_its_own_ledger_cannot_claim_it(hands):
    first, second, again = hands
    second.claim(2)
    with pytest.raises(FencedError, match="it belongs to life 2, and this Director is life 1"):
        first.claim(1)
    with pytest.raises(FencedError, match="it belongs to life 2, and this Director is life 2"):
        again.claim(2)
    with pytest.raises(FencedError, match="claimed it for no life"):
        take(again, "a")
    assert take(second, "a") == {"a"}


def test_a_ledger_that_nobody_claimed_can_be_written_by_anyone(hands):
    for name, hand in zip("abc", hands, strict=True):
        take(hand, name)
    assert still_open(hands[0]) == ["a", "b", "c"]


def test_a_ledger_in_memory_that_is_opened_again_is_claimed_again():
    ledger = MemoryLedger()
    ledger.claim(1)
    with pytest.raises(FencedError):
        take(ledger.opened_again(), "a")
    assert take(ledger, "a") == {"a"}


@pytest.mark.parametrize("life", [0, -1])
def test_a_life_is_a_number_from_1(ledger, life):
    with pytest.raises(ValueError, match=f"at least 1, not {life}"):
        ledger.claim(life)
    take(ledger, "a")


LIVES = st.tuples(st.integers(0, 2), st.sampled_from(["claim", "turn", "take_up"]), st.integers(1, 4))


@given(st.lists(LIVES, max_size=20))
@settings(max_examples=60)
def test_the_ledger_in_memory_is_fenced_as_the_one_on_disk_is(steps):
    with tempfile.TemporaryDirectory() as folder:
        on_disk = [SqliteLedger(Path(folder) / "ledger.sqlite") for _ in range(3)]
        memory = MemoryLedger()
        in_memory = [memory, memory.opened_again(), memory.opened_again()]
        claims, highest = [0, 0, 0], 0
        for count, (hand, what, life) in enumerate(steps):
            works = life > highest if what == "claim" else claims[hand] == highest
            if what == "claim" and works:
                claims[hand] = highest = life
            said = []
            for ledger in (on_disk[hand], in_memory[hand]):
                work = {
                    "claim": lambda ledger=ledger, life=life: ledger.claim(life),
                    "turn": lambda ledger=ledger, count=count: take(ledger, f"r{count}"),
                    "take_up": ledger.take_up,
                }[what]
                try:
                    said.append(work())
                except FencedError as error:
                    said.append(str(error))
            assert said[0] == said[1]
            assert isinstance(said[0], str) != works
        for ledger in on_disk:
            ledger.close()
