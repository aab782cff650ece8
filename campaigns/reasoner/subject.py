"""What reasoners look for: which Tool they call, what they may vary, and what of its result counts."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol, TypeGuard, TypeVar

from pydantic import ValidationError

from campaigns.environment import Environment, Objective, Observation
from campaigns.language import ToolFace
from campaigns.stateful import Stateless
from simulations.errors import ToolError
from simulations.extras import need
from simulations.records import Outcome, Request, Status
from simulations.tool import AnyTool

C = TypeVar("C")
LONGEST_SHOWN = 200


class NotACandidateError(ValueError):
    """Arguments of a tool call that name no candidate.

    Args:
        kind: Short name of the reason, under which it is counted.
        reason: What is wrong, and what to do.
    """

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason


class Subject(Environment[C], Protocol[C]):
    """An environment whose candidates a model can name, by calling a tool.

    Attributes:
        face: The tool as models are told of it.
    """

    @property
    def face(self) -> ToolFace:
        """The tool as models are told of it."""
        ...

    def read(self, arguments: Mapping[str, Any]) -> C:
        """The candidate that a call names.

        Raises:
            NotACandidateError: If it names none.
        """
        ...


@dataclass(frozen=True)
class Inputs:
    """A candidate: what is varied of a Tool's inputs.

    Attributes:
        varied: By the names of the Tool's inputs, as JSON has them.
    """

    varied: Mapping[str, Any]


class ToolSubject(Stateless):
    """Any Tool: some of its inputs are varied, the others are fixed, and one number of its result counts.

    Args:
        tool: The Tool.
        varied: Names of the inputs that a model may choose.
        fixed: The other inputs that differ from their defaults.
        objective: Name of the number in the Tool's result, with its unit.
        better: Whether more of it or less of it is looked for.
        at_least: A candidate is a success from this value on (with ``less``: down to it); None: none is.
        goal: One line for people and models; None: made of the rest.

    Raises:
        ValueError: If the Tool has no such inputs, or finds no such number.
    """

    def __init__(
        self,
        tool: AnyTool,
        *,
        varied: tuple[str, ...],
        objective: str,
        fixed: Mapping[str, Any] | None = None,
        better: Literal["more", "less"] = "more",
        at_least: float | None = None,
        goal: str | None = None,
    ) -> None:
        self.tool = tool
        self._varied = varied
        self._fixed = dict(fixed or {})
        self.objective = objective
        self.better = better
        self._looked_for = Objective(better == "less", at_least)
        self.goal = goal or f"{'the greatest' if better == 'more' else 'the least'} {objective} of the tool {tool.name}"
        known = tool.request.model_fields
        strange = [name for name in (*varied, *self._fixed) if name not in known]
        if strange:
            raise ValueError(f"{tool.name} has no input {', '.join(strange)}; it has {', '.join(known)}")
        both = [name for name in varied if name in self._fixed]
        if both:
            raise ValueError(f"{', '.join(both)} cannot be both varied and fixed")
        if not varied:
            raise ValueError("nothing is varied; name at least one input")
        if objective not in tool.result.model_fields:
            raise ValueError(f"{tool.name} finds no {objective}; it finds {', '.join(tool.result.model_fields)}")

    @cached_property
    def face(self) -> ToolFace:
        """The tool with the part of its schema that may be chosen."""
        return tool_face(self.tool, self._varied)

    def read(self, arguments: Mapping[str, Any]) -> Inputs:
        """See `Subject.read`."""
        strange = [name for name in arguments if name not in self._varied]
        if strange:
            names = ", ".join(map(shown, strange))
            raise NotACandidateError("invalid", f"there is no argument {names}; there is {', '.join(self._varied)}")
        try:
            request = self.tool.request.model_validate({**self._fixed, **arguments})
        except ValidationError as error:
            reasons = [
                f"{'.'.join(map(str, one['loc'])) or 'arguments'}: {one['msg']} (given: {shown(one['input'])})"
                for one in error.errors(include_url=False, include_context=False)
            ]
            raise NotACandidateError("invalid", "; ".join(reasons)) from None
        return self.settled(request.model_dump(mode="json"))

    def settled(self, inputs: Mapping[str, Any]) -> Inputs:
        """The candidate of inputs that fit the Tool's schema; the same for inputs that mean the same.

        Raises:
            NotACandidateError: If they are not possible for another reason.
        """
        return Inputs({name: inputs[name] for name in self._varied})

    def request(self, candidate: Inputs, name: str, folder: Path) -> Request:
        """See `campaigns.environment.Environment`."""
        return Request(id=name, tool=self.tool.name, inputs={**self._fixed, **candidate.varied})

    def observe(self, candidate: Inputs, outcome: Outcome) -> Observation[Inputs]:
        """See `campaigns.environment.Environment`."""
        value = (outcome.result or {}).get(self.objective) if outcome.status is Status.OK else None
        score = self._looked_for.score(float(value)) if _is_number(value) else None
        return Observation.of(candidate, outcome, score, success=self._looked_for.met(score))

    def to_json(self, candidate: Inputs) -> dict[str, Any]:
        """See `campaigns.environment.Environment`."""
        return dict(candidate.varied)

    def from_json(self, document: Mapping[str, Any]) -> Inputs:
        """See `campaigns.environment.Environment`."""
        return Inputs(dict(document))


class MoleculeSubject(ToolSubject):
    """Molecules, given as SMILES: the one that is written in two ways is one candidate.

    Args:
        tool: A Tool that takes ``smiles`` and ``max_atoms``, such as ``ionization_energy``.
        objective: Name of the number in the Tool's result, with its unit.
        fixed: The other inputs that differ from their defaults.
        better: Whether more of it or less of it is looked for.
        at_least: A candidate is a success from this value on (with ``less``: down to it); None: none is.
        goal: One line for people and models; None: made of the rest.

    Raises:
        ToolError: ``MissingExtra``, if RDKit is not installed: it decides which SMILES mean the same molecule.
    """

    def __init__(
        self,
        tool: AnyTool,
        *,
        objective: str = "ionization_energy_ev",
        fixed: Mapping[str, Any] | None = None,
        better: Literal["more", "less"] = "more",
        at_least: float | None = None,
        goal: str | None = None,
    ) -> None:
        super().__init__(
            tool,
            varied=("smiles",),
            objective=objective,
            fixed=fixed,
            better=better,
            at_least=at_least,
            goal=goal,
        )
        need("rdkit.Chem", "chem")

    def settled(self, inputs: Mapping[str, Any]) -> Inputs:
        """See `ToolSubject.settled`; the SMILES is RDKit's canonical one."""
        from simulations.ionization.molecule import read_molecule

        try:
            return Inputs({"smiles": read_molecule(inputs["smiles"], inputs["max_atoms"]).smiles})
        except ToolError as error:
            if error.kind == "MissingExtra":
                raise
            raise NotACandidateError("invalid", f"{error.message} ({error.hint})") from None


def tool_face(tool: AnyTool, varied: Sequence[str]) -> ToolFace:
    """A Tool as models are told of it: with the part of its schema that they may choose.

    Raises:
        ValueError: If it has no such inputs.
    """
    schema = tool.request.model_json_schema()
    strange = [name for name in varied if name not in schema["properties"]]
    if strange or not varied:
        raise ValueError(f"{tool.name} has no input {', '.join(strange)}; it has {', '.join(schema['properties'])}")
    parameters = {
        "type": "object",
        "properties": {name: schema["properties"][name] for name in varied},
        "required": [name for name in schema.get("required", []) if name in varied],
        "additionalProperties": False,
    }
    if "$defs" in schema:
        parameters["$defs"] = schema["$defs"]
    return ToolFace(tool.name, tool.summary, parameters)


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def key_of(document: Mapping[str, Any]) -> str:
    """The same for equal candidates: their canonical JSON. Pure."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def request_id(subject: Subject[C], document: Mapping[str, Any], folder: Path) -> str:
    """The id of the Request for a candidate: the same whoever asks for it, and whenever. Pure."""
    request = subject.request(subject.from_json(document), "unnamed", folder)
    text = key_of({"tool": request.tool, "inputs": request.inputs})
    return "r" + hashlib.sha256(text.encode()).hexdigest()[:15]


def shown(value: Any, longest: int = LONGEST_SHOWN) -> str:
    """A value as JSON in a message, cut to a length. Pure."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= longest else text[: longest - 1] + "…"
