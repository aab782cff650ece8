"""Planning how a run goes on, without starting anything."""

import json
import os
import socket
from datetime import UTC, datetime

import pytest

from director.alive import living
from director.door import Refused
from director.lease import Holder, Lease
from director.ledger import Accepted, Finished, SqliteLedger, Started
from director.left import entries_after, left_of
from director.plan import director_specs
from director.requestbook import RequestBook
from director.resuming import Changes, allocation_again, plan_again, pool_again
from director.runfolder import LaunchRecord, RunFolder, RunRecord
from director.spec import AllocationSpec, ExchangeSpec, PoolSpec, SharesSpec
from director.terms import Terms, reuse_spec, walltime_spec
from simulations.records import Outcome, Status
from simulations.tool import find_tools
from tests.helpers import NOON, mock_request

TOOLS = find_tools()
SLURM = {"SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "node[1-2]"}


def record(directors=2, **more):
    fields = {
        "run_id": "abcdefgh12",
        "created_at": NOON,
        "allocation": AllocationSpec(kind="local", nodes=directors),
        "shares": SharesSpec(values=(1.0,) * directors),
        "pool": PoolSpec(workers_per_node=1, node_wait_s=5),
        "partitions": [[f"local-{index}"] for index in range(directors)],
        "workers": [1] * directors,
        "agent_ids": ["8d3c4b0e-0000-4000-8000-000000000000"] * directors,
        "versions": {},
    }
    return RunRecord(**(fields | more))


def outcome(name, status=Status.OK):
    return Outcome(
        id=name, key="k", tool="mock_md", tool_version="1", status=status, inputs={}, director=0, partition=[],
        submitted_at=NOON, finished_at=NOON,
    )  # fmt: skip


def fill(folder, index, accepted=(), finished=()):
    ledger = SqliteLedger(folder.ledger(index))
    ledger.turn(accepted=[Accepted(mock_request(name), f"key-{name}", "1", NOON) for name in accepted])
    ledger.turn(started=[Started(item[0], 1, NOON) for item in finished])
    ledger.turn(finished=[Finished(outcome(*item), 1) for item in finished])
    ledger.close()


@pytest.fixture
def folder(tmp_path):
    """A run of 2 Directors with one Request done, two open and two that nobody has."""
    made = RunFolder(tmp_path / "run")
    made.create(record())
    fill(made, 0, ["a", "b"], [("a",)])
    fill(made, 1, ["c"])
    RequestBook(made.requests_file).add([mock_request(name) for name in "adcbe"])
    return made


def test_what_is_left_is_what_ledgers_have_open_and_what_none_has(folder):
    left = left_of(folder)
    assert left.open == [(0, "b"), (1, "c")]
    assert [request.id for request in left.unknown] == ["d", "e"]
    assert (left.count, left.ended, left.all_ok) == (4, {"ok": 1}, True)
    assert [shelf.last for shelf in left.shelves] == [1, 0]
    assert [entry.id for entry in entries_after(folder.ledger(0), 0)] == ["a"]
    assert entries_after(folder.ledger(0), 1) == []


def test_a_director_that_never_made_a_ledger_had_nothing(folder):
    folder.ledger(1).unlink()
    assert [request.id for request in left_of(folder).unknown] == ["d", "c", "e"]
    assert entries_after(folder.ledger(1), 0) == []


def test_requests_that_came_another_way_than_through_the_book_are_left_too(folder):
    folder.requests_file.unlink()
    assert left_of(folder).count == 2


def test_what_failed_is_known(folder):
    fill(folder, 1, ["x"], [("x", Status.FAILED)])
    assert not left_of(folder).all_ok


def test_a_run_that_kept_nothing_cannot_go_on(tmp_path):
    folder = RunFolder(tmp_path / "memory")
    folder.create(record(memory_ledger=True))
    with pytest.raises(Refused, match="in memory only"):
        left_of(folder)
    empty = RunFolder(tmp_path / "empty")
    empty.create(record())
    with pytest.raises(Refused, match="nothing was handed over"):
        left_of(empty)


def test_a_run_goes_on_under_its_name_and_its_directors_are_launched_once_more(folder):
    left, planned = plan_again(folder, Changes(nodes=6, shares=[2, 1]), TOOLS)
    before = left.record
    made = planned.record(of=before)
    assert (made.run_id, made.created_at, made.agent_ids) == (before.run_id, before.created_at, before.agent_ids)
    assert [len(hosts) for hosts in made.partitions] == [4, 2]
    assert made.pool == before.pool
    again = made.launched(LaunchRecord(number=made.next_launch, at=NOON, host="node1"))
    specs = director_specs(again, "/run", ExchangeSpec(url="http://127.0.0.1:1"), Terms())
    assert [spec.launch for spec in specs] == [2, 2]
    assert len({spec.agent_id for spec in specs}) == 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (Changes(nodes=1), "2 Directors cannot share 1 node"),
        (Changes(shares=[1, 2, 3]), "3 entries for 2 Directors"),
        (Changes(hosts=["elsewhere*", "local-1"]), "elsewhere"),
        (Changes(allocation="sge"), "sge"),
        (Changes(pool={"launcher": "carrier pigeon"}), "launcher"),
    ],
)
def test_nodes_that_cannot_be_shared_so_are_refused_and_nothing_is_written(folder, changes, said):
    before = folder.record_file.read_bytes()
    with pytest.raises(Refused) as caught:
        plan_again(folder, changes, TOOLS)
    assert said in str(caught.value)
    assert folder.record_file.read_bytes() == before


def test_sizes_that_do_not_fit_say_which_options_give_others(folder):
    sized = record(shares=SharesSpec(kind="size", values=(1, 1)), launches=[])
    folder.record_file.write_text(sized.model_dump_json())
    with pytest.raises(Refused, match="--shares") as caught:
        plan_again(folder, Changes(nodes=5), TOOLS)
    assert "--hosts" in str(caught.value)


def test_a_request_of_a_tool_that_is_not_installed_here_is_refused_before_anything_starts(folder):
    with pytest.raises(Refused, match="mock_md"):
        plan_again(folder, Changes(), {})


def test_a_run_of_a_batch_job_does_not_fall_back_to_this_machine_by_itself():
    before = AllocationSpec(kind="slurm", nodes=4)
    with pytest.raises(Refused, match="nodes of a slurm job, and this is in no job"):
        allocation_again(before, Changes(), {})
    assert allocation_again(before, Changes(allocation="local"), {}).kind == "local"
    assert allocation_again(before, Changes(), SLURM) == AllocationSpec(kind="slurm", nodes=None)
    assert allocation_again(before, Changes(nodes=2), SLURM).nodes == 2
    with pytest.raises(Refused, match="both are set"):
        allocation_again(before, Changes(), {**SLURM, "PBS_JOBID": "1", "PBS_NODEFILE": "/x"})


def test_logical_nodes_are_as_many_as_before_and_accelerators_stay():
    before = AllocationSpec(kind="local", nodes=3, accelerators=("0", "1"))
    assert allocation_again(before, Changes(), {}) == before
    assert allocation_again(before, Changes(nodes=5), {}).nodes == 5
    assert allocation_again(before, Changes(), SLURM).nodes is None


def test_workers_are_run_as_before_but_for_what_is_changed():
    before = PoolSpec(workers_per_node=3, launcher="srun")
    assert pool_again(before, {"launcher": None}) == before
    assert pool_again(before, {"launcher": "process"}) == before.model_copy(update={"launcher": "process"})


def test_a_director_that_lives_is_named_and_one_that_was_killed_or_has_ended_is_not(folder):
    holder = Holder(
        run_id="abcdefgh12", director=1, launch_id="1", host=socket.gethostname(), pid=os.getpid(), job_id=None,
        since=datetime.now(UTC),
    )  # fmt: skip
    assert living(folder, record(), patience_s=0) == []
    lease = Lease.acquire(folder.lease(1), holder)
    lease.keep(lambda reason: None)
    (who,) = living(folder, record(), patience_s=0)
    assert who.startswith(f"Director 1, process {os.getpid()} on ")
    with pytest.raises(Refused, match="is alive: Director 1"):
        plan_again(folder, Changes(), TOOLS)
    lease.release()
    assert living(folder, record(), patience_s=0) == []


def test_a_walltime_without_room_for_its_reserve_is_refused():
    assert walltime_spec(180, 20, NOON).deadline.isoformat() == "2026-01-01T12:03:00+00:00"
    assert walltime_spec(None, None, NOON).deadline is None
    for walltime_s, reserve_s in (
        (20, 20),
        (10, None),
        (10, 30),
        (float("inf"), None),
        (float("nan"), None),
        (60, 0),
        (60, -1),
    ):
        with pytest.raises(Refused):
            walltime_spec(walltime_s, reserve_s, NOON)


def test_stores_are_run_folders_with_ledgers_or_whole_paths_of_a_facility(folder, tmp_path):
    assert reuse_spec(True, [folder.path], seen=True).stores == (str(folder.path),)
    with pytest.raises(Refused, match="no run folder with a ledger"):
        reuse_spec(True, [tmp_path], seen=True)
    assert reuse_spec(True, ["/scratch/run", "~/run"], seen=False).stores == ("/scratch/run", "~/run")
    with pytest.raises(Refused, match="no whole path"):
        reuse_spec(True, ["run"], seen=False)
    with pytest.raises(Refused, match="nothing is to be used again"):
        reuse_spec(False, [folder.path], seen=True)
    assert json.loads(reuse_spec(False, [], seen=True).model_dump_json()) == {"enabled": False, "stores": []}
