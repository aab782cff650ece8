import stat

import pytest

from director.door import Refused
from director.exchange import LoopbackExchange
from director.runfolder import RunFolder, RunRecord
from director.spec import AllocationSpec, PoolSpec, SharesSpec
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
