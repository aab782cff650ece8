"""Somebody who types what a page says, at a facility and on a laptop, in a stack."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

from tests.cluster.namespaces import HostProcess
from tests.docs.pages import FACILITY, ROOT, Block, Command, check_unrun, shows
from tests.globus.accounts import Account
from tests.globus.product import Product
from tests.globus.stack import Stack

NOT_RUN = {"git", "source", "pip", "cd", "python3"}
# What pages leave to their readers, in capitals, and what it is in the stack. See `Walk.filled`.
QUEUE, INTERFACE = "work", "br0"
START = "globus-compute-endpoint start "
RUN_ID = re.compile(r"director watch ([0-9a-f]{12})\b")
ONLINE_S = 60.0
TIMEOUT_S = 240.0


class Walk:
    """Two users, each with a home of their own: one at the facility, one with a laptop.

    Args:
        stack: Where.
        product: Its exchange.
        name: Of the walk.
    """

    def __init__(self, stack: Stack, product: Product, name: str) -> None:
        self.stack = stack
        self.product = product
        self.facility = stack.home(f"{name}-facility", stack.facility)
        self.laptop = stack.home(f"{name}-laptop")
        self.clone = self.laptop / "md-director"
        shutil.copytree(ROOT / "examples", self.clone / "examples")
        for path in (self.clone, *self.clone.rglob("*")):
            os.chown(path, stack.laptop.uid, stack.laptop.uid)
        # Stands for the environment that `python3 -m venv` and `pip install` make.
        self.environment = self.facility / "director"
        self.environment.symlink_to(sys.prefix)
        assert (self.environment / "bin" / "activate").is_file(), f"{sys.prefix} is not a virtual environment"
        self.run_id = ""
        self._endpoint: HostProcess | None = None

    def __enter__(self) -> Walk:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end_endpoint()

    def who(self, side: str) -> tuple[Account, Path, Path]:
        """User, home and working folder."""
        if side == FACILITY:
            return self.stack.facility, self.facility, self.facility
        return self.stack.laptop, self.laptop, self.clone

    def variables(self, side: str) -> dict[str, str]:
        """What differs from what a login would set: where commands and the exchange are, and a plain terminal."""
        if side == FACILITY:
            path = self.stack.environment(self.stack.facility)["PATH"]
            return {"PATH": f"{self.environment}/bin:{path}", "COLUMNS": "100"}
        return {**self.product.environment(), "COLUMNS": "100"}

    def endpoint_id(self) -> str:
        """The id of the endpoint that was started, if any was."""
        for file in self.facility.glob(".globus_compute/*/endpoint.json"):
            with contextlib.suppress(json.JSONDecodeError, OSError):
                return str(json.loads(file.read_text())["endpoint_id"])
        return ""

    def filled(self, text: str) -> str:
        """A command with what a reader puts in."""
        words = {"UUID": self.endpoint_id(), "RUN": self.run_id, "QUEUE": QUEUE, "INTERFACE": INTERFACE}
        return re.sub(r"\b(UUID|RUN|QUEUE|INTERFACE)\b", lambda found: words[found[0]] or found[0], text)

    def type(self, command: Command, side: str) -> str:
        """Runs a command, checks its exit code and what the page shows of its output, and returns that."""
        text = self.filled(command.text)
        if text.split()[0].rpartition("/")[2] in NOT_RUN:
            check_unrun(text)
            return ""
        if text.startswith(START):
            self.start_endpoint(text)
            return ""
        account, home, cwd = self.who(side)
        done = self.stack.as_user(
            ["bash", "-c", f"set -o pipefail; {{ {text}\n}} 2>&1"],
            account=account,
            home=home,
            environment=self.variables(side),
            timeout_s=TIMEOUT_S,
            check=False,
            cwd=cwd,
        )
        assert done.returncode == command.exit_code, (
            f"{side}: {text}\nexit code {done.returncode}\n{done.stdout}\n{self.stack.log()}"
        )
        if command.output:
            wanted = "\n".join(command.output)
            assert shows(command.output, done.stdout), f"{text}\n--- shown\n{wanted}\n--- real\n{done.stdout}"
        if found := RUN_ID.search(done.stdout):
            self.run_id = found[1]
        return done.stdout

    def start_endpoint(self, text: str, stdout: int | None = subprocess.DEVNULL) -> HostProcess:
        """Starts the endpoint as the page says, and returns when it takes commands."""
        account, home, cwd = self.who(FACILITY)
        self._endpoint = self.stack.popen_as_user(
            shlex.split(text),
            account=account,
            home=home,
            cwd=cwd,
            environment=self.variables(FACILITY),
            stdout=stdout,
            stderr=stdout,
        )
        give_up = time.monotonic() + ONLINE_S
        while not self._online():
            assert self._endpoint.poll() is None, f"the endpoint ended:\n{self._log()}"
            assert time.monotonic() < give_up, f"the endpoint is not online after {ONLINE_S:g} s:\n{self._log()}"
            time.sleep(0.05)
        return self._endpoint

    def end_endpoint(self) -> None:
        """Ends the endpoint, its user endpoints and their jobs, if it was started."""
        if self._endpoint is None or (pid := self._endpoint.leader()) is None:
            return
        os.kill(pid, signal.SIGTERM)
        self._endpoint.wait(ONLINE_S)
        self._endpoint = None

    def walk(self, blocks: list[Block]) -> dict[str, str]:
        """Types all commands; returns what each printed."""
        return {command.text: self.type(command, block.side) for block in blocks for command in block.commands()}

    def _online(self) -> bool:
        mine = self.endpoint_id()
        return bool(mine) and any(event["endpoint"] == mine for event in self.stack.events("heartbeat"))

    def _log(self) -> str:
        files = self.facility.glob(".globus_compute/*/endpoint.log")
        return "\n".join(file.read_text(errors="replace")[-3000:] for file in files)
