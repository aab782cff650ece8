"""The client asks real endpoints: again where that helps, within its budget, and never with a key in a file."""

from __future__ import annotations

import json
import pickle
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from campaigns.language import LanguageModelError, Message, NotConfigured, ReplyCancelled, TokensSpent, ToolFace
from campaigns.llm import LanguageAccess, LanguageSettings, Meter, OpenAIModel, access_from, chat_model, model_for
from campaigns.llm.cache import Remembered
from tests.llm.fixtures import Llm
from tests.llm.minds import echo, one_call, scripted
from tests.llm.server import LLMServer
from tests.llm.talk import Answer, Call, Fault

HELLO = (Message("system", "Be brief."), Message("user", "Hello"))
ADD = ToolFace("add", "Adds.", {"type": "object", "properties": {"a": {"type": "number"}}, "required": ["a"]})


def model(server: LLMServer, *, key: str | None = None, meter: Meter | None = None, **fields: Any) -> OpenAIModel:
    environment = {"DIRECTOR_LLM_BASE_URL": server.base_url, "DIRECTOR_LLM_MODEL": "small"}
    if key:
        environment["DIRECTOR_LLM_API_KEY"] = key
    config = {"retry_wait_s": 0.01, "timeout_s": 60, **fields}
    return model_for(config, access_from(environment), agent="tester", meter=meter)


def test_what_is_configured_is_what_is_sent(llm: Llm) -> None:
    server = llm(echo, key="secret")
    asked = model(server, key="secret", temperature=0.25, max_output_tokens=77)
    reply = asked.reply(HELLO)
    assert reply.message.content == "[small at 0.25] You said: Hello"
    sent = server.chats[0]
    assert (sent.model, sent.system, sent.user) == ("small", "Be brief.", "Hello")
    assert (sent.body["temperature"], sent.body["max_completion_tokens"]) == (0.25, 77)
    assert (reply.input_tokens, reply.output_tokens) == (len(sent.all_text) // 4 + 1, 8)
    spent = asked.meter.spent("tester")
    assert (spent.questions, spent.tokens) == (1, reply.input_tokens + reply.output_tokens)


def test_without_a_temperature_none_is_sent(llm: Llm) -> None:
    server = llm(echo)
    model(server).reply(HELLO)
    assert "temperature" not in server.chats[0].body
    assert "max_completion_tokens" not in server.chats[0].body


def test_tool_calls_and_results_make_the_round(llm: Llm) -> None:
    server = llm(one_call("add", {"a": 1}))
    asked = model(server)
    first = asked.reply(HELLO, [ADD], choice="add").message
    assert server.chats[0].tool_choice == "add"
    assert server.chats[0].tools["add"] == dict(ADD.parameters)
    (call,) = first.tool_calls
    assert (call.name, call.arguments) == ("add", {"a": 1})
    second = asked.reply([*HELLO, first, Message("tool", "3", tool_call_id=call.id)], [ADD])
    assert second.message.content == "The answer is: 3"


def test_arguments_that_are_no_json_come_back_as_text_and_can_be_answered(llm: Llm) -> None:
    server = llm(one_call("add", {"a": 1}), faults=[Fault("malformed_json")])
    asked = model(server)
    first = asked.reply(HELLO, [ADD]).message
    (call,) = first.tool_calls
    assert call.arguments is None
    assert call.text == '{"a": 1,'
    asked.reply([*HELLO, first, Message("tool", "that is no JSON", tool_call_id=call.id)], [ADD])
    assert server.chats[1].tool_results() == [("add", {"not_a_json_object": '{"a": 1,'}, "that is no JSON")]


@pytest.mark.parametrize("written", ["[1, 2]", "null", '"text"', "7"])
def test_arguments_that_are_json_and_no_object_come_back_as_text_too(llm: Llm, written: str) -> None:
    server = llm(scripted(Answer(calls=(Call("add", written),))))
    (call,) = model(server).reply(HELLO, [ADD]).message.tool_calls
    assert (call.name, call.arguments) == ("add", None)
    assert call.text.endswith(written)
    assert len(server.log) == 1


@pytest.mark.parametrize("kind", ["rate_limit", "server_error", "bad_gateway", "dropped", "cut", "nonsense"])
def test_a_passing_fault_is_survived_and_counted(llm: Llm, kind: str) -> None:
    server = llm(echo, faults=[Fault(kind, times=2)])
    asked = model(server)
    assert asked.reply(HELLO).message.content.endswith("Hello")
    assert len(server.log) == 3
    spent = asked.meter.spent("tester")
    assert (spent.questions, spent.retries, spent.failures) == (1, 2, 0)


@pytest.mark.parametrize("kind", ["rate_limit", "server_error", "dropped", "nonsense"])
def test_attempts_are_bounded(llm: Llm, kind: str) -> None:
    server = llm(echo, faults=[Fault(kind, times=100)])
    asked = model(server, max_retries=2)
    with pytest.raises(LanguageModelError, match="after 3 attempts"):
        asked.reply(HELLO)
    assert len(server.log) == 3
    assert asked.meter.spent("tester").failures == 1


def test_retry_after_is_waited_for(llm: Llm) -> None:
    server = llm(echo, faults=[Fault("rate_limit", seconds=1)])
    model(server).reply(HELLO)
    first, second = server.log
    assert first.ended_s is not None
    assert second.began_s - first.ended_s >= 1.0


def test_an_endpoint_that_asks_to_wait_too_long_is_not_asked_again(llm: Llm) -> None:
    server = llm(echo, faults=[Fault("rate_limit", seconds=3600)])
    with pytest.raises(LanguageModelError, match="asks to wait 3600 s, and max_retry_wait_s is 60"):
        model(server).reply(HELLO)
    assert len(server.log) == 1


def test_a_slow_endpoint_runs_into_the_time_limit_and_the_next_attempt_is_answered(llm: Llm) -> None:
    server = llm(echo, faults=[Fault("slow", seconds=600)])
    assert model(server, timeout_s=2).reply(HELLO).message.content
    assert len(server.log) == 2


@pytest.mark.parametrize(
    ("known", "given", "hint"), [("right", "wrong", "Check the key"), (None, None, "name of the model")]
)
def test_what_will_not_pass_is_not_asked_again(llm: Llm, known: str | None, given: str | None, hint: str) -> None:
    server = llm(echo, key=known, models=["large"])
    with pytest.raises(LanguageModelError, match=hint) as caught:
        model(server, key=given).reply(HELLO)
    assert len(server.log) == 1
    assert "wrong" not in str(caught.value)


def test_a_wait_is_cancelled_at_once_and_for_good(llm: Llm) -> None:
    server = llm(echo, faults=[Fault("slow", seconds=600, times=9)])
    asked = model(server, timeout_s=600)
    ends: list[BaseException] = []

    def wait() -> None:
        try:
            asked.reply(HELLO)
        except LanguageModelError as error:
            ends.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    asked.cancel()
    thread.join(60)
    assert not thread.is_alive()
    assert isinstance(ends[0], ReplyCancelled)
    with pytest.raises(ReplyCancelled):
        asked.reply(HELLO)


def test_a_question_beyond_the_budget_is_not_sent(llm: Llm) -> None:
    server = llm(echo)
    asked = model(server, token_budget=40, max_output_tokens=20)
    asked.reply(HELLO)
    with pytest.raises(TokensSpent, match=r"budget of 'tester' is 40, \d+ are spent"):
        asked.reply([*HELLO, Message("user", "x" * 60)])
    assert len(server.log) == 1


def test_the_budget_of_all_agents_holds_for_questions_at_the_same_time(llm: Llm) -> None:
    server = llm(echo, delay_s=0.3)
    meter = Meter(token_budget=100)
    refused: list[TokensSpent] = []

    def ask() -> None:
        try:
            model(server, meter=meter, max_output_tokens=20).reply(HELLO)
        except TokensSpent as error:
            refused.append(error)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(server.log) == 4  # of 24 each, as they are expected to take
    assert len(refused) == 4
    assert meter.spent("tester").tokens <= 100


def test_prices_make_costs_and_a_missing_price_is_said(llm: Llm) -> None:
    prices = {"usd_per_million_input_tokens": 1000.0, "usd_per_million_output_tokens": 2000.0}
    meter = Meter()
    reply = model(llm(echo), meter=meter, **prices).reply(HELLO)
    assert meter.spent("tester").usd == pytest.approx((reply.input_tokens + 2 * reply.output_tokens) / 1000)
    model(llm(echo), meter=meter).reply(HELLO)
    assert meter.spent("tester").unpriced == 1
    again = Meter()
    again.load(json.loads(json.dumps(meter.all())))
    assert again.all() == meter.all()


def test_an_equal_question_is_answered_once_and_another_temperature_is_another_question(llm: Llm) -> None:
    server = llm(echo)
    asked = model(server)
    remembered = Remembered(asked, {"temperature": 0.1})
    first = remembered.reply(HELLO)
    second = remembered.reply(HELLO)
    assert (second.message, second.reused, second.input_tokens) == (first.message, True, 0)
    assert len(server.log) == 1
    again = Remembered(asked, {"temperature": 0.1})
    again.load_state(json.loads(json.dumps(remembered.get_state())))
    assert again.reply(HELLO).reused
    warmer = Remembered(asked, {"temperature": 0.2})
    warmer.load_state(remembered.get_state())
    assert not warmer.reply(HELLO).reused


def test_nothing_configured_says_how_to_configure_it() -> None:
    with pytest.raises(NotConfigured, match=r"base_url and model missing. Set DIRECTOR_LLM_BASE_URL .* DIRECTOR_LLM_"):
        access_from({}).settings()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"temprature": 1}, "temprature: is not known; known: base_url, cache"),
        ({"temperature": 7}, "temperature: .* less than or equal to 2"),
        ({"base_url": "ftp://x"}, "must be an address"),
        ({"base_url": "https://me:secret@host/v1"}, "no name, password or query"),
    ],
)
def test_settings_that_are_wrong_are_named(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LanguageAccess("https://host/v1", "m").settings(config)


def test_a_key_is_shown_written_and_sent_nowhere_but_to_its_endpoint(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("sk-very-secret\n")
    access = access_from({"DIRECTOR_LLM_BASE_URL": "https://a/v1", "DIRECTOR_LLM_API_KEY_FILE": str(file)})
    assert access.key is not None
    assert access.key.reveal() == "sk-very-secret"
    asked = OpenAIModel(access.settings({"model": "m"}), access.key)
    shown = [repr(access), str(access), repr(asked.__dict__), repr(asked._chat), asked.settings.model_dump_json()]
    assert not any("sk-very-secret" in text for text in shown)
    for write in (pickle.dumps, asdict):
        with pytest.raises(TypeError):
            write(access)  # type: ignore[operator]
    with pytest.raises(ValueError, match="is not sent to https://b/v1"):
        access.settings({"model": "m", "base_url": "https://b/v1"})


@pytest.mark.parametrize("content", ["", "two words", "line\nline", "schlüssel", "x" * 9000])
def test_a_file_without_a_proper_key_is_refused_without_showing_it(tmp_path: Path, content: str) -> None:
    (tmp_path / "key").write_text(content)
    with pytest.raises(NotConfigured, match="holds no key") as caught:
        access_from({"DIRECTOR_LLM_API_KEY_FILE": str(tmp_path / "key")})
    assert not content or content not in str(caught.value)


async def test_langgraphs_face_has_the_same_settings_meter_and_budget(llm: Llm) -> None:
    server = llm(echo, faults=[Fault("rate_limit")])
    meter = Meter()
    settings = LanguageSettings(
        base_url=server.base_url, model="small", temperature=0.5, max_output_tokens=10, token_budget=30
    )
    model = chat_model(settings, agent="graph", meter=meter)
    assert (await model.ainvoke("Hello")).content == "[small at 0.5] You said: Hello"
    spent = meter.spent("graph")
    assert (spent.questions, spent.tokens) == (1, (len("Hello") // 4 + 1) + 8)
    with pytest.raises(TokensSpent):
        model.invoke("x" * 100)
    assert len(server.log) == 2
    assert meter.spent("graph").failures == 0
