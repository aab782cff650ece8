"""Whether a process of this machine has ended, and no other one has got its number since."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class ProcessId(BaseModel):
    """One process, never to be mistaken for another one that has its number.

    Attributes:
        boot: The kernel's id of this boot of the machine.
        namespace: The namespace that the number belongs to.
        pid: The number.
        started_ticks: When the process was started, in clock ticks since the boot.
    """

    model_config = ConfigDict(frozen=True)

    boot: str
    namespace: str
    pid: int = Field(gt=0, lt=2**31)
    started_ticks: int

    @classmethod
    def of(cls, pid: int) -> ProcessId | None:
        """The process of this number, or None if it cannot be told."""
        try:
            if str(Path("/proc/self").readlink()) != str(os.getpid()):  # /proc shows the processes of another namespace
                return None
            boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
            return cls(
                boot=boot, namespace=str(Path("/proc/self/ns/pid").readlink()), pid=pid, started_ticks=_stat(pid)[1]
            )
        except (OSError, ValueError, IndexError):
            return None

    def gone(self, seen_by: ProcessId | None) -> bool:
        """Whether this process has provably ended, to the knowledge of another process."""
        if seen_by is None or (self.boot, self.namespace) != (seen_by.boot, seen_by.namespace):
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except OSError:
            return False
        try:
            ended, started_ticks = _stat(self.pid)
        except (OSError, ValueError, IndexError):
            return False
        return ended or started_ticks != self.started_ticks


def _stat(pid: int) -> tuple[bool, int]:
    """Whether a process has ended (and was not waited for yet), and when it was started; see proc(5)."""
    # The command's name stands in brackets and may hold anything, brackets too.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    state, threads, started_ticks = fields[0], int(fields[17]), int(fields[19])
    return state in "ZX" and threads <= 1, started_ticks
