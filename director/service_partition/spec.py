"""What a user says of a service: a server that is kept on nodes of its own while a run goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from director.door import Problem, Refused, problems_of
from director.spec import AsideSpec
from partitions.filling import names_in
from partitions.guard import BLOCK_MARK_VARIABLE, MARK_VARIABLE, mark_environment
from partitions.set_aside import ServicePartition

PLACES = {
    "host": "the address that the server is to listen on",
    "port": "its port",
    "node": "name of its node",
    "nodes": "how many nodes the service has",
    "rank": "which of them this is, from 0",
    "accelerators": "how many accelerators the node has",
    "cores": "how many cores",
    "model": "the service's model",
    "folder": "the service's folder in the run folder",
    "api_key_file": "a file with the API key",
}
"""What can stand in braces in arguments and environment."""

RESERVED = (*mark_environment(""), MARK_VARIABLE, BLOCK_MARK_VARIABLE)

ServiceName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]
VariableName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")]
HttpPath = Annotated[str, StringConstraints(pattern=r"^/[A-Za-z0-9._~/-]{0,200}$")]
Text = Annotated[str, StringConstraints(max_length=10_000, pattern=r"^[^\x00]*$")]
Number = Annotated[float, Field(allow_inf_nan=False)]


class PathArgument(BaseModel):
    """An argument that is a file or folder of the user's.

    Attributes:
        path: Its path, from the folder of the file that this stands in.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    path: str = Field(min_length=1, max_length=4096, description="Path from the folder of the file this stands in.")


Argument = Text | int | Number | PathArgument


class ServiceSpec(BaseModel):
    """A service. It holds no secret: what is one is named, and taken from the environment when the run is launched."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: ServiceName = Field(description="Its name: lower-case letters, digits, - and _.")
    nodes: int = Field(
        default=1, ge=1, le=1024, description="How many whole nodes are set aside; each has a server of its own."
    )
    hosts: str | None = Field(
        default=None, min_length=1, max_length=10_000, description="Which nodes, by name or pattern, instead of nodes."
    )
    program: str = Field(min_length=1, max_length=4096, description="Name or path of the server's program.")
    arguments: list[Argument] = Field(
        default_factory=list,
        max_length=1000,
        description="Its arguments, one by one; no shell reads them. Names in braces are filled in, such as {port}.",
    )
    environment: dict[VariableName, Text | int | Number] = Field(
        default_factory=dict, description="Environment variables, which the run's record shows. Filled in likewise."
    )
    forward: list[VariableName] = Field(
        default_factory=list, description="Names of variables that are taken from the environment, secrets for example."
    )
    port: int | None = Field(default=None, ge=1024, le=65535, description="Its port; a free one if not given.")
    health: HttpPath = Field(default="/v1/models", description="Path that answers with status 200 once it is up.")
    base_path: HttpPath = Field(default="/v1", description="Path of the API: what its base URL ends in.")
    model: Text | None = Field(
        default=None, description="Model that agents ask for; the first one that the server lists if not given."
    )
    api_key_variable: VariableName | None = Field(
        default="VLLM_API_KEY",
        description="Variable in which the server gets the API key that is made for the run. None: it asks for none, "
        "unless {api_key_file} stands among its arguments.",
    )
    start_timeout_s: float = Field(default=1800.0, gt=0, le=86_400, description="How long it may take to be up, in s.")
    health_every_s: float = Field(default=5.0, ge=0.1, le=3600, description="Time between two health checks, in s.")
    health_timeout_s: float = Field(default=10.0, gt=0, le=3600, description="How long an answer may take, in s.")
    misses: int = Field(default=3, ge=1, le=1000, description="After so many missed checks it is started again.")
    restarts: int = Field(default=3, ge=0, le=1000, description="How often, at most, each server is started again.")
    backoff_s: float = Field(
        default=5.0, ge=0, le=3600, description="Wait before the first restart, in s; doubled each time, up to 300 s."
    )
    stop_s: float = Field(default=10.0, ge=0, le=600, description="How long it may take to end by itself, in s.")
    wait: bool = Field(default=True, description="Whether the run begins only when it is up.")
    required: bool = Field(default=True, description="Whether the run fails if it does not come up, or is lost.")

    @model_validator(mode="after")
    def _consistent(self) -> ServiceSpec:
        used = self.placed()
        for name in ("host", "port"):
            if name not in used:
                raise ValueError(
                    f"{{{name}}} stands neither in arguments nor in environment: the server must be told {PLACES[name]}"
                )
        if "model" in used and self.model is None:
            raise ValueError("{model} is to be filled in, but model is not given")
        if self.hosts is not None and "nodes" in self.model_fields_set and self.nodes != 1:
            raise ValueError("nodes and hosts were both given: give one of them")
        own = [*self.environment, *self.forward, *([self.api_key_variable] if self.api_key_variable else [])]
        for name in own:
            if own.count(name) > 1:
                raise ValueError(f"variable {name} is named twice among environment, forward and api_key_variable")
            if name in RESERVED:
                raise ValueError(f"variable {name} is set by the run itself: leave it out")
        return self

    def placed(self) -> set[str]:
        """The names in braces among arguments and environment.

        Raises:
            ValueError: If one of them stands for nothing.
        """
        texts = {f"arguments[{index}]": one for index, one in enumerate(self.arguments) if isinstance(one, str)}
        texts |= {f"environment.{name}": one for name, one in self.environment.items() if isinstance(one, str)}
        used = set()
        for where, text in texts.items():
            for name in names_in(text):
                if name not in PLACES:
                    raise ValueError(f"{where} has {{{name}}}, which is none of {', '.join(PLACES)}")
                used.add(name)
        return used

    @property
    def keyed(self) -> bool:
        """Whether the server is given an API key."""
        return self.api_key_variable is not None or "api_key_file" in self.placed()

    @property
    def aside(self) -> AsideSpec:
        """The nodes that it asks for."""
        return AsideSpec(name=self.name, nodes=self.nodes, hosts=self.hosts)

    @property
    def command(self) -> list[str]:
        """Program and arguments, with names in braces still to be filled in."""
        return [self.program, *(_text(one) for one in self.arguments)]

    def settled(self, base: Path) -> ServiceSpec:
        """The same service with paths that no longer depend on a folder.

        Args:
            base: Where relative paths start.

        Raises:
            Refused: If a path leads to nothing.
        """
        arguments: list[Argument] = []
        for index, one in enumerate(self.arguments):
            if isinstance(one, PathArgument):
                path = (base / Path(one.path).expanduser()).resolve()
                if not path.exists():
                    raise Refused([Problem(f"arguments[{index}].path", f"{path} is not there", "Correct the path")])
                arguments.append(PathArgument(path=str(path)))
            else:
                arguments.append(one)
        program = self.program
        if "/" in program:
            path = base / Path(program).expanduser()
            if not path.is_file():
                raise Refused([Problem("program", f"{path} is not there", "Correct the path, or give a name")])
            program = str(path.absolute())
        return self.model_copy(update={"arguments": arguments, "program": program})


def read_services(given: Sequence[ServiceSpec | Mapping[str, Any]], base: Path) -> tuple[ServiceSpec, ...]:
    """Reads descriptions of services.

    Args:
        given: As a file has them, or made already.
        base: Where their relative paths start.

    Raises:
        Refused: With what is wrong with them.
    """
    problems: list[Problem] = []
    found: list[ServiceSpec] = []
    for index, one in enumerate(given):
        where = f"services[{index}]"
        try:
            spec = one if isinstance(one, ServiceSpec) else ServiceSpec.model_validate(one)
            found.append(spec.settled(base))
        except ValidationError as error:
            problems += [problem.within(where) for problem in problems_of(error, ServiceSpec)]
        except Refused as refusal:
            problems += [problem.within(where) for problem in refusal.problems]
    names = [spec.name for spec in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    problems += [Problem("services", f"{name!r} is given twice", "Give each a name of its own") for name in twice]
    if problems:
        raise Refused(problems)
    return tuple(found)


def check_nodes(services: Sequence[ServiceSpec], partitions: Sequence[ServicePartition]) -> None:
    """Checks that nodes have what services count on.

    Raises:
        Refused: If accelerators are counted that nobody knows of.
    """
    problems = [
        Problem(
            f"services.{spec.name}",
            f"{{accelerators}} is to be filled in, but none are known of {node.hostname}",
            "Name the accelerators of each node (accelerators: ['0', '1']), or write the number itself",
        )
        for spec, partition in zip(services, partitions, strict=True)
        for node in partition.nodes
        if "accelerators" in spec.placed() and not node.accelerators
    ]
    if problems:
        raise Refused(problems)


def forwarded(services: Sequence[ServiceSpec], environment: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """The variables that services want from the environment, by service.

    Raises:
        Refused: If one of them is not set.
    """
    problems = [
        Problem(
            f"services.{spec.name}.forward", f"{name} is not set", f"Set it where the run is launched: export {name}=…"
        )
        for spec in services
        for name in spec.forward
        if name not in environment
    ]
    if problems:
        raise Refused(problems)
    return {spec.name: {name: environment[name] for name in spec.forward} for spec in services}


def _text(one: Argument) -> str:
    return one.path if isinstance(one, PathArgument) else str(one)
