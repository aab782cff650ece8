"""One definition, three ways in: Director action, LangChain tool and MCP tool have one schema and do the same."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters

from director.fleet import Fleet
from director.interfaces import langchain, mcp_tool
from director.interfaces.calling import ToolCaller, call_id
from director.interfaces.langchain import director_tools, langchain_tools
from director.interfaces.mcp import mcp_server
from simulations.tool import find_tools
from tests.simulations.shell_tools import write_tool

NUMBER = {"type": "number", "unit": "K", "minimum": 0, "maximum": 1000, "description": "A temperature."}
MD = {"structure": "alanine-dipeptide", "steps": 20, "report_interval_steps": 10, "minimize": False, "platform": "CPU"}
ONCE, LONG = "once", "long"
SECRET = "-----BEGIN SECRET-----"  # noqa: S105


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("agents")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet(folder: Path) -> AsyncIterator[Fleet]:
    tool = write_tool(
        folder / "tools", arguments=["{temperature_k}"], inputs={"temperature_k": {**NUMBER, "default": 300}}
    )
    async with Fleet.launch(directors=2, run_dir=folder / "run", workers_per_node=1, tools=[tool]) as up:
        yield up


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def by_langchain(fleet: Fleet, tool: str, inputs: dict[str, Any], token: str | None = None, **more: Any) -> Any:
    (found,) = langchain_tools(fleet, only=[tool], **more)
    config = {"configurable": {langchain.TOKEN: token}} if token else None
    return json.loads(await found.ainvoke(inputs, config))


async def by_mcp(fleet: Fleet, tool: str, inputs: dict[str, Any], token: str | None = None, **more: Any) -> Any:
    async with Client(mcp_server(fleet, only=[tool], **more)) as client:
        answer = await client.call_tool(tool, inputs, meta={mcp_tool.TOKEN: token} if token else None)
    assert json.loads(answer.content[0].text) == answer.structured_content
    assert answer.is_error == (answer.structured_content["status"] not in ("ok", "running"))
    return answer.structured_content


async def by_action(fleet: Fleet, tool: str, inputs: dict[str, Any]) -> Any:
    return await fleet.links[0].call("run", tool, inputs)


async def test_every_tool_has_one_schema_for_director_langchain_and_mcp(fleet: Fleet) -> None:
    actions = {one["name"]: one["request"] for one in await fleet.links[0].call("tools")}
    chained = {one.name: one.args_schema for one in langchain_tools(fleet)}
    async with Client(mcp_server(fleet)) as client:
        served = {one.name: one.input_schema for one in (await client.list_tools()).tools}
    guarded = {one.name: one.args_schema for one in director_tools(fleet)}
    assert set(actions) == {*find_tools(), "my_program"}
    assert actions == chained == {name: served[name] for name in actions}
    assert guarded == served
    assert set(served) - set(actions) == {
        "submit", "status", "outcomes", "cancel", "drain", "read_artifact", "report", "name_to_smiles",
        "smiles_to_structure",
    }  # fmt: skip
    assert all(field.get("description") for schema in served.values() for field in schema["properties"].values())
    assert actions["my_program"]["properties"]["temperature_k"]["description"] == "A temperature. In K."


@pytest.mark.parametrize("way", [by_action, by_langchain, by_mcp])
async def test_each_way_runs_real_simulations_and_a_users_program(way: Any, fleet: Fleet) -> None:
    slept = await way(fleet, "mock_md", {"duration_s": 0.05})
    assert slept["status"] == "ok", slept
    assert slept["result"]["slept_s"] >= 0.05
    simulated = await way(fleet, "md", MD)
    assert simulated["status"] == "ok", simulated
    assert simulated["result"]["steps"] == 20
    assert simulated["artifacts"]["trajectory"].endswith(".dcd")
    own = await way(fleet, "my_program", {})
    assert own["status"] == "ok", own
    assert own["result"]["exit_code"] == 0


@pytest.mark.parametrize("way", [by_langchain, by_mcp])
async def test_what_goes_wrong_is_said_and_never_raised(way: Any, fleet: Fleet, folder: Path) -> None:
    failed = await way(fleet, "mock_md", {"duration_s": 0, "crash": "error"})
    assert failed["status"] == "failed"
    assert failed["error"]["type"] == "Crashed"
    assert failed["error"]["hint"]
    refused = await way(fleet, "mock_md", {"duration_s": -1, "colour": "red"})
    assert refused["status"] == "refused"
    assert {problem["where"] for problem in refused["problems"]} == {
        "inputs.duration_s",
        "inputs.colour",
    }
    (folder / "secret.pdb").write_text(SECRET)
    (folder / "mine").mkdir(exist_ok=True)
    outside = await way(fleet, "md", {"structure": "../secret.pdb", "steps": 1}, base=folder / "mine")
    assert outside["status"] == "refused"
    assert "lies outside of" in outside["problems"][0]["message"]
    assert SECRET not in json.dumps(outside)


@pytest.mark.parametrize("way", [by_langchain, by_mcp])
async def test_a_call_that_takes_too_long_is_said_to_run_and_its_token_brings_its_outcome(
    way: Any, fleet: Fleet
) -> None:
    inputs = {"duration_s": 1.5, "seed": 1 if way is by_mcp else 2}
    first = await way(fleet, "mock_md", inputs, token=LONG, wait_s=0.2)
    assert first["status"] == "running"
    assert "token" in first["hint"]
    again = await way(fleet, "mock_md", inputs, token=LONG, wait_s=60)
    assert (again["status"], again["id"]) == ("ok", first["id"])


async def test_one_token_is_one_call_for_all_clients_and_at_all_times(fleet: Fleet, folder: Path) -> None:
    inputs = {"duration_s": 0.05, "seed": 77}
    before = sum(status["finished"].get("ok", 0) for status in await fleet.status())
    caller = ToolCaller(fleet)
    answers = await asyncio.gather(*(caller.call("mock_md", inputs, token=ONCE) for _ in range(5)))
    answers.append(await ToolCaller(fleet).call("mock_md", inputs, token=ONCE))  # which this client has seen end
    async with await Fleet.attach(folder / "run") as other:
        answers.append(await ToolCaller(other).call("mock_md", inputs, token=ONCE))
    assert {json.dumps(answer, sort_keys=True) for answer in answers} == {json.dumps(answers[0], sort_keys=True)}
    assert answers[0]["status"] == "ok"
    assert "reused_from" not in answers[0]
    assert sum(status["finished"].get("ok", 0) for status in await fleet.status()) == before + 1
    other_inputs = await caller.call("mock_md", {**inputs, "seed": 78}, token=ONCE)
    assert other_inputs["id"] != answers[0]["id"]


async def test_the_command_serves_an_open_run_over_standard_input_and_output(fleet: Fleet, folder: Path) -> None:
    command = StdioServerParameters(
        command=str(Path(sys.executable).with_name("director")),
        args=["mcp", str(folder / "run"), "--tool", "mock_md", "--tool", "my_program"],
        cwd=str(folder),
    )
    async with Client(command) as client:
        assert {tool.name for tool in (await client.list_tools()).tools} == {"mock_md", "my_program"}
        answer = await client.call_tool("my_program", {"temperature_k": 10})
    assert answer.structured_content is not None
    assert answer.structured_content["status"] == "ok"
    assert (await fleet.run("mock_md", duration_s=0)).result is not None  # the run goes on


async def test_a_token_and_inputs_together_name_a_call() -> None:
    assert call_id("a", "k") == call_id("a", "k")
    assert len({call_id("a", "k"), call_id("b", "k"), call_id("a", "l"), call_id("ak", "")}) == 4
