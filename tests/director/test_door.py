import pytest

from director.door import Refused, check
from simulations.md import TOOL as MD
from simulations.mock_md import TOOL
from simulations.records import Request
from tests.helpers import tools_of

TOOLS = tools_of(TOOL)


def refusal(tool="mock_md", **inputs):
    with pytest.raises(Refused) as caught:
        check(Request(tool=tool, inputs=inputs), TOOLS)
    return caught.value.problems


def test_what_passes_is_complete_and_has_a_key():
    checked = check(Request(tool="mock_md", inputs={"duration_s": 0.5}), TOOLS)
    assert set(checked.request.inputs) == set(TOOL.request.model_fields)
    assert (checked.request.inputs["duration_s"], checked.request.inputs["seed"]) == (0.5, 1)
    assert len(checked.key) == 64


def test_equal_inputs_have_equal_keys_and_others_have_not():
    def key(**inputs):
        return check(Request(tool="mock_md", inputs=inputs), TOOLS).key

    assert key(duration_s=1) == key(seed=1, duration_s=1.0)
    assert key(duration_s=1) != key(duration_s=1, seed=2)


def test_an_unknown_tool_is_refused_with_a_suggestion():
    (problem,) = refusal(tool="mock_dm", duration_s=1)
    assert problem.where == "tool"
    assert "Did you mean 'mock_md'?" in problem.hint


def test_an_unknown_input_is_refused_with_a_suggestion():
    (problem,) = refusal(duration_s=1, sead=3)
    assert problem.where == "inputs.sead"
    assert "Did you mean 'seed'?" in problem.hint


def test_a_missing_input_is_named():
    (problem,) = refusal()
    assert problem.where == "inputs.duration_s"
    assert "required" in problem.message


@pytest.mark.parametrize("value", [-1, 1e9, float("nan"), float("inf"), "soon", None, [1]])
def test_a_value_out_of_bounds_is_named_with_what_was_given(value):
    (problem,) = refusal(duration_s=value)
    assert problem.where == "inputs.duration_s"
    assert "got" in problem.message


def test_everything_that_is_wrong_is_said_at_once():
    assert {problem.where for problem in refusal(duration_s=-1, seed=-1, colour="red")} == {
        "inputs.duration_s",
        "inputs.seed",
        "inputs.colour",
    }


def test_a_huge_value_does_not_fill_the_screen():
    (problem,) = refusal(duration_s="x" * 10_000)
    assert len(str(problem)) < 300


def test_what_is_wrong_within_an_input_is_told_by_what_stands_there():
    stages = [{"kind": "heat", "steps": -5}, {"kind": "equilibrate", "step": 5}]
    with pytest.raises(Refused) as caught:
        check(Request(tool="md", inputs={"structure": "ala10", "steps": 10, "stages": stages}), tools_of(MD))
    first, *others = caught.value.problems
    assert first.where == "inputs.stages[0].steps"
    assert first.hint.endswith("steps: Integration steps of the stage.")
    typo = next(problem for problem in others if problem.where == "inputs.stages[1].step")
    assert "Did you mean 'steps'?" in typo.hint
    assert "structure" not in typo.hint
