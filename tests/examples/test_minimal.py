"""The example that `make demo` runs."""

import subprocess
import sys
from pathlib import Path

from director.history import read_history
from director.runfolder import RunFolder

EXAMPLE = Path("examples/minimal.py").resolve()


def test_the_demo_runs_sixteen_real_simulations_on_four_nodes_and_leaves_a_report(tmp_path):
    done = subprocess.run([sys.executable, EXAMPLE], cwd=tmp_path, capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stderr
    (run,) = (tmp_path / "runs").iterdir()
    outcomes = read_history(RunFolder(run)).outcomes
    assert [outcome.status.value for outcome in outcomes] == ["ok"] * 16
    assert {outcome.host for outcome in outcomes} == {"local-0", "local-1", "local-2", "local-3"}
    assert {outcome.result["steps"] for outcome in outcomes} == {5000}
    assert str(run / "report.html") in done.stdout
    assert "16/16 done" in done.stderr
    # The means over seeds rise with the temperature asked for.
    means = {kelvin: [] for kelvin in (280, 300, 320, 340)}
    for outcome in outcomes:
        means[outcome.inputs["temperature_k"]].append(outcome.result["temperature_k"]["mean"])
    averages = [sum(values) / len(values) for values in means.values()]
    assert averages[0] < averages[-1]


def test_the_example_fits_on_one_screen():
    assert len(EXAMPLE.read_text().splitlines()) <= 40
