"""Tool files in batches and runs: how they reach Directors and workers, and what is refused before anything starts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from director.batch import read_batch
from director.door import Refused, check
from director.elsewhere import plan_elsewhere
from director.fleet import Fleet
from director.plan import record_of
from director.runfolder import RunFolder, RunRecord
from director.spec import AllocationSpec, DirectorSpec, ExchangeSpec, PoolSpec, SharesSpec
from director.terms import Terms
from director.toolbox import check_cores, fewest_cores, read_tools, stage_tools, tools_of_run, tools_with
from partitions.carve import carve, even
from partitions.local import local_allocation
from simulations.records import Request
from simulations.shell import make_tool
from simulations.tool import find_tools
from tests.helpers import NOON
from tests.simulations.shell_tools import write_tool

NUMBER = {"type": "number", "unit": "K", "minimum": 0, "maximum": 1000, "description": "A temperature."}
EXCHANGE = ExchangeSpec(url="http://127.0.0.1:1")


def tool_in(folder: Path, **changes: Any) -> Path:
    return write_tool(folder, arguments=["{temperature_k}"], inputs={"temperature_k": NUMBER}, **changes)


def batch_in(folder: Path, **changes: Any) -> Path:
    path = folder / "batch.json"
    entry = {"tool": "my_program", "inputs": {"temperature_k": 300}}
    path.write_text(json.dumps({"tools": ["tools/tool.json"], "requests": [entry], **changes}))
    return path


def record(**more: Any) -> RunRecord:
    return record_of(
        "abcdefgh",
        NOON,
        spec=AllocationSpec(kind="local", nodes=1),
        shares=SharesSpec(values=(1.0,)),
        pool=PoolSpec(),
        partitions=carve(local_allocation(1, [0]), even(1)),
        lead="local-0",
        **more,
    )


def test_a_batch_names_tool_files_and_its_requests_are_checked_against_them(tmp_path: Path) -> None:
    tool_in(tmp_path / "tools")
    what = read_batch(batch_in(tmp_path), find_tools())
    assert [source.definition.file.name for source in what.tools] == ["my_program"]
    entry = {"tool": "my_program", "inputs": {"temperature_k": 3000}}
    with pytest.raises(Refused, match=r"requests\[0\].inputs.temperature_k: .*less than or equal to 1000"):
        read_batch(batch_in(tmp_path, requests=[entry]), find_tools())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tools": ["../tool.json"]}, "lies outside of the batch file's folder"),
        ({"tools": ["none.json"]}, "none.json: cannot be read"),
        ({"tools": ["tools/tool.json", "tools/tool.json"]}, "tools.my_program: is the name of another tool file too"),
        ({"tools": []}, "requests[0].tool: 'my_program' is not known"),
        ({"tools": ["tools/tool.json"] * 51}, "50 at most"),
    ],
)
def test_tool_files_that_cannot_be_used_are_refused(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    tool_in(tmp_path / "tools")
    with pytest.raises(Refused) as caught:
        read_batch(batch_in(tmp_path, **changes), find_tools())
    assert said in str(caught.value)


def test_what_is_wrong_with_a_tool_file_is_said_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "tool.json").write_text('name: my_program\nversion: "1"\nsumary: x\n')
    with pytest.raises(
        Refused, match=r"tools/tool.json, line 3, sumary: 'sumary' is not known. Did you mean 'summary'"
    ):
        read_batch(batch_in(tmp_path), find_tools())


def test_a_tool_file_may_not_take_the_place_of_an_installed_tool(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"tools.md: is the name of an installed Tool too"):
        read_tools([tool_in(tmp_path, name="md")])


def test_a_tool_that_needs_more_cores_than_workers_own_is_refused_with_what_to_choose(tmp_path: Path) -> None:
    tool = make_tool(read_tools([tool_in(tmp_path, cores=4)])[0].definition)
    partitions = carve(local_allocation(1, range(8)), even(1))
    assert fewest_cores(partitions, PoolSpec()) == 1
    with pytest.raises(
        Refused, match=r"tools.my_program: needs 4 cores, and a worker here owns 1. .*workers_per_node: 2"
    ):
        check_cores([tool], partitions, PoolSpec())
    check_cores([tool], partitions, PoolSpec(workers_per_node=2))
    with pytest.raises(Refused, match=r"a node here has 2 cores"):
        check_cores([tool], carve(local_allocation(1, range(2)), even(1)), PoolSpec(workers_per_node=1))
    request = Request(tool="my_program", inputs={"temperature_k": 1})
    assert check(request, {"my_program": tool}, 4).tool is tool
    with pytest.raises(Refused, match="needs 4 cores"):
        check(request, {"my_program": tool}, 3)


def test_workers_find_the_tools_of_their_run_in_its_folder(tmp_path: Path) -> None:
    sources = read_tools([tool_in(tmp_path / "tools")])
    definitions = [source.definition for source in sources]
    folder = RunFolder(tmp_path / "run")
    folder.create(record(tools=definitions))
    stage_tools(sources, folder.inputs)
    installed = find_tools()
    found = tools_of_run(folder.path, installed)
    assert found["my_program"].schema() == tools_with(definitions, installed)["my_program"].schema()
    assert set(found) == {*installed, "my_program"}
    (staged,) = sources[0].definition.files.values()
    assert folder.staged(staged).read_bytes() == sources[0].paths["script"].read_bytes()


def test_a_script_that_changes_after_it_was_read_is_not_used(tmp_path: Path) -> None:
    sources = read_tools([tool_in(tmp_path / "tools")])
    (tmp_path / "tools" / "script.py").write_text("pass")
    (tmp_path / "inputs").mkdir()
    with pytest.raises(Refused, match="was changed while"):
        stage_tools(sources, tmp_path / "inputs")


def test_directors_elsewhere_are_told_of_tools_and_get_their_files(tmp_path: Path) -> None:
    (source,) = read_tools([tool_in(tmp_path / "tools")])
    plan = plan_elsewhere(directors=2, nodes=2, terms=Terms(tools=(source.definition,)))
    plan = type(plan).model_validate_json(plan.model_dump_json())  # as it is remembered
    specs = plan.specs(EXCHANGE, {0: 1, 1: 1}, (), lambda file: source.paths["script"])
    for spec in specs:
        again = DirectorSpec.model_validate_json(spec.model_dump_json())
        assert again.tools == (source.definition,)
        assert [file.content for file in again.files] == [source.paths["script"].read_bytes()]


async def test_a_run_with_too_few_cores_is_refused_before_anything_starts(tmp_path: Path) -> None:
    tool = tool_in(tmp_path / "tools", cores=1000)
    with pytest.raises(Refused, match="needs 1000 cores"):
        await Fleet.launch(run_dir=tmp_path / "run", tools=[tool])
    assert not (tmp_path / "run").exists()
