"""``director endpoint check`` on both sides of a real endpoint, and its probe all the way to a worker."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from tests.globus.stack import ENDPOINT_NAME, Stack

STRANGER = "4b116d3c-1703-4f8f-9f6f-39921e5864df"


def check(stack: Stack, *words: str, **options: Any) -> dict[str, dict[str, str]]:
    """Runs the command as a user of the stack, and returns what it found, by topic and check."""
    command = [sys.executable, "-m", "director", "endpoint", "check", *words, "--json"]
    done = stack.as_user(command, check=False, **options)
    assert done.stdout, done.stderr
    document = json.loads(done.stdout)
    assert done.returncode == int(not document["ok"])
    return {f"{one['topic']}: {one['check']}": one for one in document["findings"]}


def failed(found: dict[str, dict[str, str]]) -> dict[str, str]:
    return {name: f"{one['found']} → {one['hint']}" for name, one in found.items() if one["state"] == "failed"}


def test_on_the_facility_all_is_well(stack_local):
    found = check(stack_local, ENDPOINT_NAME, account=stack_local.facility)
    assert failed(found) == {}
    assert found["disk: run_root"]["state"] == "ok"
    assert found["clock: skew against Globus Compute"]["state"] == "ok"


def test_from_the_laptop_the_probe_reaches_a_worker_and_comes_back(stack_local):
    found = check(stack_local, "--endpoint", stack_local.endpoint_id, "--probe", "--wait-s", "100")
    assert failed(found) == {}
    assert found["probe: answer"]["found"].startswith("from login after ")
    assert "md-director" in found["probe: versions"]["found"]
    assert found["clock: skew against login"]["state"] == "ok"


def test_options_that_the_schema_refuses_are_told_in_seconds(stack_local):
    words = ["--endpoint", stack_local.endpoint_id, "--probe", "--wait-s", "100", "--set", "colour=red"]
    answer = failed(check(stack_local, *words, timeout_s=60))["probe: answer"]
    assert "'colour' was unexpected" in answer
    assert "--set name=value" in answer


@pytest.mark.parametrize(
    ("endpoint", "environment", "where", "words"),
    [
        (STRANGER, {}, "service: endpoint", "knows no endpoint"),
        (
            None,
            {"GLOBUS_COMPUTE_CLIENT_ID": "", "GLOBUS_COMPUTE_CLIENT_SECRET": ""},
            "service: login",
            "nobody is logged in",
        ),
    ],
)
def test_what_is_in_the_way_is_told_and_nothing_is_sent(stack_local, endpoint, environment, where, words):
    before = len(stack_local.events("submitted"))
    command = ["--endpoint", endpoint or stack_local.endpoint_id, "--probe"]
    home = stack_local.home(f"{where.partition(' ')[2]}")
    found = check(stack_local, *command, environment=environment, home=home, timeout_s=60)
    assert list(failed(found)) == [where]
    assert words in found[where]["found"]
    assert found["probe: answer"]["state"] == "not checked"
    assert len(stack_local.events("submitted")) == before


def test_a_job_that_does_not_start_and_an_endpoint_that_is_offline_are_told(stack_slurm):
    words = ["--endpoint", stack_slurm.endpoint_id, "--probe"]
    found = check(stack_slurm, *words, "--wait-s", "100", "--set", "nodes=2")
    assert failed(found) == {}
    assert found["probe: answer"]["found"].startswith("from node")
    stack_slurm.cluster.run("login", ["scontrol", "update", "partitionname=work", "state=DOWN"])
    waiting = failed(check(stack_slurm, *words, "--wait-s", "10", "--set", "nodes=3"))
    assert "no answer within 10 s" in waiting["probe: answer"]
    there = check(stack_slurm, ENDPOINT_NAME, account=stack_slurm.facility)
    assert "work is DOWN" in failed(there)["scheduler: partition"]
    stack_slurm.stop_endpoint()
    offline = check(stack_slurm, *words)
    assert f"globus-compute-endpoint start {ENDPOINT_NAME}" in failed(offline)["service: online"]
    assert offline["probe: answer"]["state"] == "not checked"
