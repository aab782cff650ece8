import hashlib

import pytest

from director.door import Refused, check
from director.runfolder import RunFolder
from director.staging import prepare
from simulations.records import Request, StagedFile
from simulations.tool import find_tools

TOOLS = find_tools()


def md(structure):
    return Request(tool="md", inputs={"structure": structure, "steps": 10})


def prepared(requests, base, confined=True):
    copied = []

    def stage(path):
        copied.append(path)
        return StagedFile(name=path.name, sha256=hashlib.sha256(path.read_bytes()).hexdigest(), suffix=path.suffix)

    ready = prepare(requests, TOOLS, base=base, confined=confined, stage=stage)
    return [item.request for item in ready], copied


def test_a_file_is_copied_once_and_travels_by_its_content(tmp_path):
    (tmp_path / "a.pdb").write_text("one")
    (tmp_path / "b.pdb").write_text("two")
    ready, copied = prepared([md("a.pdb"), md("a.pdb"), md("b.pdb")], tmp_path)
    assert sorted(path.name for path in copied) == ["a.pdb", "b.pdb"]
    assert ready[0].files["structure"].sha256 == hashlib.sha256(b"one").hexdigest()
    assert ready[0].inputs["structure"] == "a.pdb"


def test_the_name_of_a_shipped_structure_is_no_path(tmp_path):
    (tmp_path / "ala10").write_text("not this one")
    ready, copied = prepared([md("ala10")], tmp_path)
    assert copied == []
    assert ready[0].files == {}


def test_nothing_is_copied_when_anything_is_refused(tmp_path):
    (tmp_path / "a.pdb").write_text("one")
    with pytest.raises(Refused) as caught:
        prepared([md("a.pdb"), md("gone.pdb")], tmp_path)
    assert [problem.where for problem in caught.value.problems] == ["requests[1].inputs.structure"]


@pytest.mark.parametrize(("make", "said"), [(lambda p: p.mkdir(), "is not a file"), (lambda p: p.touch(), "is empty")])
def test_what_is_no_file_with_content_is_refused(tmp_path, make, said):
    make(tmp_path / "x.pdb")
    with pytest.raises(Refused, match=said):
        prepared([md("x.pdb")], tmp_path)


def test_a_script_may_name_files_anywhere(tmp_path):
    (tmp_path / "a.pdb").write_text("one")
    inner = tmp_path / "inner"
    inner.mkdir()
    ready, _ = prepared([md("../a.pdb")], inner, confined=False)
    assert "structure" in ready[0].files


def test_the_key_of_a_request_is_that_of_its_files_content_and_not_of_their_names(tmp_path):
    (tmp_path / "a.pdb").write_text("one")
    (tmp_path / "b.pdb").write_text("one")
    (tmp_path / "c.pdb").write_text("two")
    folder = RunFolder(tmp_path / "run")
    folder.inputs.mkdir(parents=True)
    requests = [md("a.pdb"), md("b.pdb"), md("c.pdb"), md("ala10"), md("ala10")]
    ready = prepare(requests, TOOLS, base=tmp_path, confined=True, stage=folder.stage)
    keys = [item.key for item in ready]
    assert keys[0] != keys[2] != keys[3] != keys[0]
    assert keys == [check(item.request, TOOLS).key for item in ready], "as the Director finds it"


def test_equal_inputs_have_equal_keys_and_whatever_else_is_asked_for(tmp_path):
    first = Request(tool="mock_md", inputs={"duration_s": 1})
    other = Request(tool="mock_md", inputs={"duration_s": 1.0}, priority=5, timeout_s=9, reuse=False)
    ready = prepare([first, other], TOOLS, base=tmp_path, confined=True, stage=None)
    assert ready[0].key == ready[1].key
