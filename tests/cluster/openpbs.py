"""PBS in the cluster: where its commands stand, and jobs of it. What runs is a stand-in: see the folder ``pbs``."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

from tests.cluster.job import Job
from tests.cluster.pbs.wire import Channel

HERE = Path(__file__).resolve().parent / "pbs"
COMMANDS = ("qsub", "qstat", "qdel", "pbs_tmrsh")
MPIEXECS = ("hydra", "openmpi", "pals")


def install(folder: Path) -> None:
    """Writes the commands that go into the search path.

    They are small shell scripts: a Python that starts in a hundredth of a second is at hand wherever they are called,
    and Hydra cannot be called by way of a symbolic link, since it then does not find its parts.
    """
    (folder / "pbs").mkdir()
    for name in COMMANDS:
        _write(folder / "bin" / name, _python(name, folder))
    for name in MPIEXECS:
        program = _python("mpiexec", folder) if name == "pals" else f"mpiexec.{name}"
        _write(folder / "mpi" / name / "mpiexec", program)


def _python(name: str, folder: Path) -> str:
    return shlex.join([sys.executable, "-E", "-S", str(HERE / f"{name}.py"), str(folder)])


def _write(file: Path, command: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    file.chmod(0o755)


class PbsJob(Job):
    """A PBS job, whose output is that of its tasks too.

    Its states are ``Q``, ``R``, ``E`` and, however it ended, ``F``.
    """

    def describe(self) -> dict[str, Any]:
        """What ``qstat`` says of it."""
        shown: dict[str, Any] = json.loads(self._run(["qstat", "-x", "-f", "-F", "json", self.id]))["Jobs"][self.id]
        return shown

    def state(self) -> str:
        """See `Job.state`."""
        return str(self.describe()["job_state"])

    @staticmethod
    def ended(state: str) -> bool:
        """See `Job.ended`."""
        return state == "F"

    @property
    def exit_status(self) -> int | None:
        """How its script ended, 256 and more for a signal; None as long as it has not."""
        status: int | None = self.describe().get("Exit_status")
        return status

    def cancel(self) -> None:
        """See `Job.cancel`."""
        self._run(["qdel", self.id])


def listens(folder: Path, name: str) -> bool:
    """Whether a daemon of PBS answers."""
    try:
        Channel.to(folder, name).close()
    except OSError:
        return False
    return True
