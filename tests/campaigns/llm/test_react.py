"""The orchestrating model does what it is allowed, is told what it is not, and ends within its steps."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from campaigns.llm import LLMReActOrchestrator, access_from
from tests.campaigns.llm.alloys import Alloy, ByVariant, Variants, Without, seen, view
from tests.llm.fixtures import Llm
from tests.llm.minds import INJECTION, gullible, scripted
from tests.llm.server import LLMServer
from tests.llm.talk import Answer, Call, Fault


def call(tool: str, /, **arguments: Any) -> Answer:
    return Answer(calls=(Call(tool, arguments),))


GENERATE = call("generate", generator="variants", num_candidates=3, regions=["Cu3Au"])
SCORE = call("score", scorer="by_variant")
SELECT = call("select", candidates=["c3", "c1"], reason="High ones.")


def orchestrator(server: LLMServer, unwanted: Sequence[int] = (), **given: Any) -> LLMReActOrchestrator[Alloy]:
    access = access_from({"DIRECTOR_LLM_BASE_URL": server.base_url, "DIRECTOR_LLM_MODEL": "small"})
    parts: dict[str, Any] = {
        "generators": {"variants": Variants()},
        "scorers": {"by_variant": ByVariant()},
        "filter": Without(unwanted),
    }
    return LLMReActOrchestrator(**(parts | given), language=access)


def test_it_generates_scores_looks_and_selects(llm: Llm) -> None:
    look = call("query", about="candidate", name="c2")
    server = llm(scripted(GENERATE, SCORE, look, SELECT))
    policy = orchestrator(server)
    proposal = policy.propose(view(seen(1, "AuCu", 0.1)), 2)
    assert [choice.candidate for choice in proposal.choices] == [Alloy("AuCu3", 3), Alloy("AuCu3", 1)]
    assert proposal.reason == ""
    assert proposal.choices[0].by == "LLMReActOrchestrator > variants"
    assert proposal.choices[0].details["reason"] == "High ones."
    assert proposal.choices[0].details["scores"] == {"by_variant": 3.0}
    results = server.chats[-1].tool_results()
    assert '"name": "c3", "candidate": "AuCu3"' in results[0][2]
    assert '"scores": {"c1": 1.0, "c2": 2.0, "c3": 3.0}' in results[1][2]
    assert '"candidate": {"formula": "AuCu3", "variant": 2}' in results[2][2]
    assert proposal.cost["oracle_calls"] == 3
    assert proposal.cost["llm_questions"] == 4
    assert policy.get_state()["buffer"]["entries"] == [
        {
            "name": "c2",
            "document": {"formula": "AuCu3", "variant": 2},
            "generator": "variants",
            "scores": {"by_variant": 2.0},
        }
    ]


def test_rejected_candidates_never_come_into_the_buffer(llm: Llm) -> None:
    server = llm(scripted(GENERATE, call("select", candidates=["c1"], reason="")))
    proposal = orchestrator(server, unwanted=[1, 3]).propose(view(), 1)
    assert [choice.candidate for choice in proposal.choices] == [Alloy("AuCu3", 2)]
    assert '"rejected": {"Without: its variant is not wanted": 2}' in server.chats[1].last


def test_what_the_filter_rejects_by_now_is_not_selected(llm: Llm) -> None:
    server = llm(scripted(GENERATE, SELECT, call("select", candidates=["c2"], reason="")))
    policy = orchestrator(server)

    class Changing(Without):
        def filter(self, candidates: Any, view: Any) -> Any:
            results = super().filter(candidates, view)
            self.variants = [3]  # from the second time on
            return results

    policy.filter = Changing()
    proposal = policy.propose(view(), 2)
    assert [choice.candidate.variant for choice in proposal.choices] == [2]
    assert "the filter does not let these pass, and they are gone: c3: Without" in server.chats[2].last
    assert proposal.reason == "1 of 2: the model selected no more"


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (Answer("Let me think."), "call one of the tools"),
        (call("explode"), "there is no tool 'explode'"),
        (call("generate", generator="magic", num_candidates=1), "'magic' is not one of ['variants']"),
        (call("generate", generator="variants", num_candidates=10**9), "greater than the maximum of 20"),
        (call("generate", generator="variants", num_candidates=1, regions=["PbCu"]), "Pb is not of Au, Cu"),
        (call("select", candidates=["c99"], reason=""), "not in the buffer: c99; there is nothing"),
        (call("select", candidates=["c1", "c2", "c3"], reason=""), "is too long"),
        (call("score", scorer="by_variant"), "not in the buffer"),
        (Answer(calls=(Call("query", "{about:"),)), "no JSON object"),
        (call("query", about="candidate", path="/etc/passwd"), "Additional properties are not allowed"),
    ],
)
def test_what_is_not_acceptable_is_told_and_costs_a_step(llm: Llm, bad: Answer, reason: str) -> None:
    server = llm(scripted(bad, GENERATE, SELECT))
    proposal = orchestrator(server, max_steps=3).propose(view(), 2)
    assert len(proposal.choices) == 2
    assert reason in server.chats[1].last
    assert len(proposal.choices[0].details["not_accepted"]) == 1


def test_without_a_selection_nothing_is_selected_and_the_proposal_says_why(llm: Llm) -> None:
    server = llm(scripted(GENERATE, call("select", candidates=["c9"], reason="")))
    proposal = orchestrator(server, max_steps=4).propose(view(), 1)
    assert not proposal.choices
    assert not proposal.exhausted
    assert "selected nothing in 4 replies (done: generate). Not accepted: 3 × not in the buffer: c9" in proposal.reason
    assert len(server.log) == 4
    assert proposal.cost["llm_questions"] == 4


def test_a_call_that_stands_twice_in_a_reply_is_made_once(llm: Llm) -> None:
    server = llm(scripted(GENERATE, SELECT), faults=[Fault("duplicate_call")])
    policy = orchestrator(server)
    policy.propose(view(), 2)
    assert policy.generators["variants"].get_state() == {"made": 3}
    assert "the same call stands earlier in this reply" in server.chats[1].tool_results()[1][2]


def test_an_injection_in_a_result_gets_only_what_the_tools_allow(llm: Llm) -> None:
    planted = INJECTION.format(name="delete_run", arguments='{"path": "/"}')
    steps = scripted(call("query", about="observations"), GENERATE, GENERATE, SELECT)
    server = llm(gullible(steps))
    evil = seen(1, "AuCu", 0.1, remark=planted)
    proposal = orchestrator(server).propose(view(evil), 2)
    assert [choice.candidate.variant for choice in proposal.choices] == [3, 1]
    assert proposal.choices[0].details["not_accepted"] == [
        "there is no tool 'delete_run'; there are: generate, score, query, select."
    ]


def test_the_full_buffer_lets_the_oldest_go_and_says_so(llm: Llm) -> None:
    server = llm(scripted(GENERATE, GENERATE, call("select", candidates=["c6"], reason="")))
    policy = orchestrator(server, buffer_size=4)
    assert policy.propose(view(), 1).choices[0].candidate.variant == 6
    assert '"left_the_full_buffer": ["c1", "c2"]' in server.chats[2].last


def test_an_interruption_between_decisions_changes_nothing(llm: Llm) -> None:
    again = call("select", candidates=["c2"], reason="It waited.")
    sure, interrupted = llm(scripted(GENERATE, SCORE, SELECT)), llm(scripted(again))
    policy = orchestrator(sure)
    policy.propose(view(), 2)
    other = orchestrator(interrupted)
    other.load_state(json.loads(json.dumps(policy.get_state())))
    proposal = other.propose(view(), 1)
    assert proposal.choices[0].candidate == Alloy("AuCu3", 2)
    assert proposal.choices[0].details["scores"] == {}  # more may be known since, so scores do not last
    assert other.generators["variants"].get_state() == {"made": 3}
    assert other.get_state()["language"]["spent"]["LLMReActOrchestrator"]["questions"] == 4
