"""A team's calls on nodes: in a batch job on its nodes, elsewhere on logical nodes of this machine."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from concurrent.futures import Future, InvalidStateError
from concurrent.futures import TimeoutError as NotYet
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from director.plan import allocation_spec
from director.team.desk import Call, Said
from director.team.voices import Voice
from director.team.wire import CALL, SAID, Hire, News, Order
from partitions.guard import mark_environment, new_mark

START_S = 180.0
END_S = 15.0
LOG_TAIL = 1000


class NodesDesk:
    """A `director.team.desk.Desk` on Parsl's HighThroughputExecutor, which a process of its own keeps.

    Args:
        voices: The models, by the names of those who speak with them.
        workers: How many calls run at the same time, over all nodes.
        nodes: How many nodes; None: all of the batch job, or one.
        allocation: Which nodes; see `director.fleet.Fleet.launch`.
        folder: Where the workers' files go, which is removed in the end; nodes must see it under the same path.
        environment: Of the process; there are no keys in what it is handed beside it.

    Raises:
        Refused: If there are no such nodes.
        RuntimeError: If no worker came up.
    """

    def __init__(
        self,
        voices: Mapping[str, Voice],
        workers: int,
        *,
        folder: Path,
        environment: Mapping[str, str],
        nodes: int | None = None,
        allocation: str = "auto",
    ) -> None:
        hire_for = allocation_spec(allocation, nodes)
        self._voices = dict(voices)
        self._lock = threading.Lock()
        self._calls: dict[str, Future[Said]] = {}
        self._broken: str | None = None
        self._closed = False
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = Path(tempfile.mkdtemp(prefix="nodes-", dir=folder)).resolve()
        (self._folder / "stop").mkdir()
        self._up: Future[str] = Future()
        with (self._folder / "process.log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "director.team.nodes_process"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**environment, **mark_environment(new_mark())},
                process_group=0,  # out of reach of a terminal's Ctrl-C, which is for the chat
            )
        threading.Thread(target=self._listen, name="nodes-news", daemon=True).start()
        self._send(Hire(folder=str(self._folder), allocation=hire_for, workers=workers).model_dump_json())
        try:
            self.how = self._up.result(START_S)
        except NotYet:
            self.close()
            raise RuntimeError(f"no worker came up within {START_S:g} s") from None
        except BaseException:
            self.close()
            raise

    def _send(self, line: str) -> None:
        stream: Any = self._process.stdin
        with self._lock, contextlib.suppress(BrokenPipeError, ValueError):  # its end is told by `_listen`
            stream.write(line.encode() + b"\n")
            stream.flush()

    def submit(self, call: Call) -> Future[Said]:
        """See `Desk.submit`."""
        future: Future[Said] = Future()
        with self._lock:
            if self._broken or self._closed:
                raise RuntimeError(self._broken or "the team was closed")
            self._calls[call.id] = future
        key = self._voices[call.speaker].key
        order = Order(id=call.id, call=CALL.dump_json(call).decode(), key=SecretStr(key.reveal()) if key else None)
        self._send(order.model_dump_json())
        return future

    def stop(self, call_id: str) -> None:
        """See `Desk.stop`."""
        if call_id in self._calls:
            self._send(Order(id=call_id).model_dump_json())

    def _listen(self) -> None:
        stream: Any = self._process.stdout
        for line in stream:
            self._hear(News.model_validate_json(line))
        self._break("the process that keeps the workers has ended" + self._said())

    def _hear(self, news: News) -> None:
        match news.kind:
            case "up":
                with contextlib.suppress(InvalidStateError):
                    self._up.set_result(news.text)
            case "failed":
                self._break(news.text)
            case "said" | "lost":
                with self._lock:
                    future = self._calls.pop(news.id, None)
                if future is None or not future.set_running_or_notify_cancel():
                    return
                if news.kind == "said":
                    future.set_result(SAID.validate_json(news.text))
                else:
                    future.set_exception(RuntimeError(news.text))

    def _break(self, reason: str) -> None:
        with self._lock:
            self._broken = self._broken or reason
            calls, self._calls = list(self._calls.values()), {}
        error = RuntimeError(f"workers on nodes: {self._broken}")
        with contextlib.suppress(InvalidStateError):
            self._up.set_exception(error)
        for future in calls:
            with contextlib.suppress(InvalidStateError):
                future.set_exception(error)

    def _said(self) -> str:
        with contextlib.suppress(OSError):
            text = (self._folder / "process.log").read_text(errors="replace").strip()
            return f": {text[-LOG_TAIL:]}" if text else ""
        return ""

    def close(self) -> None:
        """See `Desk.close`."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        stream: Any = self._process.stdin
        with contextlib.suppress(OSError):
            stream.close()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()  # its guard ends what it has started
            self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)
