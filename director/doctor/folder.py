"""The endpoint's folder: whether its files are there, and whether they are nobody else's business."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from director.doctor.findings import Finding, Topic
from endpoint_templates.folder import CONFIG_FILE, ENVIRONMENT_FILE, RECORD_FILE, SCHEMA_FILE
from endpoint_templates.rendering import TEMPLATE_FILE

FILES = (CONFIG_FILE, TEMPLATE_FILE, SCHEMA_FILE, ENVIRONMENT_FILE, RECORD_FILE)
OTHERS_MAY_WRITE, OTHERS_MAY_READ = 0o022, 0o077

_TOPIC = Topic("folder")


@dataclass(frozen=True)
class FolderFacts:
    """What was found.

    Attributes:
        path: The folder.
        mode: Its permissions; None: it is not there.
        mine: Whether it is the user's own.
        files: Permissions of the files that it has.
        neighbours: Names of other endpoints' folders beside it.
    """

    path: str
    mode: int | None = None
    mine: bool = True
    files: Mapping[str, int] = field(default_factory=dict)
    neighbours: tuple[str, ...] = ()


def gather(folder: Path) -> FolderFacts:
    """Looks at the folder."""
    if not folder.is_dir():
        beside = sorted(folder.parent.iterdir()) if folder.parent.is_dir() else []
        return FolderFacts(str(folder), neighbours=tuple(one.name for one in beside if (one / CONFIG_FILE).is_file()))
    found = folder.stat()
    files = {name: stat.S_IMODE((folder / name).stat().st_mode) for name in FILES if (folder / name).is_file()}
    return FolderFacts(str(folder), stat.S_IMODE(found.st_mode), found.st_uid == os.geteuid(), files)


def judge(facts: FolderFacts) -> list[Finding]:
    """Says what is right and wrong with it."""
    if facts.mode is None:
        others = f" Those beside it: {', '.join(facts.neighbours)}" if facts.neighbours else ""
        hint = f"Make it: director endpoint configure TEMPLATE --dir {facts.path}.{others}"
        return [_TOPIC.failed("present", f"there is no {facts.path}", hint)]
    findings = []
    if absent := [name for name in FILES if name not in facts.files]:
        hint = f"Write it again: director endpoint configure TEMPLATE --force --dir {facts.path}"
        findings.append(_TOPIC.failed("present", f"{facts.path} has no {', '.join(absent)}", hint))
    else:
        findings.append(_TOPIC.ok("present", f"{facts.path}, with all of its files"))
    findings.append(_permissions(facts, facts.mode))
    return findings


def _permissions(facts: FolderFacts, mode: int) -> Finding:
    if not facts.mine:
        hint = "Check it as the user who starts the endpoint"
        return _TOPIC.failed("permissions", f"{facts.path} belongs to another user", hint)
    modes = {facts.path: mode, **{f"{facts.path}/{name}": one for name, one in facts.files.items()}}
    hint = f"chmod -R go-rwx {facts.path}"
    if writable := [f"{name} ({one:04o})" for name, one in modes.items() if one & OTHERS_MAY_WRITE]:
        found = f"others may write to {', '.join(writable)}, and so run what they like in your name"
        return _TOPIC.failed("permissions", found, hint)
    # Nobody reaches what lies in a folder that is closed to others.
    if mode & OTHERS_MAY_READ and (readable := [f"{name} ({one:04o})" for name, one in modes.items() if one & 0o077]):
        return _TOPIC.warning("permissions", f"others may read {', '.join(readable)}", hint)
    return _TOPIC.ok("permissions", "nobody else's business")
