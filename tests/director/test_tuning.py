import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from director.tuning import Candidate, Race, candidates
from director.tuning_crew import done_by, throughput
from director.tuning_run import Place, window_s
from partitions.allocation import Node


def run(truth, *, noise=0.0, drift=0.0, seed=1, most=None):
    """Races candidates of known throughput on a machine that is noisy, and whose speed drifts."""
    chance = random.Random(seed)
    race, speed, count = Race(list(truth)), 1.0, 0
    while (candidate := race.next()) is not None and (most is None or count < most):
        count += 1
        speed *= 1 + chance.gauss(0, drift)
        race.add(truth[candidate] * speed * math.exp(chance.gauss(0, noise)))
    return race, count


def ways(*figures):
    return {Candidate(index + 1, 1): figure for index, figure in enumerate(figures)}


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=8))
def test_without_noise_nothing_better_than_the_choice_by_more_than_one_percent_is_left(figures):
    race, count = run(ways(*figures))
    assert ways(*figures)[race.choice] >= max(figures) / 1.011
    assert count <= 8 * len(figures)


@pytest.mark.parametrize("figures", [(100, 47, 50), (100, 99, 97, 90, 80, 60, 40), (90, 100), (50, 60, 100, 99.5)])
def test_the_choice_is_within_three_percent_of_the_best_on_a_machine_that_is_noisy_and_drifts(figures):
    truth = ways(*figures)
    good = [
        truth[run(truth, noise=0.02, drift=0.03, seed=seed)[0].choice] >= 0.97 * max(figures) for seed in range(200)
    ]
    assert sum(good) >= 195


def test_what_is_clearly_worse_is_measured_less_often():
    race, _ = run(ways(100, 98, 40, 45), noise=0.01)
    times = {standing.candidate.workers_per_node: standing.measured for standing in race.standings}
    assert times[3] == times[4] == 1
    assert times[1] >= 2


def test_one_figure_that_was_disturbed_does_not_decide():
    truth = ways(100, 60)
    race, disturbed = Race(list(truth)), True
    while (candidate := race.next()) is not None:
        race.add(truth[candidate] * (0.3 if disturbed else 1.0))
        disturbed = False
    assert race.choice == Candidate(1, 1)


def test_rounds_go_there_and_back_again():
    race, seen = Race(list(ways(1, 1, 1)), most_rounds=2), []
    while (candidate := race.next()) is not None:
        seen.append(candidate.workers_per_node)
        race.add(1.0 + 0.2 * random.Random(len(seen)).random())
    assert seen == [1, 2, 3, 3, 2, 1]


def test_when_time_is_over_the_default_stays_unless_it_was_beaten():
    race, _ = run(ways(100, 103), noise=0.2, most=4)
    assert race.choice == Candidate(1, 1)
    assert race.verdict == "the time was over with 2 candidates not told apart"
    race, _ = run(ways(100, 103, 105), noise=0.1, most=1)
    assert "2 of 3 candidates not measured" in race.verdict
    race, _ = run(ways(40, 100, 50))
    assert race.choice == Candidate(2, 1)


def test_what_fails_is_out_of_the_race_and_says_why():
    race = Race(list(ways(1, 2)))
    race.add(1.0)
    race.fail("out of memory")
    assert race.next() is None
    assert race.choice == Candidate(1, 1)
    assert [(one.candidate.workers_per_node, one.failure) for one in race.standings] == [(1, ""), (2, "out of memory")]
    nothing = Race(list(ways(1)))
    nothing.fail("no")
    assert nothing.next() is None
    assert nothing.choice is None
    assert nothing.verdict == "nothing could be measured"


@given(st.integers(1, 256), st.integers(0, 8), st.booleans())
def test_candidates_are_different_fit_the_node_and_begin_with_the_default(cores, accelerators, mps):
    found = candidates(cores, accelerators, mps=mps)
    assert len(set(found)) == len(found) <= 32
    for one in found:
        assert one.workers_per_node * one.threads_per_worker <= max(cores, accelerators)
        assert (one.workers_per_accelerator is None) == (accelerators == 0)
        assert mps or not one.mps
    first = found[0]
    assert (first.workers_per_node, first.workers_per_accelerator) == (
        (accelerators, 1) if accelerators else (cores, None)
    )


def test_gpus_are_shared_with_and_without_mps_where_it_is_installed():
    found = candidates(16, 2, mps=True)
    assert {(one.workers_per_accelerator, one.mps) for one in found} == {(1, False)} | {
        (count, mps) for count in (2, 3, 4, 6, 8) for mps in (True, False)
    }
    assert found[1].settings == {"workers_per_accelerator": 2, "mps": True}
    assert {one.mps for one in candidates(16, 2, mps=False)} == {False}


def test_processes_own_what_workers_would_on_a_node_with_accelerators():
    node = Node("n1", tuple(range(8)), ("0", "1"))
    place = Place((node,), named=False, cores_here=tuple(range(8, 16)), environment={"CUDA_VISIBLE_DEVICES": "4,7"})
    owned = place.owned(Candidate(4, 2, 2, mps=True))
    assert [one.accelerator for one in owned] == ["4", "4", "7", "7"]
    assert [one.cores for one in owned] == [(8, 9), (10, 11), (12, 13), (14, 15)]
    assert [one.cores for one in place.owned(Candidate(2, 4, 1, mps=False))] == [(8, 9, 10, 11), (12, 13, 14, 15)]
    everything = place.everything()
    assert (everything.threads, everything.accelerator) == (8, "4")


def test_all_logical_nodes_of_a_machine_run_at_the_same_time():
    nodes = (Node("local-0", (0, 1)), Node("local-1", (2, 3)))
    place = Place(nodes, named=True, cores_here=(0, 1, 2, 3), environment={})
    assert [one.cores for one in place.owned(Candidate(2, 1))] == [(0,), (1,), (2,), (3,)]


@given(
    st.lists(st.tuples(st.floats(0.01, 2), st.floats(0, 5)), min_size=2, max_size=20),
    st.floats(0.01, 0.99),
)
def test_what_was_done_by_a_time_lies_between_what_was_said_before_and_after(steps, part):
    samples, at, amount = [], 0.0, 0.0
    for gap, more in steps:
        at, amount = at + gap, amount + more
        samples.append((at, amount))
    when = samples[0][0] + part * (samples[-1][0] - samples[0][0])
    before = max(amount for at, amount in samples if at <= when)
    after = min(amount for at, amount in samples if at >= when)
    assert before - 1e-9 <= done_by(samples, when) <= after + 1e-9


def test_throughput_is_that_of_all_processes_between_two_times():
    steady = [(float(at), 2.0 * at) for at in range(10)]
    slower = [(at + 0.4, at * 0.5) for at in range(10)]
    assert throughput([steady, slower], 1.5, 7.5) == pytest.approx(2.5)


@given(st.floats(0, 1000), st.integers(1, 40))
def test_measurements_are_neither_too_short_to_tell_nor_longer_than_needed(left_s, count):
    assert 1.5 <= window_s(left_s, count) <= 5
