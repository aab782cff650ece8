"""The agents of a team while it works: who is paused, whose prompt was changed, and who may begin."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from campaigns.llm.settings import LanguageSettings
from director.team.settings import AgentSettings, TeamFile

PAUSED, UNPAUSED, PROMPT = "paused", "unpaused", "prompt"
LONGEST_PROMPT = 100_000


class NotPossibleError(ValueError):
    """What was asked of a team's agents cannot be done. The text says why."""


@dataclass
class Member:
    """An agent at work.

    Attributes:
        settings: What the team file says of it.
        language: The settings of its model.
        gate: Lets in as many messages as it may work on at the same time.
        prompt: Its system prompt now.
        paused: Whether it is not asked.
    """

    settings: AgentSettings
    language: LanguageSettings
    gate: asyncio.Semaphore
    prompt: str
    paused: bool = False

    @property
    def name(self) -> str:
        """Its name."""
        return self.settings.name


class Members:
    """The agents of a team.

    Args:
        team: The team file.
        languages: For each agent the settings of its model.
        changes: What was done to them before in this conversation, oldest first: agent, what, prompt. What concerns an
            agent that the team has no more is left aside.
    """

    def __init__(
        self,
        team: TeamFile,
        languages: Mapping[str, LanguageSettings],
        changes: Iterable[tuple[str, str, str | None]] = (),
    ) -> None:
        self.all = [
            Member(agent, languages[agent.name], asyncio.Semaphore(agent.concurrency), agent.prompt)
            for agent in team.agents
        ]
        for name, what, prompt in changes:
            for member in self.all:
                if member.name == name:
                    _change(member, what, prompt)

    @property
    def active(self) -> list[Member]:
        """Those that are asked."""
        return [member for member in self.all if not member.paused]

    def find(self, name: str) -> Member:
        """The member of a name.

        Raises:
            NotPossibleError: If there is none.
        """
        for member in self.all:
            if member.name == name:
                return member
        raise NotPossibleError(f"there is no agent {name!r}; there are: {', '.join(one.name for one in self.all)}")

    def change(self, name: str, what: str, prompt: str | None = None) -> None:
        """Pauses an agent, unpauses it, or gives it another prompt.

        Args:
            name: The agent's name.
            what: ``paused``, ``unpaused`` or ``prompt``.
            prompt: The new prompt.

        Raises:
            NotPossibleError: If that cannot be done.
        """
        member = self.find(name)
        if what == PAUSED and member.paused:
            raise NotPossibleError(f"{name} is paused already")
        if what == UNPAUSED and not member.paused:
            raise NotPossibleError(f"{name} is not paused")
        if what == PAUSED and len(self.active) == 1:
            raise NotPossibleError(f"{name} is the only agent that is not paused")
        if what == PROMPT and not 0 < len((prompt or "").strip()) <= LONGEST_PROMPT:
            raise NotPossibleError(f"a prompt has 1 to {LONGEST_PROMPT} characters")
        _change(member, what, prompt)

    def reset(self) -> None:
        """Makes all agents again what the team file says."""
        for member in self.all:
            member.paused, member.prompt = False, member.settings.prompt


def _change(member: Member, what: str, prompt: str | None) -> None:
    if what == PROMPT and prompt:
        member.prompt = prompt.strip()
    else:
        member.paused = what == PAUSED
