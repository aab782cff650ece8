"""What the documentation tells people to type does what the documentation says.

Commands of ``console`` blocks run in a copy of what a clone holds, and their exit codes and shown output are compared
(``…`` stands for anything). ``python`` blocks run too. Tables are compared with the models that they describe.
Blocks that say ``facility`` or ``laptop`` need more than a clone: ``tests/globus/test_docs.py`` types them.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import pytest
import typer

import endpoint_templates
from director.batch import BatchEntry, BatchFile
from director.cli.app import app
from director.runfolder import RunRecord
from director.runs import SubmittedRun
from simulations import ErrorInfo, Outcome, find_tools
from tests.docs.pages import (
    DOCS,
    FACILITY,
    LAPTOP,
    PAGES,
    ROOT,
    Command,
    blocks,
    check_unrun,
    page_name,
    shows,
    walked,
)

OWN_TOOL = DOCS / "examples" / "own_tool"
FENCES = {"console", "python", "yaml", "json", "text", "toml"}
NOT_RUN = {"make", "git", "cd", "source", "pip", ".venv/bin/pre-commit"}
NEEDS_SERVICE = re.compile(r"globus-compute-endpoint start |director submit .*--endpoint UUID")
TIMEOUT_S = 120


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
        self.home = folder / "home"
        self.site.mkdir()
        self.home.mkdir()
        shutil.copytree(ROOT / "examples", self.clone / "examples")
        shutil.copytree(DOCS / "examples", self.clone / "docs" / "examples")
        install_by_hand(OWN_TOOL, self.site)
        self._done: dict[tuple[str, int], str] = {}

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
            self._done[key] = self.run(["bash", "-c", f"set -o pipefail; {command.text}"], command.exit_code, page)
        return self._done[key]

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


def _takes(template: str, settings: list[str]) -> bool:
    try:
        endpoint_templates.options_from(settings, endpoint_templates.find(template).parameters)
    except endpoint_templates.TemplateError:
        return False
    return True


@pytest.fixture(scope="session")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    return Reader(tmp_path_factory.mktemp("reader"))


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_block_is_of_a_kind_that_is_tested_or_shows_no_command(page: Path) -> None:
    for block in blocks(page.read_text(encoding="utf-8")):
        known = block.language in FENCES or re.fullmatch(r"\{[a-z-]+\}", block.language)
        assert known, f"{page_name(page)}, line {block.line}: {block.language or 'no language'!r}; use console or text"
        assert block.side in ("", FACILITY, LAPTOP), f"{page_name(page)}, line {block.line}: {block.side!r}"
        if not block.language.startswith("{") and block.language != "console":
            prompts = [line for line in block.lines if line.startswith("$ ")]
            assert not prompts, f"{page_name(page)}, line {block.line}: commands belong into a console block"


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_commands_and_snippets_do_what_the_page_says(page: Path, reader: Reader) -> None:
    name = page_name(page)
    for block in blocks(page.read_text(encoding="utf-8")):
        if block.language == "python":
            reader.run([sys.executable, "-c", "\n".join(block.lines)], 0, name)
        for command in block.commands() if block.language == "console" and not block.side else []:
            if command.text.split()[0] in NOT_RUN:
                check_unrun(command.text)
                continue
            if NEEDS_SERVICE.match(command.text):
                reader.check_service(command.text)
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


def test_the_film_shows_the_commands_of_the_readme_and_nothing_of_the_machine_that_filmed() -> None:
    film = (DOCS / "_static" / "film.svg").read_text(encoding="utf-8")
    shown = re.sub(r"\s+", " ", " ".join(re.findall(r"<text[^>]*>([^<]*)</text>", film)))
    for command in (command for block in walked(ROOT / "README.md") for command in block.commands()):
        words = re.split(r" (?=--|RUN)", command.text)[0]
        if re.match(r"director (endpoint configure|submit|watch|outcomes|fetch)|globus-compute-endpoint", words):
            assert words in shown, f"{words}: record it again with docs/film/record.py"
    assert not re.search(r"Traceback|/tmp/|/root/|site-packages", shown)


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
        ("run-store.md", "The record", SubmittedRun),
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
    assert re.findall(r"^```\{command-reference\} (\S.*)", page, re.MULTILINE) == generated.command_names()
    assert "--run-dir" in generated.command_reference("run")


def test_every_template_stands_in_the_reference_with_all_options_and_sources(generated: ModuleType) -> None:
    page = (DOCS / "reference" / "endpoint-templates.md").read_text(encoding="utf-8")
    assert re.findall(r"^```\{template-reference\} (\S+)", page, re.MULTILINE) == list(endpoint_templates.names())
    for name in endpoint_templates.names():
        template = endpoint_templates.find(name)
        text = generated.template_reference(name)
        assert all(f"| `{parameter}` |" in text for parameter in template.parameters.model_fields)
        assert all(source.link in text for source in (template.facility.sources if template.facility else ()))


def test_every_variable_that_is_read_stands_in_the_reference() -> None:
    pages = [DOCS / "reference" / "environment.md", DOCS / "facility-guide.md"]
    told = "".join(page.read_text(encoding="utf-8") for page in pages)
    code = "".join(file.read_text() for name in ("director", "partitions") for file in (ROOT / name).rglob("*.py"))
    read = set(re.findall(r"[\"'](DIRECTOR_[A-Z_]+)[\"']", code))
    assert {"DIRECTOR_EXCHANGE", "DIRECTOR_HOME"} <= read
    assert [name for name in sorted(read) if f"`{name}`" not in told] == []


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
