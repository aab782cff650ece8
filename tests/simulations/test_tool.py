import importlib.metadata

import pytest
from pydantic import BaseModel

from simulations.mock_md import TOOL, MockRequest
from simulations.records import StagedFile
from simulations.tool import Tool, find_tools, request_key

FILE = StagedFile(name="a.pdb", sha256="a" * 64, suffix=".pdb")


class Entry:
    """An entry point of some other package."""

    class dist:  # noqa: N801
        name = "their-package"

    def __init__(self, name, value):
        self.name = name
        self._value = value

    def load(self):
        return self._value


def with_entries(monkeypatch, *entries):
    monkeypatch.setattr("simulations.tool.entry_points", lambda group: list(entries))


def test_ours_are_found():
    assert {"md", "mock_md"} <= set(find_tools())


def test_a_tool_of_another_package_is_found_by_its_entry_point(monkeypatch):
    theirs = Tool("theirs", "3", "Does it.", MockRequest, MockRequest, lambda request, workspace: request)
    with_entries(monkeypatch, Entry("theirs", theirs))
    assert find_tools() == {"theirs": theirs}


@pytest.mark.parametrize("entry", [Entry("x", object()), Entry("other_name", TOOL)])
def test_what_is_no_tool_or_has_two_names_is_an_error_that_names_its_package(monkeypatch, entry):
    with_entries(monkeypatch, entry)
    with pytest.raises(TypeError, match="their-package"):
        find_tools()


def test_a_name_that_two_packages_register_is_an_error(monkeypatch):
    with_entries(monkeypatch, Entry("mock_md", TOOL), Entry("mock_md", TOOL))
    with pytest.raises(ValueError, match="registered twice"):
        find_tools()


def test_every_entry_point_of_ours_names_a_tool():
    assert {entry.name for entry in importlib.metadata.entry_points(group="director.tools")} >= {"md", "mock_md"}


def test_the_schema_says_what_goes_in_and_what_comes_out():
    schema = TOOL.schema()
    assert schema["request"]["required"] == ["duration_s"]
    assert schema["request"]["additionalProperties"] is False
    assert "slept_s" in schema["result"]["properties"]


def test_every_input_of_every_tool_is_described_and_every_number_has_a_unit_or_says_what_it_counts():
    for tool in find_tools().values():
        for name, field in tool.request.model_fields.items():
            assert field.description, f"{tool.name}.{name}"
        for name, field in tool.request.model_json_schema()["properties"].items():
            assert "description" in field, f"{tool.name}.{name}"


def test_the_key_depends_on_tool_version_inputs_and_the_content_of_files():
    inputs = {"duration_s": 1.0}
    newer = Tool("mock_md", "3", "", MockRequest, MockRequest, lambda request, workspace: request)
    keys = {
        request_key(TOOL, inputs, {}),
        request_key(newer, inputs, {}),
        request_key(TOOL, {"duration_s": 2.0}, {}),
        request_key(TOOL, inputs, {"structure": FILE}),
        request_key(TOOL, inputs, {"structure": FILE.model_copy(update={"sha256": "b" * 64})}),
    }
    assert len(keys) == 5


def test_the_name_of_a_file_does_not_change_the_key():
    class WithFile(BaseModel):
        structure: str

    tool = Tool("t", "1", "", WithFile, WithFile, lambda request, workspace: request)
    renamed = FILE.model_copy(update={"name": "b.pdb"})
    assert request_key(tool, {"structure": "a.pdb"}, {"structure": FILE}) == request_key(
        tool, {"structure": "b.pdb"}, {"structure": renamed}
    )
