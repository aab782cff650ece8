"""Runs whose nodes are not known here: what their Directors are told, and how these share one run folder."""

import hashlib
import stat
import threading
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from director.door import Refused
from director.elsewhere import cargo_bytes, plan_elsewhere
from director.runfolder import RunFolder, RunRecord
from director.spec import AllocationSpec, DirectorSpec, ExchangeSpec, PoolSpec, SharesSpec, agent_id_of
from simulations.records import Request, StagedFile
from tests.helpers import NOON, mock_request

EXCHANGE = ExchangeSpec(url="http://127.0.0.1:9", token="a-token")  # noqa: S106


# ---- the plan


def test_a_plan_says_what_can_be_said_without_the_nodes():
    plan = plan_elsewhere(directors=2, nodes=4, shares=[1, 3], linger_s=60, run_folder="/scratch/run")
    assert (plan.directors, plan.weights, plan.allocation.nodes) == (2, (1, 3), 4)
    assert plan.run_folder == "/scratch/run"
    other = plan_elsewhere(directors=2, nodes=4)
    assert other.run_id != plan.run_id
    assert other.linger_s is None
    assert plan_elsewhere(directors=3, nodes=None).weights == (1, 1, 1)


def test_directors_that_are_shared_out_by_host_count_alike_until_the_hosts_are_known():
    plan = plan_elsewhere(directors=2, nodes=8, hosts=["node[1-2]", "node[3-8]"])
    assert (plan.directors, plan.weights) == (2, (1.0, 1.0))


@pytest.mark.parametrize(
    "more",
    [
        {"directors": 0},
        {"nodes": 1},
        {"shares": [1, 0]},
        {"shares": [1, -1]},
        {"hosts": ["node1"]},
        {"pool": {"colour": "red"}},
        {"pool": {"workers_per_node": 0}},
        {"nodes": None, "sizes": [2, 2]},
    ],
)
def test_what_cannot_be_is_refused_here_already(more):
    with pytest.raises(Refused) as refusal:
        plan_elsewhere(**{"directors": 2, "nodes": 4, **more})
    assert all(problem.message and problem.hint for problem in refusal.value.problems)


# ---- what Directors are told


@given(st.integers(1, 6), st.integers(1, 5), st.lists(st.integers(0, 5), max_size=30), st.data())
def test_every_director_is_told_the_same_but_for_itself_and_its_own_requests(directors, launch, dealt, data):
    plan = plan_elsewhere(directors=directors, nodes=directors, linger_s=60)
    some = data.draw(st.sets(st.integers(0, directors - 1), min_size=1))
    requests = [(index % directors, Request(id=f"r{number}", tool="mock_md")) for number, index in enumerate(dealt)]
    specs = plan.specs(EXCHANGE, dict.fromkeys(some, launch), requests)
    assert [spec.index for spec in specs] == sorted(some)
    for spec in specs:
        assert list(spec.requests) == [request for index, request in requests if index == spec.index]
        assert spec.agent_id == agent_id_of(plan.run_id, spec.index, launch)
        alike = spec.model_dump(exclude={"index", "agent_id", "requests"})
        assert alike == specs[0].model_dump(exclude={"index", "agent_id", "requests"})
        assert DirectorSpec.model_validate_json(spec.model_dump_json()) == spec
    assert len({spec.agent_id for spec in specs}) == len(specs)


def test_a_director_that_is_launched_again_gets_another_address():
    addresses = {agent_id_of("abcd12345678", index, launch) for index in range(5) for launch in range(1, 6)}
    assert len(addresses) == 25
    assert agent_id_of("abcd12345678", 0) == agent_id_of("abcd12345678", 0, 1)
    assert agent_id_of("abcd12345679", 0) not in addresses


def test_files_travel_once_with_the_directors_that_need_them(tmp_path):
    content = {f"{name}.pdb": name.encode() * 100 for name in "ab"}
    files = {
        name: StagedFile(name=name, sha256=hashlib.sha256(body).hexdigest(), suffix=".pdb")
        for name, body in content.items()
    }
    for name, file in files.items():
        (tmp_path / file.stored_name).write_bytes(content[name])
    uses = [(0, "a.pdb"), (0, "a.pdb"), (1, "b.pdb")]
    requests = [(index, Request(tool="md", files={"structure": files[name]})) for index, name in uses]
    requests.append((1, mock_request("none")))
    plan = plan_elsewhere(directors=2, nodes=2)
    specs = plan.specs(EXCHANGE, {0: 1, 1: 1}, requests, lambda file: tmp_path / file.stored_name)
    assert [[item.staged.name for item in spec.files] for spec in specs] == [["a.pdb"], ["b.pdb"]]
    back = DirectorSpec.model_validate_json(specs[0].model_dump_json())
    assert back.files[0].content == content["a.pdb"]
    assert cargo_bytes(specs[0]) == len(specs[0].model_dump_json())
    assert all(spec.files == () for spec in plan.specs(EXCHANGE, {0: 1, 1: 1}, requests))


def test_a_plan_holds_no_token_and_a_spec_does_not_show_it():
    plan = plan_elsewhere(directors=1, nodes=1)
    (spec,) = plan.specs(EXCHANGE, {0: 1})
    assert "a-token" not in plan.model_dump_json()
    assert "a-token" not in repr(spec)
    assert "a-token" in spec.model_dump_json(), "it travels with the spec to the Director"


# ---- one run folder for Directors that no client can prepare

RECORD = RunRecord(
    run_id="abcd12345678",
    created_at=NOON,
    allocation=AllocationSpec(nodes=2),
    shares=SharesSpec(values=(1, 1)),
    pool=PoolSpec(),
    partitions=[["node1"], ["node2"]],
    workers=[1, 1],
    agent_ids=["a", "b"],
    versions={"md-director": "1"},
)


def test_directors_that_join_at_once_make_one_run_folder(tmp_path):
    folder = RunFolder(tmp_path / "deep" / "run")
    together = threading.Barrier(8)
    errors = []

    def join():
        together.wait()
        try:
            for _ in range(20):
                RunFolder(folder.path).join(RECORD)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=join) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert folder.read() == RECORD
    assert sorted(path.name for path in folder.path.iterdir()) == ["director-0", "director-1", "inputs", "run.json"]
    made = [folder.path, folder.inputs, folder.director(0), folder.work(1)]
    assert {stat.S_IMODE(path.stat().st_mode) for path in made} == {0o700}
    assert stat.S_IMODE(folder.record_file.stat().st_mode) == 0o600


def test_another_runs_folder_is_refused_and_left_as_it_is(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.join(RECORD)
    before = folder.record_file.read_bytes()
    other = RECORD.model_copy(update={"run_id": "zzzz12345678", "partitions": [["a"], ["b"], ["c"]]})
    with pytest.raises(Refused, match="holds run abcd12345678, not zzzz12345678"):
        folder.join(other)
    assert folder.record_file.read_bytes() == before
    assert not folder.director(2).exists()


def test_a_later_launching_tells_of_its_own_nodes_and_keeps_what_was_there(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.join(RECORD)
    (folder.work(0) / "r1").mkdir()
    folder.ledger(0).write_text("ledger")
    later = RECORD.model_copy(
        update={"partitions": [["node7"], ["node8"]], "versions": {"md-director": "2"}, "workers": [4, 4]}
    )
    folder.join(later)
    assert folder.read() == later.model_copy(update={"versions": {"md-director": "1"}})
    assert folder.ledger(0).read_text() == "ledger"
    assert (folder.work(0) / "r1").is_dir()


def test_joining_again_does_not_write_again(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.join(RECORD)
    before = folder.record_file.stat()
    folder.join(RECORD)
    assert folder.record_file.stat().st_ino == before.st_ino


def test_a_folder_that_holds_something_unreadable_is_not_taken(tmp_path):
    folder = RunFolder(tmp_path)
    folder.record_file.write_text("{}")
    with pytest.raises(Refused, match="is not readable"):
        folder.join(RECORD)
    assert folder.record_file.read_text() == "{}"
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="exists"):
        RunFolder(tmp_path / "file").join(RECORD)


def test_a_run_that_was_closed_says_so_no_more_when_directors_join_it_again(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.join(RECORD)
    folder.close(NOON + timedelta(hours=1))
    folder.join(RECORD)
    assert folder.read().closed_at is None
