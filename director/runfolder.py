"""The run folder: what lies where, and how a run is written down."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from director.door import Problem, Refused
from director.service_partition.spec import ServiceSpec
from director.spec import AllocationSpec, ExchangeSpec, PoolSpec, SharesSpec, agent_id_of
from director.tuning_record import TuningUsed
from simulations.disk import sync_folder, write_private
from simulations.records import StagedFile
from simulations.shell.definition import ToolDefinition

SCHEMA = 1
COPY_CHUNK_BYTES = 1 << 20


class LaunchRecord(BaseModel):
    """One launching of Directors of a run.

    Attributes:
        number: Counts them, from 1.
        at: When (UTC).
        host: Name of the machine that launched them.
        job_id: The batch job that it did so in, if any.
        directors: Indices of those that were launched; None: all.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int
    at: datetime
    host: str
    job_id: str | None = None
    directors: list[int] | None = None


class ServiceRecord(BaseModel):
    """A service of a run.

    Attributes:
        spec: The service.
        hostnames: Its nodes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    spec: ServiceSpec
    hostnames: list[str]


class RunRecord(BaseModel):
    """``run.json``. It holds no secret.

    Attributes:
        run_schema: Version of this record.
        run_id: The run's name.
        created_at: UTC.
        closed_at: When the Fleet was closed (UTC), or null while it is open or after a crash.
        allocation: What the Directors carve.
        shares: How.
        pool: How workers are run.
        partitions: Hostnames of each Director's nodes.
        workers: How many workers each Director has.
        agent_ids: Address of each Director on the exchange, when it was launched for the first time.
        versions: Versions of the packages of the client.
        memory_ledger: Whether its ledgers are kept in memory only.
        launches: The launchings of its Directors that a client with this folder has made, the latest last.
        tools: Its tool files; what ships with them lies in ``inputs``.
        tuning: What of ``pool`` comes from measurements of `director tune`; None: nothing does.
        services: Its services; how they are stands in the folder ``services``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    run_schema: int = SCHEMA
    run_id: str
    created_at: datetime
    closed_at: datetime | None = None
    allocation: AllocationSpec
    shares: SharesSpec
    pool: PoolSpec
    partitions: list[list[str]]
    workers: list[int]
    agent_ids: list[str]
    versions: dict[str, str]
    memory_ledger: bool = False
    launches: list[LaunchRecord] = Field(default_factory=list)
    tools: list[ToolDefinition] = Field(default_factory=list)
    tuning: TuningUsed | None = None
    services: list[ServiceRecord] = Field(default_factory=list)

    def launch_of(self, index: int) -> int:
        """How often a Director has been launched, as far as is written down here; 1 if nothing is."""
        mine = (one.number for one in self.launches if one.directors is None or index in one.directors)
        return max(mine, default=1)

    @property
    def next_launch(self) -> int:
        """Number of the next launching."""
        return max((one.number for one in self.launches), default=1) + 1

    @property
    def addresses(self) -> list[uuid.UUID]:
        """Address of each Director on the exchange, when it was launched for the last time."""
        launched = [self.launch_of(index) for index in range(len(self.agent_ids))]
        return [
            agent_id_of(self.run_id, index, number) if number > 1 else uuid.UUID(self.agent_ids[index])
            for index, number in enumerate(launched)
        ]

    def launched(self, launch: LaunchRecord) -> RunRecord:
        """The same run, launched once more: it is open again."""
        others = [one for one in self.launches if (one.number, one.directors) != (launch.number, launch.directors)]
        return self.model_copy(update={"launches": [*others, launch], "closed_at": None})


@dataclass(frozen=True)
class RunFolder:
    """Paths inside a run folder. What is made in it is readable by its owner only."""

    path: Path

    @property
    def record_file(self) -> Path:
        """The run's record."""
        return self.path / "run.json"

    @property
    def exchange_file(self) -> Path:
        """Address and token of the exchange, while the run is open (mode 0600)."""
        return self.path / "exchange.json"

    @property
    def report_file(self) -> Path:
        """The report."""
        return self.path / "report.html"

    @property
    def requests_file(self) -> Path:
        """All that the run's client had to hand over; see `director.requestbook`."""
        return self.path / "requests.jsonl"

    @property
    def inputs(self) -> Path:
        """Copies of the users' files, named by their hashes."""
        return self.path / "inputs"

    def director(self, index: int) -> Path:
        """A Director's folder."""
        return self.path / f"director-{index}"

    def ledger(self, index: int) -> Path:
        """A Director's ledger."""
        return self.director(index) / "ledger.sqlite"

    def lease(self, index: int) -> Path:
        """Where a Director's lease is."""
        return self.director(index) / "lease"

    def work(self, index: int) -> Path:
        """Where a Director's Requests have their folders."""
        return self.director(index) / "work"

    def staged(self, file: StagedFile) -> Path:
        """Path of a staged file."""
        return self.inputs / file.stored_name

    def create(self, record: RunRecord) -> None:
        """Takes the folder for a new run.

        Raises:
            Refused: If the folder holds a run already, or is no folder.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            with _private(self.record_file, exclusive=True) as stream:
                stream.write(record.model_dump_json(indent=1))
                stream.flush()
                os.fsync(stream.fileno())  # a run whose ledgers survive a power cut is of no use without it
            sync_folder(self.path)
        except FileExistsError:
            what = "already holds a run" if self.record_file.exists() else "is not a folder"
            raise Refused([Problem("run-dir", f"{self.path} {what}", "Name another folder for this run")]) from None
        except OSError as error:
            reason = f"cannot be written ({error.strerror})"
            raise Refused([Problem("run-dir", f"{self.path} {reason}", "Name a folder you may write to")]) from None
        self._make_folders(record)

    def join(self, record: RunRecord) -> None:
        """Takes the folder for a run of which no client can, or joins those of its Directors that have.

        A later launching of the same run may have been granted other nodes: the record then tells of these.

        Raises:
            Refused: If the folder holds another run.
            OSError: If it cannot be written.
        """
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = self.read() if self.record_file.exists() else None
        if found is not None:
            if found.run_id != record.run_id:
                message = f"{self.path} holds run {found.run_id}, not {record.run_id}"
                raise Refused([Problem("run-folder", message, "Name another folder for this run")])
            # What only its client knows stays.
            kept = {
                name: getattr(found, name) for name in ("versions", "memory_ledger", "launches", "tuning", "services")
            }
            record = record.model_copy(update=kept)
        # All Directors of a launching write the same, so it does not matter who is first, or last.
        if found != record:
            write_private(self.record_file, record.model_dump_json(indent=1))
        self._make_folders(record)

    def _make_folders(self, record: RunRecord) -> None:
        for folder in (self.inputs, *(self.work(index) for index in range(len(record.partitions)))):
            folder.parent.mkdir(exist_ok=True, mode=0o700)
            folder.mkdir(exist_ok=True, mode=0o700)

    def read(self) -> RunRecord:
        """Reads the run's record.

        Raises:
            Refused: If there is no run in this folder, or one that this version cannot read.
        """
        try:
            return RunRecord.model_validate_json(self.record_file.read_bytes())
        except OSError:
            hint = "Give the folder that was named with --run-dir"
            raise Refused([Problem("run", f"{self.path} holds no run (no run.json)", hint)]) from None
        except ValidationError as error:
            hint = "Read it with the version of md-director that wrote it"
            raise Refused(
                [Problem("run", f"{self.record_file} is not readable: {error.errors()[0]['msg']}", hint)]
            ) from None

    def reopen(self, record: RunRecord, exchange: ExchangeSpec) -> None:
        """Notes that the run's Directors have been launched again, perhaps on other nodes.

        To be called when they have their leases: until then, another client's may live.

        Args:
            record: The run, which the folder holds already.
            exchange: Where they answer.

        Raises:
            OSError: If it cannot be written.
        """
        write_private(self.record_file, record.model_dump_json(indent=1))
        self.write_exchange(exchange)

    def note_launch(self, launch: LaunchRecord) -> RunRecord:
        """Notes that some of an open run's Directors are launched again; returns the record.

        Raises:
            OSError: If it cannot be written.
        """
        record = self.read().launched(launch)
        write_private(self.record_file, record.model_dump_json(indent=1))
        return record

    def close(self, at: datetime, exchange: ExchangeSpec | None = None) -> None:
        """Notes that the run was closed, and forgets the exchange.

        Args:
            at: When (UTC).
            exchange: The exchange; if another client has written down another one since, nothing is noted.
        """
        known = self.read_exchange()
        if exchange is not None and known is not None and known != exchange:
            return
        self.exchange_file.unlink(missing_ok=True)
        write_private(self.record_file, self.read().model_copy(update={"closed_at": at}).model_dump_json(indent=1))

    def write_exchange(self, exchange: ExchangeSpec) -> None:
        """Leaves address and token for those who attach later, readable by the owner only."""
        write_private(self.exchange_file, exchange.model_dump_json())

    def read_exchange(self) -> ExchangeSpec | None:
        """Address and token of the exchange, or None if the run is not open."""
        try:
            return ExchangeSpec.model_validate(json.loads(self.exchange_file.read_bytes()))
        except FileNotFoundError:
            return None

    def stage(self, source: Path) -> StagedFile:
        """Copies a user's file into the run folder, once for each content.

        Raises:
            OSError: If the file cannot be read or the copy cannot be written.
        """
        suffix = source.suffix if source.suffix[1:].isalnum() and len(source.suffix) <= 13 else ""
        partial = self.inputs / f".{os.getpid()}-{source.stem[:40]}.partial"
        digest = hashlib.sha256()
        with source.open("rb") as original, partial.open("wb") as copy:
            while chunk := original.read(COPY_CHUNK_BYTES):
                digest.update(chunk)
                copy.write(chunk)
            copy.flush()
            os.fsync(copy.fileno())
        staged = StagedFile(name=source.name, sha256=digest.hexdigest(), suffix=suffix)
        shutil.move(partial, self.staged(staged))
        return staged


def _private(path: Path, *, exclusive: bool = False) -> Any:
    flags = os.O_WRONLY | os.O_CREAT | (os.O_EXCL if exclusive else os.O_TRUNC)
    return os.fdopen(os.open(path, flags, 0o600), "w", encoding="utf-8")
