"""The example of a user's own program computes what theory says."""

from __future__ import annotations

import json
import math
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from director.batch import read_batch
from simulations.shell import make_tool, read_tool_file
from simulations.tool import find_tools

FOLDER = Path(__file__).parents[2] / "docs" / "examples" / "own_program"
NM3_TO_CM3_MOL = 602.214076


def reduced_virial(temperature: float) -> float:
    """B2 / (2 pi N sigma^3 / 3) at kT/epsilon: the series in Hirschfelder, Curtiss and Bird, 1954, section 3.6."""
    terms = (
        -(2 ** (j + 0.5)) / (4 * math.factorial(j)) * math.gamma((2 * j - 1) / 4) * temperature ** (-(2 * j + 1) / 4)
        for j in range(60)
    )
    return math.fsum(terms)


def test_the_batch_and_its_tool_file_are_accepted() -> None:
    what = read_batch(FOLDER / "batch.yaml", find_tools())
    assert [request.inputs["temperature_k"] for request in what.requests] == [200, 300, 409.5]
    tool = make_tool(read_tool_file(FOLDER / "virial.yaml").definition)
    assert list(tool.result.model_fields)[:2] == ["b2_cm3_mol", "change_cm3_mol"]


@pytest.mark.parametrize("temperature", [0.7, 1.0, 2.5, 3.418, 10.0, 100.0])
def test_the_coefficient_is_that_of_the_exact_series(temperature: float) -> None:
    second_virial = runpy.run_path(str(FOLDER / "virial.py"))["second_virial"]
    unit = 2 / 3 * math.pi * 0.34**3 * NM3_TO_CM3_MOL
    computed = second_virial(temperature * 119.8, 119.8, 0.34, 20_000)
    assert computed / unit == pytest.approx(reduced_virial(temperature), rel=1e-6, abs=1e-7)


def test_the_program_writes_what_its_tool_file_promises(tmp_path: Path) -> None:
    out = tmp_path / "virial.json"
    words = ["--temperature", "300", "--epsilon", "119.8", "--sigma", "0.3405", "--out", str(out)]
    subprocess.run([sys.executable, str(FOLDER / "virial.py"), *words], check=True)
    assert set(json.loads(out.read_text())) == {"b2", "change"}
