"""Team files: who is in a team, how its agents work together, and how their answers become one."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from director.document import parse_document, read_document
from director.door import Problem, Refused, problems_of

MAX_FILE_BYTES = 1_000_000
MAX_AGENTS = 64
LANGUAGE_FIELDS = (
    "model",
    "temperature",
    "max_output_tokens",
    "timeout_s",
    "max_retries",
    "retry_wait_s",
    "usd_per_million_input_tokens",
    "usd_per_million_output_tokens",
)
AGGREGATOR, SUPERVISOR = "aggregator", "supervisor"

AgentName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,31}$")]
Prompt = Annotated[str, StringConstraints(min_length=1, max_length=100_000, strip_whitespace=True)]
Mode = Literal["parallel", "round_robin", "supervisor"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Speaker(_Frozen):
    """A language model with a task: an agent, an aggregator or a supervisor."""

    endpoint: str | None = Field(
        default=None,
        pattern=r"^[A-Z][A-Z0-9]{0,31}$",
        description="Which of several services: NAME means that DIRECTOR_LLM_NAME_BASE_URL, _MODEL and _API_KEY say "
        "where it is; null: DIRECTOR_LLM_BASE_URL and so on.",
    )
    model: str | None = Field(
        default=None, min_length=1, max_length=500, description="Name of the model; null: what the environment says."
    )
    temperature: float | None = Field(
        default=None, ge=0, le=2, description="Sampling temperature, from 0 to 2, no unit; null: the service's own."
    )
    max_output_tokens: int = Field(default=1024, ge=1, le=10**7, description="Most tokens that one reply may have.")
    timeout_s: float = Field(default=120.0, gt=0, le=3600, description="How long one try of a call may take, in s.")
    max_retries: int = Field(
        default=3, ge=0, le=20, description="How often a call is tried again that the service did not answer."
    )
    retry_wait_s: float = Field(
        default=1.0, ge=0, le=600, description="Wait before the first further try, in s; doubled for each one."
    )
    concurrency: int = Field(
        default=1, ge=1, le=256, description="How many messages it may work on at the same time; more wait."
    )
    usd_per_million_input_tokens: float | None = Field(
        default=None, ge=0, description="Price of a million tokens that are sent, in US dollars; null: not known."
    )
    usd_per_million_output_tokens: float | None = Field(
        default=None, ge=0, description="Price of a million tokens that come back, in US dollars; null: not known."
    )

    def language(self) -> dict[str, Any]:
        """The settings of its model, but for what the environment says."""
        found = self.model_dump(include=set(LANGUAGE_FIELDS))
        return {name: value for name, value in found.items() if value is not None}


class AgentSettings(Speaker):
    """One agent of a team."""

    name: AgentName = Field(description="Its name; letters, digits, - and _, at most 32.")
    prompt: Prompt = Field(description="Its system prompt: who it is and how it answers.")
    tools: list[str] = Field(
        default=[], description="Names of the Tools that it may call on the Directors of the team's run."
    )
    max_tool_rounds: int = Field(
        default=4, ge=1, le=50, description="How often, for one message, it may ask for Tools before it has to answer."
    )


class Merge(_Frozen):
    """Answers are put one below the other, each under its agent's name. No model is asked."""

    by: Literal["merge"] = Field(description="Says that this is how answers are aggregated.")


class AggregatorSettings(Speaker):
    """A language model makes one answer of all."""

    by: Literal["llm"] = Field(description="Says that this is how answers are aggregated.")
    prompt: Prompt = Field(
        default="Several agents have answered the same message. Make one answer of theirs. Say who said what, by name, "
        "and where they disagree. Use nothing that none of them said.",
        description="Its system prompt.",
    )


class SupervisorSettings(Speaker):
    """A language model that decides who speaks, and when the message is answered."""

    prompt: Prompt = Field(
        default="You lead a team of agents. Decide, call by call, who is to answer, and finish with one answer of your "
        "own that says who said what.",
        description="Its system prompt.",
    )
    max_steps: int = Field(
        default=8, ge=1, le=100, description="How many decisions it may make for one message before it is ended."
    )
    max_corrections: int = Field(
        default=3,
        ge=0,
        le=20,
        description="How many of its decisions for one message may be sent back because they cannot be done.",
    )


class RoundRobinSettings(_Frozen):
    """How agents take turns."""

    turns: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description="How many turns each message gets; the agent after the last one begins with the next message. "
        "1: each message is answered by one agent. null: each agent has one turn.",
    )


class MemorySettings(_Frozen):
    """What of a conversation agents are told with the next message."""

    messages: int = Field(default=10, ge=0, le=1000, description="How many earlier messages, the latest ones.")
    answers: Literal["team", "own"] = Field(
        default="team",
        description="Which answers to them each agent sees: the team's aggregated ones, or those that it gave itself.",
    )
    characters: int = Field(
        default=40_000,
        ge=0,
        le=10_000_000,
        description="Most characters of all that together; what is older is left out.",
    )


class TeamFile(_Frozen):
    """A team file."""

    name: AgentName = Field(description="Name of the team.")
    mode: Mode = Field(
        description="parallel: every agent answers every message at the same time; round_robin: one after another, "
        "each seeing what was said before; supervisor: a model decides who speaks."
    )
    agents: list[AgentSettings] = Field(
        min_length=1, max_length=MAX_AGENTS, description="The agents, in the order in which they are shown."
    )
    aggregator: Annotated[Merge | AggregatorSettings, Field(discriminator="by")] | None = Field(
        default=None,
        description="How answers become one: by merge or by llm. Required but for supervisor, which answers itself.",
    )
    supervisor: SupervisorSettings | None = Field(
        default=None, description="The supervisor; required in the mode supervisor, and refused in the others."
    )
    round_robin: RoundRobinSettings = Field(default=RoundRobinSettings(), description="How agents take turns.")
    memory: MemorySettings = Field(
        default=MemorySettings(), description="What of the conversation agents are told with the next message."
    )
    run: str | None = Field(
        default=None,
        min_length=1,
        max_length=4000,
        description="The run whose Tools agents call: a run folder, from this file's folder, or a run's name.",
    )
    reuse: bool = Field(
        default=True, description="Whether an answer is used again when an agent is told exactly the same once more."
    )
    max_tokens: int | None = Field(
        default=None,
        ge=1,
        description="Most tokens, sent and received, that all agents together may use in one session; null: no limit.",
    )

    @model_validator(mode="after")
    def _fits(self) -> TeamFile:
        twice = [name for name, count in Counter(agent.name for agent in self.agents).items() if count > 1]
        if twice:
            raise ValueError(f"agents: the name {twice[0]!r} is given twice")
        taken = [agent.name for agent in self.agents if agent.name in (AGGREGATOR, SUPERVISOR)]
        if taken:
            raise ValueError(f"agents: the name {taken[0]!r} is taken: it means the one who has that task")
        if (self.mode == "supervisor") != (self.supervisor is not None):
            raise ValueError(
                "supervisor: is required in the mode supervisor"
                if self.supervisor is None
                else f"supervisor: has nothing to do in the mode {self.mode}"
            )
        if self.mode == "supervisor" and self.aggregator is not None:
            raise ValueError("aggregator: has nothing to do in the mode supervisor, where the supervisor answers")
        if self.mode != "supervisor" and self.aggregator is None:
            raise ValueError("aggregator: is required: {by: merge}, or {by: llm} with its model")
        if self.mode != "round_robin" and self.round_robin != RoundRobinSettings():
            raise ValueError(f"round_robin: has nothing to do in the mode {self.mode}")
        return self

    @property
    def slots(self) -> int:
        """How many calls of models there can be at the same time."""
        return sum(speaker.concurrency for speaker in self.speakers.values())

    @property
    def speakers(self) -> dict[str, Speaker]:
        """All models of the team by name: its agents', and its aggregator's or its supervisor's."""
        found: dict[str, Speaker] = {agent.name: agent for agent in self.agents}
        if isinstance(self.aggregator, AggregatorSettings):
            found[AGGREGATOR] = self.aggregator
        if self.supervisor is not None:
            found[SUPERVISOR] = self.supervisor
        return found

    def agent(self, name: str) -> AgentSettings | None:
        """The agent of a name, if there is one."""
        return next((agent for agent in self.agents if agent.name == name), None)


def read_team(path: Path) -> TeamFile:
    """Reads a team file.

    Args:
        path: The file, in YAML or JSON.

    Raises:
        Refused: With everything that is wrong with it.
    """
    return _team_of(read_document(path, MAX_FILE_BYTES), str(path))


def parse_team(text: str, where: str) -> TeamFile:
    """Makes a team of the text of a team file. Pure.

    Args:
        text: YAML or JSON.
        where: What the text is called in messages.

    Raises:
        Refused: With everything that is wrong with it.
    """
    return _team_of(parse_document(text, where), where)


def _team_of(document: Any, where: str) -> TeamFile:
    if not isinstance(document, dict):
        raise Refused([Problem(where, "is not a mapping", "Begin with `name:`, `mode:` and `agents:`")])
    try:
        return TeamFile.model_validate(document)
    except ValidationError as error:
        raise Refused(_of_whole(problem, where) for problem in problems_of(error, TeamFile)) from None


def _of_whole(problem: Problem, where: str) -> Problem:
    """What is wrong with a file as a whole begins with the field's name: it is put where fields stand."""
    if problem.where:
        return problem
    field, colon, message = problem.message.partition(": ")
    return Problem(field, message, "Correct the team file") if colon else problem.within(where)
