"""A laptop in tests of the stack, which submits by the unmodified SDK."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.globus.stack import Stack
from tests.helpers import wait_until

PROGRAM = Path(__file__).resolve().with_name("sdk_program.py")


class Laptop:
    """A process that submits what it is told to; see `sdk_program`.

    Args:
        stack: Where.
    """

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._heard: list[dict[str, Any]] = []
        self._errors = (stack.folder / "laptop.err").open("a")
        command = [sys.executable, str(PROGRAM), stack.endpoint_id]
        pipe = subprocess.PIPE
        self._process = stack.popen_as_user(command, stdin=pipe, stdout=pipe, stderr=self._errors.fileno())
        threading.Thread(target=self._listen, daemon=True).start()

    def __enter__(self) -> Laptop:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait(10)
        self._errors.close()

    def submit(self, name: str, function: str, *arguments: Any, **options: Any) -> None:
        """Submits a call of a function of `sdk_program`, and returns at once."""
        asked = {"name": name, "function": function, "arguments": arguments, "options": options}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()

    def task(self, name: str) -> str:
        """The id of a call's task, as soon as the service has it."""
        return str(self._wait(name, ("task",), 60.0)["task"])

    def answer(self, name: str, timeout_s: float = 90.0) -> dict[str, Any]:
        """What has become of a call's future: its ``result`` or its ``error``, and how long it ``took_s``."""
        return self._wait(name, ("result", "error"), timeout_s)

    def result(self, name: str, timeout_s: float = 90.0) -> Any:
        """A call's result; it must not fail."""
        answer = self.answer(name, timeout_s)
        assert "result" in answer, answer["error"]
        return answer["result"]

    def answered(self, name: str) -> bool:
        """Whether a call's future is done."""
        return self._find(name, ("result", "error")) is not None

    def _find(self, name: str, kinds: tuple[str, ...]) -> dict[str, Any] | None:
        found = [heard for heard in self._heard if heard["name"] == name and any(kind in heard for kind in kinds)]
        return found[-1] if found else None

    def _wait(self, name: str, kinds: tuple[str, ...], timeout_s: float) -> dict[str, Any]:
        try:
            wait_until(lambda: self._find(name, kinds) is not None, timeout_s, f"the {kinds} of {name}")
        except AssertionError as error:
            printed = (self._stack.folder / "laptop.err").read_text()
            raise AssertionError(f"{error}\n{self._heard}\n{printed[-3000:]}\n{self._stack.log()}") from None
        found = self._find(name, kinds)
        assert found is not None
        return found

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._heard.append(json.loads(line))
