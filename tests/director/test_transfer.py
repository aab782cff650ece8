"""Files that travel to and from a run folder: confined, checked by their content, and never half there."""

import base64
import hashlib
import os
import stat
import string
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from director.door import Refused
from director.runfolder import RunFolder
from director.transfer import MAX_FILE_BYTES, PIECE_BYTES, Transfer, store
from simulations.records import StagedFile

CONTENT = b"ATOM      1  N   ALA A   1\n" * 40
KEY = b"whoever reads this can call the Directors"


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def staged(content: bytes = CONTENT, suffix: str = ".pdb") -> StagedFile:
    return StagedFile(name=f"mine{suffix}", sha256=hashlib.sha256(content).hexdigest(), suffix=suffix)


def a_run_folder(path: Path) -> RunFolder:
    """A run folder with one artifact, and around it what nobody may have."""
    folder = RunFolder(path)
    for made in (folder.inputs, folder.work(0) / "r1" / "frames", folder.work(1) / "r2", folder.lease(0)):
        made.mkdir(parents=True)
    (folder.work(0) / "r1" / "trajectory.dcd").write_bytes(CONTENT)
    (folder.work(0) / "r1" / "frames" / "last.pdb").write_bytes(CONTENT)
    for secret in (
        folder.record_file,
        folder.exchange_file,
        folder.ledger(0),
        folder.director(0) / "director.log",
        folder.lease(0) / "life-1.json",
        folder.work(0) / "loose",
        folder.inputs / "theirs.pdb",
        path.parent / "outside",
    ):
        secret.write_bytes(KEY)
    return folder


@pytest.fixture
def folder(tmp_path):
    return a_run_folder(tmp_path / "run")


@pytest.fixture
def transfer(folder):
    return Transfer(folder)


def whole(transfer, path):
    """All pieces of an artifact."""
    found = b""
    while data := base64.b64decode(transfer.get(path, len(found))["data"]):
        found += data
    return found


def partials(folder):
    return sorted(path.name for path in folder.inputs.iterdir() if path.name.endswith(".partial"))


# ---- to the run folder


def test_a_file_arrives_in_pieces_and_appears_when_all_of_it_is_there(folder, transfer):
    file = staged()
    for begin in range(0, len(CONTENT), 400):
        assert not transfer.put(file, "me", begin, encoded(CONTENT[begin : begin + 400]))
        assert transfer.missing([file]) == [file.stored_name]
    assert transfer.put(file, "me", len(CONTENT), "")
    assert folder.staged(file).read_bytes() == CONTENT
    assert stat.S_IMODE(folder.staged(file).stat().st_mode) == 0o600
    assert transfer.missing([file]) == []
    assert partials(folder) == []


@given(st.binary(max_size=300), st.integers(1, 100))
def test_any_content_arrives_as_it_is_whatever_the_size_of_its_pieces(content, size):
    with tempfile.TemporaryDirectory() as scratch:
        folder = a_run_folder(Path(scratch) / "run")
        transfer, file = Transfer(folder), staged(content)
        for begin in range(0, len(content), size):
            transfer.put(file, "me", begin, encoded(content[begin : begin + size]))
        assert transfer.put(file, "me", len(content), "")
        assert folder.staged(file).read_bytes() == content


def test_the_name_is_the_content_so_equal_files_of_two_users_are_one(folder, transfer):
    first = staged()
    second = first.model_copy(update={"name": "another.pdb"})
    other = staged(suffix=".cif")
    assert transfer.missing([first, second, other]) == sorted([first.stored_name, other.stored_name])
    transfer.put(first, "me", 0, encoded(CONTENT))
    transfer.put(first, "me", len(CONTENT), "")
    assert transfer.missing([first, second, other]) == [other.stored_name]
    assert transfer.put(second, "you", 0, encoded(b"something else")), "it is there already, and stays as it is"
    assert folder.staged(first).read_bytes() == CONTENT
    assert partials(folder) == []


@pytest.mark.parametrize("offset", [101, 500, 99_999])
def test_a_piece_that_does_not_follow_is_refused_and_the_right_one_is_still_taken(folder, transfer, offset):
    file = staged()
    with pytest.raises(Refused, match=r"does not follow what is there \(0\)\. Begin again at 0"):
        transfer.put(file, "me", offset, encoded(b"x"))
    transfer.put(file, "me", 0, encoded(CONTENT[:100]))
    with pytest.raises(Refused, match=r"does not follow what is there \(100\)"):
        transfer.put(file, "me", offset, encoded(b"x"))
    transfer.put(file, "me", 100, encoded(CONTENT[100:]))
    assert transfer.put(file, "me", len(CONTENT), "")
    assert folder.staged(file).read_bytes() == CONTENT


def test_a_piece_is_taken_again_since_its_answer_may_have_been_lost(folder, transfer):
    file = staged()
    pieces = [(begin, CONTENT[begin : begin + 500]) for begin in range(0, len(CONTENT), 500)]
    for begin, piece in pieces:
        assert not transfer.put(file, "me", begin, encoded(piece))
        assert not transfer.put(file, "me", begin, encoded(piece))
    assert transfer.put(file, "me", len(CONTENT), "")
    assert transfer.put(file, "me", len(CONTENT), "")
    assert folder.staged(file).read_bytes() == CONTENT


def test_a_sender_that_begins_again_gets_through(folder, transfer):
    file = staged()
    transfer.put(file, "me", 0, encoded(b"wrong from the beginning, and longer than the right one" * 100))
    transfer.put(file, "me", 0, encoded(CONTENT))
    assert transfer.put(file, "me", len(CONTENT), "")
    assert folder.staged(file).read_bytes() == CONTENT


def test_two_senders_of_one_file_do_not_mix(folder, transfer):
    file = staged()
    transfer.put(file, "one", 0, encoded(CONTENT[:300]))
    transfer.put(file, "two", 0, encoded(CONTENT[:700]))
    transfer.put(file, "one", 300, encoded(CONTENT[300:]))
    assert transfer.put(file, "one", len(CONTENT), "")
    assert transfer.put(file, "two", 700, encoded(CONTENT[700:])), "it need not send the rest"
    assert folder.staged(file).read_bytes() == CONTENT


@pytest.mark.parametrize("sent", [CONTENT + b"!", CONTENT[:-1], b"", b"another structure"])
def test_what_is_not_the_named_content_is_refused_and_thrown_away(folder, transfer, sent):
    file = staged()
    if sent:
        transfer.put(file, "me", 0, encoded(sent))
    with pytest.raises(Refused, match="is not what was sent"):
        transfer.put(file, "me", len(sent), "")
    assert not folder.staged(file).exists()
    assert partials(folder) == []
    transfer.put(file, "me", 0, encoded(CONTENT))
    assert transfer.put(file, "me", len(CONTENT), "")


def test_a_file_of_more_than_one_gib_is_refused(folder, transfer):
    file = staged()
    transfer.put(file, "me", 0, encoded(b"x"))
    (partial,) = partials(folder)
    os.truncate(folder.inputs / partial, MAX_FILE_BYTES - 1)  # sparse
    assert not transfer.put(file, "me", MAX_FILE_BYTES - 1, encoded(b"x"))
    with pytest.raises(Refused, match="larger than 1 GiB"):
        transfer.put(file, "me", MAX_FILE_BYTES, encoded(b"x"))
    assert (folder.inputs / partial).stat().st_size == MAX_FILE_BYTES


@pytest.mark.parametrize("data", ["!!!!", "QUJ", "QUJD\nQUJD", "ä"])
def test_a_piece_that_is_not_base64_is_not_taken(folder, transfer, data):
    with pytest.raises(ValueError):  # noqa: PT011  (the agent reports any of them as data)
        transfer.put(staged(), "me", 0, data)
    assert transfer.missing([staged()]) == [staged().stored_name]


@pytest.mark.parametrize("sender", ["", "../../evil", "a/b", ".", "A", "a b", "a\n", "é", "x" * 33, "a\x00"])
def test_a_senders_word_cannot_lead_out_of_the_folder(folder, transfer, sender):
    before = sorted(folder.path.rglob("*"))
    with pytest.raises(Refused, match="is not a word"):
        transfer.put(staged(), sender, 0, encoded(b"x"))
    assert sorted(folder.path.rglob("*")) == before


@pytest.mark.parametrize(
    "document",
    [
        {"name": "x", "sha256": "../../evil"},
        {"name": "x", "sha256": "A" * 64},
        {"name": "x", "sha256": "a" * 64 + "\n"},
        {"name": "x", "sha256": "a" * 64, "suffix": "/../../evil"},
        {"name": "x", "sha256": "a" * 64, "suffix": ".pdb\n"},
    ],
)
def test_a_staged_files_name_cannot_lead_out_of_the_folder(document):
    with pytest.raises(ValueError):  # noqa: PT011
        StagedFile.model_validate(document)


@pytest.mark.parametrize("offset", [-1, -100])
def test_a_negative_offset_writes_nothing(folder, transfer, offset):
    with pytest.raises((Refused, OSError, ValueError)):
        transfer.put(staged(), "me", offset, encoded(b"x"))
    assert all((folder.inputs / name).stat().st_size == 0 for name in partials(folder))


# ---- from the run folder


def test_an_artifact_comes_in_pieces_with_its_size(folder, transfer):
    large = os.urandom(2 * PIECE_BYTES + 17)
    (folder.work(0) / "r1" / "large").write_bytes(large)
    assert whole(transfer, "director-0/work/r1/large") == large
    answer = transfer.get("director-0/work/r1/large", 0)
    assert answer["size"] == len(large)
    assert len(answer["data"]) < 300_000
    assert whole(transfer, "director-0/work/r1/frames/last.pdb") == CONTENT
    assert transfer.get("director-0/work/r1/large", 10**12)["data"] == ""


SECRETS = [
    "run.json",
    "exchange.json",
    "director-0/ledger.sqlite",
    "director-0/director.log",
    "director-0/lease/life-1.json",
    "director-0/work/loose",
    "inputs/theirs.pdb",
    "../outside",
    "director-0/work/r1/../../ledger.sqlite",
    "director-0/work/r1/../../../../outside",
    "director-0/work/r1/frames/../../../../exchange.json",
    "director-0/work/r1",
    "director-0/work/r1/frames",
    "director-0/work/r1/nothing",
    "director-x/work/r1/trajectory.dcd",
    "/etc/passwd",
    "~/.ssh/id_ed25519",
    "",
    ".",
    "..",
]


@pytest.mark.parametrize("path", SECRETS)
def test_only_what_requests_left_can_be_fetched(transfer, path):
    with pytest.raises(Refused, match="there is no artifact"):
        transfer.get(path, 0)


def test_an_absolute_path_is_confined_too(folder, transfer):
    with pytest.raises(Refused):
        transfer.get(str(folder.exchange_file), 0)
    with pytest.raises(Refused):
        transfer.get(str(folder.path.parent / "outside"), 0)


@pytest.mark.parametrize(
    "target", ["../../../../outside", "../../ledger.sqlite", "../../../exchange.json", "/etc/passwd"]
)
def test_a_symbolic_link_out_of_the_requests_folders_leads_nowhere(folder, transfer, target):
    (folder.work(0) / "r1" / "link").symlink_to(target)
    with pytest.raises(Refused, match="there is no artifact"):
        transfer.get("director-0/work/r1/link", 0)


def test_a_linked_folder_leads_nowhere_either(folder, transfer):
    (folder.work(0) / "r1" / "up").symlink_to("../../..")
    (folder.work(0) / "r1" / "away").symlink_to(folder.path.parent)
    (folder.work(0) / "r9").symlink_to(folder.path)
    for path in ("r1/up/exchange.json", "r1/away/outside", "r9/exchange.json", "r9/inputs/theirs.pdb"):
        with pytest.raises(Refused, match="there is no artifact"):
            transfer.get(f"director-0/work/{path}", 0)


def test_a_link_that_stays_among_the_artifacts_is_followed(folder, transfer):
    (folder.work(1) / "r2" / "link").symlink_to("../../../director-0/work/r1/trajectory.dcd")
    assert whole(transfer, "director-1/work/r2/link") == CONTENT


def test_a_run_folder_that_is_reached_by_a_link_itself_works(folder, tmp_path):
    (tmp_path / "link").symlink_to(folder.path)
    assert whole(Transfer(RunFolder(tmp_path / "link")), "director-0/work/r1/trajectory.dcd") == CONTENT


def test_a_pipe_is_no_artifact_and_keeps_nobody_waiting(folder, transfer):
    os.mkfifo(folder.work(0) / "r1" / "pipe")
    with pytest.raises(Refused, match="there is no artifact"):
        transfer.get("director-0/work/r1/pipe", 0)


NAMES = (
    "director-0 director-1 work r1 r2 frames .. . inputs lease up home run.json exchange.json ledger.sqlite "
    "director.log loose theirs.pdb outside trajectory.dcd"
)
PARTS = st.sampled_from(NAMES.split()) | st.text(string.printable, max_size=6)


@pytest.fixture(scope="module")
def wired(tmp_path_factory):
    """A run folder with links in it that lead everywhere."""
    folder = a_run_folder(tmp_path_factory.mktemp("wired") / "run")
    (folder.work(0) / "r1" / "up").symlink_to("../..")
    (folder.work(1) / "r2" / "home").symlink_to(folder.path)
    (folder.work(1) / "r2" / "outside").symlink_to(folder.path.parent / "outside")
    return Transfer(folder)


@given(st.lists(PARTS, max_size=9).map("/".join))
@settings(max_examples=1000)
def test_no_path_at_all_gets_at_a_secret(wired, path):
    try:
        found = whole(wired, path)
    except (Refused, OSError, ValueError):
        return
    assert found == CONTENT


# ---- files that travel with the spec


def test_a_file_that_travels_in_one_piece_is_checked_and_private(folder):
    file = staged()
    store(folder, file, CONTENT)
    store(folder, file, CONTENT)
    assert folder.staged(file).read_bytes() == CONTENT
    assert stat.S_IMODE(folder.staged(file).stat().st_mode) == 0o600
    other = staged(b"something else")
    with pytest.raises(Refused, match="is not what was sent"):
        store(folder, other, CONTENT)
    assert not folder.staged(other).exists()
    assert partials(folder) == []
