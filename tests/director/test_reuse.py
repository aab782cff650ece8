import os

from hypothesis import given
from hypothesis import strategies as st

from director.job import Job, Place
from director.ledger import Accepted, Finished, MemoryLedger, SqliteLedger
from director.reuse import Found, OwnOutcomes, Reuse, RunOutcomes, Twins, adopt
from simulations.records import Outcome, Request, Status
from tests.helpers import NOON

PLACE = Place(0, ("local-0",))


def accepted(name, key="k", **more):
    return Accepted(Request(id=name, tool="mock_md", **more), key, "1", NOON)


def outcome(name, key="k", artifacts=None, status=Status.OK):
    return Outcome(
        id=name,
        key=key,
        tool="mock_md",
        tool_version="1",
        status=status,
        inputs={},
        result={"slept_s": 1.0} if status is Status.OK else None,
        director=3,
        partition=["far"],
        submitted_at=NOON,
        finished_at=NOON,
        artifacts=artifacts or {},
    )


def run_of(folder, *outcomes):
    """A run folder with one Director's ledger."""
    path = folder / "director-0" / "ledger.sqlite"
    path.parent.mkdir(parents=True)
    ledger = SqliteLedger(path)
    ledger.turn(
        accepted=[accepted(item.id, item.key) for item in outcomes],
        finished=[Finished(item, 0) for item in outcomes],
    )
    ledger.close()
    return folder


def answers(reuse, *items):
    return {item.outcome.id: item.outcome for item in reuse.answers([Job.of(each) for each in items], PLACE, NOON)}


def test_an_outcome_of_another_run_stands_for_a_request_and_brings_its_files(tmp_path):
    store = run_of(tmp_path / "old", outcome("first", artifacts={"trajectory": "director-0/work/first/t.dcd"}))
    (store / "director-0/work/first").mkdir(parents=True)
    (store / "director-0/work/first/t.dcd").write_bytes(b"frames")
    here = tmp_path / "new"
    here.mkdir()
    found = answers(Reuse(here, (RunOutcomes(store),)), accepted("b"), accepted("c", key="other"))
    assert list(found) == ["b"]
    again = found["b"]
    assert (again.reused_from, again.status, again.director, again.result) == ("first", "ok", 0, {"slept_s": 1.0})
    assert (here / again.artifacts["trajectory"]).read_bytes() == b"frames"
    assert not again.artifacts["trajectory"].startswith("/")


def test_files_are_copied_where_they_cannot_be_linked(tmp_path, monkeypatch):
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "a").write_bytes(b"x")

    def refuse(*_):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    here = tmp_path / "new"
    brought = adopt(Found(outcome("a", artifacts={"a": "a"}), tmp_path / "old"), "k", here)
    assert (here / brought["a"]).read_bytes() == b"x"
    assert [path.name for path in (here / "reused" / "k").iterdir()] == ["a"]


def test_an_outcome_whose_files_are_gone_stands_for_nothing(tmp_path):
    store = run_of(tmp_path / "old", outcome("first", artifacts={"trajectory": "director-0/work/first/t.dcd"}))
    assert answers(Reuse(tmp_path, (RunOutcomes(store),)), accepted("b")) == {}


def test_what_did_not_end_well_or_must_be_run_anew_is_not_answered(tmp_path):
    store = run_of(tmp_path / "old", outcome("bad", "k", status=Status.FAILED), outcome("good", "l"))
    reuse = Reuse(tmp_path, (RunOutcomes(store),))
    assert answers(reuse, accepted("a", "k"), accepted("b", "l", reuse=False)) == {}


def test_a_store_that_cannot_be_read_saves_nothing_and_harms_nothing(tmp_path, caplog):
    store = run_of(tmp_path / "old", outcome("first"))
    (store / "director-0" / "ledger.sqlite").write_bytes(b"this is no ledger at all" * 100)
    assert answers(Reuse(tmp_path, (RunOutcomes(store), RunOutcomes(tmp_path / "none"))), accepted("b")) == {}
    assert "nothing is reused from" in caplog.text


def test_the_first_one_that_ran_is_named_also_when_its_repetition_is_found(tmp_path):
    ledger = MemoryLedger()
    ledger.turn(accepted=[accepted("a"), accepted("b")], finished=[Finished(outcome("a"), 0)])
    ledger.turn(finished=[Finished(outcome("b").model_copy(update={"reused_from": "a"}), 0)])
    found = answers(Reuse(tmp_path, (OwnOutcomes(ledger, tmp_path),)), accepted("c"))
    assert found["c"].reused_from == "a"


@given(st.lists(st.tuples(st.sampled_from(["follow", "end", "take"]), st.integers(0, 6), st.sampled_from("kl"))))
def test_of_equal_open_requests_just_one_is_not_waiting(steps):
    twins = Twins()
    still_open, waiting = {}, {}
    for what, number, key in steps:
        name = f"r{number}{key}"
        if what == "follow" and name not in still_open:
            follows = twins.follow(Job.of(accepted(name, key)))
            assert follows == any(other == key for other in still_open.values())
            still_open[name] = key
            if follows:
                waiting[name] = key
        elif what == "take" and name in waiting:
            assert twins.take(name).name == name
            del waiting[name], still_open[name]
        elif what == "end" and name in still_open and name not in waiting:
            released = [job.name for job in twins.ended(name, key)]
            assert sorted(released) == sorted(other for other, its in waiting.items() if its == key)
            for other in released:
                del waiting[other], still_open[other]
            del still_open[name]
        assert len(twins) == len(waiting)
    assert twins.take("ghost") is None
