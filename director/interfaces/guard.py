"""Whether a call of an agent is allowed, refused, or asked of a human. Pure: it decides, and does nothing."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from director.door import Problem
from director.interfaces.audit import AuditLine, Event
from director.interfaces.policy import Budget, Policy, matches


class Verdict(enum.StrEnum):
    """What is decided of a call."""

    ALLOWED = "allowed"
    TO_CONFIRM = "to_confirm"
    REFUSED = "refused"


@dataclass(frozen=True)
class Ask:
    """A call that an agent wants to make.

    Attributes:
        agent: Who.
        names: The name that it is called by, and the one that policies know it by.
        why: The agent's reason, if it gave one.
        new_requests: How many Requests it would hand over that are not known yet.
    """

    agent: str
    names: tuple[str, ...]
    why: str | None = None
    new_requests: int = 0


@dataclass(frozen=True)
class Spent:
    """What was spent.

    Attributes:
        requests: Requests that were handed over, or are about to be.
        node_hours: Of those that have ended.
        llm_tokens: As reported.
    """

    requests: int = 0
    node_hours: float = 0.0
    llm_tokens: int = 0


@dataclass(frozen=True)
class Decision:
    """What is decided of a call, and if it is refused, why."""

    verdict: Verdict
    problems: tuple[Problem, ...] = ()


def may(policy: Policy, ask: Ask) -> Decision:
    """Whether an agent may make such a call at all, whatever was spent. Pure."""
    rules = policy.of(ask.agent)
    name = ask.names[0]
    if rules is None:
        return _no("agent", f"{ask.agent!r} is not among the agents of the policy", "Have it added to the policy file")
    if not matches(rules.tools, ask.names) or matches(rules.deny, ask.names):
        return _no("tool", f"{ask.agent!r} may not call {name!r}", "Use another one, or have the policy changed")
    if policy.why == "required" and not (ask.why or "").strip():
        return _no("why", "is not given, and this run asks for a reason", "Say in `why` what the call is for")
    return Decision(Verdict.ALLOWED)


def decide(policy: Policy, ask: Ask, mine: Spent, everyone: Spent) -> Decision:
    """Decides on a call. Pure.

    Args:
        policy: The rules.
        ask: The call.
        mine: What this agent has spent.
        everyone: What all agents have spent.
    """
    allowed = may(policy, ask)
    rules = policy.of(ask.agent)
    if allowed.verdict is Verdict.REFUSED or rules is None:
        return allowed
    problems = [
        *_over(rules.budget, mine, ask.new_requests, f"the budget of {ask.agent!r}"),
        *_over(policy.budget, everyone, ask.new_requests, "the budget of all agents"),
    ]
    if problems:
        return Decision(Verdict.REFUSED, tuple(problems))
    asked = policy.confirm if rules.confirm is None else rules.confirm
    return Decision(Verdict.TO_CONFIRM if matches(asked, ask.names) else Verdict.ALLOWED)


def left(budget: Budget, spent: Spent) -> dict[str, float | int]:
    """What is left of a budget, for each amount that is bounded. Pure."""
    amounts = {name: getattr(budget, name) for name in Budget.model_fields}
    return {name: max(0, round(most - getattr(spent, name), 6)) for name, most in amounts.items() if most is not None}


def _over(budget: Budget, spent: Spent, new: int, whose: str) -> list[Problem]:
    """What a budget has against a call. One that hands nothing over, such as a look, is never too dear."""
    found = []
    if new and budget.requests is not None and spent.requests + new > budget.requests:
        rest = max(0, budget.requests - spent.requests)
        found.append(_spent("requests", f"{new} are asked for, and {rest} of {budget.requests} are left of {whose}"))
    if new and budget.node_hours is not None and spent.node_hours >= budget.node_hours:
        found.append(_spent("node_hours", f"{spent.node_hours:.6g} of {budget.node_hours:g} are spent of {whose}"))
    if new and budget.llm_tokens is not None and spent.llm_tokens >= budget.llm_tokens:
        found.append(_spent("llm_tokens", f"{spent.llm_tokens} of {budget.llm_tokens} are spent of {whose}"))
    return found


def _spent(what: str, message: str) -> Problem:
    return Problem(f"budget.{what}", message, "Conclude with what there is, or have the budget raised")


def _no(where: str, message: str, hint: str) -> Decision:
    return Decision(Verdict.REFUSED, (Problem(where, message, hint),))


@dataclass
class Books:
    """What agents have spent, by the lines of an audit log. The same lines give the same books.

    Attributes:
        spent: For each agent what it has spent.
        owner: For each Request the agent that handed it over.
        costed: Requests whose cost is known.
    """

    spent: dict[str, Spent] = field(default_factory=dict)
    owner: dict[str, str] = field(default_factory=dict)
    costed: set[str] = field(default_factory=set)
    _charged: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def of(self, agent: str) -> Spent:
        """What an agent has spent."""
        return self.spent.get(agent, Spent())

    @property
    def everyone(self) -> Spent:
        """What all agents have spent."""
        every = self.spent.values()
        return Spent(
            sum(one.requests for one in every),
            sum(one.node_hours for one in every),
            sum(one.llm_tokens for one in every),
        )

    def new(self, ids: Sequence[str]) -> list[str]:
        """Those of the Requests that nobody has handed over yet."""
        return [name for name in dict.fromkeys(ids) if name not in self.owner]

    @property
    def uncosted(self) -> int:
        """How many Requests were handed over whose cost is not known yet."""
        return len(self.owner) - len(self.costed)

    def apply(self, line: AuditLine) -> None:
        """Takes a line of the log in."""
        mine = self.of(line.agent)
        if line.event is Event.ASKED and line.decision != Verdict.REFUSED:
            new = self.new(line.ids)
            self.owner.update(dict.fromkeys(new, line.agent))
            self._charged[line.call] = tuple(new)
            self.spent[line.agent] = replace(mine, requests=mine.requests + len(new))
        elif line.event is Event.ANSWERED and line.decision == Verdict.REFUSED:
            self._give_back(line)
        elif line.event is Event.ENDED:
            if line.status == "refused":
                self._give_back(line)
            else:
                self._charged.pop(line.call, None)
        elif line.event is Event.OUTCOMES:
            self._cost(line.node_hours)
        elif line.event is Event.TOKENS:
            self.spent[line.agent] = replace(mine, llm_tokens=mine.llm_tokens + line.llm_tokens)

    def _give_back(self, line: AuditLine) -> None:
        """Nothing came of a call: what was set aside for it is free again."""
        given = [name for name in self._charged.pop(line.call, ()) if self.owner.get(name) == line.agent]
        for name in given:
            del self.owner[name]
        mine = self.of(line.agent)
        self.spent[line.agent] = replace(mine, requests=mine.requests - len(given))

    def _cost(self, node_hours: Mapping[str, float]) -> None:
        for name, hours in node_hours.items():
            agent = self.owner.get(name)
            if agent is not None and name not in self.costed:
                self.costed.add(name)
                mine = self.of(agent)
                self.spent[agent] = replace(mine, node_hours=mine.node_hours + hours)
