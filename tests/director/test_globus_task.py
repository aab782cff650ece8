"""What Globus Compute runs on the lead node: its text alone, in whatever environment the endpoint has."""

import ast
import builtins
import inspect
import json
import subprocess
import sys
import venv
from importlib.metadata import version
from pathlib import Path

import pytest

from director.globus_task import start_director
from director.spec import AllocationSpec, DirectorSpec, ExchangeSpec, SharesSpec, agent_id_of
from tests.helpers import NOON

OURS = version("md-director")


def spec(run_folder: str) -> str:
    return DirectorSpec(
        run_id="abcd12345678",
        created_at=NOON,
        index=1,
        agent_id=agent_id_of("abcd12345678", 1),
        run_folder=run_folder,
        allocation=AllocationSpec(nodes=2),
        shares=SharesSpec(values=(1, 1)),
        exchange=ExchangeSpec(url="http://127.0.0.1:9"),
        linger_s=60,
    ).model_dump_json()


def run_there(python, document: str, client_version: str = OURS) -> dict:
    """Runs the task's text in another interpreter, which has nothing else of it."""
    program = f"import sys\n{inspect.getsource(start_director)}\nprint(start_director(*sys.argv[1:]))"
    done = subprocess.run(
        [python, "-I", "-c", program, document, client_version],
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1
    return json.loads(done.stdout)


class Environment:
    """A Python environment with nothing in it."""

    def __init__(self, folder: Path) -> None:
        venv.EnvBuilder(with_pip=False, symlinks=True).create(folder)
        self.python = folder / "bin" / "python"
        (self.packages,) = folder.glob("lib/python*/site-packages")

    def pretend(self, found: str) -> None:
        """Says that a version of md-director is installed."""
        info = self.packages / f"md_director-{found}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: md-director\nVersion: {found}\n")


@pytest.fixture
def environment(tmp_path):
    return Environment(tmp_path / "env")


def test_an_environment_without_md_director_says_so_and_what_to_do(environment, tmp_path):
    summary = run_there(environment.python, spec(str(tmp_path / "run")))
    assert (summary["director"], summary["ok"]) == (1, False)
    assert summary["host"]
    assert "md-director is not installed in the endpoint's environment" in summary["error"]
    assert str(tmp_path / "env") in summary["error"]
    assert f"Install md-director=={OURS}" in summary["error"]
    assert not (tmp_path / "run").exists()


def test_another_version_is_refused_before_anything_of_it_is_loaded(environment, tmp_path):
    environment.pretend("9.9.9")
    (environment.packages / "director").mkdir()
    (environment.packages / "director" / "__init__.py").write_text("raise SystemExit('loaded')")
    summary = run_there(environment.python, spec(str(tmp_path / "run")))
    assert not summary["ok"]
    assert f"md-director is {OURS} here and 9.9.9 in the endpoint's environment" in summary["error"]
    assert "9.9.9 here" in summary["error"]


def test_a_version_that_differs_in_its_last_number_only_is_taken(environment, tmp_path):
    environment.pretend(".".join([*OURS.split(".")[:2], "99"]))
    (environment.packages / "director").mkdir()
    (environment.packages / "director" / "__init__.py").write_text("")
    (environment.packages / "director" / "launch.py").write_text(
        "import json\n\ndef run_director(spec):\n    return {'director': json.loads(spec)['index'], 'ok': True}\n"
    )
    assert run_there(environment.python, spec(str(tmp_path / "run")))["ok"]


def test_an_environment_that_is_broken_says_what_cannot_be_loaded(environment, tmp_path):
    environment.pretend(OURS)
    summary = run_there(environment.python, spec(str(tmp_path / "run")))
    assert not summary["ok"]
    assert "md-director cannot be loaded" in summary["error"]
    assert "No module named 'director'" in summary["error"]


def test_with_this_md_director_it_runs_the_director(tmp_path):
    # A run folder that cannot be made ends the Director at once, with what `run_director` says.
    (tmp_path / "file").write_text("")
    summary = run_there(sys.executable, spec(str(tmp_path / "file" / "run")))
    assert (summary["director"], summary["ok"]) == (1, False)
    assert "the run folder cannot be used" in summary["error"]
    assert summary["host"]


def test_its_text_uses_no_name_from_its_module():
    (function,) = ast.parse(inspect.getsource(start_director)).body
    assert isinstance(function, ast.FunctionDef)
    assert function.decorator_list == []
    own = {node.arg for node in ast.walk(function) if isinstance(node, ast.arg)}
    own |= {node.id for node in ast.walk(function) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    own |= {node.name for node in ast.walk(function) if isinstance(node, ast.FunctionDef | ast.ExceptHandler)}
    for node in ast.walk(function):
        if isinstance(node, ast.Import | ast.ImportFrom):
            own |= {alias.asname or alias.name for alias in node.names}
    used = {node.id for node in ast.walk(function) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    assert used <= own | set(vars(builtins))
    assert start_director.__closure__ is None
    assert start_director.__defaults__ is None


def test_globus_compute_carries_it_as_text_and_its_arguments_as_json():
    from globus_compute_sdk import serialize

    code = serialize.PureSourceTextInspect()
    carried = code.serialize(start_director)
    assert "import json" in carried
    back = code.deserialize(carried)
    assert json.loads(back("{}", "0.0.0"))["ok"] is False
