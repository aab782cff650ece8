"""What an analysis is about, as it is written down in its run folder; and where its files lie there."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from campaigns.llm import LanguageSettings
from director.door import Problem, Refused, problems_of
from simulations.disk import write_private

DEFAULT_QUESTION = (
    "Characterise the structural stability and flexibility of this molecule in solution with short molecular dynamics."
)


class AnalysisSpec(BaseModel):
    """What is asked, of which structure, by which model, and within which bounds. It holds no key."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    question: str = Field(min_length=1, max_length=20_000, description="What the user wants to know.")
    structure: str = Field(description="Name of the structure file, of which the run folder has a copy.")
    tool: str = Field(default="md", description="The Tool that simulates.")
    run: str = Field(default="", description="The open run whose Directors are used; empty: it launches its own.")
    prefix: str = Field(default="", pattern="^[a-z0-9-]{0,20}$", description="What the ids of its Requests begin with.")
    fixed: dict[str, Any] = Field(default_factory=dict, description="Inputs of the Tool that the model cannot choose.")
    language: LanguageSettings = Field(description="The language model, and how it is asked.")
    max_simulations: int = Field(default=2, ge=1, le=100, description="Most simulations that the model may propose.")
    max_corrections: int = Field(
        default=3,
        ge=0,
        le=100,
        description="How often a proposal, and the text of the report, may go back to the model.",
    )
    max_amount: float | None = Field(
        default=None, gt=0, description="Most work of one simulation, in the Tool's unit: ns for md; null: no limit."
    )


@dataclass(frozen=True)
class AnalysisFolder:
    """Where the files of an analysis lie.

    Attributes:
        run: The run folder.
    """

    run: Path

    @property
    def own(self) -> Path:
        """What is the analysis's own."""
        return self.run / "analysis"

    @property
    def inputs(self) -> Path:
        """The copy of the structure."""
        return self.own / "inputs"

    @property
    def spec_file(self) -> Path:
        """The `AnalysisSpec`."""
        return self.own / "analysis.json"

    @property
    def steps_file(self) -> Path:
        """The steps that were done: LangGraph's checkpoints."""
        return self.own / "steps.sqlite"

    @property
    def markdown(self) -> Path:
        """The report in Markdown."""
        return self.run / "analysis.md"

    @property
    def page(self) -> Path:
        """The report in HTML."""
        return self.run / "analysis.html"

    def create(self, spec: AnalysisSpec, content: bytes) -> None:
        """Writes down a new analysis.

        Raises:
            Refused: If the folder holds one already, or a run.
            OSError: If it cannot be written.
        """
        if self.spec_file.exists() or (self.run / "run.json").exists():
            hint = f"Go on with it (director analyze --resume {self.run}), or name another folder"
            raise Refused([Problem("--run-dir", f"{self.run} holds a run already", hint)])
        self.inputs.mkdir(parents=True, exist_ok=True)
        (self.inputs / spec.structure).write_bytes(content)
        write_private(self.spec_file, spec.model_dump_json(indent=1))

    def read(self) -> AnalysisSpec:
        """Reads what is written down.

        Raises:
            Refused: If there is no analysis in the folder, or its record is damaged.
        """
        try:
            document = json.loads(self.spec_file.read_bytes())
        except FileNotFoundError:
            message = f"there is no analysis in {os.fspath(self.run)}"
            raise Refused([Problem("--resume", message, "Name the folder of one")]) from None
        except ValueError as error:
            raise Refused([Problem(str(self.spec_file), f"is damaged ({error})", "Begin anew")]) from None
        try:
            return AnalysisSpec.model_validate(document)
        except ValidationError as error:
            raise Refused(problems_of(error, AnalysisSpec, str(self.spec_file))) from None
