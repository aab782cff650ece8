"""Tables and examples of the documentation agree with the code."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import pytest
from pydantic import BaseModel

import endpoint_templates
from director.batch import BatchEntry, BatchFile
from director.interfaces.audit import AuditLine
from director.interfaces.policy import AgentPolicy, Budget, Policy
from director.runfolder import RunRecord
from director.runs import SubmittedRun
from director.service_partition.spec import PLACES, ServiceSpec
from simulations import Ending, ErrorInfo, Outcome, Paused, Resources, Workspace, find_tools
from simulations.records import AttemptRecord
from tests.docs.pages import DOCS, ROOT, blocks, walked
from tests.docs.reader import LONG_TOOL, OWN_TOOL, TIMEOUT_S


def test_the_outcome_in_the_readme_is_one() -> None:
    (block,) = [b for b in blocks((ROOT / "README.md").read_text(encoding="utf-8")) if b.language == "json"]
    shown = json.loads("\n".join(block.lines))
    assert list(shown) == [name for name in Outcome.model_fields if name in shown]
    tool = find_tools()[shown["tool"]]
    assert shown["inputs"].keys() <= tool.request.model_fields.keys()
    assert shown["result"].keys() <= tool.result.model_fields.keys()
    assert shown["tool_version"] == tool.version
    assert set(shown["artifacts"]) <= {"topology", "trajectory", "state_table", "checkpoint", "final_structure"}


def test_the_history_in_the_reference_is_one() -> None:
    page = (DOCS / "reference" / "outcome.md").read_text(encoding="utf-8")
    (block,) = [block for block in blocks(page) if block.language == "json"]
    records = [AttemptRecord.model_validate(shown) for shown in json.loads("\n".join(block.lines))]
    assert [record.ended for record in records] == [Ending.PAUSED, Ending.OK]
    assert records[0].course.saved_amount == records[1].course.from_amount


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
        ("batch-file.md", "An entry of `services`", ServiceSpec),
        ("run-folder.md", "run.json", RunRecord),
        ("run-store.md", "The record", SubmittedRun),
        ("agents.md", "Policy file", Policy),
        ("agents.md", "An agent", AgentPolicy),
        ("agents.md", "A budget", Budget),
        ("agents.md", "Audit log", AuditLine),
    ],
)
def test_tables_list_every_field_in_order(page: str, heading: str, model: type[Outcome]) -> None:
    assert fields_of(page, heading) == list(model.model_fields)


def test_every_name_in_braces_stands_in_the_reference() -> None:
    text = (DOCS / "reference" / "batch-file.md").read_text(encoding="utf-8")
    section = text.partition("### Names in braces\n")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `\{([a-z_]+)\}` \|", section, re.MULTILINE) == list(PLACES)


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


def test_every_event_that_a_director_writes_stands_in_the_reference() -> None:
    page = (DOCS / "reference" / "ledger.md").read_text(encoding="utf-8")
    told = set(re.findall(r"`([a-z_]+)`", " ".join(re.findall(r"^\| (`[^|]*) \|", page, re.MULTILINE))))
    code = "".join(file.read_text() for file in (ROOT / "director").rglob("*.py"))
    noted = set(re.findall(r"\.note\(\s*\"([a-z_]+)\"", code))
    lines = set(re.findall(r"Line\([^\"\n]*\"([a-z_]+)\"", code))
    assert {"began", "ended", "paused"} <= noted
    assert {"migrated", "repaired"} <= lines
    assert noted | lines <= told


@pytest.mark.parametrize(
    "record",
    [
        "director.totals:Totals",
        "director.ledger.protocol:Event",
        "simulations.records:AttemptRecord",
        "simulations.records:Course",
        "simulations.records:Usage",
    ],
)
def test_tables_of_records_explain_every_field(generated: ModuleType, record: str) -> None:
    text = generated.record_reference(record)
    module, _, name = record.partition(":")
    known = vars(importlib.import_module(module))[name].__annotations__
    assert [field for field in known if f"| `{field}` |" in text] == [f for f in known if f != "model_config"]


def test_every_way_in_which_an_attempt_ends_stands_in_the_reference(generated: ModuleType) -> None:
    assert all(f"| `{ending.value}` |" in generated.ending_reference() for ending in Ending)


def test_the_long_example_gives_the_same_result_after_a_pause(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("long_well_tool", LONG_TOOL / "long_well_tool.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    request = module.LongWellRequest(steps=60_000)

    def attempt(folder: str, epoch: int, pause_at: datetime | None = None) -> tuple[BaseModel, Workspace]:
        place = Resources(host="here", worker="here/0")
        workspace = Workspace(tmp_path / folder, tmp_path, place, epoch=epoch, pause_at=pause_at)
        return module.run(request, workspace), workspace

    whole, _ = attempt("whole", 1)
    with pytest.raises(Paused):
        attempt("parted", 1, pause_at=datetime(2000, 1, 1, tzinfo=UTC))
    parted, workspace = attempt("parted", 2)
    assert parted == whole
    assert 0 < workspace.course.from_amount < request.steps
    assert workspace.course.amount == request.steps


@pytest.mark.parametrize("own_tool", [OWN_TOOL, LONG_TOOL], ids=lambda folder: folder.name)
def test_own_tool_builds_into_a_wheel_that_registers_it(own_tool: Path, tmp_path: Path) -> None:
    has_backend = importlib.util.find_spec("hatchling") is not None
    isolation = ["--no-build-isolation"] if has_backend else []
    source = shutil.copytree(own_tool, tmp_path / "own_tool")
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
        [
            sys.executable,
            "-c",
            "from simulations import find_tools; print([tool.summary for tool in find_tools().values()])",
        ],
        env={**os.environ, "PYTHONPATH": str(site)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert "harmonic well" in found.stdout, found.stderr
