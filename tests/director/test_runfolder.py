import json
import stat
import uuid

import pytest

from director.door import Refused
from director.exchange import LoopbackExchange
from director.runfolder import LaunchRecord, RunFolder, RunRecord
from director.spec import AllocationSpec, PoolSpec, SharesSpec, agent_id_of
from tests.helpers import NOON

RECORD = RunRecord(
    run_id="r",
    created_at=NOON,
    allocation=AllocationSpec(nodes=2),
    shares=SharesSpec(values=(1, 1)),
    pool=PoolSpec(),
    partitions=[["local-0"], ["local-1"]],
    workers=[1, 1],
    agent_ids=["a", "b"],
    versions={},
)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_run_folder_is_its_owners_alone(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.create(RECORD)
    exchange = LoopbackExchange()
    folder.write_exchange(exchange.spec)
    assert mode(folder.path) == 0o700
    assert mode(folder.inputs) == mode(folder.work(1)) == 0o700
    assert mode(folder.record_file) == mode(folder.exchange_file) == 0o600
    assert folder.read_exchange() == exchange.spec
    assert exchange.spec.token.get_secret_value() not in folder.record_file.read_text()
    exchange.close()


def test_a_closed_run_has_no_token_left(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.create(RECORD)
    exchange = LoopbackExchange()
    folder.write_exchange(exchange.spec)
    exchange.close()
    folder.close(NOON)
    assert folder.read_exchange() is None
    assert folder.read().closed_at == NOON
    assert folder.read().model_copy(update={"closed_at": None}) == RECORD


def test_a_folder_is_taken_once(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.create(RECORD)
    with pytest.raises(Refused, match="already holds a run"):
        folder.create(RECORD)


def launch(number, directors=None):
    return LaunchRecord(number=number, at=NOON, host="node1", job_id="17", directors=directors)


def test_a_record_of_an_older_version_is_read(tmp_path):
    old = RECORD.model_dump(mode="json")
    del old["launches"], old["memory_ledger"]
    folder = RunFolder(tmp_path)
    folder.record_file.write_text(json.dumps(old))
    assert folder.read() == RECORD
    assert folder.read().next_launch == 2


def test_each_launching_has_addresses_of_its_own_and_the_first_ones_are_those_that_were_written_down():
    ids = [uuid.uuid4(), uuid.uuid4()]
    record = RECORD.model_copy(update={"agent_ids": list(map(str, ids))}).launched(launch(1))
    assert record.addresses == ids
    again = record.launched(launch(2, [1])).launched(launch(3)).launched(launch(4, [0]))
    assert (again.launch_of(0), again.launch_of(1), again.next_launch) == (4, 3, 5)
    assert again.addresses == [agent_id_of("r", 0, 4), agent_id_of("r", 1, 3)]


def test_a_run_that_goes_on_is_open_again_and_directors_that_join_keep_what_its_client_wrote(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.create(RECORD.launched(launch(1)))
    folder.close(NOON)
    other = RECORD.model_copy(update={"partitions": [["node8"], ["node9"]], "launches": folder.read().launches})
    exchange = LoopbackExchange()
    exchange.close()
    folder.reopen(other.launched(launch(2)), exchange.spec)
    assert (folder.read().closed_at, folder.read().partitions) == (None, [["node8"], ["node9"]])
    assert folder.read_exchange() == exchange.spec
    before = folder.record_file.stat().st_mtime_ns
    folder.join(other.model_copy(update={"launches": [], "versions": {"python": "4"}}))
    assert [one.number for one in folder.read().launches] == [1, 2]
    assert folder.record_file.stat().st_mtime_ns == before, "nothing was written that is there already"
    assert folder.note_launch(launch(3, [1])) == folder.read()
    assert folder.read().launch_of(1) == 3


def test_a_client_does_not_close_a_run_that_another_one_has_taken_up(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.create(RECORD)
    own, other = LoopbackExchange(), LoopbackExchange()
    folder.write_exchange(other.spec)
    folder.close(NOON, own.spec)
    assert folder.read_exchange() == other.spec
    assert folder.read().closed_at is None
    folder.close(NOON, other.spec)
    assert folder.read_exchange() is None
    assert folder.read().closed_at == NOON
    own.close()
    other.close()


def test_what_is_no_run_folder_is_refused(tmp_path):
    with pytest.raises(Refused, match="holds no run"):
        RunFolder(tmp_path).read()
    (tmp_path / "file").write_text("")
    with pytest.raises(Refused, match="is not a folder"):
        RunFolder(tmp_path / "file").create(RECORD)
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(Refused, match="is not readable"):
        RunFolder(tmp_path).read()


def test_equal_files_are_stored_once_and_odd_names_do_no_harm(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.create(RECORD)
    names = ["a.pdb", "b.pdb", "c.p;d b", "d." + "x" * 40]
    for name in names:
        (tmp_path / name).write_text("same")
    staged = [folder.stage(tmp_path / name) for name in names]
    assert [file.name for file in staged] == names
    assert [file.suffix for file in staged] == [".pdb", ".pdb", "", ""]
    assert len(list(folder.inputs.iterdir())) == 2
    assert folder.staged(staged[0]).read_text() == "same"
