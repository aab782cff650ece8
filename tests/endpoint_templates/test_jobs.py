"""From a rendered template to a job: the script that the scheduler gets, and a task that runs in a worker pool."""

from __future__ import annotations

import os
import sys
import uuid
from pathlib import Path

import pytest
from globus_compute_common import messagepack
from globus_compute_common.messagepack.message_types import Task
from globus_compute_endpoint.engines import GCFuture
from globus_compute_sdk.serialize import CombinedCode, ComputeSerializer
from parsl.jobs.states import JobState

import endpoint_templates
from tests.endpoint_templates.cases import ALL, BY_NAME, installed, submitted

BIN = Path(sys.executable).parent
SUBMIT = {
    "sbatch": 'cp "$1" {record}/script; echo "Submitted batch job 4711"',
    "qsub": 'for word in "$@"; do echo "$word"; done > {record}/words; cp "$word" {record}/script; echo 4711.pbs',
}


def script_of(template, options, tmp_path, monkeypatch):
    """What the real provider hands to the command of the scheduler: a stand-in, which keeps what it is given."""
    for name, text in SUBMIT.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text.format(record=tmp_path)}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    given = installed(template)
    config = endpoint_templates.load(endpoint_templates.render(template.text(given), template.schema(), options))
    provider = config.engine.executor.provider
    provider.script_dir = str(tmp_path)
    assert provider.submit("start-the-pool", 1, "director") == ("4711" if template.scheduler == "slurm" else "4711.pbs")
    words = (tmp_path / "words").read_text().split("\n")[:-2] if template.scheduler == "pbs" else []
    return (tmp_path / "script").read_text(), words


@pytest.mark.parametrize("template", [t for t in ALL if t.scheduler == "slurm"], **BY_NAME)
def test_slurm_is_asked_for_whole_nodes_that_may_die(template, tmp_path, monkeypatch):
    options = submitted(template) | {"nodes": 4, "walltime_s": 1800, "reservation": "res-1"}
    script, _ = script_of(template, options, tmp_path, monkeypatch)
    lines = {line.removeprefix("#SBATCH ").strip() for line in script.splitlines() if line.startswith("#SBATCH")}
    assert {"--no-kill", "--no-requeue", "--exclusive", "--nodes=4", "--time=30", "--reservation=res-1"} <= lines
    assert "--ntasks-per-node=1" in lines
    for option, argument in (("account", "account"), ("queue", "partition"), ("qos", "qos")):
        if option in options:
            assert f"--{argument}={options[option]}" in lines
    own_memory = template.name in ("delta", "anvil", "expanse")
    assert ("--mem=0" in lines) == own_memory
    assert script.rstrip().endswith("start-the-pool")


@pytest.mark.parametrize("template", [t for t in ALL if t.scheduler == "pbs"], **BY_NAME)
def test_pbs_is_asked_for_nodes_apart_that_may_die(template, tmp_path, monkeypatch):
    options = submitted(template) | {"nodes": 2, "walltime_s": 1800, "account": "project", "queue": "debug"}
    script, words = script_of(template, options, tmp_path, monkeypatch)
    lines = {line.removeprefix("#PBS ").strip() for line in script.splitlines() if line.startswith("#PBS")}
    select = {"aurora": "ncpus=208", "polaris": "ncpus=64:system=polaris:ngpus=4", "pbs": "ncpus=64"}[template.name]
    assert {f"-l select=2:{select}", "-l walltime=00:30:00", "-r n", "-W tolerate_node_failures=all"} <= lines
    assert words == ["-q", "debug", "-A", "project"]
    if template.facility:
        assert {f"-l filesystems={':'.join(template.schema()['properties']['filesystems']['default'])}"} <= lines
        assert {"-l place=scatter", "-k doe"} <= lines
    else:
        assert "-l place=scatter:excl" in lines


def test_a_reservation_of_pbs_takes_the_place_of_the_queue(tmp_path, monkeypatch):
    aurora = endpoint_templates.find("aurora")
    _, words = script_of(aurora, {"account": "p", "reservation": "R123", "nodes": 500}, tmp_path, monkeypatch)
    assert words == ["-q", "R123", "-A", "p"]


def test_a_job_may_be_made_to_end_with_its_first_node(tmp_path, monkeypatch):
    pbs = endpoint_templates.find("pbs")
    given = installed(pbs) | {"tolerate_node_failures": False}
    text = endpoint_templates.render(pbs.text(given), pbs.schema(), {})
    assert "tolerate_node_failures" not in text


# ---- one engine, really started


class Embedded:
    """The endpoint's engine in this process, as the endpoint itself drives it."""

    def __init__(self, config, folder):
        self.engine, self.serde = config.engine, ComputeSerializer(strategy_code=CombinedCode())
        self.engine.start(endpoint_id=uuid.uuid4(), run_dir=str(folder))

    def run(self, function, timeout_s=100):
        task_id = uuid.uuid4()
        packed = self.serde.pack_buffers([self.serde.serialize(item) for item in (function, (), {})])
        future = GCFuture(task_id)
        task = messagepack.pack(Task(task_id=task_id, task_buffer=packed))
        self.engine.submit(task_f=future, resource_specification={}, packed_task=task)
        result = messagepack.unpack(future.result(timeout_s))
        assert not result.is_error, result.data
        return self.serde.deserialize(result.data)

    def active_blocks(self):
        states = [status.state for status in self.engine.executor.status_facade.values()]
        return sum(state in (JobState.RUNNING, JobState.PENDING) for state in states)


def seen_by_a_worker():
    import os
    import sys

    return dict(os.environ), sys.prefix


def test_a_task_runs_in_the_environment_without_the_endpoints_secrets_and_there_is_one_job(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{BIN}:{os.environ['PATH']}")
    for name in ("GLOBUS_COMPUTE_CLIENT_ID", "GLOBUS_COMPUTE_CLIENT_SECRET"):
        monkeypatch.setenv(name, "not for workers")
    local = endpoint_templates.find("local")
    given = {"environment": sys.prefix, "run_root": str(tmp_path / "runs")}
    text = endpoint_templates.render(local.text(given), local.schema(), {"directors": 2, "nodes": 4, "run_id": "r1"})
    embedded = Embedded(endpoint_templates.load(text), tmp_path)
    try:
        environment, prefix = embedded.run(seen_by_a_worker)
        assert prefix == sys.prefix
        assert environment["DIRECTOR_RUN_ROOT"] == str(tmp_path / "runs")
        assert environment["PATH"].startswith(f"{BIN}:")
        assert not [name for name in environment if "CLIENT_SECRET" in name or "CLIENT_ID" in name]
        assert environment["PARSL_WORKER_COUNT"] == "2"
        assert embedded.active_blocks() == 1
    finally:
        embedded.engine.shutdown()
    assert embedded.active_blocks() == 0
