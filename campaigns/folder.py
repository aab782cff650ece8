"""A campaign's folder: what is where in it, who holds it, and whether it is still the same campaign."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from campaigns.campaign_file import CampaignFile, differences
from campaigns.errors import refuse
from simulations.disk import lock_file, replace_file

VERSION = 1


class CampaignRecord(BaseModel):
    """``campaign.json``: what the campaign is.

    Attributes:
        campaign: The composed campaign file.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = Field(default=VERSION, description="Of this format.")
    campaign: CampaignFile = Field(description="The composed campaign file.")
    source: str = Field(default="", description="Path of the campaign file.")
    overrides: list[str] = Field(default_factory=list, description="What the command line said beside it.")
    created_at: str = Field(description="When it was made (ISO 8601, UTC).")
    versions: dict[str, str] = Field(default_factory=dict, description="Versions of packages when it was made.")

    @property
    def config(self) -> dict[str, Any]:
        """The composed campaign file as JSON."""
        return self.campaign.model_dump(mode="json")


@dataclass(frozen=True)
class EpisodeFolder:
    """Where the files of one episode are.

    Attributes:
        path: Its folder.
    """

    path: Path

    @property
    def record_file(self) -> Path:
        """Its record: one line for each event."""
        return self.path / "record.jsonl"

    @property
    def state_file(self) -> Path:
        """The state of its policy and environment after the latest decision."""
        return self.path / "state.json"


@dataclass(frozen=True)
class CampaignFolder:
    """A campaign's folder.

    Attributes:
        path: Where it is.
    """

    path: Path

    @property
    def record_file(self) -> Path:
        """What the campaign is."""
        return self.path / "campaign.json"

    @property
    def inputs(self) -> Path:
        """Files that environments write for Requests. Paths in inputs start from here."""
        return self.path / "inputs"

    @property
    def run(self) -> Path:
        """Run folder of the Directors."""
        return self.path / "run"

    @property
    def local(self) -> Path:
        """What is run without Directors."""
        return self.path / "local"

    def episode(self, system: str, policy: str, number: int) -> EpisodeFolder:
        """The folder of one episode."""
        return EpisodeFolder(self.path / "episodes" / system / policy / f"{number:04d}")

    def read(self) -> CampaignRecord:
        """What the campaign is. Blocks.

        Raises:
            NotAcceptable: If there is no campaign here, or its record cannot be read.
        """
        try:
            return CampaignRecord.model_validate_json(self.record_file.read_bytes())
        except FileNotFoundError:
            message = "there is no campaign in this folder"
            raise refuse(str(self.path), message, "Name a folder that `director campaign run` has made") from None
        except (OSError, ValidationError) as error:
            raise refuse(str(self.record_file), f"cannot be read ({error})", "Restore it from a copy") from None

    def create(self, record: CampaignRecord) -> None:
        """Makes the folder and writes down what the campaign is. Blocks.

        Raises:
            NotAcceptable: If there is a campaign in it.
            OSError: If it cannot be written.
        """
        if self.record_file.exists():
            hint = f"Go on with it: director campaign resume {self.path}; or name another folder with --run-dir"
            raise refuse("--run-dir", f"there is a campaign in {self.path}", hint)
        self.path.mkdir(parents=True, exist_ok=True)
        self.inputs.mkdir(exist_ok=True)
        text = json.dumps(record.model_dump(mode="json"), indent=1) + "\n"
        replace_file(self.record_file, [text.encode()], self.path / "campaign.json.partial")

    def keep_place(self, site: str, run: str | None) -> None:
        """Writes down where simulations run, so that they go on there. Blocks.

        Args:
            site: The site.
            run: The run whose Directors are used; None: one of its own.

        Raises:
            OSError: If it cannot be written.
        """
        text = json.dumps({"site": site, "run": run}) + "\n"
        replace_file(self.path / "where.json", [text.encode()], self.path / "where.json.partial")

    def read_place(self) -> dict[str, str | None]:
        """What `keep_place` wrote down; empty if nothing was. Blocks.

        Raises:
            NotAcceptable: If it cannot be read.
        """
        path = self.path / "where.json"
        try:
            found = json.loads(path.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise refuse(str(path), f"cannot be read ({error})", "Remove it, and name --site") from None
        return {name: found.get(name) for name in ("site", "run")}


class Held:
    """Holds a campaign's folder while it is entered, so that no two processes write to one campaign.

    The hold ends with the process, however that ends.

    Args:
        folder: The folder.
    """

    def __init__(self, folder: CampaignFolder) -> None:
        self._folder = folder
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        path = self._folder.path / "lock"
        self._folder.path.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = lock_file(path)
        except BlockingIOError:
            holder = path.read_text(encoding="utf-8", errors="replace")[:200].strip() or "another process"
            hint = "Wait for it, or end it; what it has done so far: director campaign show"
            raise refuse(str(self._folder.path), f"is held by {holder}", hint) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {os.uname().nodename}\n".encode(), 0)
        self._descriptor = descriptor
        return self

    def __exit__(self, *_: object) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def digest_of(identity: Mapping[str, Any]) -> str:
    """Hash of all that a campaign's trajectories depend on. Pure. 64 hexadecimal digits (SHA-256 of canonical JSON)."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def check_same(before: CampaignFile, now: CampaignFile, source: str) -> None:
    """Checks that a campaign that goes on is the one that was begun. Where it runs may be otherwise. Pure.

    Raises:
        NotAcceptable: If it is not; it says what is otherwise.
    """
    found = differences(before.identity, now.identity)
    if found:
        message = "is not as it was when this campaign began: " + "; ".join(found[:20])
        hint = "Put it back as it was, or begin another campaign: director campaign run FILE --run-dir ANOTHER"
        raise refuse(source, message, hint)
