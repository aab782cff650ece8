"""What language models have cost, for each agent, and whether they may cost more."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from campaigns.language import TokensSpent


@dataclass
class Spent:
    """What one agent has used.

    Attributes:
        questions: Questions that were answered by the endpoint.
        reused: Questions that were answered by what was said before.
        retries: Further attempts.
        failures: Questions that were not answered.
        input_tokens: Tokens that were sent.
        output_tokens: Tokens that came back.
        seconds: Time that was waited for answers, waits before further attempts included, in s.
        usd: Cost in USD, of those questions whose price is known.
        unpriced: Questions whose price is not known.
    """

    questions: int = 0
    reused: int = 0
    retries: int = 0
    failures: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    seconds: float = 0.0
    usd: float = 0.0
    unpriced: int = 0

    @property
    def tokens(self) -> int:
        """All tokens."""
        return self.input_tokens + self.output_tokens


def rough_tokens(text_bytes: int) -> int:
    """About how many tokens a text has, where only the endpoint could count them: one for each four bytes."""
    return -(-text_bytes // 4)


class Meter:
    """Counts for all agents of a process; for several threads.

    Args:
        token_budget: Most tokens over all agents; None: no limit.
    """

    def __init__(self, token_budget: int | None = None) -> None:
        self._budget = token_budget
        self._spent: dict[str, Spent] = {}
        self._held: dict[str, int] = {}
        self._lock = threading.Lock()

    def begin(self, agent: str, expected: int, budget: int | None = None) -> None:
        """Asks whether a question may be sent, and holds the tokens that it is expected to take until `end`.

        Args:
            agent: Who asks.
            expected: About how many tokens it takes: what is sent, and the most that may come back if there is a limit.
            budget: Most tokens of this agent; None: no limit of its own.

        Raises:
            TokensSpent: If it may not; nothing is held then.
        """
        with self._lock:
            own = self._of(agent).tokens + self._held.get(agent, 0)
            every = sum(spent.tokens for spent in self._spent.values()) + sum(self._held.values())
            for limit, used, whose in ((budget, own, f"of {agent!r}"), (self._budget, every, "of all agents")):
                if limit is not None and used + expected > limit:
                    raise TokensSpent(
                        f"the token budget {whose} is {limit}, {used} are spent or promised, and this question takes "
                        f"about {expected}: it is not sent. Raise the budget, or ask less"
                    )
            self._held[agent] = self._held.get(agent, 0) + expected

    def end(
        self,
        agent: str,
        expected: int,
        *,
        input_tokens: int = 0,
        output_tokens: int = 0,
        retries: int = 0,
        seconds: float = 0.0,
        usd: float | None = None,
        answered: bool = True,
    ) -> None:
        """Says what became of a question that `begin` has let through."""
        with self._lock:
            self._held[agent] -= expected
            spent = self._of(agent)
            spent.input_tokens += input_tokens
            spent.output_tokens += output_tokens
            spent.retries += retries
            spent.seconds += seconds
            if not answered:
                spent.failures += 1
                return
            spent.questions += 1
            spent.usd += usd or 0.0
            spent.unpriced += usd is None

    def reuse(self, agent: str) -> None:
        """Counts a question that was answered by what was said before."""
        with self._lock:
            self._of(agent).reused += 1

    def load(self, spent: Mapping[str, Mapping[str, Any]]) -> None:
        """Begins with what `all` has said, after an interruption."""
        with self._lock:
            self._spent = {agent: Spent(**values) for agent, values in spent.items()}

    def spent(self, agent: str) -> Spent:
        """What one agent has used up to now."""
        with self._lock:
            return Spent(**asdict(self._of(agent)))

    def all(self) -> dict[str, dict[str, Any]]:
        """What each agent has used, as JSON has it, by their names."""
        with self._lock:
            return {agent: asdict(self._spent[agent]) for agent in sorted(self._spent)}

    def _of(self, agent: str) -> Spent:
        return self._spent.setdefault(agent, Spent())
