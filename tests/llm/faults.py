"""Faults by script: which request one falls on, and what it makes of a reply."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from tests.llm.talk import Answer, Call, Chat, Fault

IN_THE_ANSWER = {"no_tool_call", "malformed_json", "duplicate_call", "unknown_tool", "out_of_range"}
ON_THE_WAY = {"rate_limit", "server_error", "bad_gateway", "slow", "dropped", "cut", "nonsense"}


class Script:
    """Faults that are to come, each on its requests. Not for several threads."""

    def __init__(self, faults: Sequence[Fault] = ()) -> None:
        for fault in faults:
            if fault.kind not in IN_THE_ANSWER | ON_THE_WAY:
                raise ValueError(f"no fault is called {fault.kind!r}: {sorted(IN_THE_ANSWER | ON_THE_WAY)}")
        self._faults = list(faults)
        self._seen = [0] * len(self._faults)

    def next(self, chat: Chat) -> Fault | None:
        """The fault that falls on this request; of several the first. All of them count the request if it fits."""
        found = None
        for place, fault in enumerate(self._faults):
            if fault.containing not in chat.all_text:
                continue
            number, self._seen[place] = self._seen[place], self._seen[place] + 1
            first = fault.at or 0
            if found is None and first <= number < first + fault.times:
                found = fault
        return found


def spoil(answer: Answer, fault: Fault) -> Answer:
    """What a fault makes of an answer. One without calls stays as it is."""
    if not answer.calls:
        return answer
    first, *others = answer.calls
    match fault.kind:
        case "no_tool_call":
            return Answer(text=answer.text or f"I would call {first.name}.")
        case "malformed_json":
            return replace(answer, calls=(Call(first.name, first.text[:-1] + ","), *others))
        case "duplicate_call":
            return replace(answer, calls=(first, *answer.calls))
        case "unknown_tool":
            return replace(answer, calls=(Call(f"{first.name}_turbo", first.arguments), *others))
        case "out_of_range":
            changed = json.loads(first.text) | dict(fault.arguments)
            return replace(answer, calls=(Call(first.name, changed), *others))
    return answer
