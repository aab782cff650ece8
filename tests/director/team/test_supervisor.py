"""A supervisor decides who answers; what it decides is checked, bounded, kept, and told to the user."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.director.team.teaming import at_work, team_file
from tests.llm.fixtures import Llm
from tests.llm.minds import scripted
from tests.llm.minds_team import roles, speaker
from tests.llm.talk import Answer, Call, Fault

BOSS = {"prompt": "boss leads.", "max_retries": 0, "max_steps": 5, "max_corrections": 2}


def decides(name: str, **arguments: Any) -> Answer:
    return Answer(calls=(Call(name, arguments),))


def supervised(**more: Any) -> Any:
    return team_file(mode="supervisor", supervisor={**BOSS, **more})


async def test_it_asks_agents_and_finishes_with_an_answer_of_its_own(llm: Llm, tmp_path: Path) -> None:
    boss = scripted(
        decides("ask", agents=["ada", "bob"], instruction="be short"),
        decides("ask", agents=["cy"]),
        decides("finish", answer="ada and bob said so, cy agrees"),
    )
    server = llm(roles(boss=boss))
    async with at_work(supervised(), server, tmp_path) as up:
        done = await up.answer("what now?")
    assert done.status == "ok"
    assert done.answer == "ada and bob said so, cy agrees\n\nAnswered: ada, bob, cy."
    assert done.aggregated_by == "supervisor: stand-in"
    told = {speaker(chat): chat.user for chat in server.chats if speaker(chat) != "boss"}
    assert told["ada"] == "what now?\n\nThe supervisor of your team asks of you: be short"
    assert "ada at 0.5 heard 'what now?'" in told["cy"]
    results = server.chats[-1].tool_results("ask")
    assert [arguments for _, arguments, _ in results] == [
        {"agents": ["ada", "bob"], "instruction": "be short"},
        {"agents": ["cy"]},
    ]
    assert "cy at 0.5" in results[1][2]
    assert "Decisions left: 3." in results[1][2]
    assert [(one.agent, one.calls) for one in done.extra] == [("supervisor", 3)]


async def test_it_pauses_an_agent_and_edits_a_prompt_and_that_outlives_a_restart(llm: Llm, tmp_path: Path) -> None:
    boss = scripted(
        decides("pause", agent="bob", why="off topic"),
        decides("edit_prompt", agent="ada", prompt="ada is brief.", why="too long"),
        decides("ask", agents=["ada"]),
        decides("finish", answer="done"),
    )
    server = llm(roles(boss=boss))
    async with at_work(supervised(), server, tmp_path) as up:
        done = await up.answer("go")
    assert done.events == ("bob is paused: off topic", "ada has another prompt: too long")
    assert next(chat for chat in server.chats if speaker(chat) == "ada").system == "ada is brief."
    async with at_work(supervised(), server, tmp_path) as up:
        assert up.history.messages()[0].events == done.events
        state = {member.name: (member.paused, member.prompt) for member in up.members.all}
        assert state == {"ada": (False, "ada is brief."), "bob": (True, "bob speaks."), "cy": (False, "cy speaks.")}
        up.begin_conversation()
        assert not any(member.paused for member in up.members.all)
        assert up.members.find("ada").prompt == "ada speaks."


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (decides("ask", agents=["eve"]), "there is no agent 'eve'; there are: ada, bob, cy"),
        (decides("fire", agent="ada"), "there is no tool 'fire'"),
        (decides("ask", agents=[]), "agents: list should have at least 1 item"),
        (decides("finish", answer="x", mood="good"), "'mood' is not known"),
        (decides("unpause", agent="ada", why="x"), "ada is not paused"),
        (Answer(calls=(Call("ask", "{not json"),)), "the arguments are no JSON object: '{not json'"),
        (Answer("I think ada should speak."), "decide by calling one of your tools"),
    ],
)
async def test_a_decision_that_cannot_be_done_goes_back_with_the_reason(
    wrong: Answer, why: str, llm: Llm, tmp_path: Path
) -> None:
    server = llm(roles(boss=scripted(wrong, decides("finish", answer="so be it"))))
    async with at_work(supervised(), server, tmp_path) as up:
        done = await up.answer("go")
    assert (done.status, done.answer) == ("ok", "so be it")
    assert why in server.chats[-1].last
    assert "Not done: " in server.chats[-1].last


async def test_it_is_ended_after_too_many_decisions_that_cannot_be_done(llm: Llm, tmp_path: Path) -> None:
    server = llm(roles(boss=scripted(decides("ask", agents=["eve"]))))
    async with at_work(supervised(), server, tmp_path) as up:
        done = await up.answer("go")
    assert done.status == "failed"
    assert "3 of its decisions could not be done; the last: there is no agent 'eve'" in str(done.error)
    assert len(server.log) == 3


async def test_it_is_ended_when_it_does_not_finish_and_what_was_said_is_shown(llm: Llm, tmp_path: Path) -> None:
    server = llm(roles(boss=scripted(decides("ask", agents=["ada"]))))
    async with at_work(supervised(max_steps=2), server, tmp_path) as up:
        done = await up.answer("go")
    assert done.status == "partial"
    assert done.error == "it had not finished after 2 decisions"
    assert done.aggregated_by.startswith("not by the supervisor: ")
    assert done.answer.startswith("ada: ada at 0.5 heard 'go'")
    assert sum(speaker(chat) == "boss" for chat in server.chats) == 2


async def test_it_can_stop(llm: Llm, tmp_path: Path) -> None:
    server = llm(roles(boss=scripted(decides("ask", agents=["ada"]), decides("stop", why="nobody knows"))))
    async with at_work(supervised(), server, tmp_path) as up:
        done = await up.answer("go")
    assert (done.status, done.error) == ("partial", "it stopped: nobody knows")


async def test_its_own_failure_is_said(llm: Llm, tmp_path: Path) -> None:
    server = llm(roles(), faults=[Fault("server_error")])
    async with at_work(supervised(), server, tmp_path) as up:
        done = await up.answer("go")
    assert done.status == "failed"
    assert "it failed: the language model 'stand-in'" in str(done.error)


async def test_it_cannot_pause_the_last_agent_nor_ask_one_that_is_paused(llm: Llm, tmp_path: Path) -> None:
    boss = scripted(
        decides("pause", agent="ada", why="x"),
        decides("ask", agents=["ada"]),
        decides("pause", agent="bob", why="x"),
        decides("finish", answer="enough"),
    )
    server = llm(roles(boss=boss))
    file = team_file(["ada", "bob"], mode="supervisor", supervisor=BOSS)
    async with at_work(file, server, tmp_path) as up:
        done = await up.answer("go")
    assert done.answer == "enough"
    said = [text for _, _, text in server.chats[-1].tool_results()]
    assert "ada: paused; unpause first" in said[1]
    assert "bob is the only agent that is not paused" in said[2]
