import json

import pytest

from director.attempt import Attempt
from director.worker import Worker, describe
from simulations.errors import ToolError
from simulations.mock_md import TOOL, MockRequest
from simulations.tool import Tool
from simulations.workspace import Resources
from tests.helpers import tools_of

RESOURCES = Resources(host="local-3", worker="local-3/1")


def run(tmp_path, body, **inputs):
    """Runs an attempt of a Tool with this body."""
    tool = Tool("t", "1", "", MockRequest, MockRequest, body, packages=("pydantic", "no-such-package"))
    attempt = Attempt("r1", 2, "t", {"duration_s": 0.0, **inputs})
    return Worker(RESOURCES, tools_of(tool)).run(attempt, tmp_path, tmp_path / "work")


def test_a_result_comes_with_its_provenance(tmp_path):
    result = run(tmp_path, lambda request, workspace: request)
    assert (result.status, result.epoch, result.host, result.worker) == ("ok", 2, "local-3", "local-3/1")
    assert result.result == {"duration_s": 0.0, "seed": 1}
    assert result.versions["pydantic"][0].isdigit()
    assert result.versions["no-such-package"] == "not installed"
    assert result.started_at <= result.finished_at
    assert not (tmp_path / "work").exists()


def test_what_the_tool_says_reaches_the_user(tmp_path):
    def body(request, workspace):
        raise ToolError("too hot", hint="cool it", kind="TooHot", details={"step": 7})

    result = run(tmp_path, body)
    assert result.status == "failed"
    assert (result.error.type, result.error.message, result.error.hint) == ("TooHot", "too hot", "cool it")
    assert result.error.details == {"step": 7}


def test_an_error_that_nobody_foresaw_leaves_its_traceback(tmp_path):
    def body(request, workspace):
        raise ZeroDivisionError

    result = run(tmp_path, body)
    assert (result.status, result.error.type) == ("failed", "ZeroDivisionError")
    assert "raise ZeroDivisionError" in (tmp_path / result.artifacts["traceback"]).read_text()


def test_a_request_that_was_cancelled_before_it_began_does_not_run(tmp_path):
    (tmp_path / "work" / "r1").mkdir(parents=True)
    (tmp_path / "work" / "r1" / "stop").touch()
    ran = []
    assert run(tmp_path, lambda request, workspace: ran.append(1)).status == "cancelled"
    assert ran == []


def test_the_mock_tool_says_where_it_slept(tmp_path):
    result = Worker(RESOURCES, tools_of(TOOL)).run(
        Attempt("r1", 1, "mock_md", {"duration_s": 0.25}), tmp_path, tmp_path / "work"
    )
    assert result.result["slept_s"] >= 0.25
    assert result.result["host"] == "local-3"
    assert result.result["mock"] is True


def test_a_worker_learns_from_its_environment_what_it_owns():
    owned = {"host": "node2", "rank": 1, "threads": 2, "accelerator": "0.1"}
    assert describe({"DIRECTOR_WORKER": json.dumps(owned)}) == Resources(
        host="node2", worker="node2/1", threads=2, accelerator="0.1"
    )
    with pytest.raises(KeyError):
        describe({})
