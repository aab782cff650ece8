"""``director analyze`` with real Directors and OpenMM: what was run is what was asked, and nothing is done twice."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from director.fleet import Fleet
from tests.helpers import wait_until
from tests.llm.fixtures import Llm
from tests.llm.minds_analysis import analyst, inventor, outcomes_told
from tests.llm.server import LLMServer
from tests.llm.talk import Fault

ROOT = Path(__file__).resolve().parents[2]
PEPTIDE = ROOT / "docs/examples/structures/peptide.pdb"
PATIENCE_S = 300.0

pytestmark = pytest.mark.timeout(900)

NO_OPENMM = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "openmm":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
"""


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "director", "analyze", *map(str, arguments)]


def environment(server: LLMServer, **more: str) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {
        **os.environ,
        "PATH": path,
        "DIRECTOR_LLM_BASE_URL": server.base_url,
        "DIRECTOR_LLM_MODEL": "small",
        "DIRECTOR_LLM_API_KEY": "secret-of-the-test",
        **more,
    }


def analyze(server: LLMServer, *arguments: object, **more: str) -> tuple[int, dict[str, Any], str]:
    """Runs the command to its end: exit code, what it printed, and what it told people."""
    done = subprocess.run(
        command(*arguments, "--json"),
        env=environment(server, **more),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    return done.returncode, json.loads(done.stdout) if done.stdout else {}, done.stderr


def ledger(folder: Path) -> dict[str, dict[str, Any]]:
    """The Outcomes that the command ``director outcomes`` shows of a run."""
    done = subprocess.run(
        [sys.executable, "-m", "director", "outcomes", str(folder), "--json"],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,  # its exit code says how the Outcomes are
    )
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len({one["id"] for one in found}) == len(found)
    return {one["id"]: one for one in found}


def energy(outcome: dict[str, Any]) -> float:
    return float(outcome["result"]["potential_energy_kj_mol"]["mean"])


def holds(folder: Path, text: bytes) -> Sequence[Path]:
    """Files that hold a text."""
    return [file for file in folder.rglob("*") if file.is_file() and text in file.read_bytes()]


def test_10_ps_are_refused_two_parameter_sets_are_two_runs_and_all_numbers_are_theirs(tmp_path: Path, llm: Llm) -> None:
    server = llm(inventor, key="secret-of-the-test")
    folder = tmp_path / "run"
    question = "What happens at 280 K and 320 K with a time step of 10 ps?"
    given = ("--structure", PEPTIDE, "--question", question, "--fix", "report_interval_steps=50", "--run-dir", folder)
    code, document, said = analyze(server, *given, "--directors", 2)
    assert code == 0, said
    assert "timestep_fs: input should be less than or equal to 5, got 10000.0" in said
    outcomes = ledger(folder)
    assert {name: one["inputs"]["temperature_k"] for name, one in outcomes.items()} == {"run-1": 280.0, "run-2": 320.0}
    assert {one["inputs"]["timestep_fs"] for one in outcomes.values()} == {2.0}
    assert outcomes["run-1"]["key"] != outcomes["run-2"]["key"]
    assert energy(outcomes["run-1"]) != energy(outcomes["run-2"])
    # The model was told the very Outcomes, by their ids, and its invention was refused.
    for chat in server.chats[-2:]:
        assert {one["id"]: one["result"] for one in outcomes_told(chat)} == {
            name: one["result"] for name, one in outcomes.items()
        }
    assert document["text_refused"] == ["paragraph 1 has numbers that are not in what it cites: 351.7."]
    markdown = (folder / "analysis.md").read_text()
    for name, outcome in outcomes.items():
        assert f"mean potential energy is {energy(outcome):.2f} kJ/mol over 4 frames. ([{name}](#{name}))" in markdown
        assert f'href="#{name}"' in (folder / "analysis.html").read_text()
    assert not holds(folder, b"secret-of-the-test")


def test_without_openmm_where_it_runs_the_outcomes_are_failed_and_so_is_the_command(tmp_path: Path, llm: Llm) -> None:
    """A finder in front of all others hides the package from every process, as if it were not installed."""
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text(NO_OPENMM)
    folder = tmp_path / "run"
    code, document, said = analyze(llm(analyst), "--structure", PEPTIDE, "--run-dir", folder, PYTHONPATH=str(hidden))
    assert code == 1, said
    (outcome,) = ledger(folder).values()
    assert (outcome["status"], outcome["result"]) == ("failed", None)
    assert outcome["error"]["type"] == "MissingPackage"
    assert "'openmm' is not installed where this Tool runs" in outcome["error"]["message"]
    assert document["paragraphs"][0]["text"].startswith("This simulation failed: the package 'openmm'")


def test_killed_while_it_simulates_and_while_it_reports_it_repeats_nothing(tmp_path: Path, llm: Llm) -> None:
    server = llm(analyst, faults=[Fault("slow", containing="Write the report", seconds=600)])
    folder = tmp_path / "run"
    fixed = ("--fix", "steps=150000", "--fix", "report_interval_steps=50000", "--fix", "checkpoint_interval_s=0.5")
    start = command("--structure", PEPTIDE, "--question", "At 280 K and 320 K?", *fixed, "--run-dir", folder)
    again = command("--resume", folder)

    def until(arguments: list[str], condition: Any) -> None:
        """Runs it until something is so, and kills it."""
        with subprocess.Popen(arguments, env=environment(server), stderr=subprocess.PIPE, text=True) as process:
            wait_until(lambda: condition() or process.poll() is not None, timeout_s=PATIENCE_S)
            assert process.poll() is None, process.communicate()[1]
            process.send_signal(signal.SIGKILL)

    until(start, lambda: list(folder.glob("director-*/work/run-*/checkpoint.chk")))
    assert not _ended(folder)
    until(again, lambda: any("Write the report" in chat.user for chat in server.chats))
    before = ledger(folder)
    assert sorted(before) == ["run-1", "run-2"]
    code, document, said = analyze(server, "--resume", folder)
    assert code == 0, said
    assert ledger(folder) == before
    assert {one["id"]: one["result"] for one in document["outcomes"]} == {n: one["result"] for n, one in before.items()}
    assert len([chat for chat in server.chats if "md" in chat.tools]) == 1
    assert len([chat for chat in server.chats if "write_report" in chat.tools]) == 2
    assert analyze(server, "--resume", folder)[0] == 0
    assert len(server.log) == 3


def _ended(folder: Path) -> list[int]:
    """What has an Outcome, by the ledgers' files."""
    found = []
    for file in folder.glob("director-*/ledger.sqlite"):
        with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as connection:
            found += [row[0] for row in connection.execute("SELECT request FROM outcomes")]
    return found


@pytest.mark.parametrize("site", ["embedded", "attached"])
def test_it_runs_on_other_sites_too(tmp_path: Path, llm: Llm, site: str) -> None:
    server = llm(analyst)
    folder = tmp_path / "run"
    given = ("--structure", PEPTIDE, "--run-dir", folder)
    if site == "embedded":
        code, document, said = analyze(server, *given, "--site", "embedded")
        assert code == 0, said
    else:

        async def attached() -> tuple[int, dict[str, Any], str]:
            async with Fleet.launch(run_dir=tmp_path / "open"):
                return await asyncio.to_thread(analyze, server, *given, "--run", tmp_path / "open")

        code, document, said = asyncio.run(attached())
        assert code == 0, said
        assert set(ledger(tmp_path / "open")) == {one["id"] for one in document["outcomes"]}
    (outcome,) = document["outcomes"]
    assert outcome["status"] == "ok"
    assert document["paragraphs"][0]["outcomes"] == [outcome["id"]]
