"""Writing that survives a crash, and saying what is wrong with a disk."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import uuid
from collections.abc import Iterable
from pathlib import Path

from simulations.errors import ToolError

_REMEDIES = {
    errno.ENOSPC: ("is full", "free space there"),
    errno.EDQUOT: ("is full for you: your quota is used up", "free space there, or ask for a greater quota"),
    errno.EROFS: ("is mounted read-only", "find out why, often a fault of the disk or server"),
    errno.EIO: ("failed to read or write", "ask those who run it, often a fault of the disk or server"),
    errno.ESTALE: ("is not there any more", "ask those who run it, often a file server that was restarted"),
    errno.ENXIO: ("is not there any more", "ask those who run it, often a file server that was restarted"),
}


def replace_file(path: Path, parts: Iterable[bytes | memoryview], partial: Path) -> None:
    """Writes a file so that a reader sees the old content or the new one, never a part, also after a crash.

    Args:
        path: The file.
        parts: Its content, piece by piece.
        partial: Where it is written first; on the same file system.

    Raises:
        OSError: If it cannot be written. The old content is still there then.
    """
    try:
        with partial.open("wb") as stream:
            for part in parts:
                stream.write(part)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)  # on a full disk it would keep what little space there is
        raise
    sync_folder(path.parent)


def write_private(path: Path, content: str | bytes) -> None:
    """Writes a file that only its owner may read, whole or not at all, also after a crash.

    Args:
        path: The file.
        content: What it is to hold. Text becomes UTF-8; a lone surrogate, valid in JSON but not in UTF-8, becomes its
            escape.

    Raises:
        OSError: If it cannot be written. The old content is still there then.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}.partial")
    os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    replace_file(path, [content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content], partial)


def lock_file(path: Path) -> int:
    """Locks a file, which is made if it is not there, until its descriptor is closed or this process ends.

    Returns:
        The descriptor.

    Raises:
        BlockingIOError: If another descriptor, of this process or another one, has locked it.
        OSError: If it cannot be opened, or its file system has no locks.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder survive a crash.

    Raises:
        OSError: If the folder cannot be synchronised.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some network file systems know no such thing, nor need it.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)


def disk_error(error: OSError, folder: Path) -> ToolError | None:
    """Explains an error of a disk; None if it is another kind of error.

    It is not transient: each attempt would fill the disk again up to the same place.

    Args:
        error: What was raised.
        folder: The folder that was written to, for an error that names no file.
    """
    if error.errno not in _REMEDIES:
        return None
    state, remedy = _REMEDIES[error.errno]
    path = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else folder
    try:
        free_mb: float | None = round(shutil.disk_usage(folder).free / 1e6, 1)
    except OSError:
        free_mb = None
    free = "" if free_mb is None else f", where {free_mb:g} MB are free now"
    return ToolError(
        f"the disk of {path} {state}{free}: {error.strerror}",
        hint=f"{remedy}, or use another run folder; then submit it again",
        kind="DiskFull" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "DiskFailed",
        details={"path": str(path)} | ({} if free_mb is None else {"free_mb": free_mb}),
    )
