"""What becomes of a server: bounded starts, back-off, and patience."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from director.service_partition.deciding import Action, Bounds, Life, Phase, Seen, backoff_s, step

BOUNDS = Bounds(start_timeout_s=100.0, misses=3, restarts=2, backoff_s=4.0)
WELL = Seen(healthy=True)
SICK = Seen(healthy=False, reason="/health answers 500")
GONE = Seen(alive=False, reason="it ended: exit code 1")


def lived(*seen: tuple[float, Seen], bounds: Bounds = BOUNDS) -> tuple[Life, list[Action]]:
    """A life in which this was seen at these times."""
    life, actions = Life(), []
    for now_s, one in seen:
        life, action = step(life, one, now_s, bounds)
        actions.append(action)
    return life, actions


def test_it_is_started_and_is_up_once_it_is_well():
    life, actions = lived((0, Seen()), (1, Seen()), (2, WELL), (3, Seen()))
    assert (life.phase, life.starts) == (Phase.UP, 1)
    assert actions == [Action.START, Action.NOTHING, Action.NOTHING, Action.NOTHING]


def test_one_that_is_gone_is_ended_and_started_again_after_the_back_off_which_is_doubled():
    up = ((0, Seen()), (2, WELL), (10, GONE))
    life, actions = lived(*up)
    assert (life.phase, life.due_s, life.reason) == (Phase.WAITING, 14.0, GONE.reason)
    assert actions[-1] is Action.END
    life, actions = lived(*up, (13.9, Seen()), (14.0, Seen()), (15, GONE))
    assert actions[-3:] == [Action.NOTHING, Action.START, Action.END]
    assert life.due_s == 15 + 8.0


def test_after_its_last_start_it_has_failed_and_stays_so():
    seen = [(0, Seen()), (1, GONE), (10, Seen()), (11, GONE), (30, Seen()), (31, GONE), (1000, Seen()), (2000, WELL)]
    life, actions = lived(*seen)
    assert life.phase is Phase.FAILED
    assert actions.count(Action.START) == 3
    assert life.reason == f"{GONE.reason}; it was started 3 times, and is not started again"


def test_one_miss_is_no_reason_to_start_it_again_but_three_in_a_row_are():
    up = ((0, Seen()), (1, WELL))
    life, _ = lived(*up, (2, SICK), (3, SICK))
    assert (life.phase, life.misses, life.reason) == (Phase.UNWELL, 2, SICK.reason)
    life, _ = lived(*up, (2, SICK), (3, SICK), (4, WELL), (5, SICK), (6, Seen()), (7, SICK))
    assert (life.phase, life.misses) == (Phase.UNWELL, 2)
    life, actions = lived(*up, (2, SICK), (3, SICK), (4, SICK))
    assert life.phase is Phase.WAITING
    assert actions[-1] is Action.END
    assert "missed 3 health checks, the last with: /health answers 500" in life.reason


def test_while_it_starts_it_may_be_sick_until_the_time_is_over():
    life, _ = lived((0, Seen()), (50, SICK), (100, SICK))
    assert life.phase is Phase.STARTING
    life, actions = lived((0, Seen()), (50, SICK), (100.1, SICK))
    assert (life.phase, actions[-1]) == (Phase.WAITING, Action.END)
    assert "not up within 100 s (/health answers 500)" in life.reason


def test_a_fault_that_no_restart_would_mend_ends_it_at_once():
    life, actions = lived((0, Seen()), (1, Seen(fault="it answers without its key")))
    assert (life.phase, life.reason, actions[-1]) == (Phase.FAILED, "it answers without its key", Action.END)


def test_the_back_off_never_overflows():
    assert backoff_s(10_000, BOUNDS) == 300.0
    assert backoff_s(1, BOUNDS) == 4.0


SEEN = st.builds(
    Seen,
    alive=st.booleans(),
    healthy=st.sampled_from([None, True, False]),
    fault=st.sampled_from([None, None, None, "broken"]),
)


@settings(max_examples=200)
@given(st.lists(st.tuples(st.floats(0, 500), SEEN), max_size=60), st.integers(0, 4))
def test_whatever_is_seen_starts_are_bounded_and_each_but_the_last_is_ended_before_the_next(steps, restarts):
    bounds = Bounds(start_timeout_s=50.0, misses=2, restarts=restarts, backoff_s=1.0)
    life, now_s, started = Life(), 0.0, 0
    there = False
    for wait_s, seen in steps:
        now_s += wait_s
        before = life
        life, action = step(life, seen, now_s, bounds)
        if action is Action.START:
            assert not there
            assert now_s >= before.due_s
            there, started = True, started + 1
        elif action is Action.END:
            there = False
        assert there == (life.phase in (Phase.STARTING, Phase.UP, Phase.UNWELL))
        assert life.starts == started <= restarts + 1
        if before.phase is Phase.FAILED:
            assert life == before
