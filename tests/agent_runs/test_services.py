"""Services as users have them: ``director run`` with ``services``, and ``director serve``, with real Directors."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from director.runfolder import RunFolder
from director.service_partition.state import ServicesFolder
from tests.director.service_partition.small import SMALL
from tests.helpers import wait_until

ROOT = Path(__file__).parents[2]


def director(*words: Any, cwd: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "director", *map(str, words)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done


def service(**more: Any) -> dict[str, Any]:
    fields = {
        "name": "llm",
        "program": sys.executable,
        "arguments": ["-S", "-c", SMALL, "{host}", "{port}"],
        "api_key_variable": "KEY",
        "backoff_s": 0.1,
        "stop_s": 1,
    }
    return fields | more


def write(folder: Path, **what: Any) -> Path:
    path = folder / "what.json"
    path.write_text(json.dumps(what))
    return path


pytestmark = pytest.mark.timeout(600)

REQUESTS = [{"tool": "mock_md", "inputs": {"duration_s": 0.1}, "repeat": 2}]


def test_a_batch_with_a_service_runs_when_that_is_up_and_its_record_and_status_tell_of_it(tmp_path):
    write(tmp_path, services=[service()], requests=REQUESTS, workers_per_node=1)
    done = director("run", "what.json", "--run-dir", "run", "--no-report", cwd=tmp_path)
    assert "service llm on local-1: up at http://127.0.0.1:" in done.stderr
    record = RunFolder(tmp_path / "run").read()
    assert record.partitions == [["local-0"]]
    assert [(one.spec.name, one.hostnames) for one in record.services] == [("llm", ["local-1"])]
    (shown,) = json.loads(director("status", "run", "--json", cwd=tmp_path).stdout)["services"]
    assert (shown["state"], shown["partition"], shown["silent"]) == ("stopped", ["local-1"], False)
    assert shown["servers"][0]["models"] == ["small"]
    assert "llm" in director("status", "run", cwd=tmp_path).stdout
    first = next(event for event in ServicesFolder(tmp_path / "run").events() if event.get("state") == "up")
    assert first["node"] == "local-1"


def test_a_run_that_goes_on_starts_its_services_again_with_another_key(tmp_path):
    write(tmp_path, services=[service()], requests=[{"tool": "mock_md", "inputs": {"duration_s": 1}, "repeat": 60}])
    command = [sys.executable, "-m", "director", "run", "what.json", "--run-dir", "run", "--json"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as client:
        assert client.stdout is not None
        client.stdout.readline()  # an Outcome
        folder = ServicesFolder(tmp_path / "run")
        key = folder.key_file("llm").read_text()
        client.kill()
        wait_until(lambda: folder.read("llm").state == "stopped", 60, "the end of the service")
    again = [*command[:4], "--resume", "run", "--json"]
    with subprocess.Popen(again, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as client:
        assert client.stdout is not None
        assert json.loads(client.stdout.readline())["status"] == "ok"
        assert folder.read("llm").state == "up"
        assert folder.key_file("llm").read_text() != key
        client.terminate()
    assert folder.read("llm").state == "stopped"


def test_a_service_that_does_not_come_up_fails_the_run_before_any_request(tmp_path):
    broken = service(arguments=["-S", "-c", "raise SystemExit('no weights')", "{host}", "{port}"], restarts=0)
    write(tmp_path, services=[broken], requests=REQUESTS)
    done = director("run", "what.json", "--run-dir", "run", "--json", cwd=tmp_path, code=3)
    assert done.stdout == ""
    assert "no weights" in done.stderr


WATCH = """
import os, pathlib, threading, time
def watch():
    while not pathlib.Path(sys.argv[3], "die").exists():
        time.sleep(0.1)
    os._exit(9)
threading.Thread(target=watch, daemon=True).start()
"""


def test_a_service_that_is_lost_for_good_fails_the_run_in_the_end_with_all_its_outcomes(tmp_path):
    dies = SMALL.replace("print(", WATCH + "print(")
    broken = service(arguments=["-S", "-c", dies, "{host}", "{port}", "{folder}"], restarts=0)
    write(tmp_path, services=[broken], requests=[{"tool": "mock_md", "inputs": {"duration_s": 2}, "repeat": 4}])
    command = [sys.executable, "-m", "director", "run", "what.json", "--run-dir", "run", "--json", "--no-report"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as client:
        assert client.stdout is not None
        first = client.stdout.readline()
        folder = ServicesFolder(tmp_path / "run")
        (folder.service("llm") / "die").touch()
        wait_until(lambda: folder.read("llm").state in ("failed", "stopped"), 60, "its loss")
        assert folder.read("llm").state == "failed"
        out, err = client.communicate(timeout=180)
    assert client.returncode == 3
    assert [json.loads(line)["status"] for line in [first, *out.splitlines()]] == ["ok"] * 4
    assert "it ended: exit code 9" in err


ASK = """
import json, os, urllib.request
key = open(os.environ["DIRECTOR_LLM_API_KEY_FILE"]).read()
url = os.environ["DIRECTOR_LLM_BASE_URL"] + "/models"
answer = urllib.request.urlopen(urllib.request.Request(url, headers={"Authorization": "Bearer " + key}), timeout=30)
print(answer.status, os.environ["DIRECTOR_LLM_MODEL"], os.environ["OPENAI_API_KEY"] == key)
raise SystemExit(7)
"""


def test_a_command_is_served_and_its_exit_code_is_that_of_serve(tmp_path):
    write(tmp_path, services=[service()])
    done = director("serve", "what.json", "--run-dir", "served", "--", sys.executable, "-c", ASK, cwd=tmp_path, code=7)
    assert done.stdout == "200 small True\n"
    assert ServicesFolder(tmp_path / "served").read("llm").state == "stopped"
    again = director("serve", "what.json", "--run-dir", "served", "--", "true", cwd=tmp_path, code=2)
    assert "already holds services" in again.stderr


SHOW = "env | grep -E '^(DIRECTOR_LLM|OPENAI)' | sed 's/=.*//' | sort"


def test_each_of_several_services_has_variables_of_its_own_and_none_is_guessed(tmp_path, monkeypatch):
    write(tmp_path, services=[service(), service(name="small-2")])
    monkeypatch.setenv("OPENAI_API_KEY", "of another endpoint")
    several = director("serve", "what.json", "--run-dir", "a", "--", "sh", "-c", SHOW, cwd=tmp_path).stdout.split()
    names = ("API_KEY_FILE", "BASE_URL", "MODEL")
    own = [f"DIRECTOR_LLM_{middle}_{name}" for middle in ("LLM", "SMALL2") for name in names]
    assert several == [*own, "OPENAI_API_KEY"]
    unknown = director("serve", "what.json", "--service", "big", "--", "true", cwd=tmp_path, code=2)
    assert "'big' is no service of what.json" in unknown.stderr


def test_a_key_of_another_endpoint_is_not_left_beside_that_of_the_service(tmp_path, monkeypatch):
    write(tmp_path, services=[service()])
    monkeypatch.setenv("DIRECTOR_LLM_API_KEY", "of another endpoint")
    shown = director("serve", "what.json", "--", "sh", "-c", SHOW, cwd=tmp_path).stdout.split()
    assert "DIRECTOR_LLM_API_KEY" not in shown
    assert {"DIRECTOR_LLM_API_KEY_FILE", "OPENAI_API_KEY"} <= set(shown)


CAMPAIGN = {
    "name": "served",
    "seed": 3,
    "budget": {"evaluations": 2},
    "environment": {
        "_target_": "campaigns.crystals.CrystalEnvironment",
        "elements": ["Cu", "Au"],
        "tool": "single_point",
        "calculator": "emt",
        "max_stoichiometry": 4,
    },
    "policy": {
        "_target_": "campaigns.Workflow",
        "planner": {"_target_": "campaigns.llm.LLMPlanner", "num_compositions": 2, "num_candidates": 4},
        "generator": {
            "_target_": "campaigns.crystals.RandomGenerator",
            "lattice_length_range": [2.4, 8.0],
            "lattice_angle_range": [50.0, 130.0],
        },
        "filter": [{"_target_": "campaigns.crystals.MinDistanceFilter", "min_distance_threshold": 1.5}],
        "scorer": {"_target_": "campaigns.stages.RandomSelector"},
    },
}
STAND_IN = ["-m", "tests.llm.server", "--host", "{host}", "--port", "{port}", "--key-file", "{api_key_file}"]


def test_the_policy_of_a_campaign_asks_the_model_that_its_own_run_serves(tmp_path):
    mind = "tests.llm.minds_alloys:metallurgist"
    arguments = [*STAND_IN, "--model", "small", "--mind", mind, "--log", "{folder}/log"]
    served = service(arguments=arguments, environment={"PYTHONPATH": str(ROOT)}, api_key_variable=None)
    write(tmp_path, **CAMPAIGN, run={"directors": 1, "services": [served]}).rename(tmp_path / "what.yaml")
    director("campaign", "run", "what.yaml", "--run-dir", "done", cwd=tmp_path)
    shown = json.loads(director("campaign", "show", "done", "--json", cwd=tmp_path).stdout)
    found = json.dumps(shown)
    assert "AuCu" in found or "CuAu" in found
    (log,) = tmp_path.glob("done/**/services/llm/log")
    asked = [json.loads(line) for line in log.read_text().splitlines()]
    asked = [one for one in asked if one["body"]]  # the others are those by which its key was tried
    assert asked
    assert all(one["authorized"] and one["status"] == 200 for one in asked)
