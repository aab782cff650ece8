"""The record of one episode: lines that are only ever added, and the state beside it that goes on from the last one.

A step is done in two writes. First the state file is replaced; it holds the state *after* the step, and the line that
is to be added. Then the line is added. Whatever ends the process in between, the state file has all that is missing,
so a step has been done as a whole or not at all. Lines are on disk at the next step at the latest, before the state
that counts them; those that a loss of power takes are Outcomes, which are asked for again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from campaigns.errors import refuse
from simulations.disk import replace_file, sync_folder

_encode = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode


def line_of(document: Mapping[str, Any]) -> bytes:
    """A line of the record.

    Raises:
        ValueError: If something in it is no JSON, such as a number that is not finite.
        TypeError: Likewise.
    """
    return _encode(dict(document)).encode() + b"\n"


def whole(body: bytes) -> int:
    """How many bytes of a record are whole lines. Pure."""
    return body.rfind(b"\n") + 1


def parsed(body: bytes, path: Path) -> list[dict[str, Any]]:
    """The lines of a record; one that was cut off at its end is left out.

    Raises:
        NotAcceptable: If a line is not one of a record.
    """
    found = []
    for number, line in enumerate(body[: whole(body)].split(b"\n")[:-1], 1):
        try:
            document = json.loads(line)
        except ValueError as error:
            raise refuse(
                f"{path}:{number}", f"is no line of a record ({error})", "Restore the file from a copy"
            ) from None
        if not isinstance(document, dict) or "event" not in document:
            raise refuse(f"{path}:{number}", "is no line of a record", "Restore the file from a copy")
        found.append(document)
    return found


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a record; none if there is none. Blocks.

    Raises:
        NotAcceptable: If a line is not one of a record.
    """
    try:
        body = path.read_bytes()
    except FileNotFoundError:
        return []
    return parsed(body, path)


class EpisodeRecord:
    """The record of one episode, while it is written.

    Args:
        record_file: Lines.
        state_file: The state beside it.

    Attributes:
        lines: All lines when it was opened.
        state: The latest state then; None: none was saved yet.
    """

    def __init__(self, record_file: Path, state_file: Path) -> None:
        self._record_file = record_file
        self._state_file = state_file
        self._descriptor: int | None = None
        self._count = 0
        self.lines: list[dict[str, Any]] = []
        self.state: dict[str, Any] | None = None

    def open(self) -> None:
        """Reads what there is, completes the last step if it was interrupted, and opens the record for writing. Blocks.

        Raises:
            NotAcceptable: If the record or the state is damaged.
            OSError: If they cannot be read or written.
        """
        self._record_file.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(self._record_file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        sync_folder(self._record_file.parent)
        body = self._record_file.read_bytes()
        self.lines = parsed(body, self._record_file)
        self._count = len(self.lines)
        if whole(body) < len(body):
            os.ftruncate(self._descriptor, whole(body))
        self.state = self._read_state()
        if self.state is None:
            return
        count = self.state["lines"]
        if count == len(self.lines) + 1:
            self._append(self.state["line"])
            self.lines.append(self.state["line"])
        elif count > len(self.lines):
            message = f"has {len(self.lines)} lines, and {self._state_file.name} was saved after line {count}"
            raise refuse(str(self._record_file), message, "Restore both files from a copy")

    def _read_state(self) -> dict[str, Any] | None:
        try:
            document = json.loads(self._state_file.read_bytes())
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise refuse(str(self._state_file), f"cannot be read ({error})", "Restore it from a copy") from None
        if not isinstance(document, dict) or not {"lines", "line"} <= document.keys():
            raise refuse(str(self._state_file), "is no state of an episode", "Restore it from a copy")
        return document

    def step(self, line: Mapping[str, Any], state: Mapping[str, Any]) -> None:
        """Adds a line together with the state after it. Both or none are there after any interruption. Blocks.

        Raises:
            TypeError: If the state or the line is no JSON.
            ValueError: Likewise.
            OSError: If they cannot be written.
        """
        document = {**state, "lines": self._count + 1, "line": dict(line)}
        body = _encode(document).encode()
        self._sync()
        replace_file(self._state_file, [body], self._state_file.with_suffix(".partial"))
        self._append(line)

    def add(self, line: Mapping[str, Any]) -> None:
        """Adds a line that the state need not know. It survives the end of this process. Blocks.

        Raises:
            TypeError: If it is no JSON.
            ValueError: Likewise.
            OSError: If it cannot be written.
        """
        self._append(line)

    def _append(self, line: Mapping[str, Any]) -> None:
        assert self._descriptor is not None  # noqa: S101  (it was opened)
        body = line_of(line)
        written = os.write(self._descriptor, body)
        if written < len(body):  # a full disk; what was written is cut off when the record is opened again
            raise OSError(f"{self._record_file}: {written} of {len(body)} bytes could be written")
        self._count += 1

    def _sync(self) -> None:
        assert self._descriptor is not None  # noqa: S101  (it was opened)
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Closes the files. May be called twice.

        Raises:
            OSError: If the last lines cannot be brought to the disk.
        """
        if self._descriptor is not None:
            self._sync()
            os.close(self._descriptor)
            self._descriptor = None
