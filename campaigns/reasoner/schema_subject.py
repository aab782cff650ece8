"""Any environment as a reasoner's subject: its candidates are named by a tool call that fits a JSON schema."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from campaigns.environment import Environment, Observation
from campaigns.language import ToolFace
from campaigns.reasoner.subject import NotACandidateError, Subject, tool_face
from simulations.errors import ToolError
from simulations.records import Outcome, Request
from simulations.tool import find_tools

C = TypeVar("C")


def face_of(tool: Mapping[str, Any] | None) -> ToolFace | None:
    """The tool that a campaign file describes; None: it describes none.

    Args:
        tool: ``tool`` and ``varied``, of an installed Tool; or ``name``, ``description`` and ``parameters``.

    Raises:
        ValueError: If it is neither, the Tool is not installed or has no such inputs, or the schema is none.
    """
    if tool is None:
        return None
    if set(tool) == {"tool", "varied"}:
        known = find_tools()
        if tool["tool"] not in known:
            raise ValueError(f"tool.tool: {tool['tool']!r} is not installed; there are: {', '.join(sorted(known))}")
        return tool_face(known[tool["tool"]], tuple(tool["varied"]))
    if set(tool) != {"name", "description", "parameters"}:
        raise ValueError(f"tool: give tool and varied, or name, description and parameters (given: {', '.join(tool)})")
    from jsonschema import Draft202012Validator, SchemaError

    try:
        Draft202012Validator.check_schema(tool["parameters"])
    except SchemaError as error:
        raise ValueError(f"tool.parameters is no JSON schema: {error.message}") from None
    return ToolFace(str(tool["name"]), str(tool["description"]), dict(tool["parameters"]))


def subject_of(environment: Environment[C], face: ToolFace | None) -> Subject[C]:
    """The environment itself, if it says how its candidates are named; else the environment with a tool.

    Args:
        environment: What the campaign is about.
        face: The tool; None: the environment has one.

    Raises:
        ValueError: If neither says how.
    """
    if face is not None:
        return SchemaSubject(environment, face)
    if hasattr(environment, "face") and hasattr(environment, "read"):
        return cast(Subject[C], environment)
    raise ValueError(
        f"{type(environment).__name__} does not say how its candidates are named by a tool call; give the policy "
        "tool: {tool: NAME, varied: [INPUT]}, or tool: {name: …, description: …, parameters: {a JSON schema}}"
    )


class SchemaSubject(Generic[C]):
    """An environment whose ``from_json`` reads what fits a tool's JSON schema.

    Args:
        environment: The environment.
        face: The tool.
    """

    def __init__(self, environment: Environment[C], face: ToolFace) -> None:
        from jsonschema import Draft202012Validator

        self._validator = Draft202012Validator(face.parameters)
        self._environment = environment
        self.goal = environment.goal
        self._face = face

    @property
    def face(self) -> ToolFace:
        """See `Subject.face`."""
        return self._face

    def read(self, arguments: Mapping[str, Any]) -> C:
        """See `Subject.read`."""
        wrong = [
            f"{'.'.join(map(str, error.absolute_path)) or 'arguments'}: {error.message}"
            for error in self._validator.iter_errors(dict(arguments))
        ]
        if wrong:
            raise NotACandidateError("invalid", "; ".join(wrong))
        try:
            return self._environment.from_json(arguments)
        except ToolError as error:
            if error.kind == "MissingExtra":
                raise
            raise NotACandidateError("invalid", f"{error.message} ({error.hint})") from None
        except (ValueError, KeyError, TypeError) as error:
            raise NotACandidateError("invalid", str(error) or type(error).__name__) from None

    def request(self, candidate: C, name: str, folder: Path) -> Request:
        """See `campaigns.environment.Environment`."""
        return self._environment.request(candidate, name, folder)

    def observe(self, candidate: C, outcome: Outcome) -> Observation[C]:
        """See `campaigns.environment.Environment`."""
        return self._environment.observe(candidate, outcome)

    def to_json(self, candidate: C) -> dict[str, Any]:
        """See `campaigns.environment.Environment`."""
        return self._environment.to_json(candidate)

    def from_json(self, document: Mapping[str, Any]) -> C:
        """See `campaigns.environment.Environment`."""
        return self._environment.from_json(document)

    def get_state(self) -> dict[str, Any]:
        """That of the environment."""
        return self._environment.get_state()

    def load_state(self, state: Mapping[str, Any]) -> None:
        """That of the environment."""
        self._environment.load_state(state)
