"""``director endpoint check`` from beginning to end, on real folders, environments, programs and servers."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

import endpoint_templates as templates
from director.exchange.server import begin, exchange_app
from director.exchange.tokens import RunTokens, new_secret
from simulations.tool import find_tools
from tests.director.examining import NO_ACCOUNTS, QSTAT, SCONTROL, STARTS

SYSTEM = "/usr/local/bin:/usr/bin:/bin"
ID = uuid.UUID("4b116d3c-1703-4f8f-9f6f-39921e5864df")


COMMAND = ("-m", "director", "endpoint", "check")


def check(*words: object, code: int = 0, home: Path | None = None) -> Any:
    """Runs the command with ``--json`` and returns its document, or what it refused."""
    done = run(*words, "--json", home=home)
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout or done.stderr)


def run(*words: object, home: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *COMMAND]
    environment = {**os.environ, "COLUMNS": "200", **({"HOME": str(home)} if home else {})}
    environment.pop("GLOBUS_COMPUTE_USER_DIR", None)
    return subprocess.run(
        [*command, *map(str, words)], capture_output=True, text=True, timeout=150, env=environment, check=False
    )


def findings(document: Any, topic: str) -> dict[str, dict[str, str]]:
    return {one["check"]: one for one in document["findings"] if one["topic"] == topic}


def failures(document: Any) -> dict[str, dict[str, str]]:
    return {f"{one['topic']}: {one['check']}": one for one in document["findings"] if one["state"] == "failed"}


def configure(folder: Path, template: str = "local", search_path: str = SYSTEM, **given: object) -> Path:
    """A real endpoint folder, whose workers are to run in this very environment."""
    kind = "venv" if (Path(sys.prefix) / "bin" / "activate").exists() else "conda"
    given = {"environment": sys.prefix, "environment_kind": kind, **given}
    templates.configure(templates.find(template), folder, given, search_path=search_path)
    return folder


def programs(folder: Path, **scripts: str) -> str:
    """A search path with programs of our own before those of the system."""
    folder.mkdir()
    for name, text in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    return f"{folder}:{SYSTEM}"


def says(text: str, *, code: int = 0, err: bool = False) -> str:
    """A program that prints a text."""
    return f"cat {'>&2 ' if err else ''}<<'TEXT'\n{text.rstrip()}\nTEXT\nexit {code}"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def serving(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """A web server on the loopback interface."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file with an exchange's secret."""
    file = tmp_path / "secret"
    file.touch(0o600)
    file.write_text(new_secret().get_secret_value())
    return file


# ---- an endpoint of this machine


def test_a_good_endpoint_is_all_well(tmp_path):
    configure(tmp_path / ".globus_compute" / "mine", run_root=str(tmp_path / "runs"))
    document = check("mine", "--offline", home=tmp_path)
    assert document["ok"] is True
    assert document["folder"] == str(tmp_path / ".globus_compute" / "mine")
    assert document["counts"]["failed"] == 0
    assert findings(document, "template")["engine"]["state"] == "ok"
    environment = findings(document, "environment")
    assert environment["Tools"]["found"] == ", ".join(sorted(find_tools()))
    assert "md-director" in environment["versions"]["found"]
    assert environment["secrets"]["state"] == "ok"
    assert findings(document, "disk")["run_root"]["found"] == f"{tmp_path}/runs can be made"
    assert not (tmp_path / "runs").exists()
    assert findings(document, "service")["all"]["state"] == "not checked"


def test_people_read_lines_with_what_to_do(tmp_path):
    folder = configure(tmp_path / "mine")
    folder.chmod(0o777)
    done = run("--dir", folder, "--offline")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("failed"))
    assert "folder: permissions  others may write to" in lines[at]
    assert lines[at + 1].strip() == f"→ chmod -R go-rwx {folder}"


def test_what_was_changed_by_hand_is_seen(tmp_path):
    folder = configure(tmp_path / "mine")
    schema = json.loads((folder / "user_config_schema.json").read_text())
    schema["properties"]["colour"] = {"type": "string"}
    schema["properties"]["nodes"]["default"] = "many"
    (folder / "user_config_schema.json").write_text(json.dumps(schema))
    document = check("--dir", folder, "--offline", code=1)
    assert "user_config_schema.json" in findings(document, "template")["configured"]["found"]
    assert "colour" in findings(document, "template")["agreement"]["found"]
    assert "its default of nodes" in failures(document)["template: schema"]["found"]
    template = folder / "user_config_template.yaml.j2"
    configure_again = folder.with_name("again")
    template = configure(configure_again) / "user_config_template.yaml.j2"
    template.write_text(template.read_text().replace("GlobusComputeEngine", "NoSuchEngine"))
    document = check("--dir", configure_again, "--offline", code=1)
    assert "NoSuchEngine" in failures(document)["template: engine"]["found"]
    assert findings(document, "environment")["all"]["state"] == "not checked"


def test_a_folder_that_is_not_there_or_is_somebody_elses_is_told(tmp_path):
    configure(tmp_path / ".globus_compute" / "other")
    document = check("mine", "--offline", code=1, home=tmp_path)
    assert "Those beside it: other" in failures(document)["folder: present"]["hint"]
    (tmp_path / "bare").mkdir(mode=0o700)
    (tmp_path / "bare" / "config.yaml").touch()
    document = check("--dir", tmp_path / "bare", "--offline", code=1)
    assert set(failures(document)) == {"folder: present", "template: configured"}


# ---- environments


def bare_environment(folder: Path) -> Path:
    """A virtual environment with nothing in it."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout=60)
    return folder


def test_an_environment_without_an_endpoint_is_told(tmp_path):
    bare = bare_environment(tmp_path / "bare")
    document = check(
        "--dir", configure(tmp_path / "mine", environment=str(bare), environment_kind="venv"), "--offline", code=1
    )
    found = failures(document)["environment: worker_init"]
    assert f"{bare}/bin/globus-compute-endpoint is not there" in found["found"]
    assert f"{bare}/bin/python -m pip install" in found["hint"]


def test_an_environment_without_the_product_is_told(tmp_path):
    bare = bare_environment(tmp_path / "bare")
    command = bare / "bin" / "globus-compute-endpoint"
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    document = check(
        "--dir", configure(tmp_path / "mine", environment=str(bare), environment_kind="venv"), "--offline", code=1
    )
    failed = failures(document)
    for package in ("md-director", "dill", "parsl", "globus-compute-endpoint", "globus-compute-sdk"):
        assert failed[f"environment: {package}"]["found"] == "is not installed in the workers' environment"
        assert f"{bare}/bin/python -m pip install '{package}==" in failed[f"environment: {package}"]["hint"]
    assert "environment: openmm" in failed


def test_an_environment_with_another_release_is_told(tmp_path):
    """The environment is a real one, which sees all packages of this one, and dill of another release before them."""
    other = bare_environment(tmp_path / "other")
    shutil.copy(Path(sys.prefix) / "bin" / "globus-compute-endpoint", other / "bin")
    site = next((other / "lib").glob("python*/site-packages"))
    (site / "dill-0.0.1.dist-info").mkdir()
    (site / "dill-0.0.1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: dill\nVersion: 0.0.1\n")
    (site / "all.pth").write_text("".join(f"{path}\n" for path in sys.path if path.endswith("site-packages")))
    document = check(
        "--dir", configure(tmp_path / "mine", environment=str(other), environment_kind="venv"), "--offline", code=1
    )
    failed = failures(document)
    assert set(failed) == {"environment: dill"}
    assert "dill is 0.0.1 in the workers' environment" in failed["environment: dill"]["found"]


# ---- schedulers

SLURM = {
    "scontrol": says(SCONTROL),
    "sacctmgr": says(NO_ACCOUNTS.err, code=1, err=True),
    "sbatch": '[ "$1" = --test-only ] || { touch "$0.submitted"; exit 9; }\ncat >"$0.asked"\n'
    + says(STARTS.err, err=True),
    "squeue": "exit 0",
    "scancel": "exit 0",
    "srun": "exit 0",
}


def test_slurm_is_asked_for_the_job_and_nothing_is_submitted(tmp_path):
    path = programs(tmp_path / "bin", **SLURM)
    folder = configure(tmp_path / "mine", "slurm", path, address="127.0.0.1")
    document = check(
        "--dir", folder, "--offline", "--set", "nodes=3", "--set", "queue=work", "--set", "walltime_s=3600", code=1
    )
    assert set(failures(document)) == {"address: workers' way back"}
    scheduler = findings(document, "scheduler")
    assert "to start at" in scheduler["sbatch --test-only"]["found"]
    assert "3 of at most 4 nodes, 01:00:00 of at most no limit" in scheduler["limits"]["found"]
    asked = (tmp_path / "bin" / "sbatch.asked").read_text().splitlines()
    assert {"#SBATCH --nodes=3", "#SBATCH --time=60", "#SBATCH --partition=work", "#SBATCH --exclusive"} <= set(asked)
    assert {"#SBATCH --no-kill", "#SBATCH --no-requeue"} <= set(asked)
    assert not (tmp_path / "bin" / "sbatch.submitted").exists()
    assert "--exchange URL" in findings(document, "exchange")["reachable"]["hint"]


def test_what_slurm_refuses_is_told(tmp_path):
    refused = says("allocation failure: Invalid account or account/partition combination specified", code=1, err=True)
    path = programs(tmp_path / "bin", **{**SLURM, "sbatch": refused})
    folder = configure(tmp_path / "mine", "slurm", path, address="127.0.0.1")
    words = ["--set", "queue=short", "--set", "account=bad", "--set", "walltime_s=7200"]
    failed = failures(check("--dir", folder, "--offline", *words, code=1))
    assert "short does not take 'bad'" in failed["scheduler: account"]["found"]
    assert "02:00:00, where a job may take 00:30:00" in failed["scheduler: limits"]["found"]
    assert "Invalid account" in failed["scheduler: sbatch --test-only"]["found"]


def test_a_scheduler_that_is_not_there_is_told(tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    folder = configure(tmp_path / "mine", "pbs", str(empty), address="127.0.0.1", cpus_per_node=8)
    failed = failures(check("--dir", folder, "--offline", "--set", "queue=debug", "--set", "account=chem", code=1))
    assert failed["scheduler: commands"]["found"] == "qsub, qstat, qdel not in the search path"


def test_pbs_is_asked_for_its_queues(tmp_path):
    path = programs(tmp_path / "bin", qstat=says(QSTAT), qsub='touch "$0.submitted"', qdel="exit 0")
    folder = configure(tmp_path / "mine", "pbs", path, address="127.0.0.1", cpus_per_node=8)
    words = ["--set", "account=chem", "--set", "nodes=3"]
    failed = failures(check("--dir", folder, "--offline", *words, "--set", "queue=debug", code=1))
    assert "3 nodes, of which a job may have 2" in failed["scheduler: limits"]["found"]
    failed = failures(check("--dir", folder, "--offline", *words, "--set", "queue=debugg", code=1))
    assert "'debugg' is not known to PBS" in failed["scheduler: queue"]["found"]
    assert not (tmp_path / "bin" / "qsub.submitted").exists()


def test_options_that_whoever_submits_must_give_are_named(tmp_path):
    path = programs(tmp_path / "bin", **SLURM)
    folder = configure(tmp_path / "mine", "perlmutter", path, address="127.0.0.1")
    document = check("--dir", folder, "--offline", code=1)
    found = failures(document)["template: options"]
    assert "account" in found["found"]
    assert "--set account=…" in found["hint"]
    assert findings(document, "scheduler")["all"]["state"] == "not checked"


# ---- exchanges and clocks


def test_an_exchange_that_is_off_is_told_within_seconds(tmp_path, secret):
    began = time.monotonic()
    url = f"http://127.0.0.1:{free_port()}"
    words = ["--dir", configure(tmp_path / "mine"), "--offline", "--exchange", url, "--secret-file", secret]
    document = check(*words, code=1)
    assert time.monotonic() - began < 60
    assert list(failures(document)) == ["exchange: reachable"]
    assert failures(document)["exchange: reachable"]["hint"]
    assert findings(document, "clock")["skew against the exchange"]["state"] == "not checked"


def test_a_clock_that_is_wrong_is_told(tmp_path, secret):
    def ten_minutes_ago(request: BaseHTTPRequestHandler) -> None:
        request.send_response_only(404)
        then = datetime.now(UTC) - timedelta(minutes=10)
        request.send_header("Date", format_datetime(then, usegmt=True))
        request.send_header("Content-Length", "0")
        request.end_headers()

    with serving(ten_minutes_ago) as url:
        words = ["--dir", configure(tmp_path / "mine"), "--offline", "--exchange", url, "--secret-file", secret]
        failed = failures(check(*words, code=1))
    assert set(failed) == {"exchange: reachable", "clock: skew against the exchange"}
    found = failed["clock: skew against the exchange"]
    assert "600." in found["found"] or "599." in found["found"]
    assert "ahead" in found["found"]
    assert "clock" in found["hint"]


@contextmanager
def real_exchange(secret: Path) -> Iterator[str]:
    """A self-hosted exchange on a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    listener = socket.create_server(("127.0.0.1", 0))
    tokens = RunTokens(SecretStr(secret.read_text()))

    async def serve() -> Any:
        return await begin(exchange_app(tokens), listener)

    runner = asyncio.run_coroutine_threadsafe(serve(), loop).result(30)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def test_an_exchange_that_answers_is_well_here_and_out_of_reach_for_others(tmp_path, secret):
    other = tmp_path / "other"
    other.touch(0o600)
    other.write_text(new_secret().get_secret_value())
    with real_exchange(secret) as url:
        words = ["--offline", "--exchange", url]
        here = check("--dir", configure(tmp_path / "here"), *words, "--secret-file", secret)
        assert findings(here, "exchange")["reachable"]["state"] == "ok"
        assert findings(here, "clock")["skew against the exchange"]["state"] == "ok"
        path = programs(tmp_path / "bin", **SLURM)
        there = configure(tmp_path / "there", "slurm", path, address="127.0.0.1")
        failed = failures(check("--dir", there, *words, "--secret-file", secret, code=1))
        assert "Directors on other machines cannot reach it" in failed["exchange: address"]["found"]
        wrong = failures(check("--dir", configure(tmp_path / "wrong"), *words, "--secret-file", other, code=1))
        assert list(wrong) == ["exchange: reachable"]


# ---- bad input


@pytest.mark.parametrize(
    ("words", "where"),
    [
        ([], "NAME"),
        (["--endpoint", "not-an-id"], "--endpoint"),
        (["mine", "--probe"], "--probe"),
        (["--endpoint", str(ID), "--offline"], "--offline"),
        (["mine", "--set", "nodes"], "--set"),
        (["mine", "--exchange", "ftp://x"], "exchange"),
    ],
)
def test_what_cannot_be_examined_is_refused_before_anything(words, where, tmp_path):
    refused = check(*words, code=2, home=tmp_path)["refused"]
    assert [problem["where"] for problem in refused] == [where]
    assert refused[0]["hint"]


def test_options_that_the_template_does_not_know_are_refused(tmp_path):
    folder = configure(tmp_path / "mine")
    (problem,) = check("--dir", folder, "--offline", "--set", "node=3", code=2)["refused"]
    assert problem["where"] == "'node'"
    assert "nodes" in problem["hint"]
