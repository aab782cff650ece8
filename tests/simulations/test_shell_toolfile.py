"""What a tool file may say, and how it is said what is wrong with one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulations.shell import ToolDefinition, ToolFileError, make_tool, read_tool_file
from simulations.shell.arguments import Placeholder, code_argument, filled, parts_of
from tests.simulations.shell_tools import source_of, tool_document, write_tool

NUMBER = {"type": "number", "unit": "K", "description": "A temperature."}
TEXT = {"type": "string", "pattern": "[a-z]+", "description": "A word."}
FILE = {"type": "file", "description": "A file."}
WHOLE = {"type": "integer", "description": "A number."}

YAML = """\
name: my_program
version: "1"
summary: A program.
program: [python3]
arguments: ["{temperature_k}"]
inputs:
  temperature_k:
    type: number
    unit: K
    minimum: 0
    description: A temperature.
"""


def fault_of(folder: Path, text: str) -> str:
    (folder / "tool.yaml").write_text(text)
    with pytest.raises(ToolFileError) as caught:
        read_tool_file(folder / "tool.yaml", shown="tool.yaml")
    return str(caught.value.faults[0])


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "    minimum: 0",
            "    minimun: 0",
            "line 10, inputs.temperature_k.minimun: 'minimun' is not known. Did you mean",
        ),
        ("    minimum: 0", "    minimum: low", "line 10, inputs.temperature_k.minimum: input should be a valid number"),
        (
            "    unit: K\n",
            "",
            "line 7, inputs.temperature_k: unit is required but was not given. Give it. unit: Its unit",
        ),
        ("type: number", "type: float", "line 7, inputs.temperature_k: has no type that is known. Give type: one of"),
        (
            "    minimum: 0",
            "    minimum: 5\n    maximum: 1",
            "line 7, inputs.temperature_k: minimum 5.0 is above maximum",
        ),
        ('version: "1"', "version: 1", "line 2, version: input should be a valid string, got 1"),
        ("{temperature_k}", "{temperature}", "{temperature} names no input of this tool; there are: temperature_k"),
        ("{temperature_k}", "{", "has a brace that belongs to no placeholder"),
        (
            "name: my",
            "name: x\nname: my",
            "line 2, column 1: is not valid YAML or JSON: the name 'name' is given twice",
        ),
        ("name: my_program", "name: My Program", "line 1, name: string should match pattern"),
        ("summary: A program.\n", "", "line 1: summary is required but was not given"),
        ("program: [python3]", "program: python3 x.py", "line 4, program: input should be a valid list"),
        ("program: [python3]", "program: &a [*a]", ""),
    ],
)
def test_what_is_wrong_is_said_with_its_line_its_field_and_what_to_do(
    old: str, new: str, said: str, tmp_path: Path
) -> None:
    assert old in YAML
    assert said in fault_of(tmp_path, YAML.replace(old, new, 1))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"program": ["{file:script}"]}, "must begin with a name or a whole path"),
        ({"program": ["python", "{x}"], "inputs": {"x": TEXT}}, "whoever calls the tool would choose what is run"),
        ({"program": ["bash"], "arguments": ["-c", "{x}"], "inputs": {"x": TEXT}}, "reads as code"),
        ({"program": ["env", "bash", "-lc"], "arguments": ["echo {x}"], "inputs": {"x": TEXT}}, "reads as code"),
        ({"program": ["python3.11"], "arguments": ["-c", "f({x})"], "inputs": {"x": NUMBER}}, "reads as code"),
        ({"inputs": {"x": TEXT}}, "no argument uses the inputs x"),
        ({"arguments": ["{x}"], "inputs": {"x": {**TEXT, "optional": True}}}, "put it into a list of its own"),
        ({"arguments": [{"when": "x", "arguments": ["-v"]}], "inputs": {"x": TEXT}}, "no boolean input"),
        ({"arguments": ["{out:x}"]}, "names no output"),
        ({"arguments": ["{run:ranks}"]}, "{run:ranks} needs ranks"),
        ({"arguments": ["{run:user}"]}, "names no word of the run"),
        ({"ranks": 2}, "ranks and mpi belong together"),
        ({"mpi": {"flavour": "mpich"}}, "ranks and mpi belong together"),
        ({"ranks": 4096, "cores": 2, "mpi": {"flavour": "none"}}, "4096 at most"),
        ({"environment": {"LD_PRELOAD": "x.so"}}, "LD_PRELOAD may not be set"),
        ({"environment": {"PATH": "/tmp"}}, "search_path"),
        ({"inherit": ["PYTHONPATH"]}, "PYTHONPATH may not be set"),
        ({"search_path": ["bin"]}, "must be a whole path"),
        ({"outputs": {"x": {"file": "../x"}}}, "outputs.x.file"),
        ({"outputs": {"x": {"file": "a/../../x"}}}, "without '..'"),
        ({"outputs": {"x": {"file": "/etc/x"}}}, "outputs.x.file"),
        ({"outputs": {"stdout": {"file": "x"}}}, "may not be called stdout"),
        ({"outputs": {"x": {"file": "script.py"}}}, "two files would have the name script.py"),
        ({"outputs": {"x": {"file": "y.pdb"}}, "inputs": {"y": FILE}, "arguments": ["{y}"]}, "two files would have"),
        ({"outputs": {"x": {"file": "x", "result": "json"}}}, "belong together"),
        (
            {
                "outputs": {
                    "x": {"file": "x", "result": "json", "values": {"e": {"type": "number", "description": "E."}}}
                }
            },
            "a number needs its unit",
        ),
        ({"inputs": {"x": {**TEXT, "pattern": "a)|(?:b"}}, "arguments": ["{x}"]}, "no regular expression"),
        ({"inputs": {"x": {**TEXT, "pattern": "(?=a)"}}, "arguments": ["{x}"]}, "no regular expression"),
        ({"inputs": {"x": {**TEXT, "default": "A"}}, "arguments": ["{x}"]}, "does not match its own pattern"),
        ({"inputs": {"x": {**TEXT, "pattern": ".*", "default": "-a"}}, "arguments": ["{x}"]}, "does not match its own"),
        ({"inputs": {"x": {**NUMBER, "minimum": 1, "default": 0}}, "arguments": ["{x}"]}, "out of bounds"),
        ({"inputs": {"x": {**NUMBER, "optional": True, "default": 0}}, "arguments": [["{x}"]]}, "exclude one another"),
        ({"inputs": {"model_config": TEXT}, "arguments": ["{model_config}"]}, "name that no input"),
        ({"inputs": {"copy": TEXT}, "arguments": ["{copy}"]}, "name that no input"),
        (
            {"outputs": {"x": {"file": "x", "result": "json", "values": {"exit_code": WHOLE}}}},
            "name that each result has already",
        ),
        ({"files": {"script": "../script.py"}}, "files.script"),
        ({"files": {"script": "none.py"}}, "cannot be read"),
        ({"success_exit_codes": [0], "transient_exit_codes": [0]}, "mean both"),
        ({"timeout_s": float("inf")}, "timeout_s"),
    ],
)
def test_what_could_not_work_or_would_be_unsafe_is_refused(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(ToolFileError) as caught:
        source_of(tmp_path, **changes)
    assert said in str(caught.value)


def test_a_link_does_not_lead_to_files_elsewhere(tmp_path: Path) -> None:
    path = write_tool(tmp_path / "tools")
    (tmp_path / "tools" / "script.py").unlink()
    (tmp_path / "tools" / "script.py").symlink_to("/etc/passwd")
    with pytest.raises(ToolFileError, match="leads out of"):
        read_tool_file(path)


def test_a_shell_script_may_take_values_as_arguments(tmp_path: Path) -> None:
    code = {"program": ["bash", "-c"], "arguments": ['echo "$0"', "{x}"], "inputs": {"x": TEXT}, "files": None}
    assert source_of(tmp_path, **code).definition.file.program == ["bash", "-c"]
    assert code_argument(["my_bash", "-c", "{x}"]) is None


def test_the_version_changes_with_all_that_decides_what_is_run(tmp_path: Path) -> None:
    plain = source_of(tmp_path / "a").definition
    assert source_of(tmp_path / "b").definition.version == plain.version
    others = [
        source_of(tmp_path / "c", script="pass").definition,
        source_of(tmp_path / "d", arguments=["x"]).definition,
        source_of(tmp_path / "e", version="2").definition,
        source_of(tmp_path / "f", environment={"MODE": "x"}).definition,
    ]
    assert len({plain.version, *(other.version for other in others)}) == 5
    assert others[2].version.startswith("2+")


def test_a_definition_travels_as_json_and_makes_the_same_tool(tmp_path: Path) -> None:
    definition = source_of(
        tmp_path,
        arguments=["{t}", ["{x}"], {"when": "v", "arguments": ["-v"]}],
        inputs={"t": NUMBER, "x": {**TEXT, "optional": True}, "v": {"type": "boolean", "description": "V."}},
        outputs={
            "o": {
                "file": "o.json",
                "result": "json",
                "values": {"e": {"type": "numbers", "unit": "eV", "description": "E."}},
            }
        },
    ).definition
    again = ToolDefinition.model_validate_json(definition.model_dump_json())
    assert again == definition
    assert make_tool(again).schema() == make_tool(definition).schema()
    assert ToolDefinition.model_validate(json.loads(definition.model_dump_json())) == definition


def test_schemas_say_units_and_bounds(tmp_path: Path) -> None:
    inputs = {"t": {**NUMBER, "minimum": 0, "maximum": 10, "default": 5}}
    tool = make_tool(source_of(tmp_path, arguments=["{t}"], inputs=inputs).definition)
    field = tool.schema()["request"]["properties"]["t"]
    assert field["description"] == "A temperature. In K."
    assert (field["minimum"], field["maximum"], field["default"]) == (0, 10, 5)
    for value in (-1, 11, float("nan"), "5", True, None):
        with pytest.raises(ValueError, match="t"):
            tool.request.model_validate({"t": value})
    with pytest.raises(ValueError, match="u"):
        tool.request.model_validate({"u": 1})


def test_files_must_end_as_declared(tmp_path: Path) -> None:
    inputs = {"x": {**FILE, "suffixes": [".pdb"]}}
    tool = make_tool(source_of(tmp_path, arguments=["{x}"], inputs=inputs).definition)
    assert tool.file_inputs == {"x": []}
    assert tool.request(x="a/B.PDB").x == "a/B.PDB"
    with pytest.raises(ValueError, match=r"ends in \.pdb"):
        tool.request(x="a.xyz")


@given(
    st.lists(
        st.one_of(st.text(st.characters(exclude_characters="{}")), st.sampled_from(["{{", "}}", "{x}", "{out:y}"]))
    )
)
def test_placeholders_are_filled_and_all_else_stays(words: list[str]) -> None:
    values = {Placeholder("input", "x"): "{out:y}", Placeholder("out", "y"): "}"}
    meant = {"{{": "{", "}}": "}", "{x}": "{out:y}", "{out:y}": "}"}
    assert filled("".join(words), values) == "".join(meant.get(word, word) for word in words)


@pytest.mark.parametrize("text", ["{", "}", "{X}", "{1}", "{a b}", "{in:x}", "{x:2}", "{}", "{{x}"])
def test_other_braces_are_errors(text: str) -> None:
    with pytest.raises(ValueError, match="brace"):
        parts_of(text)


def test_a_tool_file_that_is_too_large_or_too_deep_is_refused(tmp_path: Path) -> None:
    assert "is larger than" in fault_of(tmp_path, "# " + "x" * 60_000)
    assert "tool.yaml" in fault_of(tmp_path, "[" * 20_000)
    assert "is not a mapping" in fault_of(tmp_path, "just text")
    (tmp_path / "tool.json").write_text(json.dumps(tool_document()))
    (tmp_path / "script.py").write_bytes(b"x" * 1_000_001)
    with pytest.raises(ToolFileError, match=r"1,000,000 bytes"):
        read_tool_file(tmp_path / "tool.json")
