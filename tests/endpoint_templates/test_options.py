"""Words of a command line, and the values that they become."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import endpoint_templates
from endpoint_templates import SetBy, TemplateError, options_from, parameters_of
from tests.endpoint_templates.cases import ALL, BY_NAME, every_submission

SLURM = endpoint_templates.find("slurm").parameters
AURORA = endpoint_templates.find("aurora").parameters


def test_words_become_values_of_the_right_type():
    words = ["nodes=4", "account=12345", "exclusive=false", "modules=a,b/1", "module_paths=/x", "environment=/a/b"]
    assert options_from(words, SLURM) == {
        "nodes": 4,
        "account": "12345",
        "exclusive": False,
        "modules": ["a", "b/1"],
        "module_paths": ["/x"],
        "environment": "/a/b",
    }
    assert options_from(["filesystems=home", "queue=prod"], AURORA) == {"filesystems": ["home"], "queue": "prod"}
    assert options_from(['filesystems=["home", "flare"]'], AURORA) == {"filesystems": ["home", "flare"]}
    assert options_from([], SLURM) == {}


@pytest.mark.parametrize(
    ("words", "where", "message"),
    [
        (["nodes"], "'nodes'", "is not of the form NAME=VALUE"),
        (["nodes=4", "nodes=5"], "nodes", "is given twice"),
        (["node=4"], "'node'", "is not a parameter. Did you mean 'nodes'?"),
        (["nodes=four"], "nodes", "valid integer"),
        (["nodes=4.0"], "nodes", "valid integer"),
        (["nodes=true"], "nodes", "valid integer"),
        (["nodes=0"], "nodes", "greater than or equal to 1"),
        (["nodes=99999999"], "nodes", "Allowed: 1 to 100000"),
        (["account=a b"], "account", r"is no word \(letters, digits, - _ \.\)"),
        (["exclusive=maybe"], "exclusive", "Allowed: true or false"),
        (["environment=relative"], "environment", "is no absolute path"),
        (["environment=~/env"], "environment", "is no absolute path"),
        (["modules=a;b"], "modules", "Allowed: list of: name of a module"),
        (["address=300.1.1.1"], "address", "is no IPv4 address"),
        (["worker_init=touch x"], "'worker_init'", "is not a parameter"),
        ([f"{'x' * 500}=1"], "", "is not a parameter"),
    ],
)
def test_an_error_names_the_option(words, where, message):
    with pytest.raises(TemplateError, match=message) as error:
        options_from(words, SLURM)
    assert error.value.where.startswith(where)
    assert len(str(error.value)) < 600
    assert error.value.hint


def test_an_enumeration_lists_its_values():
    with pytest.raises(TemplateError, match=r"queue: .*'debug'.*'prod'.*got 'wrong'"):
        options_from(["queue=wrong"], AURORA)


@given(st.text(), st.text())
def test_any_words_are_refused_or_taken_with_the_model_agreeing(name, value):
    try:
        found = options_from([f"{name}={value}", f"account={value}"], SLURM)
    except TemplateError:
        return
    assert SLURM.model_validate(found | {"environment": "/a"})


@pytest.mark.parametrize("template", ALL, **BY_NAME)
def test_every_value_that_a_schema_takes_can_be_written_on_a_command_line(template):
    for options in every_submission(template):
        words = [f"{name}={','.join(value) if isinstance(value, list) else value}" for name, value in options.items()]
        assert options_from(words, template.parameters) == options


@pytest.mark.parametrize("template", ALL, **BY_NAME)
def test_every_parameter_is_described(template):
    for parameter in parameters_of(template, {"nodes": 3}):
        assert parameter.kind not in ("", "text")
        assert parameter.meaning.endswith((".", "`"))
        assert parameter.name != "nodes" or parameter.default == 3
        assert not parameter.required or parameter.default is None
        assert parameter.set_by in SetBy


def test_a_template_that_is_not_there_is_refused_with_those_that_are():
    with pytest.raises(TemplateError, match=r"summit: is not a template\. Templates: aurora, polaris"):
        endpoint_templates.find("summit")
