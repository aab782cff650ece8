"""One decision of an orchestrating model, step by step, until it selects or has had all its replies.

What it asks for is done, and what is not acceptable is told to it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from campaigns.components import Exhausted, Filter, Generator, Plan, Scorer
from campaigns.environment import View
from campaigns.language import LanguageModel, Message, ToolCall
from campaigns.llm.actions import MOST_LINES, faces
from campaigns.llm.buffer import Buffer, Entry
from campaigns.llm.decide import Unusable, add_cost, no_cost, read_call
from campaigns.llm.prompts import ContextConfig, data, line, names_of, opening, region_of
from campaigns.llm.regions import region_check
from campaigns.policy import Choice, Proposal

C = TypeVar("C")

MOST_CALLS = 8
"""Calls of one reply that are made; further ones are answered with that."""


@dataclass(frozen=True)
class Parts(Generic[C]):
    """What a model works with; see `campaigns.llm.react.LLMReActOrchestrator`."""

    generators: Mapping[str, Generator[C]]
    scorers: Mapping[str, Scorer[C]]
    filter: Filter[C]
    max_candidates: int
    max_stoichiometry: int | None
    context: ContextConfig


class Steps(Generic[C]):
    """One decision.

    Args:
        parts: What the model works with.
        buffer: Candidates that wait; it is changed.
        view: What is known.
        count: Most candidates to select.
    """

    def __init__(self, parts: Parts[C], buffer: Buffer, view: View[C], count: int) -> None:
        self._parts = parts
        self._buffer = buffer
        self._view = view
        self._count = count
        try:
            self._check_region = region_check(view.environment, parts.max_stoichiometry)
        except ValueError:  # a space without parts that could be named: the tools then have no word for them
            self._check_region = None  # type: ignore[assignment]
        self._faces = faces(
            list(parts.generators),
            list(parts.scorers),
            max_candidates=parts.max_candidates,
            count=count,
            regions=self._check_region is not None,
        )
        self._cost = no_cost()
        self._refused: list[str] = []
        self._done: list[str] = []

    def run(self, model: LanguageModel, max_steps: int) -> Proposal[C]:
        """Asks the model until it has selected, or has had so many replies."""
        task = (
            f"Decide what is evaluated next: at most {self._count} candidates. Work with the tools: generate "
            "candidates, score them, look things up, and end with select. In the buffer now: "
            f"{data(self._listed(self._buffer.names))}\nYou have {max_steps} replies."
        )
        talk = opening(self._view, self._parts.context, task)
        for step in range(max_steps):
            reply = model.reply(talk, self._faces)
            add_cost(self._cost, reply)
            talk.append(reply.message)
            left = max_steps - step - 1
            if not reply.message.tool_calls:
                self._refused.append("no tool was called")
                talk.append(Message("user", f"Nothing was done: call one of the tools. {left} replies are left."))
                continue
            chosen, results = self._calls(reply.message.tool_calls)
            if chosen is not None:
                return self._proposal(*chosen)
            results[-1] = Message(
                "tool", f"{results[-1].content}\n{left} replies are left.", (), results[-1].tool_call_id
            )
            talk += results
        said = "; ".join(f"{number} × {reason}" for reason, number in Counter(self._refused).most_common(5))
        why = f" Not accepted: {said}" if said else ""
        done = ", ".join(self._done) or "nothing"
        reason = f"the language model selected nothing in {max_steps} replies (done: {done}).{why}"
        return Proposal((), reason=reason, cost=self._costs())

    def _calls(self, calls: tuple[ToolCall, ...]) -> tuple[tuple[list[str], str] | None, list[Message]]:
        """Does what one reply asks for, in order, up to a selection."""
        results: list[Message] = []
        seen: list[tuple[str, Mapping[str, Any] | None]] = []
        for place, call in enumerate(calls):
            try:
                if place >= MOST_CALLS:
                    raise Unusable(f"only the first {MOST_CALLS} calls of a reply are made.")
                if (call.name, call.arguments) in seen and call.arguments is not None:
                    raise Unusable("the same call stands earlier in this reply; it was made once.")
                seen.append((call.name, call.arguments))
                arguments = read_call(call, self._faces)
                if call.name == "select":
                    names = self._selected(arguments)
                    self._done.append("select")
                    return (names, str(arguments["reason"])), results
                text = data(getattr(self, f"_{call.name}")(arguments))
                self._done.append(call.name)
            except Unusable as error:
                self._refused.append(str(error))
                text = f"Not accepted: {error}"
            results.append(Message("tool", text, tool_call_id=call.id))
        return None, results

    # What the tools do

    def _generate(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        names = [] if self._check_region is None else list(map(self._check_region, arguments.get("regions", [])))
        regions = tuple(dict.fromkeys(names))
        generator = arguments["generator"]
        try:
            plan = Plan(regions, int(arguments["num_candidates"]), details={"by": "LLMReActOrchestrator"})
            candidates = self._parts.generators[generator].generate(plan, self._view)
        except Exhausted as end:
            raise Unusable(f"{generator} has nothing more to give: {end}.") from None
        results = self._parts.filter.filter(candidates, self._view)
        passed = [one for one, result in zip(candidates, results, strict=True) if result.passed]
        rejected = Counter(f"{r.filter_name}: {r.rejection_reason}" for r in results if not r.passed)
        came, left = self._buffer.add(list(map(self._view.environment.to_json, passed)), generator)
        return {
            "generated": len(candidates),
            "rejected": dict(rejected.most_common(10)),
            "new_in_buffer": self._listed(came),
            "left_the_full_buffer": left,
        }

    def _score(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        names = list(dict.fromkeys(arguments.get("candidates", self._buffer.names)))
        entries = self._entries(names)
        scorer = arguments["scorer"]
        results = self._parts.scorers[scorer].score([self._candidate(entry) for entry in entries], self._view)
        for entry, result in zip(entries, results, strict=True):
            entry.scores[scorer] = result.score
            for name, value in result.cost.items():
                self._cost[name] = self._cost.get(name, 0.0) + value
        return {"scorer": scorer, "scores": {entry.name: entry.scores[scorer] for entry in entries}}

    def _query(self, arguments: Mapping[str, Any]) -> Any:
        about, name = arguments["about"], arguments.get("name", "")
        full = self._parts.context.include_structure_info
        seen = self._view.observations
        match about:
            case "buffer":
                return self._listed(self._buffer.names)
            case "observations":
                return [line(self._view, one, full=full) for one in seen[-MOST_LINES:]]
            case "candidate":
                (entry,) = self._entries([name])
                return {"name": name, "candidate": entry.document, "scores": entry.scores, "generator": entry.generator}
        region = name if self._check_region is None else self._check_region(name)
        found = [one for one in seen if region in names_of(self._view, one.candidate)]
        return [line(self._view, one, full=full) for one in found[-MOST_LINES:]]

    def _selected(self, arguments: Mapping[str, Any]) -> list[str]:
        names = list(arguments["candidates"])
        entries = self._entries(names)
        if len(set(names)) != len(names):
            raise Unusable("a candidate is named twice.")
        results = self._parts.filter.filter([self._candidate(entry) for entry in entries], self._view)
        bad = [(entry, result) for entry, result in zip(entries, results, strict=True) if not result.passed]
        for entry, _ in bad:
            self._buffer.take(entry.name)
        if bad:
            said = "; ".join(f"{entry.name}: {result.filter_name}: {result.rejection_reason}" for entry, result in bad)
            raise Unusable(f"by what is known now, the filter does not let these pass, and they are gone: {said}.")
        return names

    # What they are made of

    def _entries(self, names: list[str]) -> list[Entry]:
        missing = [name for name in names if name not in self._buffer]
        if missing or not names:
            there = ", ".join(self._buffer.names) or "nothing"
            raise Unusable(f"not in the buffer: {', '.join(missing) or 'any candidate'}; there is {there}.")
        return [self._buffer[name] for name in names]

    def _candidate(self, entry: Entry) -> C:
        return self._view.environment.from_json(entry.document)

    def _listed(self, names: list[str]) -> list[dict[str, Any]]:
        full = self._parts.context.include_structure_info
        found = []
        for name in names:
            entry = self._buffer[name]
            shown = entry.document if full else region_of(self._view, self._candidate(entry))
            found.append({"name": name, "candidate": shown, "scores": entry.scores, "generator": entry.generator})
        return found

    def _proposal(self, names: list[str], reason: str) -> Proposal[C]:
        choices = []
        for place, name in enumerate(names):
            entry = self._buffer.take(name)
            details = {
                "reason": reason,
                "place": place + 1,
                "scores": dict(entry.scores),
                "steps": list(self._done),
                "not_accepted": list(self._refused),
                "observations_known": len(self._view.observations),
            }
            by = f"LLMReActOrchestrator > {entry.generator}"
            choices.append(Choice(self._candidate(entry), None, by, details))
        fewer = "" if len(choices) == self._count else f"{len(choices)} of {self._count}: the model selected no more"
        return Proposal(choices, reason=fewer, cost=self._costs())

    def _costs(self) -> dict[str, float]:
        return dict(self._cost)
