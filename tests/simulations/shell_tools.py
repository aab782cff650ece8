"""Tool files for tests, and workspaces that they run in."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from simulations.shell import ToolSource, make_tool, read_tool_file
from simulations.tool import AnyTool
from simulations.workspace import Resources, Workspace

PYTHON = sys.executable

ECHO = """\
import json, sys
json.dump(sys.argv[1:], open("argv.json", "w"))
"""


def tool_document(**changes: Any) -> dict[str, Any]:
    """A tool file that runs a script of this interpreter, with changes; what is None is left out."""
    document = {
        "name": "my_program",
        "version": "1",
        "summary": "A program of a test.",
        "program": [PYTHON, "{file:script}"],
        "files": {"script": "script.py"},
        **changes,
    }
    return {name: value for name, value in document.items() if value is not None}


def write_tool(folder: Path, script: str = ECHO, **changes: Any) -> Path:
    """Writes a tool file and its script."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "script.py").write_text(script)
    path = folder / "tool.json"
    path.write_text(json.dumps(tool_document(**changes)))
    return path


def source_of(folder: Path, script: str = ECHO, **changes: Any) -> ToolSource:
    """A tool file that was written and read."""
    return read_tool_file(write_tool(folder, script, **changes))


def ready(tmp_path: Path, script: str = ECHO, *, threads: int = 1, **changes: Any) -> tuple[AnyTool, Workspace]:
    """A Tool of a tool file, and a Workspace with what ships with it."""
    source = source_of(tmp_path / "tools", script, **changes)
    (tmp_path / "inputs").mkdir()
    source.stage(tmp_path / "inputs")
    workspace = Workspace(
        folder=tmp_path / "director-0" / "work" / "r1",
        run_folder=tmp_path,
        resources=Resources(host="local-0", worker="local-0/0", threads=threads),
    )
    return make_tool(source.definition), workspace
