"""The command, as a user types it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from director.runfolder import RunFolder
from simulations.records import Outcome

OUTCOME_FIELDS = [
    "id",
    "key",
    "tool",
    "tool_version",
    "status",
    "inputs",
    "result",
    "error",
    "director",
    "partition",
    "host",
    "worker",
    "accelerator",
    "attempts",
    "history",
    "usage",
    "submitted_at",
    "started_at",
    "finished_at",
    "artifacts",
    "reused_from",
    "versions",
]
MD_RESULT_FIELDS = [
    "steps",
    "simulated_ns",
    "ns_per_day",
    "platform",
    "potential_energy_kj_mol",
    "kinetic_energy_kj_mol",
    "temperature_k",
    "rmsd_nm",
    "radius_of_gyration_nm",
    "n_atoms",
    "n_frames",
]
PEPTIDE = Path("simulations/structures/alanine-dipeptide.pdb").resolve()


def director(*words, cwd, code=0, **environment):
    done = subprocess.run(
        [sys.executable, "-m", "director", *map(str, words)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=150,
        env={**os.environ, **environment},
    )
    assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def batch(folder, text):
    path = folder / "batch.yaml"
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run with four Outcomes, of which one failed, and what the command printed."""
    folder = tmp_path_factory.mktemp("cli")
    (folder / "peptide.pdb").write_bytes(PEPTIDE.read_bytes())
    (folder / "odd.pdb").write_text(PEPTIDE.read_text().replace("ALA", "XYZ"))
    batch(
        folder,
        """
directors: 2
nodes: 4
requests:
  - tool: md
    inputs: {structure: peptide.pdb, solvent: vacuum, steps: 100, report_interval_steps: 20, seed: 1}
    repeat: 2
  - tool: md
    inputs: {structure: odd.pdb, steps: 100}
  - tool: mock_md
    inputs: {duration_s: 0.1}
""",
    )
    done = director("run", "batch.yaml", "--run-dir", "run", "--json", cwd=folder, code=1)
    return folder, done


def test_run_prints_one_outcome_per_line_and_nothing_else_on_stdout(finished):
    _, done = finished
    outcomes = [Outcome.model_validate_json(line) for line in done.stdout.splitlines()]
    assert sorted(outcome.status.value for outcome in outcomes) == ["failed", "ok", "ok", "ok"]
    assert all(outcome.host in outcome.partition for outcome in outcomes)
    assert "4/4 done" in done.stderr


def test_an_outcome_has_the_fields_that_users_script_against(finished):
    _, done = finished
    for line in done.stdout.splitlines():
        assert list(json.loads(line)) == list(Outcome.model_fields) == OUTCOME_FIELDS
    results = [json.loads(line) for line in done.stdout.splitlines()]
    (failed,) = [result for result in results if result["status"] == "failed"]
    assert failed["result"] is None
    assert set(failed["error"]) >= {"type", "message", "hint"}
    assert "XYZ" in failed["error"]["message"]
    md = next(result for result in results if result["tool"] == "md" and result["status"] == "ok")
    assert set(md["result"]) >= set(MD_RESULT_FIELDS)
    assert md["submitted_at"].endswith(("Z", "+00:00"))


def test_outcomes_prints_what_run_printed(finished):
    folder, done = finished
    again = director("outcomes", "run", "--json", cwd=folder, code=1)
    assert sorted(again.stdout.splitlines()) == sorted(done.stdout.splitlines())
    only = director("outcomes", "run", "--json", "--status", "ok", cwd=folder)
    assert len(only.stdout.splitlines()) == 3
    assert "XYZ" in director("outcomes", "run", cwd=folder, code=1, COLUMNS="200").stdout


def test_status_of_a_closed_run_comes_from_its_ledgers(finished):
    folder, _ = finished
    document = json.loads(director("status", "run", "--json", cwd=folder).stdout)
    assert document["open"] is False
    assert [item["partition"] for item in document["directors"]] == [["local-0", "local-1"], ["local-2", "local-3"]]
    assert sum(sum(item["finished"].values()) for item in document["directors"]) == 4
    totals = document["accounting"]
    assert totals["endings"] == {"ok": 3, "failed": 1}
    assert totals["startup_s"] + totals["run_s"] + totals["idle_s"] == pytest.approx(totals["worker_s"], rel=1e-6)
    assert totals["simulated_ns"] > 0
    assert sum(item["accounting"]["node_hours"] for item in document["directors"]) == pytest.approx(
        totals["node_hours"]
    )
    assert "closed" in director("status", "run", cwd=folder).stdout


def test_the_report_is_written_and_can_be_written_again(finished):
    folder, _ = finished
    report = folder / "run" / "report.html"
    assert "<svg" in report.read_text()
    report.unlink()
    printed = json.loads(director("report", "run", "--json", cwd=folder).stdout)
    assert Path(printed["report"]) == report
    assert report.exists()


def test_the_run_folder_is_laid_out_as_documented(finished):
    folder, done = finished
    run = RunFolder(folder / "run")
    assert run.record_file.exists()
    assert not run.exchange_file.exists()
    for line in done.stdout.splitlines():
        outcome = json.loads(line)
        assert run.ledger(outcome["director"]).exists()
        for path in outcome["artifacts"].values():
            assert path.startswith(f"director-{outcome['director']}/work/{outcome['id']}/")
            assert (run.path / path).exists()


def test_a_run_folder_in_use_is_refused_and_unharmed(finished):
    folder, _ = finished
    before = (folder / "run" / "run.json").read_bytes()
    done = director("run", "batch.yaml", "--run-dir", "run", "--json", cwd=folder, code=2)
    assert done.stdout == ""
    assert "already holds a run" in json.loads(done.stderr.splitlines()[-1])["refused"][0]["message"]
    assert (folder / "run" / "run.json").read_bytes() == before


@pytest.mark.parametrize(
    ("text", "where", "remedy"),
    [
        ("requests: [{tool: md, inputs: {structure: gone.pdb, steps: 10}}]", "inputs.structure", "does not exist"),
        ("requests: [{tool: md, inputs: {structure: ../x.pdb, steps: 10}}]", "inputs.structure", "outside"),
        ("requests: [{tool: md, inputs: {structure: ala10, steps: 0}}]", "inputs.steps", "got 0"),
        (
            "requests: [{tool: md, inputs: {structure: ala10, steps: 1, timestep_fs: 10000}}]",
            "timestep_fs",
            "got 10000",
        ),
        ("requests: [{tool: md, inputs: {structure: ala10, steps: 1, temperature_k: -1}}]", "temperature_k", "got -1"),
        ("requests: [{tool: md, inputs: {structure: ala10, steps: 1, platform: X}}]", "platform", "'Reference'"),
        ("requests: [{tool: dft, inputs: {}}]", "requests[0].tool", "Installed tools"),
        ("request: []", "request", "Did you mean 'requests'?"),
        ("{directors: 3, nodes: 2, requests: [{tool: mock_md, inputs: {duration_s: 0}}]}", "directors", "at most 2"),
        (
            "{directors: 2, nodes: 2, shares: [1], requests: [{tool: mock_md, inputs: {duration_s: 0}}]}",
            "shares",
            "one",
        ),
    ],
)
def test_bad_input_is_refused_with_the_field_and_the_remedy_and_nothing_is_written(tmp_path, text, where, remedy):
    batch(tmp_path, text)
    done = director("run", "batch.yaml", "--run-dir", "run", cwd=tmp_path, code=2)
    said = " ".join(done.stderr.split())
    assert where in said
    assert remedy in said
    assert "nothing was started" in said
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "words", [("run",), ("fly",), ("tools", "nmr"), ("status", "nowhere"), ("outcomes", "nowhere")]
)
def test_a_wrong_command_line_is_exit_code_2(tmp_path, words):
    assert "Traceback" not in director(*words, cwd=tmp_path, code=2).stderr


def test_tools_are_listed_and_described(tmp_path):
    assert "mock_md" in director("tools", cwd=tmp_path).stdout
    schema = json.loads(director("tools", "md", "--json", cwd=tmp_path).stdout)
    assert schema["request"]["properties"]["temperature_k"]["description"]
    assert schema["request"]["additionalProperties"] is False
    assert {tool["name"] for tool in json.loads(director("tools", "--json", cwd=tmp_path).stdout)} >= {"md", "mock_md"}


def test_a_run_that_fails_is_exit_code_3(tmp_path):
    batch(tmp_path, "requests: [{tool: mock_md, inputs: {duration_s: 0}}]")
    (tmp_path / "academy.py").write_text("raise ImportError('broken here')\n")
    (tmp_path / "broken").mkdir()
    (tmp_path / "academy.py").rename(tmp_path / "broken" / "academy.py")
    code = (
        "import os, sys; from director.cli import main; import academy.handle; "
        f"os.environ['PYTHONPATH'] = {str(tmp_path / 'broken')!r}; sys.argv = ['director', *sys.argv[1:]]; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "run", "batch.yaml", "--run-dir", "run", "--json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 3
    assert "broken here" in json.loads(done.stderr.splitlines()[-1])["failed"]["message"]


def test_importing_the_command_loads_nothing_heavy():
    code = (
        "import sys, director.cli; print([m for m in ('parsl', 'academy', 'openmm', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
