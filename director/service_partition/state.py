"""What is written down of a run's services while they run: their states, their events, and where their keys are.

Everything lies in ``services`` in the run folder, and only its owner can read it.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from simulations.disk import write_private

BEAT_S = 5.0
SILENT_S = 60.0

State = Literal["starting", "up", "unwell", "restarting", "failed", "stopped"]


class ServerState(BaseModel):
    """One server of a service.

    Attributes:
        node: Its node.
        state: How it is.
        since: Since when (UTC).
        base_url: Where its API is, once that is known.
        port: Its port, once that is known.
        starts: How often it was started.
        reason: Why it is so; null if all is well.
        models: The models that it lists.
        log: What it prints: a path relative to the run folder.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    node: str
    state: State
    since: datetime
    base_url: str | None = None
    port: int | None = None
    starts: int = 0
    reason: str | None = None
    models: list[str] = Field(default_factory=list)
    log: str


class ServiceState(BaseModel):
    """A service.

    Attributes:
        name: Its name.
        state: That of the server that is best off: a service is up as long as one of its servers is.
        required: Whether the run fails without it.
        model: The model that agents ask for, once that is known.
        key_file: Where its API key is, a path relative to the run folder; null if it has none.
        servers: Its servers, one for each of its nodes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    state: State
    required: bool
    model: str | None = None
    key_file: str | None = None
    servers: list[ServerState]


ORDER: tuple[State, ...] = ("up", "unwell", "starting", "restarting", "stopped", "failed")


def best(states: list[State]) -> State:
    """The state of a service from those of its servers."""
    return min(states, key=ORDER.index)


@dataclass(frozen=True)
class ServicesFolder:
    """Paths of the services of a run.

    Attributes:
        run: The run folder.
    """

    run: Path

    @property
    def path(self) -> Path:
        """Where they are."""
        return self.run / "services"

    @property
    def events_file(self) -> Path:
        """What has happened, one JSON object a line."""
        return self.path / "events.jsonl"

    @property
    def beat_file(self) -> Path:
        """Touched every few seconds while the services are looked after."""
        return self.path / "beat"

    def service(self, name: str) -> Path:
        """A service's folder."""
        return self.path / name

    def state_file(self, name: str) -> Path:
        """How a service is."""
        return self.service(name) / "state.json"

    def key_file(self, name: str) -> Path:
        """A service's API key, while the run is open."""
        return self.service(name) / "api-key"

    def log(self, name: str, rank: int) -> Path:
        """What one of its servers prints."""
        return self.service(name) / f"server-{rank}.log"

    def orders(self, name: str, rank: int) -> Path:
        """What the keeper of one of its servers is told."""
        return self.service(name) / f"orders-{rank}.json"

    def relative(self, path: Path) -> str:
        """A path as seen from the run folder."""
        return str(path.relative_to(self.run))

    def write(self, state: ServiceState) -> None:
        """Writes down how a service is."""
        write_private(self.state_file(state.name), state.model_dump_json(indent=1))

    def read(self, name: str) -> ServiceState | None:
        """How a service is, as it was last written down; None if nothing was."""
        try:
            return ServiceState.model_validate_json(self.state_file(name).read_bytes())
        except FileNotFoundError:
            return None

    def names(self) -> list[str]:
        """The services of which something was written down."""
        return sorted(path.parent.name for path in self.path.glob("*/state.json"))

    def note(self, event: Mapping[str, Any]) -> None:
        """Adds an event."""
        with os.fdopen(os.open(self.events_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a") as stream:
            stream.write(json.dumps(event) + "\n")

    def events(self) -> list[dict[str, Any]]:
        """What has happened, the oldest first. A line that was cut off is left out."""
        try:
            text = self.events_file.read_text()
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def beat(self) -> None:
        """Says that the services are looked after."""
        self.beat_file.touch(mode=0o600)

    @property
    def silent(self) -> bool:
        """Whether nobody has looked after the services for a minute, so that what is written down may be untrue."""
        try:
            return time.time() - self.beat_file.stat().st_mtime > SILENT_S
        except FileNotFoundError:
            return True


def key_of(path: Path) -> str:
    """The API key in a file.

    Raises:
        OSError: If it is not there any more.
    """
    return path.read_text(encoding="ascii").strip()


def log_tail(path: Path, lines: int = 20, characters: int = 4000) -> str:
    """The end of what a server has printed; empty if it has printed nothing."""
    try:
        with path.open("rb") as stream:
            stream.seek(0, os.SEEK_END)
            stream.seek(max(0, stream.tell() - characters))
            text = stream.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.strip().splitlines()[-lines:])
