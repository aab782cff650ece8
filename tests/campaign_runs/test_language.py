"""A campaign for alloys whose planner and scorer are a language model: what it is told is what was computed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.llm.fixtures import Llm
from tests.llm.minds_alloys import metallurgist, told

pytestmark = pytest.mark.timeout(900)

CAMPAIGN = """
name: alloys
seed: 3
budget: {evaluations: 4}
environment:
  _target_: campaigns.crystals.CrystalEnvironment
  elements: [Cu, Au]
  tool: single_point
  calculator: emt
  max_stoichiometry: 4
  score_function: formation_energy_per_atom
policy:
  _target_: campaigns.Workflow
  planner:
    _target_: campaigns.llm.LLMPlanner
    num_candidates: 3
    llm_config: {temperature: 0.7, max_output_tokens: 400}
  generator: {_target_: campaigns.crystals.RandomGenerator}
  filter: {_target_: campaigns.crystals.MinDistanceFilter, min_distance_threshold: 1.2}
  scorer: {_target_: campaigns.llm.LLMScorer, llm_config: {temperature: 0.1}}
"""


def run(folder: Path, *words: str, **environment: str) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "director", "campaign", *words]
    known = {name: value for name, value in os.environ.items() if not name.startswith("DIRECTOR_LLM")}
    known["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{known['PATH']}"
    done = subprocess.run(
        command, cwd=folder, env=known | environment, capture_output=True, text=True, timeout=600, check=False
    )
    return done.returncode, done.stdout, done.stderr


def test_the_energies_that_a_model_is_told_are_those_that_were_computed(tmp_path: Path, llm: Llm) -> None:
    pytest.importorskip("pymatgen")
    server = llm(metallurgist, key="secret-of-the-test")
    (tmp_path / "alloys.yaml").write_text(CAMPAIGN)
    refused = run(tmp_path, "run", "alloys.yaml", "--run-dir", "out", "--site", "processes")
    assert refused[0] == 2
    assert "policy.planner" in refused[2]
    assert "Set DIRECTOR_LLM_BASE_URL" in refused[2]
    known = {
        "DIRECTOR_LLM_BASE_URL": server.base_url,
        "DIRECTOR_LLM_MODEL": "small",
        "DIRECTOR_LLM_API_KEY": "secret-of-the-test",
    }
    code, _, said = run(tmp_path, "run", "alloys.yaml", "--run-dir", "out", "--site", "processes", **known)
    assert code == 0, said
    evaluations: list[dict[str, Any]] = json.loads(run(tmp_path, "show", "out", "--json")[1])["evaluations"]
    assert len(evaluations) == 4
    # Each composition that was planned is the one that was evaluated; lead was never.
    planned = [chat for chat in server.chats if "propose_compositions" in chat.tools]
    assert {chat.temperature for chat in planned} == {0.7}
    assert all("Pb is not of Cu, Au" in chat.last for chat in planned if chat.tool_results())
    assert [one["candidate"]["formula"] for one in evaluations] == ["AuCu", "AuCu3", "Au3Cu", "Au2Cu2"]
    # What the model was told of earlier evaluations has all digits of what was computed.
    last = told(planned[-1])["previous_observations"]
    assert [one["score"] for one in last] == [one["score"] for one in evaluations[:3]]
    assert len({one["score"] for one in last}) == 3
    hull = told(planned[-1])["environment"]["on_the_hull"]
    assert {one["composition"] for one in hull} >= {"Cu", "Au"}
    ranked = [chat for chat in server.chats if "rank_candidates" in chat.tools]
    assert {chat.temperature for chat in ranked} <= {0.1}
    files = [file for file in (tmp_path / "out").rglob("*") if file.is_file()]
    assert not [file for file in files if b"secret-of-the-test" in file.read_bytes()]
