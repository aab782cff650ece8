"""What reasoners share: nobody repeats another's work, and nothing beyond the bounds is granted."""

from hypothesis import given
from hypothesis import strategies as st

from campaigns.reasoner import Limits, Shared
from campaigns.reasoner.board import best_of
from campaigns.reasoner.state import first_state


def entry(reasoner, number, score=None, node_hours=0.0):
    return {"id": f"r{number}", "key": f"k{number}", "reasoner": reasoner, "round": 1, "candidate": {"n": number},
            "status": "ok", "score": score, "result": {}, "error": None, "node_hours": node_hours}  # fmt: skip


def state(reasoner, **changes):
    return first_state(reasoner, {}) | changes


def test_a_candidate_is_granted_to_one_reasoner_only():
    shared = Shared(Limits())
    assert shared.claim("a", ["k"])["k"].verdict == "granted"
    assert shared.claim("a", ["k"])["k"].verdict == "granted"
    assert shared.claim("b", ["k"])["k"].reasoner == "a"
    shared.tell(state("a", entries=[entry("a", 1) | {"key": "k"}]))
    assert shared.claim("b", ["k"])["k"].entry["id"] == "r1"


def test_what_was_granted_in_a_step_that_came_to_no_end_is_free_again():
    shared = Shared(Limits(requests=1))
    shared.claim("a", ["k"])
    shared.tell(state("a"))
    assert shared.claim("b", ["k"])["k"].verdict == "granted"


def test_simulations_node_hours_and_tokens_of_all_are_bounded():
    shared = Shared(Limits(requests=2))
    shared.claim("a", ["k1"])
    assert shared.glance("b").left == 1
    assert [claim.verdict for claim in shared.claim("b", ["k2", "k3"]).values()] == ["granted", "budget"]
    assert "2 simulations" in shared.glance("a").spent

    shared = Shared(Limits(node_hours=0.5))
    shared.tell(state("a", entries=[entry("a", 1, node_hours=0.3), entry("a", 2, node_hours=0.3)]))
    assert shared.claim("b", ["k9"])["k9"].verdict == "budget"

    shared = Shared(Limits(tokens=100))
    counts = first_state("a", {})["counts"] | {"input_tokens": 90, "output_tokens": 10}
    shared.tell(state("a", counts=counts))
    assert "100 tokens" in shared.glance("b").silent


def test_a_reasoner_sees_conclusions_and_results_of_the_others_and_not_its_own():
    shared = Shared(Limits())
    shared.tell(state("a", conclusions=["first", "second"], entries=[entry("a", 1, 3.0), entry("a", 2, None)]))
    shared.tell(state("b", entries=[entry("b", 3, 5.0)]))
    assert shared.glance("b").insights == {"a": "second"}
    assert [one["id"] for one in shared.glance("b").best] == ["r1"]
    assert [one["id"] for one in shared.glance("a").best] == ["r3"]
    assert shared.glance("a").insights == {}


def test_what_a_reasoner_is_shown_does_not_grow_with_their_number():
    shared = Shared(Limits())
    for number in range(50):
        name = f"r{number:02}"
        shared.tell(state(name, conclusions=[f"of {name}"], entries=[entry(name, number, float(number))]))
    glance = shared.glance("r00")
    assert list(glance.insights) == [f"r{number}" for number in range(49, 39, -1)]
    assert len(glance.best) == 10
    assert glance.evaluated == 50


def test_the_board_is_the_same_when_it_is_made_anew_from_the_states():
    states = [
        state("a", entries=[entry("a", 1, 1.0)], pending=[{"call": "c", "id": "r2", "key": "k2", "candidate": {}}]),
        state("b", conclusions=["said"]),
    ]
    boards = [Shared(Limits(requests=5)) for _ in range(2)]
    for one in states:
        boards[0].tell(one)
    for one in reversed(states):
        boards[1].tell(one)
        boards[1].tell(one)
    assert boards[0].glance("b") == boards[1].glance("b")
    assert boards[0].claim("b", ["k1", "k2", "k3"]) == boards[1].claim("b", ["k1", "k2", "k3"])


@given(st.lists(st.none() | st.floats(allow_nan=False), max_size=20), st.integers(0, 8))
def test_the_best_are_the_greatest_scores_in_order(scores, count):
    best = best_of([entry("a", number, score) for number, score in enumerate(scores)], count)
    known = sorted((score for score in scores if score is not None), reverse=True)
    assert [one["score"] for one in best] == known[:count]
