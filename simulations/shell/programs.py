"""What is run for a tool: the program that its name means here, its environment, the launcher of its ranks."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from simulations.errors import ToolError
from simulations.shell import rank
from simulations.shell.toolfile import ToolFile
from simulations.workspace import Resources

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
# A worker's environment may hold secrets of its endpoint, so a program gets only what is listed here or in `inherit`.
INHERITED = (
    "PATH", "LD_LIBRARY_PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TERM",
    "CONDA_PREFIX", "VIRTUAL_ENV", "CUDA_HOME", "ROCM_PATH", "MODULEPATH", "LOADEDMODULES",
    "CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ZE_AFFINITY_MASK",
    "ZE_ENABLE_PCI_ID_DEVICE_ORDER", "ZE_FLAT_DEVICE_HIERARCHY", "CUDA_MPS_PIPE_DIRECTORY", "CUDA_MPS_LOG_DIRECTORY",
    "DIRECTOR_MARK", "DIRECTOR_BLOCK_MARK", "SPT_NOENV",
)  # fmt: skip
_INHERITED_FAMILIES = ("LC_",)
VERSION_S = 10.0

# Where each flavour's launcher is looked for, and what it says of itself when it is asked for its version.
_LAUNCHERS = {
    "mpich": (("mpiexec.hydra", "mpiexec.mpich", "mpiexec"), ("hydra",)),
    "openmpi": (("mpiexec.openmpi", "mpiexec"), ("open mpi", "openrte", "prte")),
}


def environment_of(file: ToolFile, resources: Resources, inherited: Mapping[str, str]) -> dict[str, str]:
    """All of a program's environment.

    Args:
        file: Its tool file.
        resources: What its worker owns.
        inherited: The worker's environment.
    """
    found = {
        name: value
        for name, value in inherited.items()
        if name in INHERITED or name in file.inherit or name.startswith(_INHERITED_FAMILIES)
    }
    found |= dict.fromkeys(THREAD_VARIABLES, str(file.cores))
    found |= file.environment
    for variable, folders in (("PATH", file.search_path), ("LD_LIBRARY_PATH", file.library_path)):
        if folders:
            found[variable] = ":".join([*folders, *filter(None, [found.get(variable)])])
    return found


def find_program(name: str, environment: Mapping[str, str], host: str) -> str:
    """Path of a program.

    Args:
        name: Its name, or its whole path.
        environment: With the search path.
        host: Name of the node, for the error.

    Raises:
        ToolError: ``ProgramNotFound``.
    """
    path = environment.get("PATH", "")
    # A relative path would mean another program wherever the worker happens to be.
    if "/" not in name or name.startswith("/"):
        found = shutil.which(name, path=path)
        if found is not None:
            return str(Path(found).absolute())
    if name.startswith("/"):
        state = "is there, but may not be run" if Path(name).exists() else "does not exist"
        message, hint = f"{name} {state} on {host}", "Install it there, or correct program"
    elif "/" in name:
        message = f"{name!r} is neither a plain name nor a whole path"
        hint = "Write its whole path; a script that ships with the tool is named in files, and follows its interpreter"
    else:
        message = f"there is no program {name!r} in the search path of the worker on {host}: {path or 'it is empty'}"
        hint = "Install it there, name its whole path, or name its folder in search_path"
    raise ToolError(message, hint=hint, kind="ProgramNotFound")


def check_cores(file: ToolFile, resources: Resources, node_cores: int) -> None:
    """Refuses to start what would take cores from others.

    Args:
        file: The tool file.
        resources: What the worker owns.
        node_cores: How many cores the worker's machine has.

    Raises:
        ToolError: ``NotEnoughCores``.
    """
    need = file.needed_cores
    if need <= resources.threads:
        return
    fit = node_cores // need
    hint = (
        f"Give each worker more of its node: workers_per_node {fit} or less (the machine has {node_cores} cores)"
        if fit
        else f"The machine has {node_cores} cores in all: ask for fewer cores or ranks"
    )
    raise ToolError(
        f"{file.name} needs {need} cores, and its worker {resources.worker} owns {resources.threads}",
        hint=hint,
        kind="NotEnoughCores",
        details={"needed": need, "owned": resources.threads},
    )


def with_ranks(
    file: ToolFile, arguments: Sequence[str], environment: Mapping[str, str], resources: Resources, orders: Path
) -> list[str]:
    """The command that starts a program as many times as it has ranks, each bound to its own cores.

    Args:
        file: The tool file; with ranks.
        arguments: The program's path and its arguments.
        environment: With the search path.
        resources: What the worker owns.
        orders: A file that is written for the ranks.

    Raises:
        ToolError: ``ProgramNotFound``, if there is no launcher of the flavour.
    """
    assert file.mpi is not None  # noqa: S101  (it has ranks)
    if file.mpi.flavour == "none":
        return list(arguments)
    launcher = _launcher(file.mpi.flavour, environment, resources.host)
    mine = sorted(os.sched_getaffinity(0))
    # A worker that is not pinned does not know which cores are its own; the system places its ranks then.
    cores = mine if len(mine) <= resources.threads and len(mine) >= file.needed_cores else []
    orders.write_text(json.dumps({"arguments": list(arguments), "cores": cores, "each": file.cores}))
    ranks = str(file.ranks)
    options = {
        # Neither asks a scheduler how to start processes: all of them are on this node.
        "mpich": ["-launcher", "fork", "-bind-to", "none", "-n", ranks],
        "openmpi": [
            *(["--allow-run-as-root"] if os.geteuid() == 0 else []),
            *("--mca", "plm", "isolated", "--host", f"localhost:{ranks}", "--bind-to", "none", "-n", ranks),
        ],
    }[file.mpi.flavour]
    script = str(Path(rank.__file__).resolve())
    return [launcher, *options, sys.executable, "-I", "-S", script, str(orders)]


def _launcher(flavour: str, environment: Mapping[str, str], host: str) -> str:
    names, signs = _LAUNCHERS[flavour]
    path = environment.get("PATH", "")
    seen = []
    for name in names:
        found = shutil.which(name, path=path)
        if found is None:
            continue
        said = _version(found, environment)
        if any(sign in said.lower() for sign in signs):
            return found
        seen.append(f"{found} says {said.strip().partition(chr(10))[0]!r}")
    what = "; ".join(seen) or f"none of {', '.join(names)} is in its search path: {path or 'it is empty'}"
    raise ToolError(
        f"there is no mpiexec of {flavour} on {host}: {what}",
        hint="Load its module before the job's workers start, name its folder in search_path, or correct flavour",
        kind="ProgramNotFound",
    )


def _version(program: str, environment: Mapping[str, str]) -> str:
    about: dict[str, Any] = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True, "errors": "replace"}
    try:
        answer = subprocess.run([program, "--version"], env=environment, timeout=VERSION_S, check=False, **about)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"nothing ({error})"
    return str(answer.stdout) + str(answer.stderr)
