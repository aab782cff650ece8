"""Descriptions of services: what is taken, and what is refused at the door and why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from director.door import Refused
from director.service_partition.spec import ServiceSpec, forwarded, read_services

VLLM = {
    "name": "llm",
    "program": "vllm",
    "arguments": ["serve", "{model}", "--host", "{host}", "--port", "{port}", "--max-model-len", 8192],
    "model": "org/model-7b",
}


def read(tmp_path: Path, **more: Any) -> ServiceSpec:
    return read_services([VLLM | more], tmp_path)[0]


def refusal(tmp_path: Path, **more: Any) -> str:
    with pytest.raises(Refused) as caught:
        read(tmp_path, **more)
    return str(caught.value)


def test_the_example_of_vllm_is_taken(tmp_path):
    spec = read(tmp_path)
    assert spec.command[:3] == ["vllm", "serve", "{model}"]
    assert spec.command[-1] == "8192"
    assert spec.keyed
    assert spec.aside.model_dump() == {"name": "llm", "nodes": 1, "hosts": None}


def test_json_among_the_arguments_is_no_placeholder(tmp_path):
    text = '{"temperature": 0.3}'
    assert read(tmp_path, arguments=[*VLLM["arguments"], text]).command[-1] == text


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"arguments": ["{host}", "{port}", "{prot}"]}, "arguments[2] has {prot}, which is none of host, port"),
        ({"arguments": ["serve", "{host}"]}, "{port} stands neither in arguments nor in environment"),
        ({"arguments": ["serve", "--port", "{port}"]}, "{host} stands neither"),
        ({"model": None}, "{model} is to be filled in, but model is not given"),
        ({"nodes": 2, "hosts": "gpu*"}, "nodes and hosts were both given"),
        ({"nodes": 0}, "services[0].nodes"),
        ({"name": "../llm"}, "services[0].name"),
        ({"name": "LLM"}, "services[0].name"),
        ({"health": "health"}, "services[0].health"),
        ({"health": "/x\r\nHost: y"}, "services[0].health"),
        ({"port": 80}, "services[0].port"),
        ({"port": "8000"}, "services[0].port"),
        ({"programm": "x"}, "Did you mean 'program'"),
        ({"environment": {"DIRECTOR_MARK": "x"}}, "DIRECTOR_MARK is set by the run itself"),
        ({"environment": {"A=B": "x"}}, "services[0].environment"),
        ({"forward": ["HF_TOKEN"], "environment": {"HF_TOKEN": "x"}}, "HF_TOKEN is named twice"),
        ({"arguments": ["{host}", "{port}", True]}, "services[0].arguments[2]"),
        ({"arguments": ["{host}", "{port}", "a\x00b"]}, "services[0].arguments[2]"),
        ({"arguments": ["{host}", "{port}", {"path": "missing"}]}, "missing is not there"),
        ({"program": "./serve.py"}, "serve.py is not there"),
        ({"start_timeout_s": 0}, "services[0].start_timeout_s"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(tmp_path, more, said):
    assert said in refusal(tmp_path, **more)


def test_paths_start_from_the_folder_of_the_file(tmp_path):
    (tmp_path / "weights").mkdir()
    (tmp_path / "serve.sh").write_text("")
    spec = read(tmp_path, program="./serve.sh", arguments=["{host}", "{port}", {"path": "weights"}], model=None)
    assert spec.command == [str(tmp_path / "serve.sh"), "{host}", "{port}", str((tmp_path / "weights").resolve())]


def test_two_of_one_name_are_refused(tmp_path):
    with pytest.raises(Refused, match="'llm' is given twice"):
        read_services([VLLM, VLLM], tmp_path)


def test_a_service_without_a_key_says_so(tmp_path):
    assert not read(tmp_path, api_key_variable=None).keyed
    with_file = [*VLLM["arguments"], "--api-key-file", "{api_key_file}"]
    assert read(tmp_path, api_key_variable=None, arguments=with_file).keyed


def test_variables_that_are_forwarded_must_be_set_and_are_in_no_description(tmp_path):
    spec = read(tmp_path, forward=["HF_TOKEN"])
    with pytest.raises(Refused, match="HF_TOKEN is not set"):
        forwarded([spec], {})
    assert forwarded([spec], {"HF_TOKEN": "secret", "OTHER": "x"}) == {"llm": {"HF_TOKEN": "secret"}}
    assert "secret" not in spec.model_dump_json()
