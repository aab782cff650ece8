from hypothesis import given
from hypothesis import strategies as st

from director.failures import Again, Bounds, after
from simulations.records import AttemptRecord, Ending, ErrorInfo
from tests.helpers import NOON

OPEN = [Ending.PAUSED, Ending.AGAIN, Ending.WORKER_LOST, Ending.NODE_LOST, Ending.DIRECTOR_LOST]
BOUNDS = Bounds(worker_losses=3, node_losses=4, transient=2)


def history(*endings):
    return [
        AttemptRecord(epoch=index, started_at=NOON, ended_at=NOON, ended=ending, reason=f"reason {index}")
        for index, ending in enumerate(endings, 1)
    ]


def test_the_third_worker_that_dies_under_a_request_makes_it_the_suspect():
    lost = Ending.WORKER_LOST
    assert after(history(lost, lost), BOUNDS) == Again()
    error = after(history(lost, Ending.NODE_LOST, lost, Ending.PAUSED, lost), BOUNDS)
    assert error.type == "Quarantined"
    assert "3 times: reason 5" in error.message


def test_nodes_and_directors_that_are_lost_are_counted_apart_from_workers():
    node, director = Ending.NODE_LOST, Ending.DIRECTOR_LOST
    assert after(history(Ending.WORKER_LOST, Ending.WORKER_LOST, node, director, node), BOUNDS) == Again()
    assert after(history(node, director, node, director), BOUNDS).type == "Lost"


def test_pausing_counts_for_nothing():
    assert after(history(*[Ending.PAUSED] * 1000), BOUNDS) == Again()


def test_a_transient_error_is_waited_for_longer_each_time_and_shown_in_the_end():
    again = Ending.AGAIN
    error = ErrorInfo(type="NoLicence", message="no licence is free", hint="Ask for more.")
    assert after(history(again), BOUNDS, error) == Again(1.0)
    assert after(history(again, Ending.PAUSED, again), BOUNDS, error) == Again(2.0)
    last = after(history(again, again, again), BOUNDS, error)
    assert (last.type, last.hint) == ("NoLicence", "Ask for more.")
    assert last.message == "no licence is free (tried 3 times)"


@given(st.lists(st.sampled_from(OPEN[1:]), min_size=1))
def test_whatever_is_lost_every_request_ends_in_bounded_time(endings):
    for count in range(1, len(endings) + 1):
        if isinstance(after(history(*endings[:count]), BOUNDS), ErrorInfo):
            break
    assert count <= BOUNDS.worker_losses + BOUNDS.node_losses + BOUNDS.transient
