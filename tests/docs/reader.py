"""Somebody who reads the pages of the documentation and types what they say."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import typer

import endpoint_templates
from director.cli.app import app
from tests.docs.pages import DOCS, ROOT, Command, blocks, check_unrun, page_name, shows
from tests.helpers import wait_until

OWN_TOOL = DOCS / "examples" / "own_tool"
LONG_TOOL = DOCS / "examples" / "long_tool"
NOT_RUN = re.compile(r"(make|git|cd|source|pip|\.venv/bin/pre-commit|python examples/\w+\.py)( |$)")
NEEDS_SERVICE = re.compile(r"globus-compute-endpoint start |director submit .*--endpoint UUID")
TIMEOUT_S = 300


def install_by_hand(package: Path, site: Path) -> None:
    """Puts a package where Python finds it, with the entry points of its pyproject.toml; needs no network."""
    project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    name = project["name"].replace("-", "_")
    shutil.copy(package / f"{name}.py", site)
    info = site / f"{name}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    groups = project["entry-points"].items()
    sections = [f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in entries.items()) for group, entries in groups]
    (info / "entry_points.txt").write_text("\n".join(sections))


class Reader:
    """Types commands in one clone, and remembers what they printed.

    A command that makes a run folder is typed once, however many pages have it. One that ends in ``&`` runs beside
    those that follow, and is interrupted at the end of its page. ``ID`` stands for a Request that waits.
    """

    def __init__(self, folder: Path) -> None:
        self.clone = folder / "md-director"
        self.site = folder / "site"
        self.home = folder / "home"
        self.site.mkdir()
        self.home.mkdir()
        shutil.copytree(ROOT / "examples", self.clone / "examples")
        shutil.copytree(DOCS / "examples", self.clone / "docs" / "examples")
        install_by_hand(OWN_TOOL, self.site)
        install_by_hand(LONG_TOOL, self.site)
        self._done: dict[tuple[str, int], str] = {}

    def read(self, page: Path) -> None:
        """Types all that a page says, and compares exit codes and shown output; ``…`` stands for anything."""
        name = page_name(page)
        found = [block for block in blocks(page.read_text(encoding="utf-8")) if not block.side]
        typed = {id(block): block.commands() for block in found if block.language == "console"}
        beside = [command for commands in typed.values() for command in commands if command.text.endswith("&")]
        with self.beside(beside, name):
            for block in found:
                if block.language == "python":
                    self.run([sys.executable, "-c", "\n".join(block.lines)], 0, name)
                for command in typed.get(id(block), []):
                    self.follow(command, name)

    def follow(self, command: Command, page: str) -> None:
        """Types one command, or checks one that cannot be typed here."""
        if command.text.endswith("&"):
            return
        if NOT_RUN.match(command.text):
            check_unrun(command.text)
            return
        if NEEDS_SERVICE.match(command.text):
            self.check_service(command.text)
            return
        output = self.type(command, page)
        if command.output:
            wanted = "\n".join(command.output)
            assert shows(command.output, output), f"{page}: {command.text}\n--- shown\n{wanted}\n--- real\n{output}"

    def environment(self, page: str) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("FORCE_", "PYTEST_", "CLICOLOR", "DIRECTOR_", "GLOBUS_"))
        }
        kept |= {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "COLUMNS": "100",
            "NO_COLOR": "1",
            "HOME": str(self.home),
            "PYTHONPATH": str(self.site) if page.endswith("own-tool.md") else "",
        }
        return kept

    def type(self, command: Command, page: str) -> str:
        """Runs a command, once if several pages have the same, and checks its exit code."""
        key = (command.text, command.exit_code)
        if key not in self._done or "--run-dir" not in command.text:
            text = self.with_id(command.text, page)
            self._done[key] = self.run(["bash", "-c", f"set -o pipefail; {text}"], command.exit_code, page)
        return self._done[key]

    def with_id(self, text: str, page: str) -> str:
        """A command with the id of a Request that waits in place of the word ``ID``."""
        words = text.split()
        if "ID" not in words:
            return text
        folder = words[2]
        written = (self.clone / folder / "requests.jsonl").read_text().splitlines()
        ended = self.run(["director", "outcomes", folder, "--json"], None, page).splitlines()
        waiting = [json.loads(line)["id"] for line in written]
        for line in ended:
            waiting.remove(json.loads(line)["id"])
        # Those that were written down last wait longest, but for the very last, which has a higher priority.
        return re.sub(r"\bID\b", waiting[-2][:8], text)

    @contextmanager
    def beside(self, commands: list[Command], page: str) -> Iterator[None]:
        """Runs commands that end in ``&``, until the block is left: then they are interrupted, as with Ctrl-C."""
        started: list[tuple[Command, subprocess.Popen[bytes]]] = []
        try:
            for command in commands:
                folder = command.text.split("--run-dir ")[1].split()[0]
                process = subprocess.Popen(
                    ["bash", "-c", f"exec {command.text.removesuffix('&')}"],
                    cwd=self.clone,
                    env=self.environment(page),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
                started.append((command, process))
                wait_until(
                    lambda folder=folder: self.both_run(folder, page), TIMEOUT_S, f"two Requests run in {folder}"
                )
            yield
            for command, process in started:
                process.send_signal(signal.SIGINT)
                assert process.wait(TIMEOUT_S) == command.exit_code, f"{page}: {command.text}"
        finally:
            for _, process in started:
                process.kill()
                process.wait()

    def both_run(self, folder: str, page: str) -> bool:
        """Whether two Requests of a run run, and have said how far they are."""
        if not (self.clone / folder / "exchange.json").exists():
            return False
        said = json.loads(self.run(["director", "status", folder, "--json"], 0, page).splitlines()[-1])
        return sum(len(director.get("progress") or {}) for director in said["directors"]) >= 2

    def check_service(self, command: str) -> None:
        """Checks a command that needs an endpoint: that it is configured, or takes what is submitted."""
        words = shlex.split(command)
        if words[0] == "globus-compute-endpoint":
            assert (self.home / ".globus_compute" / words[2] / "config.yaml").is_file(), command
            return
        assert (self.clone / words[2]).is_file(), command
        settings = [value for name, value in pairwise(words) if name == "--set"]
        assert any(_takes(template, settings) for template in endpoint_templates.names()), command
        known = {name for option in typer.main.get_command(app).commands["submit"].params for name in option.opts}
        assert {word for word in words if word.startswith("--")} <= known, command

    def run(self, arguments: list[str], exit_code: int | None, page: str) -> str:
        answer = subprocess.run(
            arguments,
            cwd=self.clone,
            env=self.environment(page),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT_S,
        )
        assert exit_code in (None, answer.returncode), (
            f"{page}: {arguments[-1]}\nexit code {answer.returncode}\n{answer.stdout}"
        )
        return answer.stdout


def _takes(template: str, settings: list[str]) -> bool:
    try:
        endpoint_templates.options_from(settings, endpoint_templates.find(template).parameters)
    except endpoint_templates.TemplateError:
        return False
    return True
