"""Users' programs in real runs: on real workers, through a real command, resumed, and cancelled."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from director.fleet import Fleet
from simulations.records import Request, Status
from tests.director.test_toolbox import NUMBER
from tests.helpers import processes_naming, wait_until
from tests.simulations.shell_tools import write_tool

SCRIPT = """\
import json, sys, time
from pathlib import Path
temperature, seconds, out = float(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
print("begun", flush=True)
time.sleep(seconds)
json.dump({"energy_ev": 2 * temperature}, open(out, "w"))
"""
INPUTS = {
    "temperature_k": NUMBER,
    "duration_s": {
        "type": "number",
        "unit": "s",
        "minimum": 0,
        "maximum": 1000,
        "description": "How long.",
        "default": 0,
    },
}
ENERGY = {"energy_ev": {"type": "number", "unit": "eV", "description": "Twice the temperature."}}


def tool_in(folder: Path) -> Path:
    return write_tool(
        folder,
        SCRIPT,
        arguments=["{temperature_k}", "{duration_s}", "{out:energies}"],
        inputs=INPUTS,
        outputs={"energies": {"file": "energies.json", "result": "json", "values": ENERGY}},
    )


async def test_a_users_program_runs_on_workers_and_its_cancellation_leaves_nothing(tmp_path: Path) -> None:
    tool = tool_in(tmp_path / "tools")
    async with Fleet.launch(run_dir=tmp_path / "run", tools=[tool]) as fleet:
        outcome = await fleet.run("my_program", temperature_k=150)
        assert outcome.status is Status.OK, outcome.error
        assert outcome.result is not None
        assert outcome.result["energy_ev"] == 300.0
        assert outcome.tool_version == fleet.tools["my_program"].version
        found = json.loads((tmp_path / "run" / outcome.artifacts["energies"]).read_text())
        assert found == {"energy_ev": 300.0}
        again = await fleet.run("my_program", temperature_k=150)
        assert again.reused_from == outcome.id

        async with await Fleet.attach(tmp_path / "run") as other:  # which has never seen the tool file
            assert other.tools["my_program"].version == outcome.tool_version
            assert (await other.run("my_program", temperature_k=1)).status is Status.OK

        long = Request(id="long", tool="my_program", inputs={"temperature_k": 1, "duration_s": 500})
        stream = fleet.map([long])
        waiting = stream.__anext__()
        task = asyncio.ensure_future(waiting)
        said = tmp_path / "run" / "director-0" / "work" / "long" / "stdout.txt"
        while not said.exists():
            await asyncio.sleep(0.05)
        assert await fleet.cancel(["long"]) == {"long": "stopping"}
        assert (await task).status is Status.CANCELLED
        work = str(said.parent)
        wait_until(
            lambda: not [pid for pid in processes_naming("script.py") if _in(pid, work)], what="the program's end"
        )


def _in(pid: int, folder: str) -> bool:
    try:
        return os.readlink(f"/proc/{pid}/cwd").startswith(folder)  # noqa: PTH115
    except OSError:
        return False


def test_a_run_is_resumed_with_its_tool_files_also_where_they_are_gone(tmp_path: Path) -> None:
    tool = tool_in(tmp_path / "tools")
    batch = tmp_path / "batch.json"
    entry = {"tool": "my_program", "inputs": {"duration_s": 3}, "sweep": {"temperature_k": [1, 2, 3, 4]}}
    batch.write_text(json.dumps({"tools": ["tools/tool.json"], "workers_per_node": 1, "requests": [entry]}))
    director = str(Path(sys.executable).with_name("director"))
    folder = tmp_path / "run"
    running = subprocess.Popen(
        [director, "run", str(batch), "--run-dir", str(folder), "--json"], stdout=subprocess.PIPE
    )
    try:
        assert running.stdout is not None
        first = json.loads(running.stdout.readline())
        running.send_signal(signal.SIGTERM)
        rest = running.stdout.read().splitlines()
        assert running.wait(60) == 1
    finally:
        running.kill()
        running.wait()
    assert first["result"]["energy_ev"] == 2 * first["inputs"]["temperature_k"]
    wait_until(lambda: not processes_naming(str(folder)), what="the end of the run")
    tool.unlink()
    (tmp_path / "tools" / "script.py").unlink()
    answer = subprocess.run(
        [director, "run", "--resume", str(folder), "--json"], capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr
    lines = [first, *map(json.loads, rest), *map(json.loads, answer.stdout.splitlines())]
    assert sorted(line["inputs"]["temperature_k"] for line in lines) == [1, 2, 3, 4]
    assert {line["status"] for line in lines} == {"ok"}
    shown = subprocess.run([director, "status", str(folder), "--json"], capture_output=True, text=True, check=True)
    assert json.loads(shown.stdout)["directors"][0]["finished"] == {"ok": 4}


def test_the_command_shows_a_tool_file_and_says_what_is_wrong_with_it(tmp_path: Path) -> None:
    tool = tool_in(tmp_path / "tools")
    director = str(Path(sys.executable).with_name("director"))
    words = [director, "tools", "my_program", "--file", str(tool), "--json"]
    shown = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
    assert shown["request"]["properties"]["temperature_k"]["description"] == "A temperature. In K."
    tool.write_text("name: my_program\nprogam: []\n")
    answer = subprocess.run(words, capture_output=True, text=True, check=False)
    assert answer.returncode == 2
    problems = json.loads(answer.stderr)["refused"]
    assert any("line 2" in problem["where"] and "'program'" in problem["hint"] for problem in problems)
