"""``reasoning.json``: what reasoners look for, how, and within which bounds. It holds no key."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from campaigns.llm.settings import LanguageSettings
from campaigns.reasoner.limits import Limits
from campaigns.reasoner.subject import MoleculeSubject, NotACandidateError, ToolSubject
from director.door import Problem, Refused, problems_of
from simulations.disk import write_private
from simulations.errors import ToolError
from simulations.tool import AnyTool

SPEC_FILE = "reasoning.json"
STEPS_FILE = "reasoners.sqlite"

_STRICT = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class LimitsSpec(BaseModel):
    """Bounds; see `campaigns.reasoner.limits.Limits`. Null: no bound of that kind."""

    model_config = _STRICT

    rounds: int = Field(default=5, ge=1, le=10_000, description="Rounds of each reasoner.")
    questions_per_round: int = Field(
        default=3, ge=1, le=100, description="How often a model is asked for proposals in one round."
    )
    calls_per_round: int = Field(default=4, ge=1, le=1000, description="Simulations of one reasoner in one round.")
    idle_rounds: int = Field(
        default=2, ge=1, le=10_000, description="A reasoner ends after so many rounds in a row without a simulation."
    )
    requests_each: int | None = Field(default=None, ge=1, description="Simulations of each reasoner.")
    requests: int | None = Field(default=None, ge=1, description="Simulations of all reasoners.")
    tokens_each: int | None = Field(default=None, ge=1, description="Tokens, sent and received, of each reasoner.")
    tokens: int | None = Field(default=None, ge=1, description="Tokens, sent and received, of all reasoners.")
    node_hours: float | None = Field(default=None, gt=0, description="Of all simulations, in hours of whole nodes.")

    def limits(self) -> Limits:
        """The same for the reasoners."""
        return Limits(**self.model_dump())


class ReasoningSpec(BaseModel):
    """What reasoners do in a run."""

    model_config = _STRICT

    version: int = Field(default=1, description="Of this format.")
    tool: str = Field(default="ionization_energy", description="The Tool that they call.")
    fixed: dict[str, Any] = Field(default_factory=dict, description="Its inputs that they may not choose.")
    objective: str = Field(default="ionization_energy_ev", description="The number of its result that counts.")
    better: Literal["more", "less"] = Field(default="more", description="Whether more of it or less is looked for.")
    goal: str | None = Field(default=None, max_length=2000, description="One line for the models; null: of the rest.")
    seeds: list[str] = Field(min_length=1, max_length=1000, description="SMILES that reasoners begin with, in turn.")
    reasoners: int = Field(default=1, ge=1, le=1000, description="How many there are.")
    agents: Literal["here", "client", "directors"] = Field(
        default="here",
        description="Where they are: here, all in the client's process; or each an Academy agent in a process of its "
        "own, launched by the client or by the Directors.",
    )
    run: str = Field(
        default="",
        max_length=4096,
        description="The open run whose Directors are used, and go on: its folder or name; empty: they have their own.",
    )
    limits: LimitsSpec = Field(default=LimitsSpec(), description="How much they may spend.")
    language: LanguageSettings = Field(description="Their model.")

    @model_validator(mode="after")
    def _agents_of_their_own_run(self) -> ReasoningSpec:
        if self.run and self.agents != "here":
            raise ValueError(f"agents {self.agents!r} belong to a run of their own; with run, agents are 'here'")
        return self

    def subject(self, tools: Mapping[str, AnyTool]) -> ToolSubject:
        """What they look for.

        Args:
            tools: The Tools of the run.

        Raises:
            Refused: If the Tool is not there, has no such inputs, or finds no such number.
        """
        if self.tool not in tools:
            raise Refused([Problem("tool", f"{self.tool!r} is not known", f"Known: {', '.join(sorted(tools))}")])
        try:
            return MoleculeSubject(
                tools[self.tool], objective=self.objective, fixed=self.fixed, better=self.better, goal=self.goal
            )
        except ToolError as error:
            raise Refused([Problem("tool", error.message, error.hint)]) from None
        except ValueError as error:
            raise Refused([Problem("tool", str(error), f"See `director tools {self.tool}`")]) from None

    def seeds_of(self, subject: ToolSubject) -> dict[str, dict[str, Any]]:
        """For each reasoner, by its name, the molecule that it begins with.

        Raises:
            Refused: If a SMILES is none.
        """
        problems, read = [], []
        for index, smiles in enumerate(self.seeds):
            try:
                read.append(subject.to_json(subject.read({"smiles": smiles})))
            except NotACandidateError as error:
                problems.append(Problem(f"seed-molecule[{index}]", error.reason, "Give a SMILES of one molecule"))
        if problems:
            raise Refused(problems)
        return {f"reasoner-{index}": read[index % len(read)] for index in range(self.reasoners)}


def write_spec(folder: Path, spec: ReasoningSpec) -> None:
    """Takes a folder for a run of reasoners.

    Raises:
        Refused: If it holds one already, or cannot be written.
    """
    path = folder / SPEC_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if path.exists():
            raise Refused(
                [Problem("run-dir", f"{folder} holds reasoners already", "Go on with --resume, or name another")]
            )
        if (folder / "run.json").exists():
            raise Refused([Problem("run-dir", f"{folder} already holds a run", "Name another folder for this one")])
        write_private(path, spec.model_dump_json(indent=1))
    except OSError as error:
        message = f"{folder} cannot be written ({error.strerror})"
        raise Refused([Problem("run-dir", message, "Name a folder that you may write to")]) from None


def read_spec(folder: Path) -> ReasoningSpec:
    """Reads what reasoners do in a run.

    Raises:
        Refused: If there is no such run in the folder.
    """
    path = folder / SPEC_FILE
    try:
        return ReasoningSpec.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        message = f"there are no reasoners in {folder}"
        raise Refused([Problem("resume", message, "Name the folder that was given as --run-dir")]) from None
    except ValidationError as error:
        raise Refused(problems_of(error, ReasoningSpec)) from None
    except (OSError, ValueError) as error:
        raise Refused([Problem("resume", f"{path} cannot be read ({error})", "Restore it from a copy")]) from None
