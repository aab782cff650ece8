"""Starting one program on each of some nodes: a table of launchers, and which one a machine has. Pure.

Hosts are always named on the command line. A node file named by the environment (``PBS_NODEFILE``) belongs to the whole
job: a launcher that was pointed at a part of it was seen to place one Partition's workers on another's nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True)
class LaunchCommand:
    """What to run on the lead node. No shell is involved.

    Attributes:
        arguments: Program and arguments.
        environment: What to add to the launcher's own environment.
    """

    arguments: list[str]
    environment: dict[str, str] = field(default_factory=dict)


class Launcher(Protocol):
    """A way to start a program on nodes."""

    @property
    def name(self) -> str:
        """Its kind, as users choose it."""
        ...

    @property
    def nodes_at_once(self) -> bool:
        """Whether one command can start the program on several nodes."""
        ...

    def command(self, hostnames: Sequence[str], program: Sequence[str]) -> LaunchCommand:
        """Says what to run so that the program runs once on each of these nodes."""
        ...


@dataclass(frozen=True)
class ProcessLauncher:
    """Runs the program as a process of this machine: the launcher of logical nodes."""

    name: str = "process"
    nodes_at_once: bool = False

    def command(self, hostnames: Sequence[str], program: Sequence[str]) -> LaunchCommand:
        """See `Launcher.command`; the nodes are this machine."""
        return LaunchCommand(list(program))


@dataclass(frozen=True)
class ProgramLauncher:
    """Runs the program through a launcher of the machine.

    Attributes:
        name: Its kind: a key of `OPTIONS`.
        program: The launcher's path.
    """

    name: str
    program: str
    nodes_at_once: bool = True

    def command(self, hostnames: Sequence[str], program: Sequence[str]) -> LaunchCommand:
        """See `Launcher.command`."""
        options, environment = OPTIONS[self.name](hostnames)
        return LaunchCommand([self.program, *options, *program], environment)


_Options = tuple[list[str], dict[str, str]]


def _srun(hostnames: Sequence[str]) -> _Options:
    """Slurm. ``--no-kill`` and ``--kill-on-bad-exit=0``: the end of one node is not the end of the others."""
    count = str(len(hostnames))
    return [
        f"--nodes={count}",
        f"--ntasks={count}",
        "--ntasks-per-node=1",
        f"--nodelist={','.join(hostnames)}",
        "--overlap",  # Directors and their neighbours hold steps on the same nodes
        "--no-kill",
        "--kill-on-bad-exit=0",
        "--cpu-bind=none",  # workers pin themselves
        "--mpi=none",
        "--input=none",
        "--unbuffered",
        "--quiet",  # its errors are still shown
    ], {}


def _hydra(hostnames: Sequence[str]) -> _Options:
    """MPICH, Intel MPI, MVAPICH. Inside Slurm, Hydra starts its proxies by ``srun``, which must then overlap."""
    count = str(len(hostnames))
    return ["-n", count, "-ppn", "1", "-hosts", ",".join(hostnames), "-bind-to", "none"], {"SLURM_OVERLAP": "1"}


def _open_mpi(hostnames: Sequence[str]) -> _Options:
    """Open MPI 4 and 5. It forwards no environment, and needs none forwarded: see `partitions.keeper`."""
    count = str(len(hostnames))
    hosts = ",".join(f"{name}:1" for name in hostnames)
    return ["-n", count, "--host", hosts, "--map-by", "node", "--bind-to", "none"], {"SLURM_OVERLAP": "1"}


def _pals(hostnames: Sequence[str]) -> _Options:
    """HPE PALS, the ``mpiexec`` of Cray EX machines under PBS."""
    count = str(len(hostnames))
    return ["-n", count, "--ppn", "1", "--hosts", ",".join(hostnames), "--cpu-bind", "none", "--line-buffer"], {}


OPTIONS: dict[str, Callable[[Sequence[str]], _Options]] = {
    "srun": _srun,
    "hydra": _hydra,
    "openmpi": _open_mpi,
    "pals": _pals,
}

# Where each kind is looked for; the general name comes last, since with several installed it can be any of them.
PROGRAMS = {
    "srun": ("srun",),
    "hydra": ("mpiexec.hydra", "mpiexec.mpich", "mpiexec"),
    "openmpi": ("mpiexec.openmpi", "mpiexec"),
    "pals": ("mpiexec",),
}
_SIGNS = (("pals", "pals"), ("hydra", "hydra"), ("open mpi", "openmpi"), ("openrte", "openmpi"), ("prte", "openmpi"))


def flavour(version: str) -> str | None:
    """Which launcher an ``mpiexec`` is, from what ``mpiexec --version`` prints; None if it is not known."""
    text = version.lower()
    return next((kind for sign, kind in _SIGNS if sign in text), None)


class LauncherError(RuntimeError):
    """There is no launcher of the kind that was asked for, or none that is known."""


def choose(
    wanted: str,
    scheduler: str,
    *,
    program: str | None,
    which: Callable[[str], str | None],
    version: Callable[[str], str | None],
    installed: bool = True,
) -> Launcher:
    """Finds the launcher.

    Args:
        wanted: ``process``, a key of `OPTIONS`, or ``auto``: logical nodes are processes, Slurm has ``srun``, and
            elsewhere it is the ``mpiexec`` of the search path, whatever it is.
        scheduler: The Allocation's.
        program: The launcher's name or path, if the user gave it.
        which: Finds a program in the search path, as `shutil.which` does.
        version: What a program prints when it is asked for its version; None if it cannot be asked.
        installed: Whether it must be installed here. If not, one that is missing goes by its usual name.

    Raises:
        LauncherError: If there is none.
    """
    if wanted == "auto":
        wanted = {"local": "process", "slurm": "srun"}.get(scheduler, "mpiexec")
    if wanted == "process":
        if scheduler != "local":
            raise LauncherError(
                f"launcher: process starts workers on this machine only, and the {scheduler} allocation has nodes of "
                f"its own. Choose one of {', '.join(OPTIONS)}"
            )
        return ProcessLauncher()
    if scheduler == "local":
        raise LauncherError(f"launcher: {wanted} cannot start workers on logical nodes. Leave it out")
    names = (program,) if program else PROGRAMS.get(wanted, ("mpiexec",))
    found = [path for name in names if (path := which(name))]
    if not found and not installed and wanted != "mpiexec":
        return ProgramLauncher(wanted, names[0])
    if not found:
        raise LauncherError(
            f"launcher: {wanted} is not installed: {' or '.join(names)} is not in the search path. "
            "Load its module, or name its path or another launcher"
        )
    if wanted == "srun":
        return ProgramLauncher("srun", found[0])
    return _of_flavour(wanted, found, version)


def _of_flavour(wanted: str, found: Sequence[str], version: Callable[[str], str | None]) -> Launcher:
    seen = []
    for path in found:
        text = version(path)
        kind = flavour(text) if text else None
        if kind is not None and wanted in ("mpiexec", kind):
            return ProgramLauncher(kind, path)
        first = (text or "").strip().partition("\n")[0]
        seen.append(f"{path} says {first!r}" if text else f"{path} does not answer to --version")
    looked = "a known mpiexec (Hydra, Open MPI, PALS)" if wanted == "mpiexec" else wanted
    raise LauncherError(f"launcher: {looked} was not found: {'; '.join(seen)}. Name the launcher and its program")
