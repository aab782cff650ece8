"""Whether runs have a place to be written to."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from director.doctor.findings import Finding, Topic

LOW_BYTES = 5 * 2**30
# In memory, or of one machine: what a node writes there, others do not see.
IN_MEMORY = ("tmpfs", "ramfs")
OF_ONE_MACHINE = ("ext2", "ext3", "ext4", "xfs", "btrfs", "overlay", "zfs")

_TOPIC = Topic("disk")


@dataclass(frozen=True)
class DiskFacts:
    """What was found.

    Attributes:
        run_root: Where run folders go; None: nothing says so.
        existing: The first folder upwards that is there.
        error: Why nothing could be written there; None if it could.
        free_bytes: How much is free there.
        kind: The file system's type, such as ``lustre``.
        elsewhere: Whether the runs' nodes are other machines than this one.
    """

    run_root: str | None
    existing: str = ""
    error: str | None = None
    free_bytes: int = 0
    kind: str = ""
    elsewhere: bool = False


def gather(run_root: str | None, *, elsewhere: bool) -> DiskFacts:
    """Looks at the folder. A file without a name is made in it and is gone at once; no folder is made."""
    if run_root is None:
        return DiskFacts(None, elsewhere=elsewhere)
    existing = next(folder for folder in (Path(run_root), *Path(run_root).parents) if folder.exists())
    error = None
    try:
        if existing == Path(run_root):
            with tempfile.TemporaryFile(dir=existing) as file:
                file.write(b"\0")
        elif not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
            error = f"{existing} does not let you make a folder in it"
    except OSError as failure:
        error = f"{failure.strerror or failure}"
    free = shutil.disk_usage(existing).free
    mounts = Path("/proc/self/mountinfo")
    kind = file_system(str(existing.resolve()), mounts.read_text(errors="replace")) if mounts.exists() else ""
    return DiskFacts(run_root, str(existing), error, free, kind, elsewhere)


def file_system(path: str, mountinfo: str) -> str:
    """The type of the file system that holds a path, from the text of ``/proc/self/mountinfo``. Pure."""
    best, kind = "", ""
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        fields = left.split()
        if len(fields) < 5 or not right:
            continue
        point = fields[4].replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):  # of two at one point, the later lies above
            best, kind = point, right.split()[0]
    return kind


def judge(facts: DiskFacts) -> list[Finding]:
    """Says whether runs can be written there."""
    if facts.run_root is None:
        why = "the template sets no run_root, so runs go where whoever submits says"
        return [_TOPIC.unchecked("run_root", why, "Configure with --option run_root=FOLDER, on a shared file system")]
    if facts.error is not None:
        found = f"{facts.run_root} cannot be written to ({facts.error})"
        hint = "Make the folder, or configure with another one: --option run_root=FOLDER"
        return [_TOPIC.failed("run_root", found, hint)]
    there = "can be made" if facts.existing != facts.run_root else "can be written to"
    free = f"{facts.free_bytes / 2**30:.1f} GiB are free; a quota may leave less"
    findings = [_TOPIC.ok("run_root", f"{facts.run_root} {there}")]
    if facts.free_bytes < LOW_BYTES:
        findings.append(_TOPIC.warning("space", free, "Make room, or configure with another run_root"))
    else:
        findings.append(_TOPIC.ok("space", free))
    if facts.elsewhere:
        findings.append(_shared(facts))
    return findings


def _shared(facts: DiskFacts) -> Finding:
    hint = "Configure with a folder on a file system that all nodes share: --option run_root=FOLDER"
    if facts.kind in IN_MEMORY:
        found = f"{facts.existing} is in this machine's memory ({facts.kind}): nodes do not see it"
        return _TOPIC.failed("shared", found, hint)
    if facts.kind in OF_ONE_MACHINE:
        found = f"{facts.existing} is on {facts.kind}, which is usually of one machine: nodes may not see it"
        return _TOPIC.warning("shared", found, hint)
    return _TOPIC.unchecked("shared", f"whether nodes see {facts.existing} ({facts.kind}) cannot be told from here")
