"""Files that travel over the exchange, in pieces: users' files to the run folder, artifacts from it.

Every path is confined to the run folder, and nothing is overwritten: a staged file is named by its content.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
from typing import Any

from director.door import Problem, Refused
from director.runfolder import RunFolder
from simulations.disk import write_private
from simulations.records import StagedFile

PIECE_BYTES = 192 * 1024
"""A piece in base64, with its envelope, stays below the 512 KB that the exchange takes."""

MAX_FILE_BYTES = 1 << 30
_PARTIAL = re.compile(r"[a-z0-9]{1,32}")


class Transfer:
    """The Director's end.

    Args:
        folder: The run folder.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder

    def missing(self, files: list[StagedFile]) -> list[str]:
        """Names of those files that are not in the run folder."""
        return sorted({file.stored_name for file in files if not self._folder.staged(file).is_file()})

    def put(self, file: StagedFile, sender: str, offset: int, data: str) -> bool:
        """Takes one piece of a file, in order.

        Args:
            file: Which file.
            sender: A word of the sender's, which keeps two of them apart.
            offset: Where the piece begins, in bytes. 0 begins anew.
            data: The piece, in base64; empty ends the file.

        Returns:
            Whether the file is complete.

        Raises:
            Refused: If a piece is missing, or the content is not what the file's name says.
        """
        target = self._folder.staged(file)
        if target.is_file():
            return True
        if not _PARTIAL.fullmatch(sender):
            raise _refused("sender", f"{sender!r} is not a word", "Use letters and digits")
        partial = self._folder.inputs / f".{file.sha256}.{sender}.partial"
        size = 0 if offset == 0 else partial.stat().st_size if partial.exists() else -1
        # A piece comes again when the answer to it was lost.
        if not 0 <= offset <= size:
            raise _refused("offset", f"{offset} does not follow what is there ({max(size, 0)})", "Begin again at 0")
        piece = base64.b64decode(data, validate=True)
        if offset + len(piece) > MAX_FILE_BYTES:
            raise _refused("file", f"{file.name} is larger than 1 GiB", "Copy it to the facility yourself")
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT, 0o600), "r+b") as stream:
            stream.truncate(offset)
            stream.seek(offset)
            stream.write(piece)
            stream.flush()
            if not piece:
                os.fsync(stream.fileno())
        if piece:
            return False
        with partial.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        if digest != file.sha256:
            partial.unlink()
            raise _refused("file", f"what came of {file.name} is not what was sent", "Send it again")
        partial.replace(target)
        return True

    def get(self, path: str, offset: int) -> dict[str, Any]:
        """One piece of a file of the run folder.

        Args:
            path: Relative to the run folder, as an Outcome's artifacts name it.
            offset: Where to begin, in bytes.

        Returns:
            ``data`` (base64, empty at the end) and ``size`` (bytes in all).

        Raises:
            Refused: If there is no such artifact.
        """
        root = self._folder.path.resolve()
        found = (root / path).resolve()
        parts = found.relative_to(root).parts if found.is_relative_to(root) else ()
        # Only Requests' own folders: ledgers, logs and keys are the facility's.
        if len(parts) < 4 or not re.fullmatch(r"director-\d+", parts[0]) or parts[1] != "work" or not found.is_file():
            raise _refused("path", f"there is no artifact {path!r}", "Take it from an Outcome's artifacts")
        with found.open("rb") as stream:
            stream.seek(max(0, offset))
            data = stream.read(PIECE_BYTES)
        return {"data": base64.b64encode(data).decode(), "size": found.stat().st_size}


def store(folder: RunFolder, file: StagedFile, content: bytes) -> None:
    """Puts a file that travelled in one piece into the run folder.

    Raises:
        Refused: If the content is not what its name says.
    """
    if hashlib.sha256(content).hexdigest() != file.sha256:
        raise _refused("file", f"what came of {file.name} is not what was sent", "Send it again")
    write_private(folder.staged(file), content)


def _refused(where: str, message: str, hint: str) -> Refused:
    return Refused([Problem(where, message, hint)])
