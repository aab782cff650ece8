"""Endpoint folders: complete for the endpoint, closed to others, never overwritten by accident, and readable again."""

from __future__ import annotations

import json
import platform
from importlib.metadata import version

import pytest
import yaml
from globus_compute_endpoint.endpoint.config import CoreEndpointConfig
from globus_compute_endpoint.endpoint.config.utils import get_config, load_user_config_schema, load_user_config_template
from globus_compute_endpoint.endpoint.endpoint import Endpoint

import endpoint_templates
from endpoint_templates import TemplateError
from tests.endpoint_templates.cases import ALL, BY_NAME, ENVIRONMENT, HOSTILE, installed, submitted

SLURM = endpoint_templates.find("slurm")


@pytest.mark.parametrize("template", ALL, **BY_NAME)
def test_it_is_what_the_endpoint_itself_would_write_and_read(template, tmp_path):
    Endpoint.configure_endpoint(tmp_path / "theirs")
    files = endpoint_templates.configure(template, tmp_path / "ours", installed(template))
    assert {path.name for path in (tmp_path / "theirs").iterdir()} | {"md-director.json"} == {f.name for f in files}
    assert sorted(files) == sorted((tmp_path / "ours").iterdir())
    config = get_config(tmp_path / "ours")
    assert isinstance(config, CoreEndpointConfig)
    assert config.display_name == "ours"
    assert not config.local_compute_services
    text = load_user_config_template(Endpoint.user_config_template_path(tmp_path / "ours", config))
    schema = load_user_config_schema(Endpoint.user_config_schema_path(tmp_path / "ours", config))
    assert endpoint_templates.load(endpoint_templates.render(text, schema, submitted(template))).engine
    Endpoint.validate_endpoint_name("ours")


def test_nobody_else_can_read_it(tmp_path):
    (tmp_path / "there").mkdir(mode=0o755)
    for name in ("new", "there"):
        files = endpoint_templates.configure(SLURM, tmp_path / name, installed(SLURM), force=name == "there")
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o700
        assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


def test_a_folder_that_is_there_is_left_alone_without_force(tmp_path):
    folder = tmp_path / "ep"
    folder.mkdir()
    (folder / "config.yaml").write_text("mine")
    (folder / "endpoint.json").write_text("registered")
    with pytest.raises(TemplateError, match="is already there") as error:
        endpoint_templates.configure(SLURM, folder, installed(SLURM))
    assert "--force" in error.value.hint
    assert {path.name: path.read_text() for path in folder.iterdir()} == {
        "config.yaml": "mine",
        "endpoint.json": "registered",
    }
    endpoint_templates.configure(SLURM, folder, installed(SLURM), force=True)
    assert "mine" not in (folder / "config.yaml").read_text()
    assert (folder / "endpoint.json").read_text() == "registered"
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


def test_nothing_is_written_when_something_is_refused(tmp_path):
    for given in ({}, {"environment": ENVIRONMENT}, installed(SLURM) | {"account": "a;b"}, installed(SLURM) | {"x": 1}):
        with pytest.raises(TemplateError):
            endpoint_templates.configure(SLURM, tmp_path / "ep", given)
    for name in ("a b", ".hidden", "a'b", "-x", "x" * 129, "a$b", "wört"):
        with pytest.raises(TemplateError, match="name"):
            endpoint_templates.configure(SLURM, tmp_path / name, installed(SLURM))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", [text for name, text in HOSTILE.items() if name not in ("empty",)])
def test_a_display_name_is_refused_or_arrives_as_it_is(tmp_path, text):
    if len(text) > 128 or not text.isascii() or not text.isprintable():
        with pytest.raises(TemplateError, match="display_name: must be"):
            endpoint_templates.configure(SLURM, tmp_path / "ep", installed(SLURM), display_name=text)
    else:
        endpoint_templates.configure(SLURM, tmp_path / "ep", installed(SLURM), display_name=text)
        assert get_config(tmp_path / "ep").display_name == text


def test_services_of_this_machine_are_for_tests(tmp_path):
    endpoint_templates.configure(SLURM, tmp_path / "ep", installed(SLURM), local_services=True, display_name="A test")
    config = get_config(tmp_path / "ep")
    assert config.local_compute_services
    assert config.display_name == "A test"


def test_the_endpoints_processes_find_what_they_start(tmp_path):
    path = f"relative::/opt/pbs/bin:{ENVIRONMENT}/bin:/usr/bin:/opt/pbs/bin"
    endpoint_templates.configure(SLURM, tmp_path / "ep", installed(SLURM), search_path=path)
    environment = yaml.safe_load((tmp_path / "ep" / "user_environment.yaml").read_text())
    assert environment == {"PATH": f"{ENVIRONMENT}/bin:/opt/pbs/bin:/usr/bin"}


def test_it_is_read_as_it_was_written(tmp_path):
    given = installed(SLURM) | {"account": "project", "modules": ["a", "b/1"], "nodes": 4}
    endpoint_templates.configure(SLURM, tmp_path / "ep", given)
    found = endpoint_templates.read_folder(tmp_path / "ep")
    assert (found.name, found.template, found.given) == ("ep", "slurm", given)
    assert found.text == SLURM.text(given)
    assert found.schema == SLURM.schema(given)
    assert found.schema["properties"]["account"]["default"] == "project"
    assert found.versions["python"] == platform.python_version()
    for package in ("globus-compute-sdk", "globus-compute-endpoint", "dill", "parsl", "md-director"):
        assert found.versions[package] == version(package)
    options = {"walltime_s": 600}
    provider = endpoint_templates.load(endpoint_templates.render(found.text, found.schema, options)).engine.provider
    assert (provider.account, provider.nodes_per_block, provider.walltime) == ("project", 4, "00:10:00")


def test_what_is_no_such_folder_is_refused_with_the_file(tmp_path):
    endpoint_templates.configure(SLURM, tmp_path / "ep", installed(SLURM))
    record = tmp_path / "ep" / "md-director.json"
    whole = json.loads(record.read_text())
    for content in ("{", "[]", json.dumps(whole | {"format": 2}), json.dumps({"format": 1})):
        record.write_text(content)
        with pytest.raises(TemplateError, match="ep"):
            endpoint_templates.read_folder(tmp_path / "ep")
    record.unlink()
    with pytest.raises(TemplateError, match=r"md-director\.json: cannot be read"):
        endpoint_templates.read_folder(tmp_path / "ep")
