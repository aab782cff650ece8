"""What a laptop remembers of its runs: privately, without tokens, and findable by how a name begins."""

import json
import stat
import tempfile
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from director.door import Refused
from director.elsewhere import RunPlan
from director.runs import KnownExchange, Launching, RunStore, SubmittedRun, Task, deal, home
from director.spec import AllocationSpec, PoolSpec, SharesSpec
from simulations.records import ErrorInfo, Outcome, Request, StagedFile, Status
from tests.helpers import NOON


def plan(run_id="abcd12345678", directors=2, **more):
    return RunPlan(
        run_id=run_id,
        **{
            "created_at": NOON,
            "allocation": AllocationSpec(nodes=4),
            "shares": SharesSpec(values=(1.0,) * directors),
            "pool": PoolSpec(),
            "linger_s": 300.0,
            **more,
        },
    )


def submitted(run_id="abcd12345678", **more):
    return SubmittedRun(
        plan=plan(run_id, **more),
        name="batch.yaml",
        endpoint_id="11111111-1111-4111-8111-111111111111",
        options={"queue": "debug", "nodes": 4, "directors": 2},
        exchange=KnownExchange(kind="http", url="http://127.0.0.1:8700", secret_file="/home/me/secret"),  # noqa: S106
        requests=2,
    )


def launching(*tasks, job=1):
    return Launching(at=NOON, job=job, task_group_id="group", tasks=list(tasks))


def outcome(name, message=None):
    return Outcome(
        id=name,
        key=f"key-{name}",
        tool="md",
        tool_version="1",
        status=Status.FAILED if message else Status.OK,
        inputs={"structure": "ala10"},
        result=None if message else {"temperature_k": {"mean": 300.0, "std": 1.0}},
        error=ErrorInfo(type="ValueError", message=message, hint="none") if message else None,
        director=0,
        partition=["local-0"],
        submitted_at=NOON,
        finished_at=NOON,
    )


@pytest.fixture
def store(tmp_path):
    return RunStore(tmp_path / "home" / "kept")


REQUESTS = [
    (0, Request(id="a", tool="mock_md", inputs={"duration_s": 0.0})),
    (1, Request(id="b", tool="md", inputs={"x": "é\u2028"}, files={"x": StagedFile(name="x", sha256="0" * 64)})),
]


# ---- what is kept


def test_a_run_is_remembered_as_it_was_with_its_requests_and_their_directors(store):
    store.add(submitted(), REQUESTS)
    assert store.find("abcd12345678") == submitted()
    assert store.requests("abcd12345678") == REQUESTS
    store.add(submitted("none00000000"), [])
    assert store.requests("none00000000") == []


def test_what_is_remembered_is_its_owners_alone(store):
    store.add(submitted(), REQUESTS)
    store.keep("abcd12345678", [outcome("a")])
    folder = store.folder("abcd12345678")
    files = [path for path in folder.path.rglob("*") if path.is_file()]
    assert {path.name for path in files} == {"run.json", "requests.jsonl", "outcomes.jsonl"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert stat.S_IMODE(folder.inputs.stat().st_mode) == 0o700


def test_others_cannot_even_list_the_runs(store):
    store.add(submitted(), REQUESTS)
    folder = store.folder("abcd12345678").path
    assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in (store.path, folder.parent, folder)} == {0}


def test_a_change_replaces_the_record_whole(store):
    store.add(submitted(), REQUESTS)
    changed = submitted().model_copy(update={"launchings": [launching(Task(director=0, launch=1, task_id="t0"))]})
    store.update(changed)
    assert store.find("abcd12345678") == changed
    assert sorted(path.name for path in store.folder("abcd12345678").path.iterdir()) == [
        "inputs",
        "requests.jsonl",
        "run.json",
    ]


def test_the_record_has_room_for_where_a_secret_is_and_none_for_a_secret():
    for field in ("secret", "token", "password"):
        with pytest.raises(ValueError, match="Extra inputs are not permitted"):
            KnownExchange.model_validate({"kind": "http", "url": "http://x:1", field: "hush"})


# ---- Outcomes that were fetched


def test_fetched_outcomes_are_kept_once_each(store):
    store.add(submitted(), REQUESTS)
    assert store.outcomes("abcd12345678") == {}
    store.keep("abcd12345678", [outcome("a")])
    store.keep("abcd12345678", [])
    store.keep("abcd12345678", [outcome("a"), outcome("b", "it exploded")])
    assert store.outcomes("abcd12345678") == {"a": outcome("a"), "b": outcome("b", "it exploded")}


@given(st.data())
@settings(max_examples=60)
def test_a_file_that_was_cut_off_anywhere_gives_every_outcome_that_is_whole(data):
    with tempfile.TemporaryDirectory() as scratch:
        store = RunStore(Path(scratch))
        store.add(submitted(), REQUESTS)
        store.keep("abcd12345678", [outcome(name) for name in "abc"])
        file = store.folder("abcd12345678").path / "outcomes.jsonl"
        body = file.read_bytes()
        braces = [index + 1 for index, byte in enumerate(body) if byte == ord("}")]
        end = data.draw(st.sampled_from(braces) | st.integers(0, len(body)))
        file.write_bytes(body[:end])
        # The last newline is not part of an Outcome.
        whole = [name for name, line in zip("abc", _ends(body), strict=True) if line <= end]
        assert list(store.outcomes("abcd12345678")) == whole


def _ends(body):
    ends, at = [], 0
    for line in body.split(b"\n")[:-1]:
        ends.append(at + len(line))
        at += len(line) + 1
    return ends


@given(st.text(min_size=1, max_size=20))
@settings(max_examples=60)
def test_an_outcome_with_any_message_is_read_back_as_it_was(message):
    with tempfile.TemporaryDirectory() as scratch:
        store = RunStore(Path(scratch))
        store.add(submitted(), REQUESTS)
        for text in (message, f"one{message}\u2028}}two\x85three"):
            store.keep("abcd12345678", [outcome("a", text), outcome("b")])
            assert store.outcomes("abcd12345678") == {"a": outcome("a", text), "b": outcome("b")}


# ---- finding


def test_a_run_is_found_by_its_name_or_by_how_it_begins(store):
    for name in ("abcd12345678", "abce00000000", "abcd1234567890"):
        store.add(submitted(name), REQUESTS)
    assert store.find("abce").run_id == "abce00000000"
    assert store.find("abcd12345678").run_id == "abcd12345678", "a whole name is meant, also if another begins so"
    assert store.find("zzz") is None
    assert store.find("") is None
    with pytest.raises(Refused, match=r"'abcd' begins the names of abcd12345678, abcd1234567890\. Write more of it"):
        store.find("abcd")


@pytest.mark.parametrize("word", ["..", ".", "../runs/abcd12345678", "/etc", "*", "abcd12345678/", "ABCD"])
def test_a_word_that_is_no_name_finds_nothing(store, word):
    store.add(submitted(), REQUESTS)
    assert store.find(word) is None


def test_a_store_that_was_never_used_is_empty_and_looking_makes_nothing(store):
    assert list(store) == []
    assert store.find("a") is None
    assert not store.path.exists()


def test_runs_are_listed_oldest_first_and_what_is_none_is_left_out(store):
    for name, hours in (("bbbb00000000", 2), ("aaaa00000000", 3), ("cccc00000000", 1)):
        store.add(submitted(name, created_at=NOON + timedelta(hours=hours)), REQUESTS)
    (store.path / "runs" / "half-made" / "inputs").mkdir(parents=True)
    (store.path / "runs" / "file").write_text("")
    assert [run.run_id for run in store] == ["cccc00000000", "bbbb00000000", "aaaa00000000"]


def test_a_record_that_cannot_be_read_is_refused_and_named(store):
    store.add(submitted(), REQUESTS)
    file = store.folder("abcd12345678").record_file
    for text in ("", "{", '{"run_schema": 99}'):
        file.write_text(text)
        with pytest.raises(Refused, match=r"run\.json cannot be read"):
            store.find("abcd")


@pytest.mark.parametrize("given_home", ["", None])
def test_home_is_what_the_environment_says_or_a_folder_of_the_users(given_home):
    assert home({"DIRECTOR_HOME": "/data/mine"}) == Path("/data/mine")
    assert home({} if given_home is None else {"DIRECTOR_HOME": given_home}) == Path("~/.md-director").expanduser()


# ---- launchings


def test_each_job_of_a_run_has_a_name_of_its_own_and_the_users_options():
    run = submitted()
    assert run.options_of(1) == {"queue": "debug", "nodes": 4, "directors": 2, "run_id": "abcd12345678-1"}
    assert run.options_of(2)["run_id"] == "abcd12345678-2"
    assert "run_id" not in run.options


def test_the_latest_task_of_each_director_counts():
    first = [Task(director=index, launch=1, task_id=f"first-{index}") for index in range(2)]
    run = submitted()
    assert (run.job, run.tasks) == (0, {})
    run = run.model_copy(update={"launchings": [launching(*first)]}).heard([0, 1])
    again = Task(director=1, launch=2, task_id="second-1")
    run = run.model_copy(update={"launchings": [*run.launchings, launching(again, job=2)]})
    assert run.job == 2
    assert {index: (task.task_id, task.answered) for index, task in run.tasks.items()} == {
        0: ("first-0", True),
        1: ("second-1", False),
    }
    heard = run.heard([1, 7])
    assert heard.tasks[1].answered
    assert [task.answered for one in run.launchings for task in one.tasks] == [True, True, False], "it is a value"
    assert RunStore.__dataclass_params__.frozen
    assert SubmittedRun.model_validate(json.loads(heard.model_dump_json())) == heard


# ---- dealing

WEIGHTS = st.lists(st.integers(1, 50).map(float) | st.floats(0.1, 50), min_size=1, max_size=8)


@given(st.integers(0, 60), WEIGHTS)
def test_dealing_is_fair_at_every_moment(count, weights):
    requests = [Request(id=f"r{number}", tool="mock_md") for number in range(count)]
    dealt = deal(requests, weights)
    assert [request for _, request in dealt] == requests, "in the order given, each once"
    have = [0] * len(weights)
    for index, _ in dealt:
        have[index] += 1
        # Nobody is ahead of anybody by more than the one Request that it got last.
        for mine, weight in zip(have, weights, strict=True):
            for other, other_weight in zip(have, weights, strict=True):
                assert mine / weight <= (other + 1) / other_weight * (1 + 1e-9)
    for mine, weight in zip(have, weights, strict=True):
        assert mine >= int(count * weight / sum(weights) * (1 - 1e-9)), "nobody gets less than its whole share"


@given(st.integers(0, 40), st.integers(0, 40), WEIGHTS)
def test_dealing_depends_on_nothing_but_what_is_dealt(count, more, weights):
    requests = [Request(id=f"r{number}", tool="mock_md") for number in range(count + more)]
    assert deal(requests, weights)[:count] == deal(requests[:count], weights)
    assert deal(requests, weights) == deal(list(requests), list(weights))


def test_shares_that_fit_are_exact():
    requests = [Request(tool="mock_md") for _ in range(60)]
    for weights in ([1, 1], [1, 2], [3, 2, 1], [0.5, 0.25, 0.25]):
        found = [index for index, _ in deal(requests, weights)]
        assert [found.count(index) for index in range(len(weights))] == [
            round(60 * weight / sum(weights)) for weight in weights
        ]
