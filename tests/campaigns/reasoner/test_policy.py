"""Reasoners as the Policy of a campaign: the same steps, with the campaign as the one that evaluates."""

import json
import threading
from pathlib import Path

import pytest

from campaigns.environment import Observation, View
from campaigns.language import LanguageModelError
from campaigns.reasoner import ReasonerPolicy
from tests.campaigns.reasoner.made import Model, SilentModel, asked, call, counting, data, outcome, reply, subject

SEEDS = [{"duration_s": 0.0}, {"duration_s": 0.5}]


class Campaign:
    """Asks a policy for candidates, and evaluates them in reverse order."""

    def __init__(self, budget):
        self.environment, self.budget = subject(), budget
        self.observations, self.choices, self.proposals = [], [], []

    def view(self, pending=()):
        left = self.budget - len(self.observations) - len(pending)
        return View(self.environment, tuple(self.observations), tuple(pending), left)

    def step(self, policy, count=3):
        proposal = policy.propose(self.view(), min(count, self.budget - len(self.observations)))
        self.proposals.append(proposal)
        for choice in reversed(proposal.choices):
            self.choices.append(choice)
            request = self.environment.request(choice.candidate, f"e{len(self.observations)}", Path())
            seen = self.environment.observe(choice.candidate, outcome(request))
            self.observations.append(seen)
            policy.observe(seen)
        return proposal

    def run(self, policy, steps=100, **options):
        for _ in range(steps):
            if len(self.observations) == self.budget or self.step(policy, **options).exhausted:
                return self
        raise AssertionError("it does not come to its end")

    @property
    def durations(self):
        return [choice.candidate.varied["duration_s"] for choice in self.choices]


def policy(mind=counting, **limits):
    return ReasonerPolicy(SEEDS, limits, language=Model(mind))


def test_what_they_propose_is_evaluated_once_and_within_the_budget():
    campaign = Campaign(9).run(policy(rounds=9))
    assert len(campaign.durations) == len(set(campaign.durations)) == 9
    assert {choice.by for choice in campaign.choices} == {"reasoner-0", "reasoner-1"}


def test_their_models_are_told_each_result_under_its_candidate_and_its_outcomes_id():
    made = policy(rounds=9)
    campaign = Campaign(9).run(made)
    observed = {seen.outcome_id: seen.candidate.varied["duration_s"] for seen in campaign.observations}
    told = [one for sent in made._asking.model.sent for one in data(sent, "Your results (data)")]
    assert told
    assert all(observed[one["id"]] == one["duration_s"] == one["result"]["slept_s"] for one in told)


def test_a_decision_says_what_it_rests_on_and_what_it_cost():
    made = policy(rounds=9)
    campaign = Campaign(9).run(made)
    assert sum(proposal.cost["llm_questions"] for proposal in campaign.proposals) == len(made._asking.model.sent)
    assert sum(proposal.cost["llm_input_tokens"] for proposal in campaign.proposals) == 100 * len(
        made._asking.model.sent
    )
    last = campaign.choices[-1]
    assert set(last.details["based_on"]) <= {seen.outcome_id for seen in campaign.observations}
    assert last.details["based_on"]


@pytest.mark.parametrize("at", [1, 2, 3])
def test_one_made_anew_from_its_state_goes_on_as_if_nothing_had_been(at):
    whole = Campaign(10).run(policy(rounds=9), count=2)
    part, first = Campaign(10), policy(rounds=9)
    for _ in range(at):
        part.step(first, count=2)
    second = policy(rounds=9)
    second.load_state(json.loads(json.dumps(first.get_state())))
    part.run(second, count=2)
    assert part.durations == whole.durations
    assert second.get_state() == json.loads(json.dumps(second.get_state()))
    assert len(first._asking.model.sent) + len(second._asking.model.sent) == sum(
        p.cost["llm_questions"] for p in whole.proposals
    )


def test_what_does_not_fit_into_one_proposal_waits_for_the_next_one_without_a_question():
    made = policy(rounds=9)
    campaign = Campaign(10)
    campaign.step(made, count=1)
    before = len(made._asking.model.sent)
    campaign.step(made, count=1)
    assert len(made._asking.model.sent) == before
    assert len(campaign.durations) == 2


def test_a_policy_whose_reasoners_have_ended_says_why():
    made = policy(lambda messages, tools: reply(), rounds=2)
    proposal = made.propose(Campaign(5).view(), 3)
    assert not proposal.choices
    assert proposal.exhausted
    assert "reasoner-1: all 2 rounds are over" in proposal.reason


def test_reasoners_are_asked_side_by_side():
    together = threading.Barrier(2, timeout=60)

    def mind(messages, tools):
        if "Write a short plan" in asked(messages):
            together.wait()
        return counting(messages, tools)

    assert policy(mind, rounds=2).propose(Campaign(5).view(), 3).choices


def test_a_model_that_does_not_answer_is_an_error_and_what_others_answered_is_kept():
    def mind(messages, tools):
        if "You are reasoner-1" in messages[0].content:
            raise LanguageModelError("nobody is there")
        return counting(messages, tools)

    made = policy(mind, rounds=3)
    with pytest.raises(LanguageModelError, match="nobody is there"):
        made.propose(Campaign(5).view(), 3)
    assert made.get_state()["states"][0]["plan"]
    with pytest.raises(LanguageModelError):
        ReasonerPolicy(SEEDS, language=SilentModel()).propose(Campaign(5).view(), 1)


class Plain:
    """An environment that knows nothing of reasoners."""

    goal = "the longest"

    def __init__(self):
        self._subject = subject()

    def request(self, candidate, name, folder):
        return self._subject.request(candidate, name, folder)

    def observe(self, candidate, done):
        return self._subject.observe(candidate, done)

    def to_json(self, candidate):
        return self._subject.to_json(candidate)

    def from_json(self, document):
        if document["duration_s"] > 100:
            raise ValueError("that is too long")
        return self._subject.from_json(document)


TOOL = {
    "name": "sleep",
    "description": "Sleeps.",
    "parameters": {
        "type": "object",
        "properties": {"duration_s": {"type": "number", "minimum": 0}},
        "required": ["duration_s"],
        "additionalProperties": False,
    },
}


def test_any_environment_can_be_searched_with_a_schema():
    refused = []

    def mind(messages, tools):
        refused.extend(m.content for m in messages if m.role == "tool" and "refused" in m.content)
        if not tools:
            return reply()
        return reply(*(call("sleep", number=n, duration_s=value) for n, value in enumerate((-1, 200, 7), 1)))

    made = ReasonerPolicy(SEEDS[:1], {"rounds": 1}, TOOL, language=Model(mind))
    view = View(Plain(), (), (), 5)
    [choice] = made.propose(view, 3).choices
    assert choice.candidate.varied == {"duration_s": 7}
    seen = Observation(choice.candidate, "e1", "ok", 7.0, False, {"slept_s": 7.0})
    assert made.propose(View(Plain(), (seen,), (), 4), 3).exhausted
    assert any("less than the minimum" in text for text in refused)
    assert any("too long" in text for text in refused)


def test_what_cannot_be_is_refused_with_what_to_do():
    with pytest.raises(ValueError, match="give the policy tool"):
        ReasonerPolicy(SEEDS, language=Model(counting)).propose(View(Plain(), (), (), 5), 1)
    with pytest.raises(LanguageModelError, match="none is configured"):
        ReasonerPolicy(SEEDS)
    for tool in ({"name": "x"}, {"tool": "nothing", "varied": ["a"]}, {"tool": "mock_md", "varied": ["a"]}):
        with pytest.raises(ValueError, match=r"tool|mock_md"):
            ReasonerPolicy(SEEDS, tool=tool, language=Model(counting))
    with pytest.raises(ValueError, match="seeds is empty"):
        ReasonerPolicy([], language=Model(counting))
    with pytest.raises(ValueError, match="campaign's budget"):
        ReasonerPolicy(SEEDS, language=Model(counting), limits={"requests": 3})
    with pytest.raises(ValueError, match="known: rounds"):
        ReasonerPolicy(SEEDS, language=Model(counting), limits={"round": 3})
    with pytest.raises(ValueError, match="rounds is 0"):
        ReasonerPolicy(SEEDS, language=Model(counting), limits={"rounds": 0})
