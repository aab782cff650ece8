"""Moving files over the exchange, between a client's machine and a run folder that it cannot see."""

import asyncio
import hashlib
import os

import pytest

from director.call import DirectorLost
from director.carrier import Carrier, fetch
from director.door import Refused
from director.runfolder import RunFolder
from director.transfer import PIECE_BYTES, Transfer
from simulations.records import Request, StagedFile

LARGE = 3 * PIECE_BYTES + 5


class There:
    """The other end: a Director's `Transfer`, called as its actions are.

    Args:
        folder: Its run folder.
        lost_after: After how many calls it is lost.
        answers_lost: Of which calls the answer gets lost, so that they are made again, as `Caller` does.
    """

    def __init__(self, folder, *, lost_after=None, answers_lost=()):
        self.folder = folder
        self.transfer = Transfer(folder)
        self.lost_after, self.answers_lost = lost_after, answers_lost
        self.calls = []

    async def __call__(self, action, *arguments):
        await asyncio.sleep(0)
        if self.lost_after is not None and len(self.calls) >= self.lost_after:
            raise DirectorLost("Director 0 did not answer within 60 s")
        self.calls.append(action)
        if len(self.calls) in self.answers_lost:
            self._act(action, arguments)
        return self._act(action, arguments)

    def _act(self, action, arguments):
        try:
            if action == "missing":
                return {"missing": self.transfer.missing([StagedFile.model_validate(item) for item in arguments[0]])}
            if action == "put":
                return {"complete": self.transfer.put(StagedFile.model_validate(arguments[0]), *arguments[1:])}
            return self.transfer.get(*arguments)
        except Refused as refusal:
            problems = [{"where": one.where, "message": one.message, "hint": one.hint} for one in refusal.problems]
            return {"refused": problems}


@pytest.fixture
def here(tmp_path):
    """Where copies of the user's files are."""
    folder = RunFolder(tmp_path / "here")
    folder.inputs.mkdir(parents=True)
    return folder


@pytest.fixture
def run_folder(tmp_path):
    folder = RunFolder(tmp_path / "there")
    folder.inputs.mkdir(parents=True)
    (folder.work(0) / "r1").mkdir(parents=True)
    return folder


def request(here, content, name="r1"):
    """A Request that names a user's file."""
    file = StagedFile(name="mine.pdb", sha256=hashlib.sha256(content).hexdigest(), suffix=".pdb")
    here.staged(file).write_bytes(content)
    return Request(id=name, tool="md", inputs={"structure": "mine.pdb"}, files={"structure": file})


async def test_users_files_arrive_and_those_that_are_there_do_not_travel_again(here, run_folder):
    contents = [os.urandom(LARGE), b"short", b""]
    requests = [request(here, content, f"r{index}") for index, content in enumerate([*contents, contents[1]])]
    there = There(run_folder)
    assert await Carrier(there, here.staged).carry(requests) == 3
    for item in requests:
        (file,) = item.files.values()
        assert run_folder.staged(file).read_bytes() == here.staged(file).read_bytes()
    there.calls.clear()
    assert await Carrier(there, here.staged).carry(requests) == 0
    assert there.calls == ["missing"]


async def test_requests_without_files_need_no_call(here, run_folder):
    there = There(run_folder)
    assert await Carrier(there, here.staged).carry([Request(tool="mock_md")]) == 0
    assert there.calls == []


async def test_a_file_that_has_changed_since_it_was_staged_is_refused(here, run_folder):
    item = request(here, b"as it was")
    here.staged(item.files["structure"]).write_bytes(b"as it is")
    with pytest.raises(Refused, match=r"what came of mine\.pdb is not what was sent"):
        await Carrier(There(run_folder), here.staged).carry([item])
    assert list(run_folder.inputs.iterdir()) == []


async def test_an_upload_goes_on_when_an_answer_gets_lost(here, run_folder):
    item = request(here, os.urandom(LARGE))
    assert await Carrier(There(run_folder, answers_lost=(2, 3, 4)), here.staged).carry([item]) == 1
    file = item.files["structure"]
    assert run_folder.staged(file).read_bytes() == here.staged(file).read_bytes()


async def test_an_upload_that_broke_off_is_made_again_from_its_beginning(here, run_folder):
    item = request(here, os.urandom(LARGE))
    with pytest.raises(DirectorLost):
        await Carrier(There(run_folder, lost_after=3), here.staged).carry([item])
    assert not run_folder.staged(item.files["structure"]).exists()
    assert await Carrier(There(run_folder), here.staged).carry([item]) == 1
    assert run_folder.staged(item.files["structure"]).exists()


async def test_two_clients_may_send_the_same_file_at_once(here, run_folder):
    item = request(here, os.urandom(LARGE))
    there = There(run_folder)
    await asyncio.gather(*(Carrier(there, here.staged).carry([item]) for _ in range(3)))
    file = item.files["structure"]
    assert run_folder.staged(file).read_bytes() == here.staged(file).read_bytes()


@pytest.mark.parametrize("size", [0, 1, PIECE_BYTES, LARGE])
async def test_an_artifact_is_fetched_whole(run_folder, tmp_path, size):
    content = os.urandom(size)
    (run_folder.work(0) / "r1" / "x.dcd").write_bytes(content)
    told = []
    target = tmp_path / "new" / "folder" / "x.dcd"
    there = There(run_folder)
    assert await fetch(there, "director-0/work/r1/x.dcd", target, lambda *so_far: told.append(so_far)) == size
    assert target.read_bytes() == content
    assert told == [(min(end, size), size) for end in range(PIECE_BYTES, size + PIECE_BYTES, PIECE_BYTES)]
    assert list(target.parent.iterdir()) == [target]


async def test_a_fetch_that_breaks_off_leaves_nothing_and_what_was_there_stays(run_folder, tmp_path):
    (run_folder.work(0) / "r1" / "x.dcd").write_bytes(os.urandom(LARGE))
    target = tmp_path / "x.dcd"
    target.write_text("fetched before")
    with pytest.raises(DirectorLost):
        await fetch(There(run_folder, lost_after=2), "director-0/work/r1/x.dcd", target)
    with pytest.raises(Refused, match="there is no artifact"):
        await fetch(There(run_folder), "director-0/ledger.sqlite", target)
    assert target.read_text() == "fetched before"
    assert [path.name for path in tmp_path.iterdir() if "partial" in path.name] == []
