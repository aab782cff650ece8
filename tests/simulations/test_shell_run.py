"""What becomes of a user's program: its result, its failures, and that nothing of it is left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from director.interrupt import Interrupted, Interrupts
from partitions.environment import INTERRUPT_SIGNAL
from simulations.errors import Cancelled, ToolError
from simulations.shell.guard import members
from simulations.workspace import stop_file
from tests.helpers import alive, processes_naming, wait_until
from tests.simulations.shell_tools import PYTHON, ready

NUMBER = {"type": "number", "unit": "K", "minimum": 0, "maximum": 2000, "description": "A temperature."}
TEXT = {"type": "string", "pattern": "(?s).*", "max_length": 4000, "description": "Anything."}
ENERGY = {"energy_ev": {"type": "number", "unit": "eV", "description": "An energy."}}
FOREVER = """\
import os, subprocess, sys, time
child = subprocess.Popen(["sleep", "1000"], start_new_session=True)
print(os.getpid(), child.pid, flush=True)
time.sleep(1000)
"""


def argv_of(workspace: Any) -> Any:
    return json.loads((workspace.folder / "files" / "argv.json").read_text())


def test_values_become_arguments_and_json_becomes_the_result(tmp_path: Path) -> None:
    script = """\
import json, sys
t, source, target = float(sys.argv[1]), sys.argv[2], sys.argv[3]
json.dump({"energies": {"total": 2 * t}, "text": open(source).read()}, open(target, "w"))
print("done")
"""
    tool, workspace = ready(
        tmp_path,
        script,
        arguments=["{temperature_k}", "{structure}", "{out:energies}"],
        inputs={
            "temperature_k": NUMBER,
            "structure": {"type": "file", "suffixes": [".xyz"], "description": "A structure."},
        },
        outputs={
            "energies": {
                "file": "out/energies.json",
                "result": "json",
                "values": {
                    "energy_ev": {**ENERGY["energy_ev"], "at": ["energies", "total"]},
                    "text": {"type": "string", "description": "The file's text."},
                    "charge": {"type": "integer", "description": "Not there.", "optional": True},
                },
            }
        },
    )
    (tmp_path / "given.xyz").write_text("1\n\nHe 0 0 0\n")
    workspace.inputs = {"structure": tmp_path / "given.xyz"}
    result = tool.run(tool.request(temperature_k=300, structure="given.xyz"), workspace)
    assert (result.energy_ev, result.text, result.charge) == (600.0, "1\n\nHe 0 0 0\n", None)
    assert list(result.model_dump())[:3] == ["energy_ev", "text", "charge"]
    assert result.exit_code == 0
    assert result.program == PYTHON
    assert 0 < result.cpu_s <= result.wall_s * os.cpu_count()
    assert set(workspace.artifacts) == {"energies", "stdout"}
    assert (tmp_path / workspace.artifacts["stdout"]).read_text() == "done\n"
    assert sorted(path.name for path in (workspace.folder / "files").rglob("*")) == ["energies.json", "out"]


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.lists(
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=60), min_size=8, max_size=8
    )
)
def test_whatever_a_value_holds_it_arrives_as_one_unchanged_argument(
    texts: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    texts = [text.lstrip("-") for text in texts]
    names = [f"text_{index}" for index in range(len(texts))]
    arguments = [f"{{{name}}}" for name in names[:4]] + [f"--x={{{name}}}{{{{}}}}" for name in names[4:]]
    tool, workspace = ready(tmp_path_factory.mktemp("run"), arguments=arguments, inputs=dict.fromkeys(names, TEXT))
    tool.run(tool.request(**dict(zip(names, texts, strict=True))), workspace)
    assert argv_of(workspace) == texts[:4] + [f"--x={text}{{}}" for text in texts[4:]]


HOSTILE = [
    "a b",
    "'",
    '"',
    "$(touch pwned)",
    "`touch pwned`",
    "; touch pwned",
    "a\nb",
    "*",
    "~",
    "{x}",
    "|",
    "ü→𝔘",
    ":",
    "",
]


def test_hostile_text_is_an_argument_and_nothing_else(tmp_path: Path) -> None:
    inputs = {f"t{index}": TEXT for index in range(len(HOSTILE))}
    tool, workspace = ready(tmp_path, arguments=[f"{{{name}}}" for name in inputs], inputs=inputs)
    tool.run(tool.request(**dict(zip(inputs, HOSTILE, strict=True))), workspace)
    assert argv_of(workspace) == HOSTILE
    assert not list(tmp_path.rglob("pwned"))


@pytest.mark.parametrize("text", ["-rf", "--help", "-", "a\0b", "\ud800"])
def test_text_that_could_be_an_option_or_no_argument_is_refused(text: str, tmp_path: Path) -> None:
    tool, _ = ready(tmp_path, arguments=["{text}"], inputs={"text": TEXT})
    with pytest.raises(ValueError, match="text"):
        tool.request.model_validate({"text": text})


def test_a_pattern_holds_for_all_of_the_text(tmp_path: Path) -> None:
    word = {"type": "string", "pattern": "[a-z]+|[0-9]+", "description": "A word."}
    tool, _ = ready(tmp_path, arguments=["{word}"], inputs={"word": word})
    assert tool.request(word="abc").word == "abc"
    for text in ("abc\n", "a b", "abc1", "1;", ""):
        with pytest.raises(ValueError, match="pattern"):
            tool.request(word=text)


def test_what_was_not_given_is_left_out_and_switches_are_given_when_true(tmp_path: Path) -> None:
    tool, workspace = ready(
        tmp_path,
        arguments=[
            ["--charge", "{charge}"],
            {"when": "verbose", "arguments": ["-v"]},
            ["--label", "{label}"],
            "{mode}",
            "{run:cores}",
        ],
        inputs={
            "charge": {"type": "integer", "description": "Charge.", "optional": True, "minimum": -5, "maximum": 5},
            "label": {**TEXT, "optional": True},
            "verbose": {"type": "boolean", "description": "Say more.", "default": True},
            "mode": {"type": "enum", "values": ["fast", "-O3"], "description": "Mode.", "default": "-O3"},
        },
    )
    tool.run(tool.request(charge=-2), workspace)
    assert argv_of(workspace) == ["--charge", "-2", "-v", "-O3", "1"]


@pytest.mark.parametrize(("value", "text"), [(300, "300.0"), (0.1, "0.1"), (1e-20, "1e-20"), (1 / 3, repr(1 / 3))])
def test_a_number_arrives_with_all_of_its_digits(value: float, text: str, tmp_path: Path) -> None:
    tool, workspace = ready(tmp_path, arguments=["{temperature_k}"], inputs={"temperature_k": NUMBER})
    tool.run(tool.request(temperature_k=value), workspace)
    assert argv_of(workspace) == [text]


def test_a_program_that_fails_says_its_exit_code_and_its_last_lines(tmp_path: Path) -> None:
    tool, workspace = ready(tmp_path, "import sys\nfor i in range(99): print('line', i, file=sys.stderr)\nsys.exit(3)")
    with pytest.raises(ToolError, match=r"exit code 3; the last that it said: line 84\n") as caught:
        tool.run(tool.request(), workspace)
    assert caught.value.kind == "ProgramFailed"
    assert caught.value.details["exit_code"] == 3
    assert not caught.value.transient
    assert "line 0" in (tmp_path / workspace.artifacts["stderr"]).read_text()


@pytest.mark.parametrize(("number", "transient"), [("SIGSEGV", False), ("SIGKILL", False), ("SIGTERM", True)])
def test_a_signal_is_named_and_a_schedulers_warning_is_no_fault_of_the_program(
    number: str, transient: bool, tmp_path: Path
) -> None:
    tool, workspace = ready(tmp_path, f"import os, signal\nos.kill(os.getpid(), signal.{number})")
    with pytest.raises(ToolError, match=number) as caught:
        tool.run(tool.request(), workspace)
    assert caught.value.details["signal"] == number
    assert caught.value.transient is transient


def test_exit_codes_mean_what_the_tool_file_says(tmp_path: Path) -> None:
    codes = {"success_exit_codes": [0, 3], "transient_exit_codes": [75]}
    tool, workspace = ready(tmp_path / "a", "raise SystemExit(3)", **codes)
    assert tool.run(tool.request(), workspace).exit_code == 3
    tool, workspace = ready(tmp_path / "b", "raise SystemExit(75)", **codes)
    with pytest.raises(ToolError) as caught:
        tool.run(tool.request(), workspace)
    assert caught.value.transient


@pytest.mark.parametrize(
    ("program", "match"),
    [
        ("no-such-program", "search path of the worker on local-0"),
        ("/no/such", "does not exist"),
        ("a/b", "whole path"),
    ],
)
def test_a_program_that_is_not_there_is_said_with_where_it_was_looked_for(
    program: str, match: str, tmp_path: Path
) -> None:
    tool, workspace = ready(tmp_path, program=[program])
    with pytest.raises(ToolError, match=match) as caught:
        tool.run(tool.request(), workspace)
    assert caught.value.kind == "ProgramNotFound"


def test_a_file_that_is_no_program_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "noise").write_text("no interpreter here")
    (tmp_path / "noise").chmod(0o700)
    tool, workspace = ready(tmp_path, program=[str(tmp_path / "noise")])
    with pytest.raises(ToolError, match="could not be started") as caught:
        tool.run(tool.request(), workspace)
    assert caught.value.kind == "ProgramNotStarted"


@pytest.mark.parametrize(
    ("script", "kind", "match"),
    [
        ("pass", "OutputMissing", r"energies \(e.json\)"),
        ("open('e.json','w').write('{')", "OutputInvalid", "is no JSON"),
        ("open('e.json','w').write('{\"energy_ev\": NaN}')", "OutputInvalid", "NaN is no number of JSON"),
        ("open('e.json','w').write('{}')", "OutputInvalid", "has no 'energy_ev'"),
        ("open('e.json','w').write('{\"energy_ev\": \"1\"}')", "OutputInvalid", "valid number.*got '1'"),
        ("open('e.json','w').write('[' * 100000)", "OutputInvalid", "is no JSON"),
        ("import os; os.symlink('/etc/passwd', 'e.json')", "OutputInvalid", "no plain file"),
        ("import os; os.mkdir('e.json')", "OutputInvalid", "no plain file"),
    ],
)
def test_outputs_that_are_missing_or_not_what_was_declared_are_errors(
    script: str, kind: str, match: str, tmp_path: Path
) -> None:
    outputs = {"energies": {"file": "e.json", "result": "json", "values": ENERGY}}
    tool, workspace = ready(tmp_path, script, outputs=outputs)
    with pytest.raises(ToolError, match=match) as caught:
        tool.run(tool.request(), workspace)
    assert caught.value.kind == kind


def test_what_is_printed_is_kept_within_bounds_with_its_beginning_and_its_end(tmp_path: Path) -> None:
    script = "import sys\nprint('begin')\nfor _ in range(300): sys.stdout.write('x' * 100_000)\nprint('end')"
    tool, workspace = ready(tmp_path, script)
    tool.run(tool.request(), workspace)
    kept = tmp_path / workspace.artifacts["stdout"]
    assert kept.stat().st_size < 4_200_000
    text = kept.read_text()
    assert text.startswith("begin\nx")
    assert text.endswith("xend\n")
    assert "bytes were left out here" in text


def test_the_environment_is_what_the_tool_file_says_and_holds_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLOBUS_COMPUTE_CLIENT_SECRET", "secret")
    monkeypatch.setenv("LICENCE_SERVER", "host:1")
    tool, workspace = ready(
        tmp_path,
        "import json, os\njson.dump(dict(os.environ), open('argv.json', 'w'))",
        environment={"MODE": "a b"},
        inherit=["LICENCE_SERVER"],
        search_path=["/opt/x/bin"],
        cores=2,
        threads=2,
    )
    tool.run(tool.request(), workspace)
    found = argv_of(workspace)
    assert found["MODE"] == "a b"
    assert found["LICENCE_SERVER"] == "host:1"
    assert found["PATH"] == f"/opt/x/bin:{os.environ['PATH']}"
    assert found["OMP_NUM_THREADS"] == "2"
    assert "GLOBUS_COMPUTE_CLIENT_SECRET" not in found


def test_a_later_attempt_finds_nothing_of_an_earlier_one(tmp_path: Path) -> None:
    tool, workspace = ready(tmp_path, "import os\nassert os.listdir('.') == ['script.py']\nopen('left', 'w').close()")
    tool.run(tool.request(), workspace)
    assert (workspace.folder / "files" / "left").exists()
    workspace.epoch = 2
    tool.run(tool.request(), workspace)


def test_a_file_that_ships_is_checked_before_it_is_run(tmp_path: Path) -> None:
    tool, workspace = ready(tmp_path)
    (copy,) = (tmp_path / "inputs").iterdir()
    copy.write_text("print('another program')")
    with pytest.raises(ToolError, match="was changed") as caught:
        tool.run(tool.request(), workspace)
    assert caught.value.kind == "FileDamaged"


# ---- nothing is left behind


def pids_of(workspace: Any) -> list[int]:
    path = workspace.folder / "stdout.txt"
    wait_until(lambda: path.exists() and path.read_text().endswith("\n"), what="the program's first line")
    return [int(word) for word in path.read_text().split()]


def test_a_program_that_ends_takes_its_children_with_it(tmp_path: Path) -> None:
    script = "import subprocess\nprint(subprocess.Popen(['sleep', '1000'], start_new_session=True).pid)"
    tool, workspace = ready(tmp_path, script)
    tool.run(tool.request(), workspace)
    assert not any(map(alive, pids_of(workspace)))
    assert "left 1 processes behind" in workspace.notes[0]


@pytest.mark.parametrize(("flag", "timed_out"), [("cancel", False), ("timeout", True)])
def test_being_asked_to_stop_ends_the_program_and_its_children(flag: str, timed_out: bool, tmp_path: Path) -> None:
    tool, workspace = ready(tmp_path, FOREVER)
    seen: list[int] = []

    def ask() -> None:
        seen.extend(pids_of(workspace))
        (workspace.folder / stop_file(1)).write_text(flag)

    asking = threading.Thread(target=ask)
    asking.start()
    with pytest.raises(Cancelled) as caught:
        tool.run(tool.request(), workspace)
    asking.join()
    assert caught.value.timed_out is timed_out
    assert len(seen) == 2
    assert not any(map(alive, seen))


def test_being_asked_to_pause_does_not_end_a_program(tmp_path: Path) -> None:
    tool, workspace = ready(tmp_path, "import time\ntime.sleep(0.8)")
    workspace.path(stop_file(1)).write_text("pause")
    assert tool.run(tool.request(), workspace).exit_code == 0


def test_its_own_time_limit_ends_a_program_as_timeout(tmp_path: Path) -> None:
    tool, workspace = ready(tmp_path, FOREVER, timeout_s=0.6)
    with pytest.raises(Cancelled, match=r"longer than the 0.6 s") as caught:
        tool.run(tool.request(), workspace)
    assert caught.value.timed_out
    assert not any(map(alive, pids_of(workspace)))


def test_a_program_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    tool, workspace = ready(tmp_path, "import signal\nsignal.signal(15, signal.SIG_IGN)\n" + FOREVER, timeout_s=0.6)
    with pytest.raises(Cancelled):
        tool.run(tool.request(), workspace)
    assert not any(map(alive, pids_of(workspace)))


def test_a_worker_that_is_interrupted_leaves_no_process(tmp_path: Path) -> None:
    tool, workspace = ready(tmp_path, FOREVER)
    workspace.pause_asked = lambda: False  # type: ignore[method-assign]  # a Tool that does not look
    before = signal.getsignal(INTERRUPT_SIGNAL)
    interrupts = Interrupts()
    interrupts.install()
    seen: list[int] = []

    def interrupt() -> None:
        seen.extend(pids_of(workspace))
        (workspace.folder / stop_file(1)).write_text("pause")
        os.kill(os.getpid(), INTERRUPT_SIGNAL)

    try:
        asking = threading.Thread(target=interrupt)
        asking.start()
        with pytest.raises(Interrupted), interrupts.allowed(workspace):
            tool.run(tool.request(), workspace)
        asking.join()
    finally:
        signal.signal(INTERRUPT_SIGNAL, before)
    assert not any(map(alive, seen))


def test_a_worker_that_is_killed_leaves_no_process(tmp_path: Path) -> None:
    _, workspace = ready(tmp_path, FOREVER)
    program = f"""\
import json, sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from simulations.shell import make_tool, read_tool_file
from simulations.workspace import Resources, Workspace
tool = make_tool(read_tool_file(Path({str(tmp_path / "tools" / "tool.json")!r})).definition)
root = Path({str(tmp_path)!r})
tool.run(tool.request(), Workspace(root / "director-0" / "work" / "r1", root, Resources("local-0", "local-0/0")))
"""
    worker = subprocess.Popen([sys.executable, "-c", program])
    try:
        pids = pids_of(workspace)
        assert all(map(alive, pids))
    finally:
        worker.kill()
        worker.wait()
    wait_until(lambda: not any(map(alive, pids)), 10.0, "the end of the program")
    wait_until(lambda: not processes_naming("simulations/shell/guard.py"), 10.0, "the end of the guard")


def test_a_process_that_only_names_the_mark_is_none_of_the_programs() -> None:
    sleeper = subprocess.Popen(["sleep", "100"], env={"OTHER": "DIRECTOR_PROGRAM_MARK=abc"})
    try:
        assert members("abc", None) == []
    finally:
        sleeper.kill()
        sleeper.wait()


# ---- cores and ranks


def test_a_tool_that_needs_more_than_its_worker_has_is_not_started(tmp_path: Path) -> None:
    tool, workspace = ready(tmp_path, cores=os.cpu_count(), ranks=1, mpi={"flavour": "none"}, threads=0)
    with pytest.raises(ToolError, match="owns 0") as caught:
        tool.run(tool.request(), workspace)
    assert caught.value.kind == "NotEnoughCores"
    assert "workers_per_node 1 or less" in caught.value.hint
    assert tool.cores == os.cpu_count()


RANK = """\
import json, os, sys
rank = os.environ.get("OMPI_COMM_WORLD_RANK") or os.environ["PMI_RANK"]
json.dump({"argv": sys.argv[1:], "cores": sorted(os.sched_getaffinity(0))}, open(f"rank{rank}.json", "w"))
"""


@pytest.mark.parametrize("flavour", ["mpich", "openmpi"])
def test_ranks_run_beside_each_other_on_cores_of_their_own_with_unchanged_arguments(
    flavour: str, tmp_path: Path
) -> None:
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        pytest.skip("one core only")
    inputs = {f"t{index}": TEXT for index in range(len(HOSTILE))}
    tool, workspace = ready(
        tmp_path,
        RANK,
        ranks=2,
        mpi={"flavour": flavour},
        threads=len(cores),
        arguments=[f"{{{name}}}" for name in inputs],
        inputs=inputs,
    )
    try:
        result = tool.run(tool.request(**dict(zip(inputs, HOSTILE, strict=True))), workspace)
    except ToolError as error:
        if error.kind == "ProgramNotFound":
            pytest.skip(f"{flavour} is not installed")
        raise
    said = [json.loads((workspace.folder / "files" / f"rank{rank}.json").read_text()) for rank in (0, 1)]
    assert [one["argv"] for one in said] == [HOSTILE, HOSTILE]
    assert [one["cores"] for one in said] == [[cores[0]], [cores[1]]]
    assert result.cores == 2


@pytest.mark.parametrize("flavour", ["mpich", "openmpi"])
def test_ranks_end_with_their_request(flavour: str, tmp_path: Path) -> None:
    tool, workspace = ready(
        tmp_path, "import time\ntime.sleep(1000)", ranks=2, mpi={"flavour": flavour}, threads=2, timeout_s=2
    )
    begin = time.monotonic()
    with pytest.raises((Cancelled, ToolError)) as caught:
        tool.run(tool.request(), workspace)
    if isinstance(caught.value, ToolError):
        assert caught.value.kind == "ProgramNotFound", caught.value
        pytest.skip(f"{flavour} is not installed")
    assert time.monotonic() - begin < 20
    assert not processes_naming(str(tmp_path))
