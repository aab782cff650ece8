"""What the process that looks after a run's services is told: one line of JSON on its standard input."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from director.service_partition.spec import ServiceSpec
from partitions.allocation import Node
from partitions.launchers import Launcher, ProcessLauncher, ProgramLauncher


class Secrets(BaseModel):
    """What of a service is written down nowhere but in files that only the owner can read.

    Attributes:
        key: Its API key; None: it has none.
        variables: Environment variables that it was to be handed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str | None = Field(default=None, repr=False)
    variables: dict[str, str] = Field(default_factory=dict, repr=False)


class ToldNode(BaseModel):
    """A node of a service."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hostname: str
    cores: tuple[int, ...]
    accelerators: tuple[str, ...]

    def node(self) -> Node:
        """The node."""
        return Node(self.hostname, self.cores, self.accelerators)


class ToldService(BaseModel):
    """A service and its nodes.

    Attributes:
        spec: The service.
        nodes: Its nodes.
        secrets: Its secrets.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    spec: ServiceSpec
    nodes: tuple[ToldNode, ...]
    secrets: Secrets


class Told(BaseModel):
    """Everything.

    Attributes:
        run_folder: The run folder.
        services: The services.
        mark: What all servers carry in their environment, however often this process is launched again.
        lead: Name of the lead node, on which this process runs.
        logical: Whether nodes are logical nodes of this machine.
        address: Address of the lead node that the other nodes reach; None: found out from the route to them.
        launcher: Kind of the launcher.
        launcher_program: Its path; None: nodes are processes of this machine.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    run_folder: Path
    services: tuple[ToldService, ...]
    mark: str
    lead: str
    logical: bool
    address: str | None
    launcher: str
    launcher_program: str | None

    def how(self) -> Launcher:
        """The launcher."""
        if self.launcher_program is None:
            return ProcessLauncher()
        return ProgramLauncher(self.launcher, self.launcher_program)


def told_launcher(launcher: Launcher) -> tuple[str, str | None]:
    """Kind and path of a launcher."""
    return launcher.name, getattr(launcher, "program", None)
