import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from director.attempt import Attempt
from director.worker import Worker, describe
from partitions.environment import INTERRUPT_SIGNAL
from simulations.errors import Cancelled, Paused, Superseded, ToolError
from simulations.mock_md import TOOL, MockRequest
from simulations.tool import Tool
from simulations.workspace import Resources
from tests.helpers import tools_of

RESOURCES = Resources(host="local-3", worker="local-3/1")


def tool_of(body, **more):
    """A Tool with this body."""
    return Tool("t", "1", "", MockRequest, MockRequest, body, packages=("pydantic", "no-such-package"), **more)


def run(tmp_path, body, **more):
    """Runs an attempt of a Tool with this body."""
    attempt = Attempt("r1", 2, "t", {"duration_s": 0.0})
    return Worker(RESOURCES, tools_of(tool_of(body, **more))).run(attempt, tmp_path, tmp_path / "work")


def test_a_result_comes_with_its_provenance(tmp_path):
    result = run(tmp_path, lambda request, workspace: request)
    assert (result.ending, result.epoch, result.host, result.worker) == ("ok", 2, "local-3", "local-3/1")
    assert result.result == MockRequest(duration_s=0.0).model_dump()
    assert result.versions["pydantic"][0].isdigit()
    assert result.versions["no-such-package"] == "not installed"
    assert result.started_at <= result.finished_at
    assert not (tmp_path / "work").exists()


def test_what_the_tool_says_reaches_the_user(tmp_path):
    def body(request, workspace):
        raise ToolError("too hot", hint="cool it", kind="TooHot", details={"step": 7})

    result = run(tmp_path, body)
    assert result.ending == "failed"
    assert (result.error.type, result.error.message, result.error.hint) == ("TooHot", "too hot", "cool it")
    assert result.error.details == {"step": 7}


def test_an_error_that_nobody_foresaw_leaves_its_traceback(tmp_path):
    def body(request, workspace):
        raise ZeroDivisionError

    result = run(tmp_path, body)
    assert (result.ending, result.error.type) == ("failed", "ZeroDivisionError")
    assert "raise ZeroDivisionError" in (tmp_path / result.artifacts["traceback"]).read_text()


def test_a_request_that_was_cancelled_before_it_began_does_not_run(tmp_path):
    (tmp_path / "work" / "r1").mkdir(parents=True)
    (tmp_path / "work" / "r1" / "stop.2").write_text("cancel")
    ran = []
    assert run(tmp_path, lambda request, workspace: ran.append(1)).ending == "cancelled"
    assert ran == []


def test_the_mock_tool_says_where_it_slept(tmp_path):
    result = Worker(RESOURCES, tools_of(TOOL)).run(
        Attempt("r1", 1, "mock_md", {"duration_s": 0.25}), tmp_path, tmp_path / "work"
    )
    assert result.result["slept_s"] >= 0.25
    assert result.result["host"] == "local-3"
    assert result.result["mock"] is True


@pytest.mark.parametrize(
    ("error", "ending", "kind"),
    [
        (Cancelled("enough"), "cancelled", "Cancelled"),
        (Cancelled("enough", timed_out=True), "timeout", "Timeout"),
        (Paused("later"), "paused", "Paused"),
        (Superseded("another has it"), "again", "Superseded"),
        (ToolError("no answer", hint="wait", kind="NoAnswer", transient=True), "again", "NoAnswer"),
        (OSError(errno.ENOSPC, "No space left on device"), "failed", "DiskFull"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory"), "failed", "FileNotFoundError"),
    ],
)
def test_what_ends_an_attempt_decides_its_ending(tmp_path, error, ending, kind):
    def body(request, workspace):
        workspace.begin()
        workspace.note("seen")
        raise error

    result = run(tmp_path, body)
    assert (result.ending, result.error.type, result.result) == (ending, kind, None)
    assert result.course.began_at is not None
    assert result.notes == ("seen",)


@pytest.mark.parametrize("checkpoints", [True, False])
def test_only_what_a_tool_can_go_on_from_is_there_in_its_next_attempt(tmp_path, checkpoints):
    left = tmp_path / "work" / "r1" / "table.csv"
    left.parent.mkdir(parents=True)
    left.write_text("old")
    seen = []
    run(tmp_path, lambda request, workspace: seen.append(left.exists()) or request, checkpoints=checkpoints)
    assert seen == [checkpoints]


def interruptible(tool):
    """A worker that handles the signal until the test ends."""
    worker = Worker(RESOURCES, tools_of(tool))
    worker.interrupts.install()
    return worker


@pytest.fixture
def handled():
    """The handler of the signal is as before when the test has ended."""
    kept = signal.getsignal(INTERRUPT_SIGNAL)
    yield
    signal.signal(INTERRUPT_SIGNAL, kept)


def attempt_of(name="r1", epoch=1):
    return Attempt(name, epoch, "t", {"duration_s": 0.0})


def tell(tmp_path, why, name="r1", epoch=1):
    flag = tmp_path / "work" / name / f"stop.{epoch}"
    flag.parent.mkdir(parents=True, exist_ok=True)
    flag.write_text(why)


def interrupt():
    os.kill(os.getpid(), INTERRUPT_SIGNAL)


@pytest.mark.parametrize(("why", "ending"), [("cancel", "cancelled"), ("timeout", "timeout"), ("pause", "paused")])
def test_the_signal_ends_a_tool_that_does_not_look_at_its_flag(tmp_path, handled, why, ending):
    def body(request, workspace):
        workspace.begin()
        workspace.reached(0.5)
        tell(tmp_path, why)
        threading.Timer(0.05, interrupt).start()
        while True:
            with contextlib.suppress(Exception):  # an interruption is none of them
                time.sleep(0.01)

    result = interruptible(tool_of(body)).run(attempt_of(), tmp_path, tmp_path / "work")
    assert result.ending == ending
    assert "interrupted" in result.error.message
    assert result.course.amount == 0.5


def test_the_signal_does_nothing_to_an_attempt_that_was_not_asked_to_stop(tmp_path, handled):
    def body(request, workspace):
        tell(tmp_path, "cancel", epoch=2)
        tell(tmp_path, "cancel", name="r2")
        interrupt()
        interrupt()
        return request

    worker = interruptible(tool_of(body))
    assert worker.run(attempt_of(), tmp_path, tmp_path / "work").ending == "ok"


def test_the_signal_does_nothing_between_attempts(tmp_path, handled):
    worker = interruptible(tool_of(lambda request, workspace: tell(tmp_path, "cancel") or request))
    assert worker.run(attempt_of(), tmp_path, tmp_path / "work").ending == "ok"
    interrupt()
    assert worker.run(attempt_of("r2"), tmp_path, tmp_path / "work").ending == "ok"


def test_an_import_is_not_interrupted_and_what_comes_after_it_is(tmp_path, handled, monkeypatch):
    (tmp_path / "slow_module.py").write_text(
        f"import os, signal, time\nos.kill(os.getpid(), {int(INTERRUPT_SIGNAL)})\ntime.sleep(0.05)\nwhole = True\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    imported = []

    def body(request, workspace):
        tell(tmp_path, "cancel")
        import slow_module

        imported.append(slow_module.whole)
        time.sleep(30)

    result = interruptible(tool_of(body)).run(attempt_of(), tmp_path, tmp_path / "work")
    assert (result.ending, imported) == ("cancelled", [True])


def test_a_storm_of_signals_ends_one_attempt_each_at_most_and_nothing_else(tmp_path, handled):
    """Signals come all the time, also while attempts begin and end; half of the attempts are asked to stop."""

    def body(request, workspace):
        if workspace.epoch == 2:
            tell(tmp_path, "cancel", workspace.folder.name, epoch=2)
        end = time.monotonic() + 0.0005
        while time.monotonic() < end:
            pass
        return request

    worker = interruptible(tool_of(body, checkpoints=True))
    storm = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import os, time\nwhile True: os.kill({os.getpid()}, {int(INTERRUPT_SIGNAL)}); time.sleep(2e-5)",
        ]
    )
    try:
        endings = [worker.run(attempt_of(f"r{i}", 1 + i % 2), tmp_path, tmp_path / "work").ending for i in range(200)]
    finally:
        storm.kill()
        storm.wait()
    assert set(endings[0::2]) == {"ok"}
    assert set(endings[1::2]) <= {"ok", "cancelled"}
    assert "cancelled" in endings[1::2]


def test_a_worker_learns_from_its_environment_what_it_owns():
    owned = {"host": "node2", "rank": 1, "threads": 2, "accelerator": "0.1"}
    assert describe({"DIRECTOR_WORKER": json.dumps(owned)}) == Resources(
        host="node2", worker="node2/1", threads=2, accelerator="0.1"
    )
    with pytest.raises(KeyError):
        describe({})
