"""What the loopback Compute service remembers, in SQLite: it outlives the service's process, as a real one's does."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_TABLES = """
CREATE TABLE IF NOT EXISTS tokens (token TEXT PRIMARY KEY, identity TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS endpoints (id TEXT PRIMARY KEY, owner TEXT NOT NULL, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS functions (id TEXT PRIMARY KEY, owner TEXT NOT NULL, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS groups (id TEXT PRIMARY KEY, owner TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS heartbeats (endpoint TEXT PRIMARY KEY, at REAL NOT NULL, state TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS tasks (
  number INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, task_group TEXT NOT NULL, user_endpoint TEXT NOT NULL,
  failed INTEGER, data TEXT, details TEXT, completed_at REAL);
CREATE INDEX IF NOT EXISTS tasks_by_group ON tasks (task_group);
"""


@dataclass(frozen=True)
class TaskRecord:
    """A task that was submitted.

    Attributes:
        id: The service's name of it.
        group: The task group it belongs to.
        user_endpoint: The user endpoint that is to run it.
        failed: Whether it failed; None while it has no result.
        data: Its serialized result, or the text of its error.
        details: What the worker said of itself.
        completed_at: When the result came, in s since 1970.
    """

    id: str
    group: str
    user_endpoint: str
    failed: bool | None = None
    data: str | None = None
    details: dict[str, Any] | None = None
    completed_at: float | None = None


@dataclass(frozen=True)
class Heartbeat:
    """What an endpoint has last said of itself.

    Attributes:
        at: When it came, in s since 1970.
        state: What it said.
    """

    at: float
    state: dict[str, Any]


class Records:
    """The service's tables. Every method is one transaction, and may be called by any thread.

    Args:
        file: The database.
    """

    def __init__(self, file: Path) -> None:
        self._lock = threading.Lock()
        self._database = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
        # It has to outlive its process, not the machine.
        self._database.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;" + _TABLES)

    def add_token(self, token: str, identity: str) -> None:
        """Remembers whose token this is."""
        self._do("INSERT INTO tokens VALUES (?, ?)", token, identity)

    def identity(self, token: str) -> str | None:
        """Whose token this is; None if it was never given out."""
        rows = self._do("SELECT identity FROM tokens WHERE token = ?", token)
        return rows[0][0] if rows else None

    def put_endpoint(self, endpoint: str, owner: str, body: dict[str, Any]) -> None:
        """Remembers an endpoint, or what has changed about it."""
        self._do("INSERT OR REPLACE INTO endpoints VALUES (?, ?, ?)", endpoint, owner, json.dumps(body))

    def endpoint(self, endpoint: str) -> tuple[str, dict[str, Any]] | None:
        """Owner and description of an endpoint; None if there is none of that id."""
        rows = self._do("SELECT owner, body FROM endpoints WHERE id = ?", endpoint)
        return (rows[0][0], json.loads(rows[0][1])) if rows else None

    def endpoints(self, owner: str) -> dict[str, dict[str, Any]]:
        """Descriptions of all endpoints of an owner, by id."""
        return {row[0]: json.loads(row[1]) for row in self._do("SELECT id, body FROM endpoints WHERE owner = ?", owner)}

    def remove_endpoint(self, endpoint: str) -> None:
        """Forgets an endpoint."""
        self._do("DELETE FROM endpoints WHERE id = ?", endpoint)

    def add_function(self, function: str, owner: str, body: dict[str, Any]) -> None:
        """Remembers a function."""
        self._do("INSERT INTO functions VALUES (?, ?, ?)", function, owner, json.dumps(body))

    def function(self, function: str) -> dict[str, Any] | None:
        """A function as it was registered; None if there is none of that id."""
        rows = self._do("SELECT body FROM functions WHERE id = ?", function)
        return dict(json.loads(rows[0][0])) if rows else None

    def add_group(self, group: str, owner: str) -> None:
        """Remembers a task group."""
        self._do("INSERT INTO groups VALUES (?, ?)", group, owner)

    def group_owner(self, group: str) -> str | None:
        """Whose task group this is; None if there is none of that id."""
        rows = self._do("SELECT owner FROM groups WHERE id = ?", group)
        return rows[0][0] if rows else None

    def add_tasks(self, tasks: Sequence[TaskRecord]) -> None:
        """Remembers tasks that have no result yet."""
        with self._lock, self._database:
            self._database.execute("BEGIN")
            self._database.executemany(
                "INSERT INTO tasks (id, task_group, user_endpoint) VALUES (?, ?, ?)",
                [(task.id, task.group, task.user_endpoint) for task in tasks],
            )

    def remove_tasks(self, tasks: Sequence[TaskRecord]) -> None:
        """Forgets tasks that could not be handed to the broker."""
        with self._lock, self._database:
            self._database.execute("BEGIN")
            self._database.executemany("DELETE FROM tasks WHERE id = ?", [(task.id,) for task in tasks])

    def task(self, task: str) -> TaskRecord | None:
        """A task; None if there is none of that id."""
        found = self._tasks("id = ?", task)
        return found[0] if found else None

    def tasks_of_group(self, group: str) -> list[TaskRecord]:
        """The tasks of a group, in the order in which they came."""
        return self._tasks("task_group = ?", group)

    def finish(self, task: str, *, failed: bool, data: str, details: dict[str, Any] | None, at: float) -> bool:
        """Remembers a task's result, unless it has one. Whether it had none: a late second result changes nothing."""
        rows = self._do(
            "UPDATE tasks SET failed = ?, data = ?, details = ?, completed_at = ?"
            " WHERE id = ? AND completed_at IS NULL RETURNING id",
            *(int(failed), data, json.dumps(details, default=str), at, task),
        )
        return bool(rows)

    def put_heartbeat(self, endpoint: str, heartbeat: Heartbeat) -> None:
        """Remembers what an endpoint or a user endpoint says of itself."""
        state = json.dumps(heartbeat.state, default=str)
        self._do("INSERT OR REPLACE INTO heartbeats VALUES (?, ?, ?)", endpoint, heartbeat.at, state)

    def heartbeat(self, endpoint: str) -> Heartbeat | None:
        """What an endpoint has last said; None if it has never said anything."""
        rows = self._do("SELECT at, state FROM heartbeats WHERE endpoint = ?", endpoint)
        return Heartbeat(rows[0][0], json.loads(rows[0][1])) if rows else None

    def _tasks(self, condition: str, *values: str) -> list[TaskRecord]:
        columns = "id, task_group, user_endpoint, failed, data, details, completed_at"
        rows = self._do(f"SELECT {columns} FROM tasks WHERE {condition} ORDER BY number", *values)  # noqa: S608
        return [
            TaskRecord(
                *row[:3],
                failed=None if row[3] is None else bool(row[3]),
                data=row[4],
                details=None if row[5] is None else json.loads(row[5]),
                completed_at=row[6],
            )
            for row in rows
        ]

    def _do(self, statement: str, *values: Any) -> list[Any]:
        with self._lock:
            return self._database.execute(statement, values).fetchall()
