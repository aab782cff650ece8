"""Outcomes in a database of ASE: a row for each that left a structure."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ase import Atoms
from ase.db import connect
from ase.db.core import T2000, YEAR, reserved_keys, str_represents
from ase.db.row import AtomsRow
from ase.formula import Formula

from director.door import Problem, Refused
from director.flat import Flat, flat_outcome, free_name
from director.structure_files import StructureError, read_structure
from simulations.records import Outcome

ROWS_AT_ONCE = 100
SUFFIX = ".db"
SQLITE_HEADER = b"SQLite format 3\0"


@dataclass(frozen=True)
class Structured:
    """An Outcome, and the file with its structure.

    Attributes:
        outcome: The Outcome.
        artifact: Name of the artifact.
        file: Where it is here.
    """

    outcome: Outcome
    artifact: str
    file: Path


@dataclass(frozen=True)
class Unreadable:
    """A structure that could not be exported.

    Attributes:
        id: The Request's.
        artifact: Name of the artifact.
        reason: Why.
    """

    id: str
    artifact: str
    reason: str


@dataclass(frozen=True)
class Written:
    """What came of an export.

    Attributes:
        written: Rows that were added.
        there: Outcomes that had their rows already; another export may run at the same time.
        unreadable: Those whose structures could not be read.
    """

    written: int
    there: int
    unreadable: tuple[Unreadable, ...]


def check_database(path: Path) -> None:
    """Refuses a path that cannot be a database of ours.

    Raises:
        Refused: If its name does not end in ``.db``, its folder is not there, or something else is there already.
    """
    if path.suffix != SUFFIX:
        hint = f"Name it {path.stem or 'results'}{SUFFIX}: by this `ase db` knows what it is"
        raise Refused([Problem("--ase-db", f"{path} does not end in {SUFFIX}", hint)])
    if not path.parent.is_dir():
        raise Refused([Problem("--ase-db", f"there is no folder {path.parent}", "Make it, or name another one")])
    if not path.exists():
        return
    with path.open("rb") as stream:
        header = stream.read(len(SQLITE_HEADER))
    if header and (header != SQLITE_HEADER or not _is_ours(path)):
        raise Refused([Problem("--ase-db", f"{path} is there, and is no database of ASE", "Name another file")])


def _is_ours(path: Path) -> bool:
    """Whether a database is ASE's, or has no tables yet. ASE would add its tables to any other."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True)) as database:
            tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.Error as error:
        raise Refused([Problem("--ase-db", f"{path} cannot be read: {error}", "Name another file")]) from None
    return not tables or "systems" in tables


def exported(path: Path, outcomes: Iterable[Outcome]) -> set[str]:
    """Ids of those Outcomes that have rows already.

    Raises:
        RuntimeError: If the database cannot be read.
    """
    if not path.exists():
        return set()
    database = _connect(path)
    try:
        return {outcome.id for outcome in outcomes if _has(database, unique_id(outcome))}
    except sqlite3.Error as error:
        raise RuntimeError(f"{path} cannot be read: {error}") from error


def write_rows(path: Path, found: Iterable[Structured]) -> Written:
    """Adds a row for each Outcome that has none yet. What is there is not changed.

    Rows are added some at a time, each time all of them or none: an export that was interrupted is finished by another.

    Args:
        path: The database; it is made if it is not there.
        found: Outcomes with their structures.

    Raises:
        RuntimeError: If the database cannot be written.
    """
    database = _connect(path)
    written = there = 0
    unreadable: list[Unreadable] = []
    waiting = iter(found)
    try:
        while some := list(islice(waiting, ROWS_AT_ONCE)):
            new = [item for item in some if not _has(database, unique_id(item.outcome))]
            there += len(some) - len(new)
            rows = []
            for item in new:
                try:
                    rows.append((item, read_structure(item.file)))
                except StructureError as error:
                    unreadable.append(Unreadable(item.outcome.id, item.artifact, str(error)))
            with database:
                for item, atoms in rows:
                    _write(database, item, atoms)
            written += len(rows)
    except sqlite3.Error as error:
        raise RuntimeError(f"{path} cannot be written: {error}; what was written before is in it") from error
    return Written(written, there, tuple(unreadable))


def unique_id(outcome: Outcome) -> str:
    """Names an Outcome's row: the same each time that it is exported, from wherever."""
    text = f"{outcome.id} {outcome.key} {outcome.finished_at.astimezone(UTC).isoformat()}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def key_value_pairs(outcome: Outcome, artifact: str) -> Flat:
    """What can be searched for: names and values as ASE takes them.

    ASE takes no names that it has itself, that are no words or chemical formulas: these get ``result_`` before them,
    and ``_`` for what is no letter, digit or underscore. Of texts it takes none that reads as a number or as true or
    false: these get ``text:`` before them.

    Args:
        outcome: The Outcome.
        artifact: Name of the artifact with the structure.
    """
    head: Flat = {
        "request": outcome.id,
        "request_key": outcome.key,
        "tool": outcome.tool,
        "tool_version": outcome.tool_version,
        "artifact": artifact,
    }
    pairs: Flat = {name: _value(value) for name, value in head.items()}
    if outcome.tool_version.isascii() and outcome.tool_version.isdigit():
        pairs["tool_version"] = int(outcome.tool_version)
    for name, value in flat_outcome(outcome).items():
        pairs[free_name(_key(name), pairs)] = _value(value)
    return pairs


def _key(name: str) -> str:
    word = re.sub(r"[^0-9A-Za-z_]", "_", name)
    if re.match(r"[A-Za-z_]", word) is None or word in reserved_keys or _is_formula(word):
        return f"result_{word}"
    return word


def _is_formula(word: str) -> bool:
    try:
        Formula(word, strict=True)
    except ValueError:
        return False
    return True


def _value(value: str | float | bool) -> str | int | float | bool:
    if isinstance(value, str):
        return f"text:{value}" if any(_reads_as(value, kind) for kind in (bool, int, float)) else value
    if not isinstance(value, bool) and abs(value) >= 2**63:
        return float(value) if abs(value) < 1e300 else f"text:{value}"
    return value


def _reads_as(value: str, kind: type) -> bool:
    return bool(str_represents(value, kind))


def _connect(path: Path) -> Any:
    # SQLite locks by itself; ASE's lock file would be left behind by one who is killed, and stop all who come after.
    return connect(path, type="db", use_lock_file=False)


def _has(database: Any, name: str) -> bool:
    return next(database.select(unique_id=name, limit=1, include_data=False), None) is not None


def _write(database: Any, item: Structured, atoms: Atoms) -> None:
    row: Any = AtomsRow(atoms)
    row.unique_id = unique_id(item.outcome)
    row.ctime = (item.outcome.finished_at.timestamp() - T2000) / YEAR
    row.user = os.environ.get("USER")  # as ASE itself has it
    data = {"outcome": item.outcome.model_dump(mode="json")}
    database.write(row, key_value_pairs(item.outcome, item.artifact), data=data)
