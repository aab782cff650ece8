"""Batch files: what to run, in YAML or JSON."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from director.document import read_document
from director.door import Problem, Refused, problems_of
from director.service_partition.spec import ServiceSpec, read_services
from director.staging import prepare
from director.toolbox import read_tools, tools_with
from simulations.records import Request
from simulations.shell import ToolSource
from simulations.tool import AnyTool

MAX_FILE_BYTES = 50_000_000
MAX_REQUESTS = 1_000_000


def _time(value: object) -> object:
    """Reads a time that is text: JSON has no other, and in YAML it may stand in quotation marks."""
    if not isinstance(value, str):
        return value
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        raise ValueError("must be a time in ISO 8601 with its zone, such as 2026-03-01T18:00:00Z") from None


class BatchEntry(BaseModel):
    """One entry of ``requests``; it stands for one Request or many.

    Attributes:
        tool: Name of the Tool.
        inputs: Its inputs.
        repeat: Run it with so many seeds, counting up from ``inputs.seed`` (or 1).
        sweep: For each of these inputs, the values it takes in turn; all combinations are run.
        priority: Of two Requests that wait, the one with the higher priority starts first; from -1000 to 1000.
        timeout_s: Longest time that each may run, over all attempts, in s.
        deadline: When they are of no use any more: a time in ISO 8601, with its zone.
        reuse: Whether Outcomes of equal inputs may stand for them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    tool: str
    inputs: dict[str, Any] = Field(default_factory=dict)
    repeat: int = Field(default=1, ge=1, le=MAX_REQUESTS)
    sweep: dict[str, list[Any]] = Field(default_factory=dict)
    priority: int = Field(default=0, ge=-1000, le=1000)
    timeout_s: float | None = Field(default=None, gt=0, le=31_536_000, allow_inf_nan=False)
    deadline: Annotated[AwareDatetime, BeforeValidator(_time)] | None = None
    reuse: bool = True

    def request(self, inputs: dict[str, Any]) -> Request:
        """One of the Requests that it stands for."""
        return Request(
            tool=self.tool,
            inputs=inputs,
            priority=self.priority,
            timeout_s=self.timeout_s,
            deadline=self.deadline,
            reuse=self.reuse,
        )


class BatchFile(BaseModel):
    """A batch file.

    Attributes:
        directors: How many Directors.
        nodes: How many nodes they share. In a batch job this must be what the job has; elsewhere it is how many
            logical nodes of this machine there are, one for each Director if not given.
        shares: Weights, one per Director; numbers that add up to the nodes are sizes. Even if not given.
        hosts: Patterns of hostnames, one per Director, instead of shares.
        accelerators: Names of each node's accelerators; what the scheduler says if not given.
        workers_per_node: Worker processes on each node; chosen from its cores and accelerators if not given.
        threads_per_worker: Threads that one simulation uses; one for each core that its worker owns if not given.
        pool: Further settings of the workers.
        reuse: Whether Outcomes of equal inputs may stand for Requests; false overrules what these say.
        reuse_from: Run folders in which such Outcomes are looked for beside this run's.
        tools: Tool files, whose Tools the run has beside those that are installed.
        services: Servers, such as that of a language model, on nodes that are set aside for them.
        requests: What to run.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    directors: int = Field(default=1, ge=1, le=1024)
    nodes: int | None = Field(default=None, ge=1, le=1024)
    shares: list[float | int] | None = None
    hosts: list[str] | None = None
    accelerators: list[str] | None = None
    workers_per_node: int | None = Field(default=None, ge=1, le=1024)
    threads_per_worker: int | None = Field(default=None, ge=1, le=1024)
    pool: dict[str, Any] = Field(default_factory=dict)
    reuse: bool = True
    reuse_from: list[str] = Field(default_factory=list)
    tools: list[str] = Field(default_factory=list)
    services: list[ServiceSpec] = Field(default_factory=list, max_length=100)
    requests: list[BatchEntry] = Field(min_length=1)


@dataclass(frozen=True)
class Batch:
    """A batch file that has been read and checked.

    Attributes:
        file: What it says.
        base: Its folder; its relative paths start there, and its files lie in it.
        requests: The Requests, unstaged.
        tools: Its tool files.
        services: Its services, with paths that no longer depend on its folder.
    """

    file: BatchFile
    base: Path
    requests: list[Request]
    tools: tuple[ToolSource, ...] = ()
    services: tuple[ServiceSpec, ...] = ()

    @property
    def stores(self) -> list[str]:
        """The run folders in which Outcomes are looked for, as paths of this machine."""
        return [str(self.base / Path(store).expanduser()) for store in self.file.reuse_from]


def read_batch(path: Path, tools: Mapping[str, AnyTool]) -> Batch:
    """Reads a batch file and checks everything in it. Nothing is started or written.

    Args:
        path: The file. What does not end in ``.json`` is read as YAML, of which JSON is a part.
        tools: The installed Tools.

    Raises:
        Refused: With everything that is wrong with it.
    """
    file = read_file(path)
    base = path.resolve().parent
    sources = read_tools(file.tools, base=base)
    known = tools_with([source.definition for source in sources], tools)
    requests = expand(file, known)
    prepare(requests, known, base=base, confined=True, stage=None)
    return Batch(file, base, requests, sources, read_services(file.services, base))


def read_file(path: Path) -> BatchFile:
    """Reads a batch file and checks its form; its requests are not looked into.

    Raises:
        Refused: With everything that is wrong with it.
    """
    document = read_document(path, MAX_FILE_BYTES)
    if not isinstance(document, dict):
        raise Refused(
            [Problem(str(path), "is not a mapping", "Begin with `requests:`; see the reference on batch files")]
        )
    try:
        return BatchFile.model_validate(document)
    except ValidationError as error:
        raise Refused(problems_of(error, BatchFile)) from None


def expand(file: BatchFile, tools: Mapping[str, AnyTool]) -> list[Request]:
    """Makes the Requests that a batch file stands for: for each entry all combinations of its sweep, times its seeds.

    Raises:
        Refused: If an entry cannot be expanded, or there would be more than a million Requests.
    """
    problems = []
    total = sum(entry.repeat * math.prod(len(values) for values in entry.sweep.values()) for entry in file.requests)
    if total > MAX_REQUESTS:
        raise Refused([Problem("requests", f"stand for {total:,} requests", f"Split it: {MAX_REQUESTS:,} at most")])
    requests = []
    for index, entry in enumerate(file.requests):
        where = f"requests[{index}]"
        known = tools[entry.tool].request.model_fields if entry.tool in tools else None
        seed = entry.inputs.get("seed", 1)
        for name, values in entry.sweep.items():
            if not values:
                problems.append(Problem(f"{where}.sweep.{name}", "has no values", "Give at least one"))
            if name == "seed" and entry.repeat > 1:
                problems.append(
                    Problem(f"{where}.sweep.seed", "is swept and repeated", "Use one of repeat and sweep.seed")
                )
        if entry.repeat > 1 and known is not None and "seed" not in known:
            problems.append(
                Problem(
                    f"{where}.repeat",
                    f"{entry.tool!r} takes no seed",
                    "Repeats would all be equal: leave it out",
                )
            )
        elif entry.repeat > 1 and (isinstance(seed, bool) or not isinstance(seed, int)):
            problems.append(Problem(f"{where}.inputs.seed", f"{seed!r} cannot be counted up", "Give a whole number"))
        else:
            seeds = [{"seed": seed + offset} for offset in range(entry.repeat)] if entry.repeat > 1 else [{}]
            for values, more in itertools.product(itertools.product(*entry.sweep.values()), seeds):
                inputs = entry.inputs | dict(zip(entry.sweep, values, strict=True)) | more
                requests.append(entry.request(inputs))
    if problems:
        raise Refused(problems)
    return requests
