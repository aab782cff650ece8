"""What runs in the job before the worker pool, run for real in real shells."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

import endpoint_templates
from endpoint_templates.worker_init import worker_init
from tests.endpoint_templates.cases import ALL, BY_NAME, GOLDEN_INSTALLED, installed, submitted

SHELLS = ["bash", "sh"]
SECRETS = {
    "GLOBUS_COMPUTE_CLIENT_ID": "id",
    "GLOBUS_COMPUTE_CLIENT_SECRET": "secret",
    "FUNCX_SDK_CLIENT_SECRET": "secret",
    "GLOBUS_CLI_CLIENT_SECRET": "secret",
    "GLOBUS_SOME_LATER_ACCESS_TOKEN": "secret\nGLOBUS_TOKEN=x",
}
HARMLESS = {"GLOBUS_COMPUTE_ENDPOINT_NAME": "kept", "GC_USER_PYTHON_VERSION": "3.11"}


@pytest.fixture
def environment(tmp_path):
    """A real virtual environment that has the endpoint's command."""
    folder = tmp_path / "env"
    venv.create(folder, with_pip=False)
    (folder / "bin" / "globus-compute-endpoint").symlink_to(Path(sys.executable).with_name("globus-compute-endpoint"))
    return folder


def run(shell, text, tmp_path, **variables):
    """Runs the text, and returns the environment that it leaves."""
    done = subprocess.run(
        [shell, "-c", f"{text}\nenv -0"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), **variables},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    return dict(entry.split("=", 1) for entry in done.stdout.split("\0") if "=" in entry)


def rendered(template, given):
    text = endpoint_templates.render(template.text(given), template.schema(), submitted(template))
    return endpoint_templates.load(text).engine.executor.provider.worker_init


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("template", ALL, **BY_NAME)
def test_every_template_gives_text_that_shells_can_read(template, shell):
    for kind in ("venv", "conda"):
        text = rendered(template, installed(template, GOLDEN_INSTALLED) | {"environment_kind": kind})
        done = subprocess.run([shell, "-n"], input=text, capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("template", ALL, **BY_NAME)
def test_it_activates_the_environment_and_forgets_the_secrets(template, shell, environment, tmp_path):
    given = installed(template) | {"environment": str(environment), "run_root": "/lustre/project/runs"}
    found = run(shell, rendered(template, given), tmp_path, **SECRETS, **HARMLESS)
    assert found["PATH"].split(":")[0] == f"{environment}/bin"
    assert found["VIRTUAL_ENV"] == str(environment)
    assert found["DIRECTOR_RUN_ROOT"] == "/lustre/project/runs"
    assert not set(SECRETS) & set(found)
    assert HARMLESS.items() <= found.items()
    for name, value in template.facility.variables if template.facility else ():
        assert found[name] == value


@pytest.mark.parametrize("shell", SHELLS)
def test_a_conda_environment_is_activated_without_conda(shell, environment, tmp_path):
    hooks = environment / "etc" / "conda" / "activate.d"
    hooks.mkdir(parents=True)
    (hooks / "a.sh").write_text("export FROM_HOOK=$CONDA_PREFIX\n")
    found = run(shell, worker_init({"environment": str(environment), "environment_kind": "conda"}), tmp_path)
    assert found["CONDA_PREFIX"] == found["FROM_HOOK"] == str(environment)
    assert found["PATH"].split(":")[0] == f"{environment}/bin"
    assert "VIRTUAL_ENV" not in found
    (hooks / "a.sh").unlink()
    assert run(shell, worker_init({"environment": str(environment), "environment_kind": "conda"}), tmp_path)


@pytest.mark.parametrize("shell", SHELLS)
def test_modules_are_loaded_in_order_before_the_environment(shell, environment, tmp_path):
    """`module` is a program here; where it is a function of the shell, it is called the same way."""
    program = tmp_path / "bin" / "module"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/called\n[ "$2" != missing/1 ]\n')
    program.chmod(0o755)
    values = {"environment": str(environment), "environment_kind": "venv", "module_paths": ["/soft/modulefiles"]}
    path = f"{program.parent}:{os.environ['PATH']}"
    found = run(shell, worker_init(values | {"modules": ["frameworks", "cray-pals/1.2"]}), tmp_path, PATH=path)
    assert (tmp_path / "called").read_text().splitlines() == [
        "use /soft/modulefiles",
        "load frameworks",
        "load cray-pals/1.2",
    ]
    assert found["PATH"].startswith(f"{environment}/bin:")
    text = worker_init(values | {"modules": ["missing/1"]})
    done = subprocess.run(
        [shell, "-c", f"{text}\ntouch went-on"], cwd=tmp_path, env={"PATH": path}, capture_output=True
    )
    assert done.returncode == 1
    assert b"the module missing/1 cannot be loaded" in done.stderr
    assert not (tmp_path / "went-on").exists()


@pytest.mark.parametrize("shell", SHELLS)
def test_a_missing_environment_ends_the_job_and_says_what_to_do(shell, tmp_path):
    text = worker_init({"environment": "/nowhere/env", "environment_kind": "venv"})
    done = subprocess.run([shell, "-c", f"{text}\ntouch went-on"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith(f"md-director: on {os.uname().nodename}, /nowhere/env/bin/globus-compute-endpoint")
    assert "correct environment or install md-director there" in done.stderr
    assert not (tmp_path / "went-on").exists()


@pytest.mark.parametrize("shell", SHELLS)
def test_what_the_models_would_refuse_is_not_executed_either(shell, environment, tmp_path):
    """The text is quoted by itself, and does not lean on what was checked before."""
    odd = tmp_path / "it's $(touch injected); `touch injected`"
    environment.rename(odd)
    script = (odd / "bin" / "activate").read_text().replace(str(environment), "/moved")
    (odd / "bin" / "activate").write_text(script)
    values = {"environment": str(odd), "environment_kind": "venv", "run_root": '"; touch injected; "'}
    found = run(shell, worker_init(values, [("X", "'; touch injected; '")]), tmp_path)
    assert found["PATH"].split(":")[0] == f"{odd}/bin"
    assert found["DIRECTOR_RUN_ROOT"] == values["run_root"]
    assert found["X"] == "'; touch injected; '"
    assert not list(tmp_path.rglob("injected"))


def test_text_that_jinja_would_read_is_never_made():
    with pytest.raises(ValueError, match="would be read as Jinja"):
        worker_init({"environment": "/a", "environment_kind": "venv", "run_root": "/{{ 7 * 7 }}"})
