"""Ordinary users who exist only inside a cluster, and how they get to see the Python environment and the checkout."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
# Others need to pass through the folders on the way, and to list what lies at its end.
PASS, LIST_AND_PASS = 0o001, 0o005


@dataclass(frozen=True)
class Account:
    """A user.

    Attributes:
        name: The login name.
        uid: The user's number, and that of the user's group.
        home: The user's home folder.
    """

    name: str
    uid: int
    home: Path

    def become(self) -> list[str]:
        """The start of a command that runs the rest of it as this user."""
        ids = [f"--reuid={self.uid}", f"--regid={self.uid}"]
        return ["setpriv", *ids, "--clear-groups", "--inh-caps=-all"]

    def environment(self, home: Path | None = None) -> dict[str, str]:
        """What a login sets."""
        return {"HOME": str(home or self.home), "USER": self.name, "LOGNAME": self.name, "SHELL": "/bin/bash"}


@dataclass(frozen=True)
class Cover:
    """A folder that others may not enter, and what below it they have to see all the same.

    Attributes:
        folder: The folder. In the cluster, an open one lies over it.
        shown: What is there in the open one, too.
    """

    folder: Path
    shown: tuple[Path, ...]


def needed() -> list[Path]:
    """The folders that a Python program of this environment reads."""
    own = [CHECKOUT, Path(sys.prefix), Path(sys.base_prefix), Path(sys.executable).resolve().parent]
    return [*own, *(Path(entry) for entry in sys.path if entry and Path(entry).is_dir())]


def covers(
    paths: Iterable[Path], mode: Callable[[Path], int], children: Callable[[Path], Iterable[Path]]
) -> list[Cover]:
    """What has to lie over which folders so that others see some paths. Pure.

    Args:
        paths: Folders to be seen, with all that is in them.
        mode: The permissions of a folder.
        children: What is in a folder.

    Returns:
        The covers, in the order in which they are to be laid.
    """
    wanted = sorted(set(paths), key=lambda path: len(path.parts))
    found: dict[Path, list[Path]] = {}
    for path in wanted:
        above = [other for other in wanted if other != path and path.is_relative_to(other)]
        start = above[-1] if above else None  # seen already, on the way to it and itself
        way = [step for step in (*reversed(path.parents), path) if start is None or step not in (start, *start.parents)]
        closed = [step for step in way if step != path and mode(step) & PASS != PASS]
        itself = mode(path) & LIST_AND_PASS != LIST_AND_PASS
        if closed or itself:
            found.setdefault((closed or [path])[0], []).extend(children(path) if itself else [path])
    return [Cover(folder, tuple(shown)) for folder, shown in sorted(found.items(), key=lambda item: len(item[0].parts))]


def script(laid: Sequence[Cover], folder: Path) -> str:
    """Shell lines that lay covers, and lists of users over the machine's own, in a mount namespace.

    Args:
        laid: See `covers`.
        folder: Where the lists are; see `write_lists`.
    """
    lines: list[str] = []
    for cover in laid:
        lines += _lines(cover)
    for name in ("passwd", "group"):
        lines.append(f"mount --bind {shlex.quote(str(folder / name))} /etc/{name}")
    return "\n".join(lines) + "\n"


def write_lists(accounts: Sequence[Account], folder: Path) -> None:
    """Writes ``passwd`` and ``group`` with the machine's users and the accounts."""
    users = [f"{a.name}:x:{a.uid}:{a.uid}::{a.home}:/bin/bash" for a in accounts]
    groups = [f"{a.name}:x:{a.uid}:" for a in accounts]
    for name, added in (("passwd", users), ("group", groups)):
        (folder / name).write_text(Path(f"/etc/{name}").read_text() + "\n".join(added) + "\n")


def permissions(folder: Path) -> int:
    """The permissions of a folder."""
    return folder.stat().st_mode & 0o777


def _lines(cover: Cover) -> list[str]:
    """Holds what is to be shown open, lays an open folder over it, and binds it where it was."""
    lines = []
    binds = []
    for number, path in enumerate(cover.shown, start=10):
        at = shlex.quote(str(path))
        if path.is_symlink():
            binds.append(f"ln -s {shlex.quote(str(path.readlink()))} {at}")
            continue
        lines.append(f"exec {number}<{at}")
        make = f"mkdir -p {at}" if path.is_dir() else f"mkdir -p {shlex.quote(str(path.parent))} && : >{at}"
        binds += [
            make,
            f"mount --no-canonicalize --rbind /proc/self/fd/{number} {at}",
            f"exec {number}<&-",
        ]
    return [*lines, f"mount -t tmpfs -o mode=755 tmpfs {shlex.quote(str(cover.folder))}", *binds]
