"""File systems that a test can fill up, make read-only and take away, seen by nobody but the test's own processes."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.cluster.namespaces import all_pids, namespace

PATIENCE_S = 120.0
# EXT4_IOC_SHUTDOWN of Linux's fs/ext4/ext4.h: from then on every use of the file system is an error.
SHUTDOWN = 0x8004587D
NO_LOG_FLUSH = 2
EXT4_BYTES = 24 << 20


class Mounts:
    """A mount namespace of its own. When it ends, nothing is mounted any more.

    Args:
        folder: A folder of the test's.

    Attributes:
        at: Where its file system is mounted, or not.
        aside: Where a second one can be.
        name: Name of the namespace.
    """

    def __init__(self, folder: Path) -> None:
        self.at = folder / "disk"
        self.aside = folder / "aside"
        self._image = folder / "image"
        for path in (self.at, self.aside):
            path.mkdir()
        self._holder = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", "echo ready; exec cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def __enter__(self) -> Self:
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == b"ready\n", "no mount namespace can be made"
        self.name = namespace(self._holder.pid, "mnt")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._holder.kill()
        self._holder.communicate()

    def guests(self) -> list[int]:
        """The processes that see these mounts, but for the one that keeps them."""
        return [pid for pid in all_pids() if namespace(pid, "mnt") == self.name and pid != self._holder.pid]

    def enter(self) -> list[str]:
        """The start of a command that sees these mounts."""
        return ["nsenter", f"--mount=/proc/{self._holder.pid}/ns/mnt", "--"]

    def outside(self, path: Path) -> Path:
        """How a path in there is called out here."""
        return Path(f"/proc/{self._holder.pid}/root") / path.relative_to("/")

    def do(self, *command: str | Path) -> str:
        """Runs a command in there and returns what it says."""
        words = [*self.enter(), *map(str, command)]
        done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE_S)
        assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
        return done.stdout.strip()

    # ---- file systems

    def tmpfs(self, size_mb: int, at: Path | None = None, *, read_only: bool = False) -> None:
        """Mounts an empty one that is in memory."""
        options = f"size={size_mb}m,{'ro' if read_only else 'rw'}"
        self.do("mount", "-t", "tmpfs", "-o", options, "tmpfs", at or self.at)

    def bind(self) -> None:
        """Shows the one that is aside in the usual place, too."""
        self.do("mount", "--bind", self.aside, self.at)

    def ext4(self) -> None:
        """Mounts one that is in a file, made if need be, as if it were a disk. After an error it is read-only."""
        if not self._image.exists():
            self._image.touch()
            os.truncate(self._image, EXT4_BYTES)
            self.do("mkfs.ext4", "-q", "-m", "0", "-F", self._image)
        self.do("mount", "-o", "loop,errors=remount-ro", self._image, self.at)

    def unmount(self, *, lazily: bool = False) -> None:
        """Takes it away; lazily: also from those who use it."""
        give_up = time.monotonic() + PATIENCE_S
        while True:
            try:
                self.do("umount", *(["--lazy"] if lazily else []), self.at)
            except AssertionError:
                if time.monotonic() > give_up:
                    raise
                time.sleep(0.1)  # a process of the run that is still ending
            else:
                return

    def fill(self, leave_bytes: int = 0) -> Path:
        """Fills it up. Returns the file that does."""
        ballast = self.outside(self.at) / "ballast"
        room = os.statvfs(self.outside(self.at))
        with ballast.open("wb") as stream:
            left = room.f_bavail * room.f_frsize - leave_bytes
            while left > 0:
                try:
                    left -= stream.write(b"x" * min(left, 1 << 16))
                    stream.flush()
                except OSError:
                    break
        return ballast

    def fail_read_only(self) -> None:
        """What a kernel does to a disk on which it has found an error: nothing is written to it any more."""
        device = Path(self.do("findmnt", "-n", "-o", "SOURCE", self.at)).name
        Path(f"/sys/fs/ext4/{device}/trigger_fs_error").write_text("a test")

    def break_down(self) -> None:
        """What happens when a disk is pulled out: what was not synced is lost, and all else is an error."""
        folder = os.open(self.outside(self.at), os.O_RDONLY)
        try:
            fcntl.ioctl(folder, SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        finally:
            os.close(folder)


def loops() -> str:
    """The loop devices that are in use on this machine."""
    return subprocess.run(["losetup", "--list", "--noheadings"], capture_output=True, text=True, check=True).stdout


def can_loop() -> bool:
    """Whether this machine has loop devices: some containers have none."""
    found: Any = subprocess.run(["losetup", "--find"], capture_output=True)
    return bool(found.returncode == 0)
