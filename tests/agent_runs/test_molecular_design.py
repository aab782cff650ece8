"""``examples/molecular_design.py`` does what it says, and goes on when it is run again."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.agent_runs.test_reasoner import evaluated
from tests.llm.minds_reasoner import reasoner

pytestmark = pytest.mark.timeout(900)  # many processes that start, on a machine that may be busy

KEY = "sk-stands-in-no-file"
EXAMPLE = Path(__file__).parents[2] / "examples" / "molecular_design.py"


def test_the_example_finds_the_best_of_its_molecules_and_runs_none_again(llm, tmp_path):
    server = llm(reasoner, key=KEY)
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "DIRECTOR_LLM_BASE_URL": server.base_url,
        "DIRECTOR_LLM_MODEL": "any",
        "DIRECTOR_LLM_API_KEY": KEY,
    }
    command = [sys.executable, EXAMPLE, "--molecules", "6", "--run-dir", "run"]
    for _ in range(2):
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=400)
        assert done.returncode == 0, done.stderr
        outcomes = evaluated(tmp_path / "run")
        assert len(outcomes) == 6
        best = max(outcomes.values(), key=lambda outcome: outcome.result["ionization_energy_ev"])
        assert f"1. {best.inputs['smiles']}: {best.result['ionization_energy_ev']:.3f} eV ({best.id})" in done.stdout
    assert {one.chat.temperature for one in server.log} == {0.7}
    assert all(one.authorized for one in server.log)
    for file in (tmp_path / "run").rglob("*"):
        assert not file.is_file() or KEY.encode() not in file.read_bytes(), file
