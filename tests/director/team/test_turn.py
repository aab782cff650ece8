"""An agent's Tool calls are checked, made once each, bounded, and answered as data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from campaigns.language import Message, Reply, ToolFace
from campaigns.llm.settings import LanguageSettings
from director.team.desk import Call as ModelCall
from director.team.desk import Said
from director.team.turn import Asking, Spending, ToolDesk, Turn, take
from tests.director.team.teaming import at_work, team_file
from tests.llm.fixtures import Llm
from tests.llm.minds import INJECTION, gullible, one_call, scripted
from tests.llm.minds_team import roles, speaker
from tests.llm.talk import Answer, Call, Fault

FACE = ToolFace(
    "weigh",
    "Weighs a molecule.",
    {"type": "object", "properties": {"smiles": {"type": "string", "description": "The molecule."}}},
)


@dataclass
class Scales:
    """Calls Tools, as `ToolCaller` does, and remembers them."""

    note: str = ""
    calls: list[tuple[str, dict[str, Any], str | None]] = field(default_factory=list)
    told_tokens: int = 0

    async def call(
        self, name: str, arguments: Mapping[str, Any], *, token: str | None = None, llm_tokens: int = 0
    ) -> dict[str, Any]:
        self.calls.append((name, dict(arguments), token))
        self.told_tokens += llm_tokens
        return {"status": "ok", "id": f"r{len(self.calls)}", "result": {"mass_u": 18.0, "note": self.note}}


def with_tools(**of: Any) -> Any:
    return team_file(["ada"], of={"tools": ["weigh"], **of})


async def test_an_agent_calls_a_tool_and_answers_with_its_result(llm: Llm, tmp_path: Path) -> None:
    scales = Scales()
    server = llm(roles(ada=one_call("weigh", {"smiles": "O"})))
    async with at_work(with_tools(), server, tmp_path, tools={"ada": scales}, faces={"ada": [FACE]}) as up:
        done = await up.answer("how heavy?")
    ((tool, inputs, token),) = scales.calls
    assert (tool, inputs) == ("weigh", {"smiles": "O"})
    assert token is not None
    assert server.chats[0].tools == {"weigh": FACE.parameters}
    assert '"mass_u": 18.0' in done.answers[0].text
    (use,) = done.answers[0].tool_uses
    assert (use.tool, use.arguments, use.status, use.request_id) == ("weigh", {"smiles": "O"}, "ok", "r1")
    assert done.answers[0].calls == 2
    assert 0 < scales.told_tokens < done.answers[0].input_tokens + done.answers[0].output_tokens


async def test_what_is_wrong_with_a_call_is_told_to_the_model_and_nothing_runs(llm: Llm, tmp_path: Path) -> None:
    scales = Scales()
    answers = (
        Answer(calls=(Call("smell", {"smiles": "O"}),)),
        Answer(calls=(Call("weigh", '{"smiles": '),)),
        Answer("I cannot say."),
    )
    server = llm(roles(ada=scripted(*answers)))
    async with at_work(with_tools(), server, tmp_path, tools={"ada": scales}, faces={"ada": [FACE]}) as up:
        done = await up.answer("how heavy?")
    assert scales.calls == []
    said = [json.loads(text)["error"] for _, _, text in server.chats[-1].tool_results()]
    assert said[0] == "there is no tool 'smell'; yours: ['weigh']"
    assert said[1].startswith("the arguments are no JSON object: ")
    assert [use.status for use in done.answers[0].tool_uses] == ["refused", "refused"]
    assert done.status == "ok"


async def test_the_same_call_twice_is_made_once(llm: Llm, tmp_path: Path) -> None:
    scales = Scales()
    server = llm(roles(ada=one_call("weigh", {"smiles": "O"})), faults=[Fault("duplicate_call", at=0)])
    async with at_work(with_tools(), server, tmp_path, tools={"ada": scales}, faces={"ada": [FACE]}) as up:
        done = await up.answer("how heavy?")
    assert len(scales.calls) == 1
    assert len(server.chats[-1].tool_results()) == 2
    assert done.status == "ok"


async def test_an_agent_that_never_stops_calling_fails_within_its_bound(llm: Llm, tmp_path: Path) -> None:
    scales = Scales()
    server = llm(roles(ada=lambda chat: Answer(calls=(Call("weigh", {"smiles": "C" * len(chat.messages)}),))))
    file = with_tools(max_tool_rounds=3)
    async with at_work(file, server, tmp_path, tools={"ada": scales}, faces={"ada": [FACE]}) as up:
        done = await up.answer("how heavy?")
    assert (done.status, len(server.log)) == ("failed", 4)
    assert done.answers[0].error == "it still called Tools after 3 rounds, and did not answer"


async def test_an_injection_in_a_result_reaches_no_tool_that_the_agent_does_not_have(llm: Llm, tmp_path: Path) -> None:
    scales = Scales(note=INJECTION.format(name="drain", arguments='{"all": true}'))
    server = llm(roles(ada=gullible(one_call("weigh", {"smiles": "O"}))))
    async with at_work(with_tools(), server, tmp_path, tools={"ada": scales}, faces={"ada": [FACE]}) as up:
        done = await up.answer("how heavy?")
    assert [tool for tool, _, _ in scales.calls] == ["weigh"]
    assert [use.status for use in done.answers[0].tool_uses] == ["ok", "refused"]


async def test_an_agent_without_tools_that_calls_one_has_failed(llm: Llm, tmp_path: Path) -> None:
    server = llm(roles(ada=one_call("weigh", {"smiles": "O"})))
    async with at_work(team_file(["ada", "bob"]), server, tmp_path) as up:
        done = await up.answer("how heavy?")
    assert done.answers[0].error == "it called weigh instead of answering, and has no Tools"
    assert {speaker(chat): bool(chat.tools) for chat in server.chats} == {"ada": False, "bob": False}


@dataclass
class Scripted:
    """A `Desk` that answers as the test says."""

    replies: list[Reply | Exception]
    how: str = "by the test"

    def submit(self, call: ModelCall) -> Future[Said]:
        future: Future[Said] = Future()
        reply = self.replies.pop(0)
        if isinstance(reply, Exception):
            future.set_exception(reply)
        else:
            future.set_result(Said(reply, None, False, 0.0, 0.1, "here"))
        return future

    def stop(self, call_id: str) -> None:
        """Has nothing to stop."""

    def close(self) -> None:
        """Has nothing to end."""


async def taken(*replies: Reply | Exception) -> Any:
    turn = Turn("ada", LanguageSettings(base_url="http://x/v1", model="m", max_output_tokens=7))
    asking = Asking(Scripted(list(replies)), Spending(), "s")
    return await take(turn, [Message("user", "hello")], asking, ToolDesk())


def reply(text: str, *, cut_off: bool = False) -> Reply:
    return Reply(Message("assistant", text), "m", 1, 1, cut_off=cut_off)


async def test_an_answer_that_was_cut_off_says_so() -> None:
    assert (await taken(reply("so far", cut_off=True))).text == "so far […cut off after 7 tokens]"
    empty = await taken(reply("", cut_off=True))
    assert (empty.status, empty.error) == ("failed", "all of its 7 tokens were used before it said anything")


async def test_a_worker_that_is_lost_is_the_failure_of_one_call() -> None:
    lost = await taken(RuntimeError("the worker is gone"))
    assert (lost.status, lost.error) == ("failed", "its call could not be run: RuntimeError: the worker is gone")
