"""Campaigns whose components ask a model: what was decided is not asked again, and errors leave all as it was."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

from campaigns import NotAcceptable
from campaigns.folder import CampaignFolder
from campaigns.llm import LanguageAccess, access_from
from campaigns.reading import read_campaign
from campaigns.runner import Runner, new_record, run_campaign
from tests.campaigns.files import TOYS, campaign, workflow
from tests.campaigns.toys import Bench
from tests.llm.fixtures import Llm
from tests.llm.server import LLMServer
from tests.llm.talk import Answer, Call, Chat, Fault

SCORER = {"_target_": "campaigns.llm.LLMScorer", "llm_config": {"max_retries": 0, "temperature": 0.2}}
REACT = {
    "_target_": "campaigns.llm.LLMReActOrchestrator",
    "generators": {"numbers": {"_target_": f"{TOYS}.Numbers"}},
    "scorers": {"near": {"_target_": f"{TOYS}.Near"}},
    "filter": {"_target_": "campaigns.stages.UniqueFilter"},
    "llm_config": {"max_retries": 0},
}


def access(server: LLMServer) -> LanguageAccess:
    return access_from({"DIRECTOR_LLM_BASE_URL": server.base_url, "DIRECTOR_LLM_MODEL": "small"})


def ranker(chat: Chat) -> Answer:
    """Ranks the greatest number first, by what it is told of candidates."""
    block = re.findall(r"<data>\n(.*?)\n</data>", chat.texts("user")[0], re.DOTALL)[-1]
    told = json.loads(block)
    order = sorted((one["index"] for one in told), key=lambda index: -json.loads(told[index]["candidate"])["number"])
    return Answer(calls=(Call("rank_candidates", {"ranking": order, "reason": "The greatest."}),))


def orchestrator(chat: Chat) -> Answer:
    """Generates, scores, and selects the two best, as often as it is asked."""
    results = chat.tool_results()
    if not results:
        return Answer(calls=(Call("generate", {"generator": "numbers", "num_candidates": 6}),))
    if len(results) == 1:
        return Answer(calls=(Call("score", {"scorer": "near"}),))
    found = re.search(r'"scores": (\{.*?\})', results[1][2])
    assert found is not None
    scores = json.loads(found.group(1))
    best = sorted(scores, key=lambda name: (-scores[name], name))[:2]
    return Answer(calls=(Call("select", {"candidates": best, "reason": "Near the best."}),))


def numbers(folder: Path) -> list[Any]:
    (episode,) = read_campaign(folder).episodes
    return [one.candidate["number"] for one in episode.evaluations]


@pytest.mark.parametrize(
    ("policy", "mind"), [(workflow(scorer=SCORER), ranker), (REACT, orchestrator)], ids=["scorer", "react"]
)
def test_an_endpoint_that_fails_ends_the_campaign_which_goes_on_to_the_same_trajectory(
    tmp_path: Path, llm: Llm, policy: dict[str, Any], mind: Any
) -> None:
    file = campaign(policy=policy, parallel=2, seed=5)
    whole = llm(mind)
    run_campaign(file, tmp_path / "whole", Bench(), language=access(whole))
    assert len(numbers(tmp_path / "whole")) == 8
    # The same, but the endpoint fails at the first question of the third decision.
    third = next(place for place, chat in enumerate(whole.chats) if '"evaluations_done": 4' in chat.texts("user")[0])
    server = llm(mind, faults=[Fault("server_error", at=third)])
    bench = Bench()
    with pytest.raises(RuntimeError, match="status 500"):
        run_campaign(file, tmp_path / "torn", bench, language=access(server))
    assert len(bench.ran) == 4
    again = Bench(keep=bench.keep)
    run_campaign(file, tmp_path / "torn", again, language=access(server))
    assert numbers(tmp_path / "torn") == numbers(tmp_path / "whole")
    assert len(again.ran) == 4
    # Nothing that had been decided was asked again: one question more than without the failure, which had no answer.
    assert len(server.log) == len(whole.log) + 1
    answered = [logged.chat for logged in server.log if logged.status == 200]
    assert [chat.texts("user")[0] for chat in answered] == [chat.texts("user")[0] for chat in whole.chats]


def test_a_campaign_that_is_told_to_end_does_not_wait_for_a_reply(tmp_path: Path, llm: Llm) -> None:
    """Otherwise this would take as long as the endpoint: ten minutes."""
    server = llm(ranker, faults=[Fault("slow", seconds=600)])
    patient = {**SCORER, "llm_config": {"timeout_s": 600}}
    file = campaign(policy=workflow(scorer=patient))
    place = CampaignFolder(tmp_path)
    place.create(new_record(file))

    async def end() -> None:
        running = asyncio.create_task(Runner(file, tmp_path, Bench(), language=access(server)).run())
        while not server.log:
            await asyncio.sleep(0.01)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(end())
    run_campaign(file, tmp_path, Bench(), language=access(server))
    assert len(numbers(tmp_path)) == 8


def test_decisions_are_recorded_with_their_reasons_and_costs(tmp_path: Path, llm: Llm) -> None:
    server = llm(ranker)
    run_campaign(campaign(policy=workflow(scorer=SCORER)), tmp_path, Bench(), language=access(server))
    lines = [json.loads(line) for file in tmp_path.rglob("*.jsonl") for line in file.read_text().splitlines()]
    decisions = [line for line in lines if line.get("event") == "decision"]
    assert sum(line["cost"].get("llm_questions", 0) for line in decisions) == len(server.log)
    tokens = sum(len(chat.all_text) // 4 + 1 for chat in server.chats)
    assert sum(line["cost"].get("llm_input_tokens", 0) for line in decisions) == tokens
    assert decisions[0]["choices"][0]["details"]["scorer"]["reason"] == "The greatest."
    assert {chat.temperature for chat in server.chats} == {0.2}


def test_without_a_model_the_campaign_is_refused_where_it_stands_in_the_file(tmp_path: Path) -> None:
    with pytest.raises(NotAcceptable, match=r"policy\.scorer: LLMScorer refuses it.*Set DIRECTOR_LLM_BASE_URL"):
        run_campaign(campaign(policy=workflow(scorer=SCORER)), tmp_path, Bench())
