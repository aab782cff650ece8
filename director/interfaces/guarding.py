"""What stands before all calls of agents of a run: it decides, and writes down, as one step for all processes."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from director.interfaces.audit import AuditLine, AuditLog, Event
from director.interfaces.confirming import Questions
from director.interfaces.guard import Ask, Books, Decision, Spent, Verdict, decide, left
from director.interfaces.policy import Policy
from simulations.records import Outcome

AUDIT_FILE = "audit.jsonl"
QUESTIONS = "questions"


class Guard:
    """What stands before all calls of agents of a run: the rules, the log, and the human who is asked.

    Several processes may have one for the same folder; budgets count for all of them together.

    Args:
        state: Folder of the log and of the questions, such as ``agents`` in the run folder; made if it is not there.
        policy: The rules.
    """

    def __init__(self, state: Path, policy: Policy | None = None) -> None:
        self.policy = policy or Policy()
        self.log = AuditLog(state / AUDIT_FILE)
        self.questions = Questions(state / QUESTIONS)
        self._books = Books()

    def decide(self, ask: Ask, ids: Sequence[str], line: Mapping[str, Any], call: str) -> Decision:
        """Decides on a call and writes that down, as one step for all processes. Blocks.

        Raises:
            AuditError: If it cannot be written down.
        """
        with self.log.turn(self._books.apply) as add:
            asked = replace(ask, new_requests=len(self._books.new(ids)))
            decision = decide(self.policy, asked, self._books.of(ask.agent), self._books.everyone)
            add([self._asked(decision, ids, line, call, ask.agent)])
        return decision

    def _asked(
        self, decision: Decision, ids: Sequence[str], line: Mapping[str, Any], call: str, agent: str
    ) -> AuditLine:
        kept = [] if decision.verdict is Verdict.REFUSED else list(ids)
        problems = [str(problem) for problem in decision.problems]
        return self.log.line(
            Event.ASKED, call, agent, decision=decision.verdict.value, ids=kept, problems=problems, **line
        )

    def write(self, event: Event, call: str, agent: str, **fields: Any) -> None:
        """Writes one line. Blocks.

        Raises:
            AuditError: If it cannot be written.
        """
        with self.log.turn(self._books.apply) as add:
            add([self.log.line(event, call, agent, **fields)])

    def note_outcomes(self, outcomes: Sequence[Outcome]) -> None:
        """Writes down how Requests of earlier calls have ended, and what they cost. Blocks.

        Raises:
            AuditError: If it cannot be written.
        """
        with self.log.turn(self._books.apply) as add:
            add(self._news(outcomes))

    def end(self, call: str, agent: str, outcomes: Sequence[Outcome], **fields: Any) -> None:
        """Writes down what came of a call, and which Outcomes it has brought. Blocks.

        Raises:
            AuditError: If it cannot be written.
        """
        with self.log.turn(self._books.apply) as add:
            add([*self._news(outcomes), self.log.line(Event.ENDED, call, agent, **fields)])

    def _news(self, outcomes: Sequence[Outcome]) -> list[AuditLine]:
        """Lines on Outcomes of agents' Requests that are in none yet."""
        mine: dict[str, list[Outcome]] = {}
        for outcome in outcomes:
            agent = self._books.owner.get(outcome.id)
            if agent is not None and outcome.id not in self._books.costed:
                mine.setdefault(agent, []).append(outcome)
        return [
            self.log.line(
                Event.OUTCOMES,
                uuid.uuid4().hex,
                agent,
                statuses={outcome.id: outcome.status.value for outcome in found},
                node_hours=costs(found),
            )
            for agent, found in mine.items()
        ]

    def spent(self, agent: str) -> Spent:
        """What an agent has spent, by what was read of the log so far."""
        return self._books.of(agent)

    def left(self, agent: str) -> dict[str, Any]:
        """What an agent has spent, and what is left where there is a bound."""
        rules = self.policy.of(agent)
        mine = self._books.of(agent)
        return {
            "agent": agent,
            "spent": asdict(replace(mine, node_hours=round(mine.node_hours, 6))),
            "left": left(rules.budget, mine) if rules else {},
            "left_of_all": left(self.policy.budget, self._books.everyone),
        }

    def wants_costs(self, agent: str) -> bool:
        """Whether a decision on this agent's calls takes the cost of Requests that may have ended by now."""
        rules = self.policy.of(agent)
        bounded = self.policy.budget.node_hours is not None or (rules and rules.budget.node_hours is not None)
        return bool(bounded) and self._books.uncosted > 0


def costs(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """What Requests cost, in node-hours; nothing for those that were not run. Pure."""
    return {outcome.id: outcome.usage.node_hours if outcome.usage else 0.0 for outcome in outcomes}
