"""What the documentation tells people to type does what the documentation says.

Commands of ``console`` blocks run in a copy of what a clone holds, and their exit codes and shown output are compared
(``…`` stands for anything). ``python`` blocks run too. Tables are compared with the models that they describe.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import pytest

from director.batch import BatchEntry, BatchFile
from director.runfolder import RunRecord
from simulations import ErrorInfo, Outcome, find_tools

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
OWN_TOOL = DOCS / "examples" / "own_tool"
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(p for p in DOCS.rglob("*.md") if "_build" not in p.parts),
]
FENCES = {"console", "python", "yaml", "json", "text", "toml"}
NOT_RUN = {"make", "git", "cd", "source", "pip", ".venv/bin/pre-commit"}
TIMEOUT_S = 120


@dataclass
class Command:
    """One line that begins with ``$``, and what stands below it."""

    text: str
    exit_code: int = 0
    output: list[str] = field(default_factory=list)


@dataclass
class Block:
    """A fenced block of a page."""

    language: str
    line: int
    lines: list[str] = field(default_factory=list)

    def commands(self) -> list[Command]:
        found: list[Command] = []
        for line in self.lines:
            if line.startswith("$ "):
                text, _, comment = line[2:].partition("  #")
                code = re.search(r"exit code (\d+)", comment)
                found.append(Command(text.strip(), int(code[1]) if code else 0))
            elif found:
                found[-1].output.append(line)
            else:
                raise AssertionError(f"line {self.line}: a console block begins with a line that begins with '$ '")
        return found


def blocks(text: str) -> Iterator[Block]:
    """All fenced blocks of a page."""
    current: Block | None = None
    fence = ""
    for number, line in enumerate(text.splitlines(), 1):
        mark = re.match(r"\s*(`{3,}|~{3,}|:{3,})\s*(.*)$", line)
        if current is None and mark:
            fence, current = mark[1], Block(mark[2].split(" ")[0].strip(), number)
        elif current is not None and line.strip() == fence:
            yield current
            current = None
        elif current is not None:
            current.lines.append(line)
    assert current is None, f"line {current.line if current else 0}: a block is not closed"


def page_name(page: Path) -> str:
    return str(page.relative_to(ROOT))


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
    """Somebody who reads the pages and types what they say, in one clone."""

    def __init__(self, folder: Path) -> None:
        self.clone = folder / "md-director"
        self.site = folder / "site"
        self.site.mkdir()
        shutil.copytree(ROOT / "examples", self.clone / "examples")
        shutil.copytree(DOCS / "examples", self.clone / "docs" / "examples")
        install_by_hand(OWN_TOOL, self.site)
        self._done: dict[tuple[str, int], str] = {}

    def environment(self, page: str) -> dict[str, str]:
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("FORCE_", "PYTEST_", "CLICOLOR"))
        }
        kept |= {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "COLUMNS": "100",
            "NO_COLOR": "1",
            "PYTHONPATH": str(self.site) if page.endswith("own-tool.md") else "",
        }
        return kept

    def type(self, command: Command, page: str) -> str:
        """Runs a command, once if several pages have the same, and checks its exit code."""
        key = (command.text, command.exit_code)
        if key not in self._done or "--run-dir" not in command.text:
            self._done[key] = self.run(["bash", "-c", f"set -o pipefail; {command.text}"], command.exit_code, page)
        return self._done[key]

    def run(self, arguments: list[str], exit_code: int, page: str) -> str:
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
        assert answer.returncode == exit_code, (
            f"{page}: {arguments[-1]}\nexit code {answer.returncode}\n{answer.stdout}"
        )
        return answer.stdout


@pytest.fixture(scope="session")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    return Reader(tmp_path_factory.mktemp("reader"))


def shows(expected: list[str], actual: str) -> bool:
    """Whether the output is what the page shows, with ``…`` for anything."""
    wanted = "\n".join(line.rstrip() for line in expected).strip()
    got = "\n".join(line.rstrip() for line in actual.splitlines()).strip()
    pattern = ".*?".join(re.escape(part) for part in wanted.split("…"))
    return re.fullmatch(pattern, got, re.DOTALL) is not None


def check_unrun(command: str) -> None:
    """Checks a command that a test cannot run: what it names is there."""
    words = command.split()
    if words[0] == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert {word for word in words[1:] if "=" not in word} <= set(targets), command
    elif words[0] == "cd":
        assert words[1] == "md-director" or (ROOT / words[1]).is_dir(), command
    elif words[0] == "pip":
        assert words[1] == "install", command
        assert (ROOT / words[2] / "pyproject.toml").is_file(), command
    elif words[0] in ("source", ".venv/bin/pre-commit"):
        assert "VENV := .venv\n" in (ROOT / "Makefile").read_text(), command
    else:
        assert words[:2] == ["git", "clone"], command


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_block_is_of_a_kind_that_is_tested_or_shows_no_command(page: Path) -> None:
    for block in blocks(page.read_text(encoding="utf-8")):
        known = block.language in FENCES or re.fullmatch(r"\{[a-z-]+\}", block.language)
        assert known, f"{page_name(page)}, line {block.line}: {block.language or 'no language'!r}; use console or text"
        if not block.language.startswith("{") and block.language != "console":
            prompts = [line for line in block.lines if line.startswith("$ ")]
            assert not prompts, f"{page_name(page)}, line {block.line}: commands belong into a console block"


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_commands_and_snippets_do_what_the_page_says(page: Path, reader: Reader) -> None:
    name = page_name(page)
    for block in blocks(page.read_text(encoding="utf-8")):
        if block.language == "python":
            reader.run([sys.executable, "-c", "\n".join(block.lines)], 0, name)
        for command in block.commands() if block.language == "console" else []:
            if command.text.split()[0] in NOT_RUN:
                check_unrun(command.text)
                continue
            output = reader.type(command, name)
            if command.output:
                wanted = "\n".join(command.output)
                assert shows(command.output, output), f"{name}: {command.text}\n--- shown\n{wanted}\n--- real\n{output}"


def test_the_outcome_in_the_readme_is_one() -> None:
    (block,) = [b for b in blocks((ROOT / "README.md").read_text(encoding="utf-8")) if b.language == "json"]
    shown = json.loads("\n".join(block.lines))
    assert list(shown) == [name for name in Outcome.model_fields if name in shown]
    tool = find_tools()[shown["tool"]]
    assert shown["inputs"].keys() <= tool.request.model_fields.keys()
    assert shown["result"].keys() <= tool.result.model_fields.keys()
    assert shown["tool_version"] == tool.version
    assert set(shown["artifacts"]) <= {"topology", "trajectory", "state_table", "checkpoint", "final_structure"}


def test_the_batch_file_in_the_readme_is_the_example() -> None:
    (block,) = [b for b in blocks((ROOT / "README.md").read_text(encoding="utf-8")) if b.language == "yaml"]
    example = (ROOT / "examples" / "batch.yaml").read_text().splitlines()
    assert block.lines == [line for line in example if not line.startswith("#")]


def fields_of(page: str, heading: str) -> list[str]:
    """First column of the table below a heading."""
    text = (DOCS / "reference" / page).read_text(encoding="utf-8")
    section = re.split(r"^#+ ", text.partition(f"# {heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    return re.findall(r"^\| `([a-z_]+)` \|", section, re.MULTILINE)


@pytest.mark.parametrize(
    ("page", "heading", "model"),
    [
        ("outcome.md", "Outcome", Outcome),
        ("outcome.md", "error", ErrorInfo),
        ("batch-file.md", "The file", BatchFile),
        ("batch-file.md", "An entry of `requests`", BatchEntry),
        ("run-folder.md", "run.json", RunRecord),
    ],
)
def test_tables_list_every_field_in_order(page: str, heading: str, model: type[Outcome]) -> None:
    assert fields_of(page, heading) == list(model.model_fields)


@pytest.fixture(scope="module")
def generated() -> ModuleType:
    pytest.importorskip("sphinx", reason="the extra docs is not installed")
    spec = importlib.util.spec_from_file_location("generated", DOCS / "_ext" / "generated.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_command_stands_in_the_reference(generated: ModuleType) -> None:
    page = (DOCS / "reference" / "command-line.md").read_text(encoding="utf-8")
    assert re.findall(r"^```\{command-reference\} (\S+)", page, re.MULTILINE) == generated.command_names()
    assert "--run-dir" in generated.command_reference("run")


def test_every_shipped_tool_stands_in_the_reference_with_all_inputs(generated: ModuleType) -> None:
    page = (DOCS / "reference" / "tools.md").read_text(encoding="utf-8")
    shipped = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["director.tools"]
    assert re.findall(r"^```\{tool-reference\} (\S+)", page, re.MULTILINE) == list(shipped)
    for name in shipped:
        text = generated.tool_reference(name)
        tool = find_tools()[name]
        for known in [*tool.request.model_fields, *tool.result.model_fields]:
            assert f"| `{known}` |" in text


def test_action_table_is_what_the_director_answers(generated: ModuleType) -> None:
    names = generated.action_names()
    assert {"md_sim", "md_sim_batch", "run", "submit", "outcomes", "status", "cancel", "drain", "tools"} <= set(names)
    assert all(f"| `{name}(" in generated.action_reference() for name in names)


def test_own_tool_builds_into_a_wheel_that_registers_it(tmp_path: Path) -> None:
    has_backend = importlib.util.find_spec("hatchling") is not None
    isolation = ["--no-build-isolation"] if has_backend else []
    source = shutil.copytree(OWN_TOOL, tmp_path / "own_tool")
    site = tmp_path / "site"
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--target",
        str(site),
        *isolation,
        str(source),
    ]
    built = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
    if built.returncode and re.search(r"No matching distribution found for hatchling|ConnectionError", built.stderr):
        pytest.skip("hatchling, with which the example is built, is not installed and cannot be fetched")
    assert built.returncode == 0, built.stderr
    found = subprocess.run(
        [sys.executable, "-c", "from simulations import find_tools; print(find_tools()['well'].summary)"],
        env={**os.environ, "PYTHONPATH": str(site)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert "harmonic well" in found.stdout, found.stderr
