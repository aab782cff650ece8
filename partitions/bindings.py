"""What each worker of a node owns: its cores, its threads and its accelerator. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from partitions.allocation import Node

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENMM_CPU_THREADS")


@dataclass(frozen=True)
class Binding:
    """What one worker owns.

    Attributes:
        cores: Positions of its cores among the node's cores, the first being 0.
        threads: How many threads a simulation of it uses.
        accelerator: Position of its accelerator among the node's, or None.
    """

    cores: tuple[int, ...]
    threads: int
    accelerator: int | None = None


@dataclass(frozen=True)
class Owned:
    """What one worker owns, by the names that the node itself knows.

    Attributes:
        cores: Ids of its cores; empty: any.
        threads: How many threads a simulation of it uses.
        accelerator: Name of its accelerator, or None.
    """

    cores: tuple[int, ...]
    threads: int
    accelerator: str | None = None


def bind(
    node: Node, *, workers: int | None = None, threads: int | None = None, workers_per_accelerator: int = 1
) -> list[Binding]:
    """Shares a node out among its workers.

    Args:
        node: The node.
        workers: How many; None: so many per accelerator, or without accelerators one per ``threads`` cores.
        threads: Threads of each; None: one for each core that it owns.
        workers_per_accelerator: How many share an accelerator where ``workers`` is None.

    Returns:
        One Binding per worker. Each has its own run of cores; only where there are more threads than cores are cores
        shared, in turn. Neighbouring workers share an accelerator where there are more workers than accelerators.
    """
    cores, accelerators = len(node.cores), len(node.accelerators)
    if workers is None:
        workers = accelerators * workers_per_accelerator or max(1, cores // (threads or 1))
    own = threads or max(1, cores // max(1, workers))
    return [
        Binding(
            cores=tuple(sorted({(rank * own + offset) % cores for offset in range(own)})) if cores else (),
            threads=own,
            accelerator=_accelerator(rank, workers, accelerators),
        )
        for rank in range(workers)
    ]


def _accelerator(rank: int, workers: int, accelerators: int) -> int | None:
    if not accelerators:
        return None
    return rank if workers <= accelerators else rank * accelerators // workers


def shared(bindings: Sequence[Binding]) -> bool:
    """Whether an accelerator has several workers."""
    taken = [binding.accelerator for binding in bindings if binding.accelerator is not None]
    return len(set(taken)) < len(taken)


def resolve(
    bindings: Sequence[Binding],
    *,
    granted: Node,
    named: bool,
    cores_here: Sequence[int],
    environment: Mapping[str, str],
) -> list[Owned]:
    """Turns positions into the names that the node itself knows.

    A scheduler says how many cores and accelerators it granted, but not which. On the node, the cores that the job may
    use are its processor affinity, and the accelerators those that the vendor's variable lists. Where their numbers
    differ from what was granted, nothing confines the job to its share, and which cores are its own cannot be known:
    workers are then not pinned.

    Args:
        bindings: What each worker owns.
        granted: The node, as the Allocation has it.
        named: Whether its cores and accelerators go by their own names already.
        cores_here: Ids of the cores that this process may use on the node.
        environment: The environment of this process on the node.
    """
    cores: Sequence[int] = granted.cores if named else sorted(cores_here)
    pinned = named or len(cores) == len(granted.cores)
    accelerators = visible(granted, named=named, environment=environment)
    return [
        Owned(
            cores=tuple(cores[index] for index in binding.cores) if pinned else (),
            threads=binding.threads,
            accelerator=None if binding.accelerator is None else accelerators[binding.accelerator],
        )
        for binding in bindings
    ]


def visible(granted: Node, *, named: bool, environment: Mapping[str, str]) -> Sequence[str]:
    """The names of a node's accelerators, as the node itself knows them; see `resolve`."""
    return granted.accelerators if named else _visible(granted.accelerators, environment)


def node_environment(accelerators: Sequence[str]) -> dict[str, str]:
    """What is set for a program that has a whole node, so that it uses all of these accelerators.

    See `worker_environment`. Empty where none are known: the program then sees what the scheduler lets it see.
    """
    if not accelerators:
        return {}
    listed = ",".join(accelerators)
    variables = dict.fromkeys(("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "ZE_AFFINITY_MASK"), listed)
    variables |= {
        "HIP_VISIBLE_DEVICES": ",".join(str(index) for index in range(len(accelerators))),
        "ZE_ENABLE_PCI_ID_DEVICE_ORDER": "1",
    }
    if any("." in name for name in accelerators):
        variables["ZE_FLAT_DEVICE_HIERARCHY"] = "COMPOSITE"
    return variables


def _visible(granted: Sequence[str], environment: Mapping[str, str]) -> Sequence[str]:
    """Without confinement, schedulers name a job's share of a node's accelerators in the vendor's variable."""
    if list(granted) != [str(index) for index in range(len(granted))]:
        return granted  # named by the user
    for variable in ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "ZE_AFFINITY_MASK"):
        names = [name for name in environment.get(variable, "").split(",") if name]
        if len(names) == len(granted):
            return names
    return granted


def worker_environment(owned: Owned) -> dict[str, str]:
    """What a worker sets in its own environment before it runs anything, so that it uses what it owns.

    NVIDIA's runtime reads ``CUDA_VISIBLE_DEVICES``. AMD's reads ``ROCR_VISIBLE_DEVICES`` first;
    ``HIP_VISIBLE_DEVICES``, or ``CUDA_VISIBLE_DEVICES`` if that is not set, then counts among what is left, so with one
    device it must be 0 (ROCm documentation, "GPU isolation"). Intel's reads ``ZE_AFFINITY_MASK``, and takes a tile
    such as ``0.1`` only where devices are composed of tiles (Intel, "Exposing the Device Hierarchy").
    """
    variables = dict.fromkeys(THREAD_VARIABLES, str(owned.threads))
    if owned.accelerator is not None:
        variables |= dict.fromkeys(
            ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "ZE_AFFINITY_MASK"), owned.accelerator
        )
        variables |= {"HIP_VISIBLE_DEVICES": "0", "ZE_ENABLE_PCI_ID_DEVICE_ORDER": "1"}
        if "." in owned.accelerator:
            variables["ZE_FLAT_DEVICE_HIERARCHY"] = "COMPOSITE"
    return variables


def dump(owned: Sequence[Owned]) -> str:
    """Writes down what each worker owns, for `load`."""
    return json.dumps([asdict(item) for item in owned])


def load(text: str) -> list[Owned]:
    """Reads what `dump` wrote."""
    return [Owned(tuple(item["cores"]), item["threads"], item["accelerator"]) for item in json.loads(text)]
