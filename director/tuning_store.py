"""Where tunings are kept, and which of them a run goes by."""

from __future__ import annotations

import hashlib
import itertools
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from director.batch import Batch
from director.door import Problem, Refused
from director.tuning_record import Machine, System, Tuned, TuningFile, TuningUsed
from partitions.allocation import Allocation
from partitions.surroundings import Surroundings
from simulations.disk import write_private
from simulations.tool import AnyTool

FILE = "tuning.json"
MOST_SYSTEMS = 1000
_READ_BYTES = 1 << 20
_CPU_LINES = ("model name", "cpu model", "Processor", "cpu")


@dataclass(frozen=True)
class TuningStore:
    """The file in which tunings are kept.

    Attributes:
        folder: The user's folder; see `director.runs.home`.
    """

    folder: Path

    @property
    def path(self) -> Path:
        """The file."""
        return self.folder / FILE

    def read(self) -> list[Tuned]:
        """All tunings; none if there is no file.

        Raises:
            Refused: If it cannot be read.
        """
        try:
            return TuningFile.model_validate_json(self.path.read_bytes()).entries
        except FileNotFoundError:
            return []
        except OSError as error:
            reason = str(error.strerror)
        except ValidationError as error:
            reason = str(error.errors()[0]["msg"])
        hint = "Remove it and tune again, or go without: --no-tuning"
        raise Refused([Problem("tuning", f"{self.path} cannot be read ({reason})", hint)])

    def keep(self, tuned: Tuned) -> None:
        """Writes a tuning down, in place of an earlier one of the same system and machine.

        Raises:
            Refused: If the file that is there cannot be read.
            OSError: If it cannot be written.
        """
        others = [one for one in self.read() if (one.machine, one.system) != (tuned.machine, tuned.system)]
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(self.path, TuningFile(entries=[*others, tuned]).model_dump_json(indent=1))


def machine_of(allocation: Allocation, surroundings: Surroundings) -> Machine:
    """What the nodes of an Allocation are like. Of a batch job, this one stands for all: it should be its lead node.

    Raises:
        ValueError: If its nodes differ in cores or accelerators, so that no number of workers is the best for all.
    """
    kinds = {(len(node.cores), len(node.accelerators)) for node in allocation.nodes}
    if len(kinds) > 1:
        raise ValueError("its nodes differ in cores or accelerators")
    cores, count = kinds.pop()
    return Machine(
        cpu=_cpu(surroundings),
        cores=max(1, cores),
        nodes_here=len(allocation.nodes) if allocation.scheduler == "local" else 1,
        accelerators=_models(allocation.nodes[0].accelerators, surroundings) if count else (),
    )


def _cpu(surroundings: Surroundings) -> str:
    try:
        lines = surroundings.read("/proc/cpuinfo").splitlines()
    except OSError:
        lines = []
    said = dict(reversed([(name.strip(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]))
    return next((said[name] for name in _CPU_LINES if said.get(name)), "") or platform.machine() or "unknown"


def _models(accelerators: Sequence[str], surroundings: Surroundings) -> tuple[str, ...]:
    answer = surroundings.output_of(["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]) or ""
    models = [line.strip() for line in answer.splitlines() if line.strip()]
    # Which of them are the job's is not known where there are more; they are alike wherever we have looked.
    if len(models) >= len(accelerators) and len(set(models)) == 1:
        return tuple(models[: len(accelerators)])
    return tuple(accelerators)


def system_of(tool: AnyTool, inputs: Mapping[str, Any], base: Path) -> System:
    """What a Request's speed depends on; of a Tool that does not say, nothing but its name.

    Args:
        tool: Its Tool.
        inputs: Its inputs, which have been checked.
        base: Where relative paths start.

    Raises:
        OSError: If a file of its cannot be read.
    """
    if tool.size is None:
        return System(tool=tool.name, size="")
    files = {name: _sha256(path) for name, path in files_of(tool, inputs, base).items()}
    return System(tool=tool.name, size=tool.size(tool.request.model_validate(inputs)), files=files)


def files_of(tool: AnyTool, inputs: Mapping[str, Any], base: Path) -> dict[str, Path]:
    """The user's files that inputs name, by the names of these inputs."""
    found = {}
    for name, shipped in tool.file_inputs.items():
        value = inputs.get(name)
        if isinstance(value, str) and value not in shipped:
            found[name] = (base / value).resolve()
    return found


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(_READ_BYTES):
            digest.update(piece)
    return digest.hexdigest()


def systems_of(batch: Batch, tools: Mapping[str, AnyTool]) -> list[System] | None:
    """The different systems of a batch; None if there are too many to look at.

    Raises:
        OSError: If a file cannot be read.
    """
    found: dict[str, System] = {}
    looked = 0
    for entry in batch.file.requests:
        swept = {name: values for name, values in entry.sweep.items() if name != "seed"}
        for values in itertools.product(*swept.values()):
            looked += 1
            if looked > MOST_SYSTEMS:
                return None
            tool, inputs = tools.get(entry.tool), entry.inputs | dict(zip(swept, values, strict=True))
            # One of a tool file says no size either.
            system = system_of(tool, inputs, batch.base) if tool else System(tool=entry.tool, size="")
            found[system.model_dump_json()] = system
    return list(found.values())


@dataclass(frozen=True)
class Advice:
    """What tunings say about a run.

    Attributes:
        used: What is to be taken from them; None: nothing.
        why_not: Why nothing is, although there are tunings that could be meant; empty if there are none.
    """

    used: TuningUsed | None = None
    why_not: str = ""


def advice(entries: Iterable[Tuned], machine: Machine, systems: Sequence[System], file: Path) -> Advice:
    """Which tuning a run goes by, if any. Pure.

    Args:
        entries: The tunings.
        machine: The run's nodes.
        systems: All that it simulates, as far as Tools say.
        file: Where the tunings are written down.
    """
    of_these = [one for one in entries if one.system in systems]
    here = [one for one in of_these if one.machine == machine]
    if not here:
        others = sorted({str(one.machine) for one in of_these})
        return Advice(why_not=f"tuned on {'; '.join(others)}, and these are {machine}" if others else "")
    missing = [system for system in systems if all(one.system != system for one in here)]
    if missing:
        return Advice(why_not=f"{len(missing)} of its {len(systems)} systems not tuned, such as {missing[0]}")
    if len({one.settings for one in here}) > 1:
        said = "; ".join(f"{one.system}: {one.settings}" for one in here[:3])
        return Advice(why_not=f"its systems were tuned to different numbers ({said}). Run them as batches of their own")
    at = min(one.at for one in here)
    return Advice(TuningUsed(file=str(file), settings=here[0].settings, machine=machine, systems=list(systems), at=at))
