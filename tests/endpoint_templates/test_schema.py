"""The schema by which the endpoint checks submissions: valid, strict, and the same as what our own models say."""

from __future__ import annotations

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

import endpoint_templates
from endpoint_templates import SetBy, TemplateError, parameters_of
from endpoint_templates.limits import beyond_limits
from tests.endpoint_templates.cases import ALL, BY_NAME, ENVIRONMENT, installed, submitted

WITH_QUEUES = [template for template in ALL if template.facility and template.facility.queues]


def accepts(schema, options):
    return jsonschema.Draft202012Validator(schema).is_valid(options)


@pytest.mark.parametrize("template", ALL, **BY_NAME)
def test_it_is_a_valid_schema_of_draft_2020_12_that_takes_a_submission(template):
    schema = template.schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["additionalProperties"] is False
    assert accepts(schema, submitted(template))


@pytest.mark.parametrize("template", ALL, **BY_NAME)
def test_nothing_in_it_is_free_text_or_without_bounds(template):
    def check(described):
        match described["type"]:
            case "string":
                assert "enum" in described or {"pattern", "maxLength"} <= set(described)
            case "integer":
                assert {"minimum", "maximum"} <= set(described)
            case "array":
                assert "maxItems" in described
                check(described["items"])
            case other:
                raise AssertionError(other)

    for described in template.schema()["properties"].values():
        assert described["description"]
        check(described)


@pytest.mark.parametrize("template", ALL, **BY_NAME)
def test_what_only_an_installer_may_set_is_not_in_it(template):
    schema = template.schema(installed(template))
    by = {parameter.name: parameter.set_by for parameter in parameters_of(template)}
    assert set(schema["properties"]) == {name for name, who in by.items() if who is SetBy.SUBMITTER}
    assert {"environment", "environment_kind", "run_root"} <= {
        name for name, who in by.items() if who is SetBy.INSTALLER
    }
    for name in (name for name, who in by.items() if who is SetBy.INSTALLER):
        assert not accepts(schema, submitted(template) | {name: ENVIRONMENT})


@pytest.mark.parametrize("template", ALL, **BY_NAME)
def test_what_is_required_stays_so_until_an_installer_gives_it(template):
    for name in template.schema()["required"]:
        options = submitted(template)
        value = options.pop(name)
        assert not accepts(template.schema(), options)
        with pytest.raises(TemplateError, match=f"{name}: is required but was not given"):
            endpoint_templates.render(template.text(installed(template)), template.schema(), options)
        schema = template.schema({name: value})
        assert name not in schema["required"]
        assert schema["properties"][name]["default"] == value
        assert accepts(schema, options)
        given = installed(template) | {name: value}
        assert endpoint_templates.load(endpoint_templates.render(template.text(given), template.schema(given), options))


@pytest.mark.parametrize("template", WITH_QUEUES, **BY_NAME)
@settings(max_examples=150)
@given(data=st.data())
def test_limits_of_queues_hold_in_the_schema_as_in_the_facts(template, data):
    """Also where options are left out, whose defaults the schema cannot see, and where there is a reservation."""
    queues = [queue.name for queue in template.facility.queues]
    edges = {limit.min_nodes + d for q in template.facility.queues for limit in q.limits for d in (-1, 0, 1)}
    edges |= {
        limit.max_nodes + d for q in template.facility.queues for limit in q.limits if limit.max_nodes for d in (0, 1)
    }
    times = {limit.max_walltime_s + d for q in template.facility.queues for limit in q.limits for d in (0, 1)}
    top = template.schema()["properties"]["nodes"]["maximum"]
    choices = {
        "queue": st.sampled_from(queues),
        "nodes": st.sampled_from(sorted(edge for edge in edges if 1 <= edge <= top)),
        "walltime_s": st.sampled_from(sorted(times)),
        "reservation": st.just("M123"),
    }
    first = data.draw(st.sampled_from(template.facility.queues), "queue of the installer")
    defaults = {"queue": first.name, "nodes": first.min_nodes}
    options = {name: data.draw(choices[name], name) for name in choices if data.draw(st.booleans(), f"{name} given")}
    schema = template.schema(defaults | {"account": "a"})
    taken = {"walltime_s": 1800} | defaults | options
    assert accepts(schema, options) == (beyond_limits(template.facility, taken) is None)


def test_a_limit_that_is_broken_is_named():
    aurora = endpoint_templates.find("aurora")
    with pytest.raises(TemplateError, match=r"nodes: must be at most 2, got 4\. The queue debug takes 1 to 2 nodes"):
        endpoint_templates.render(aurora.text(installed(aurora)), aurora.schema(), {"account": "a", "nodes": 4})
    with pytest.raises(TemplateError, match="4 nodes do not fit into the queue debug of Aurora"):
        aurora.schema({"nodes": 4})
    with pytest.raises(TemplateError, match="walltime_s: 50000 s is too long for 300 nodes in the queue prod"):
        aurora.schema({"nodes": 300, "walltime_s": 50_000, "queue": "prod"})
    assert aurora.schema({"nodes": 2000, "walltime_s": 80_000, "queue": "prod"})
    with pytest.raises(ValidationError, match="4 nodes do not fit"):
        aurora.parameters(environment=ENVIRONMENT, account="a", nodes=4)


@pytest.mark.parametrize("template", ALL, **BY_NAME)
def test_the_model_takes_what_the_schema_takes(template):
    model = template.parameters.model_validate(submitted(template) | installed(template))
    assert model.environment == ENVIRONMENT
    with pytest.raises(ValidationError):
        template.parameters.model_validate(submitted(template) | installed(template) | {"worker_init": "touch x"})
    with pytest.raises(ValidationError):
        template.parameters.model_validate(submitted(template) | installed(template) | {"nodes": "1"})


def test_a_line_break_at_the_end_is_refused_although_pythons_dollar_would_take_it():
    slurm = endpoint_templates.find("slurm")
    assert accepts(slurm.schema(), {"account": "word"})
    assert not accepts(slurm.schema(), {"account": "word\n"})
