"""Reasoners as a Policy of a campaign: they propose, the campaign evaluates, and they go on with what came of it."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from campaigns.environment import Observation, View
from campaigns.language import LanguageModel, LanguageModelError, Reply
from campaigns.llm.access import LanguageAccess
from campaigns.llm.asking import Asking
from campaigns.policy import Choice, Proposal
from campaigns.reasoner.board import Glance, Shared
from campaigns.reasoner.limits import Limits
from campaigns.reasoner.schema_subject import face_of, subject_of
from campaigns.reasoner.state import Pending, ReasonerState, first_state, tokens_of
from campaigns.reasoner.steps import Found, Question, Steps
from campaigns.reasoner.subject import key_of

C = TypeVar("C")
SHOWN_PLAN = 500


class ReasonerPolicy(Generic[C]):
    """Several reasoners, each with a candidate of its own to begin with; they share all Outcomes and conclusions.

    Their models are asked side by side, and their replies are taken in the order of the reasoners: with the same
    replies, the campaign takes the same course.

    Args:
        seeds: For each reasoner the candidate that it begins with, as the environment writes it: ``{smiles: CO}``.
        limits: Fields of `campaigns.reasoner.limits.Limits`. Simulations and node-hours are the campaign's to count,
            so ``requests`` and ``node_hours`` are not among them.
        tool: How the environment's candidates are named by a tool call, where it does not say so itself. By an
            installed Tool: ``tool``, its name, and ``varied``, the inputs that a candidate consists of. Otherwise
            ``name``, ``description``, and ``parameters``, a JSON schema.
        llm_config: Fields of `campaigns.llm.LanguageSettings`: model, temperature, max_output_tokens, cache …
        language: The environment's endpoint and key; given by the campaign.

    Raises:
        NotConfigured: If no language model is configured.
        ValueError: If there are no seeds, or a limit or a setting is unknown or not possible.
    """

    def __init__(
        self,
        seeds: Sequence[Mapping[str, Any]],
        limits: Mapping[str, int] | None = None,
        tool: Mapping[str, Any] | None = None,
        llm_config: Mapping[str, Any] | None = None,
        language: LanguageAccess | LanguageModel | None = None,
    ) -> None:
        if not seeds:
            raise ValueError("seeds is empty; give one candidate for each reasoner, such as {smiles: CO}")
        own = {"requests", "node_hours"} & set(limits or {})
        if own:
            raise ValueError(f"limits: {', '.join(sorted(own))} belong to the campaign's budget")
        try:
            self._limits = Limits(**dict(limits or {}))
        except TypeError as error:
            raise ValueError(f"limits: {error}; known: {', '.join(Limits.__dataclass_fields__)}") from None
        self._face = face_of(tool)
        self._asking = Asking(type(self).__name__, llm_config, language, max_corrections=0)
        self._states = [first_state(f"reasoner-{index}", seed) for index, seed in enumerate(seeds)]
        self._proposed: list[str] = []
        self._seen = 0
        self._found: dict[str, Found] = {}

    def propose(self, view: View[C], count: int) -> Proposal[C]:
        """Asks models until there are enough candidates, or all reasoners wait or have ended.

        Raises:
            LanguageModelError: If a model does not answer. What others have answered is kept.
            ValueError: If the environment does not say how its candidates are named by a tool call.
        """
        turn = _Turn(self, view)
        before = _used(self._states)
        turn.take_observations()
        turn.ask_until(count)
        waiting = turn.unproposed()[:count]
        choices = []
        for state, one in waiting:
            self._proposed.append(one["key"])
            choices.append(_choice(turn.steps.subject.from_json(one["candidate"]), state))
        after = _used(self._states)
        over = all(state["next"] == "end" for state in self._states)
        return Proposal(
            choices,
            reason="" if len(choices) == count else self._why(),
            cost={name: float(after[name] - before[name]) for name in after},
            exhausted=over and not turn.unproposed(),
        )

    def observe(self, observation: Observation[C]) -> None:
        """Does nothing: the next view holds all observations."""

    def get_state(self) -> dict[str, Any]:
        """What each reasoner has got to, and what is known of evaluations that its reasoner still waits for."""
        return copy.deepcopy(
            {
                "states": self._states,
                "proposed": self._proposed,
                "seen": self._seen,
                "found": {key: asdict(found) for key, found in self._found.items()},
                "asking": self._asking.get_state(),
            }
        )

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `campaigns.stateful.Stateful`."""
        mine = copy.deepcopy(dict(state))
        self._states = mine["states"]
        self._proposed = mine["proposed"]
        self._seen = mine["seen"]
        self._found = {key: Found(**found) for key, found in mine["found"].items()}
        self._asking.load_state(mine["asking"])

    def _why(self) -> str:
        said = []
        for state in self._states:
            what = state["ended"] if state["next"] == "end" else "waits for its simulations"
            said.append(f"{state['reasoner']}: {what}")
        return "; ".join(said)


@dataclass
class _Turn(Generic[C]):
    """One question of the campaign's to its reasoners.

    Attributes:
        policy: Whose turn it is.
        view: What may be looked at.
    """

    policy: ReasonerPolicy[C]
    view: View[C]

    def __post_init__(self) -> None:
        limits = replace(self.policy._limits, requests=max(1, len(self.policy._proposed) + self.view.remaining))
        subject = subject_of(self.view.environment, self.policy._face)
        self.steps: Steps[C] = Steps(subject, limits, Path(), _name_of)
        self.shared = Shared(limits)
        for state in self.policy._states:
            self.shared.tell(state)

    def take_observations(self) -> None:
        """Takes in what has been observed since the last turn."""
        policy = self.policy
        for seen in self.view.observations[policy._seen :]:
            key = key_of(self.view.environment.to_json(seen.candidate))
            result = dict(seen.result) if seen.status == "ok" else None
            error = (
                None if seen.status == "ok" else {"type": seen.status, "message": str(seen.details.get("error", ""))}
            )
            policy._found[key] = Found(seen.outcome_id, seen.status, seen.score, result, error)
        policy._seen = len(self.view.observations)
        for index, state in enumerate(policy._states):
            keys = [one["key"] for one in state["pending"]]
            if state["next"] == "simulate" and all(key in policy._found for key in keys):
                found = {one["id"]: policy._found.pop(one["key"]) for one in state["pending"]}
                self._becomes(index, self.steps.evaluated(state, found))

    def unproposed(self) -> list[tuple[ReasonerState, Pending]]:
        """What is to be evaluated and has not been proposed yet, in the order of the reasoners."""
        proposed = set(self.policy._proposed)
        return [
            (state, one)
            for state in self.policy._states
            if state["next"] == "simulate"
            for one in state["pending"]
            if one["key"] not in proposed
        ]

    def ask_until(self, count: int) -> None:
        """Has all reasoners take steps until there are so many candidates, or none can take one."""
        while len(self.unproposed()) < count:
            ready = [i for i, state in enumerate(self.policy._states) if state["next"] not in ("simulate", "end")]
            if not ready:
                return
            self._step(ready)

    def _step(self, ready: Sequence[int]) -> None:
        states = self.policy._states
        glances = {index: self.shared.glance(states[index]["reasoner"]) for index in ready}
        asked = {index: self.steps.question(states[index], glances[index]) for index in ready}
        replies = self._ask({index: question for index, question in asked.items() if question is not None})
        failed: LanguageModelError | None = None
        for index in ready:
            reply = replies.get(index)
            if isinstance(reply, LanguageModelError):
                failed = failed or reply
            elif reply is None:
                self._becomes(index, self.steps.halted(states[index], glances[index]))
            else:
                self._becomes(index, self._replied(states[index], glances[index], reply))
        if failed is not None:
            raise failed

    def _replied(self, state: ReasonerState, glance: Glance, reply: Reply) -> ReasonerState:
        if state["next"] != "tool_calling":
            return self.steps.replied(state, glance, reply)
        verdicts = self.steps.judged(state, reply)
        wanted = [verdict.key for verdict in verdicts if verdict.kind == "wanted"]
        return self.steps.replied(state, glance, reply, verdicts, self.shared.claim(state["reasoner"], wanted))

    def _ask(self, questions: Mapping[int, Question]) -> dict[int, Reply | LanguageModelError]:
        """Asks side by side; gives for each a reply, or why there is none."""
        model = self.policy._asking.model

        def ask(question: Question) -> Reply | LanguageModelError:
            try:
                return model.reply(question.messages, question.tools)
            except LanguageModelError as error:
                return error

        if not questions:
            return {}
        with ThreadPoolExecutor(len(questions), thread_name_prefix="model") as threads:
            return dict(zip(questions, threads.map(ask, questions.values()), strict=True))

    def _becomes(self, index: int, state: ReasonerState) -> None:
        self.policy._states[index] = state
        self.shared.tell(state)


def _name_of(candidate: Mapping[str, Any]) -> str:
    """Names an evaluation until its Outcome's id is known."""
    return "c" + hashlib.sha256(key_of(candidate).encode()).hexdigest()[:15]


def _choice(candidate: C, state: ReasonerState) -> Choice[C]:
    details = {
        "round": state["round"],
        "plan": state["plan"][:SHOWN_PLAN],
        "based_on": [entry["id"] for entry in state["entries"]],
    }
    return Choice(candidate, None, state["reasoner"], details)


def _used(states: Sequence[ReasonerState]) -> dict[str, int]:
    return {
        "llm_questions": sum(state["counts"]["questions"] for state in states),
        "llm_input_tokens": sum(state["counts"]["input_tokens"] for state in states),
        "llm_output_tokens": sum(tokens_of(state) - state["counts"]["input_tokens"] for state in states),
    }
