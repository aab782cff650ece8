"""The client's end of moving files over the exchange."""

from __future__ import annotations

import asyncio
import base64
import os
import uuid
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from director.call import Call
from director.door import Problem, Refused
from director.transfer import PIECE_BYTES
from simulations.records import Request, StagedFile


class Carrier:
    """Brings users' files to a run folder that this machine cannot see, and artifacts from it.

    Args:
        call: Calls a Director.
        source: Where a staged file lies here.
    """

    def __init__(self, call: Call, source: Callable[[StagedFile], Path]) -> None:
        self._call = call
        self._source = source

    async def carry(self, requests: Iterable[Request]) -> int:
        """Sends the files that Requests name and that are not there yet.

        Returns:
            How many were sent.

        Raises:
            Refused: If a file is not taken.
            DirectorLost: If the Director does not answer.
        """
        files = {file.stored_name: file for request in requests for file in request.files.values()}
        if not files:
            return 0
        documents = [file.model_dump(mode="json") for file in files.values()]
        names = checked(await self._call("missing", documents))["missing"]
        for name in names:
            await self._send(files[name])
        return len(names)

    async def _send(self, file: StagedFile) -> None:
        sender = uuid.uuid4().hex
        document = file.model_dump(mode="json")
        offset = 0
        path = self._source(file)
        while True:
            data = await asyncio.to_thread(_piece, path, offset)
            if checked(await self._call("put", document, sender, offset, base64.b64encode(data).decode()))["complete"]:
                return
            offset += len(data)


async def fetch(call: Call, path: str, target: Path, progress: Callable[[int, int], None] | None = None) -> int:
    """Fetches one artifact. The target appears when all of it is there.

    Args:
        call: Calls a Director.
        path: Relative to the run folder, as an Outcome's artifacts name it.
        target: Where it goes.
        progress: Told how many bytes have come, of how many.

    Returns:
        Its size, in bytes.

    Raises:
        Refused: If there is no such artifact.
        DirectorLost: If the Director does not answer.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.partial")
    offset = 0
    try:
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            while True:
                answer = checked(await call("get", path, offset))
                data = base64.b64decode(answer["data"])
                if not data:
                    break
                await asyncio.to_thread(stream.write, data)
                offset += len(data)
                if progress is not None:
                    progress(offset, answer["size"])
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return offset


def checked(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    """An answer that is no refusal.

    Raises:
        Refused: If it is one.
    """
    if "refused" in answer:
        raise Refused([Problem(**problem) for problem in answer["refused"]])
    return answer


def _piece(path: Path, offset: int) -> bytes:
    with path.open("rb") as stream:
        stream.seek(offset)
        return stream.read(PIECE_BYTES)
