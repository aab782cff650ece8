"""Which language model the agents of a run with services have."""

from __future__ import annotations

import pytest

from campaigns.language import NotConfigured
from campaigns.llm.access import access_from
from director.service_partition.agents import NOT_YET, served, to_be_served
from director.service_partition.finding import Services
from director.service_partition.spec import ServiceSpec

LLM = ServiceSpec(name="llm", program="vllm", arguments=["{host}", "{port}"], model="small")


def test_the_run_s_own_is_taken_if_the_environment_names_none():
    found = to_be_served([LLM], {"PATH": "/bin", "DIRECTOR_LLM_API_KEY": "of another endpoint"})
    assert found == {"PATH": "/bin", "DIRECTOR_LLM_BASE_URL": NOT_YET, "DIRECTOR_LLM_MODEL": "small"}
    assert access_from(found).settings({"temperature": 0.3}).model == "small"


@pytest.mark.parametrize("services", [[], [LLM, LLM.model_copy(update={"name": "b"})]])
def test_none_or_several_are_not_guessed(services):
    assert to_be_served(services, {"A": "1"}) == {"A": "1"}
    with pytest.raises(NotConfigured):
        access_from(to_be_served(services, {})).settings({})


def test_what_the_environment_says_goes_first():
    said = {"DIRECTOR_LLM_BASE_URL": "https://host/v1", "DIRECTOR_LLM_MODEL": "m"}
    assert to_be_served([LLM], said) == said
    access = access_from(said)
    assert served(access, Services.none()) is access
    assert served(None, Services.none()) is None
