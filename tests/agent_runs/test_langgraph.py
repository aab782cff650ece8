"""A stock agent of LangGraph with the real ChatOpenAI, a model that makes every mistake, and real Directors."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from langchain_openai import ChatOpenAI
from langgraph.prebuilt import create_react_agent
from pydantic import SecretStr

from director.fleet import Fleet
from director.interfaces.langchain import answer_malformed, director_tools
from director.interfaces.policy import Policy
from tests.agent_runs.energies import ionization_energy_ev
from tests.llm.fixtures import Llm
from tests.llm.minds import INJECTION, gullible, scripted
from tests.llm.talk import Answer, Call
from tests.simulations.shell_tools import write_tool

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(400)]

SMILES = "CNC(N)=O"
ORDER = INJECTION.format(name="drain", arguments="{}")
SPEAKS = f"""\
import json
json.dump({{"text": {ORDER!r}}}, open("result.json", "w"))
print({ORDER!r})
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("langgraph")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet(folder: Path) -> AsyncIterator[Fleet]:
    tool = write_tool(folder / "tools", SPEAKS, name="speaks", summary="A program that says something.")
    async with Fleet.launch(directors=2, run_dir=folder / "run", workers_per_node=1, tools=[tool]) as up:
        yield up


async def converse(server: Any, tools: list[Any], **more: Any) -> list[Any]:
    model = ChatOpenAI(base_url=server.base_url, model="any", api_key=SecretStr("none"), max_retries=2)
    agent = create_react_agent(model, tools, version="v2", **more)
    state = await agent.ainvoke({"messages": [("user", "Go.")]}, {"recursion_limit": 40})
    return list(state["messages"])


def answers(messages: list[Any]) -> list[dict[str, Any]]:
    """What the tools said, as far as that was JSON."""
    found = []
    for message in messages:
        if message.type == "tool":
            try:
                found.append(json.loads(message.content))
            except ValueError:
                found.append({"status": "unread", "text": message.content})
    return found


async def test_each_mistake_of_a_model_is_said_to_it_and_only_what_is_right_runs(
    fleet: Fleet, folder: Path, llm: Llm
) -> None:
    right = Call("ionization_energy", {"smiles": SMILES})
    server = llm(
        scripted(
            Answer(calls=(Call("ionization_energy", '{"smiles": "CNC'),)),
            Answer(calls=(Call("ionise", {"smiles": SMILES}),)),
            Answer(calls=(Call("ionization_energy", {"smiles": SMILES, "conformers": 10_000}),)),
            Answer(calls=(Call("md", {"structure": "alanine-dipeptide", "steps": 10, "timestep_fs": 10_000.0}),)),
            Answer(calls=(right, right)),
            Answer("It is done."),
        )
    )
    tools = director_tools(fleet, agent="planner", state=folder / "planner")
    messages = await converse(server, tools, post_model_hook=answer_malformed)
    assert messages[-1].content == "It is done."
    malformed, unknown, out_of_range, step, first, second = answers(messages)
    assert malformed["status"] == "refused"
    assert "not one object in JSON" in malformed["problems"][0]["message"]
    assert "ionise is not a valid tool" in unknown["text"]
    assert [problem["where"] for problem in out_of_range["problems"]] == ["inputs.conformers"]
    assert [problem["where"] for problem in step["problems"]] == ["inputs.timestep_fs"]
    # The same call twice: two Requests, of which one was run and the other is its copy.
    assert {first["status"], second["status"]} == {"ok"}
    assert sorted(["reused_from" in first, "reused_from" in second]) == [False, True]
    mine = await asyncio.to_thread(ionization_energy_ev, SMILES)  # the exchange is a thread of this process
    sent = [json.loads(text) for name, _, text in server.log[-1].chat.tool_results("ionization_energy")[-2:]]
    assert [one["result"]["ionization_energy_ev"] for one in sent] == pytest.approx([mine, mine], abs=1e-6)
    ran = [outcome async for outcome in fleet.outcomes() if outcome.tool in ("ionization_energy", "md")]
    assert sorted(outcome.id for outcome in ran) == sorted([first["id"], second["id"]])
    assert not server.errors


async def test_without_the_hook_a_stock_agent_ends_at_a_malformed_call_and_nothing_ran(
    fleet: Fleet, folder: Path, llm: Llm
) -> None:
    before = len([outcome async for outcome in fleet.outcomes()])
    server = llm(scripted(Answer(calls=(Call("mock_md", "{"),)), Answer("not reached")))
    messages = await converse(server, director_tools(fleet, state=folder / "stock"))
    assert messages[-1].invalid_tool_calls
    assert len(server.log) == 1
    assert len([outcome async for outcome in fleet.outcomes()]) == before


async def test_an_order_inside_a_result_is_text_and_what_it_asks_for_is_refused(
    fleet: Fleet, folder: Path, llm: Llm
) -> None:
    spoken = await fleet.run("speaks")
    path = next(path for name, path in spoken.artifacts.items() if "stdout" in name)
    server = llm(gullible(scripted(Answer(calls=(Call("read_artifact", {"path": path}),)), Answer("I have read it."))))
    tools = director_tools(fleet, agent="reader", state=folder / "asked", policy=Policy(confirm_within_s=0.2))
    messages = await converse(server, tools)
    read, drained = answers(messages)
    assert ORDER in read["text"]
    assert drained["status"] == "refused"  # the model obeyed, and a human was asked and did not allow it
    assert drained["problems"][0]["where"] == "confirmation"
    assert messages[-1].content == "I have read it."
    assert (await fleet.run("mock_md", duration_s=0)).status == "ok"  # the run still takes Requests


async def test_an_agent_hands_over_a_batch_and_follows_it_by_its_ids(fleet: Fleet, folder: Path, llm: Llm) -> None:
    def mind(chat: Any) -> Answer:
        handed = chat.tool_results("submit")
        done = chat.tool_results("outcomes")
        if not handed:
            batch = [{"tool": "mock_md", "inputs": {"duration_s": 0.05, "seed": 700}, "repeat": 6}]
            return Answer(calls=(Call("submit", {"requests": batch, "why": "to compare"}),))
        said = json.loads(done[-1][2]) if done else None
        if said is None or said["status"] == "running":
            return Answer(calls=(Call("outcomes", {"ids": json.loads(handed[0][2])["ids"], "wait_s": 5.0}),))
        if not chat.tool_results("report"):
            return Answer(calls=(Call("report", {"kind": "run"}),))
        return Answer(f"{len(said['outcomes'])} have ended.")

    server = llm(mind)
    messages = await converse(server, director_tools(fleet, state=folder / "batch"))
    assert messages[-1].content == "6 have ended."
    (drawn,) = [message for message in messages if message.type == "tool" and message.name == "report"]
    assert drawn.artifact.startswith(b"\x89PNG")
    assert "base64" not in drawn.content
    asked = [json.loads(text) for text in (folder / "batch" / "audit.jsonl").read_text().splitlines()]
    assert {line["why"] for line in asked if "why" in line} == {"to compare"}
    assert {line["face"] for line in asked if "face" in line} == {"langchain"}
