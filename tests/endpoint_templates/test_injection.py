"""Nothing that anybody gives is more than a word: not to YAML, not to Jinja, not to a shell, not to a scheduler."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import endpoint_templates
from endpoint_templates import SetBy, TemplateError
from tests.endpoint_templates.cases import ALL, BY_NAME, HOSTILE, installed, parameters_taking, submitted

COMMAND = Path(sys.executable).with_name("globus-compute-endpoint")
UNCHECKED: dict = {}


def hostile_submissions(template, texts_of_others):
    """Every text in the first option, and some in each of the others."""
    base = submitted(template)
    words = parameters_taking(template, SetBy.SUBMITTER, "str")
    for name in [*words, *parameters_taking(template, SetBy.SUBMITTER, "list"), "directors", "nodes"]:
        for text in HOSTILE.values() if name == words[0] else texts_of_others:
            yield base | {name: [text] if name == "filesystems" else text}


@pytest.mark.parametrize("template", ALL, **BY_NAME)
def test_hostile_submissions_are_refused_at_the_door(template):
    text, schema = template.text(installed(template)), template.schema()
    for options in hostile_submissions(template, HOSTILE.values()):
        with pytest.raises(TemplateError):
            endpoint_templates.render(text, schema, options)


@pytest.mark.parametrize("template", ALL, **BY_NAME)
def test_hostile_submissions_do_no_harm_without_a_schema(template):
    """The template refuses them by itself. Only an empty string passes for a number: the option is left out."""
    text = template.text(installed(template))
    expected = yaml.safe_load(endpoint_templates.render(text, UNCHECKED, submitted(template)))
    some = [HOSTILE[name] for name in ("empty", "script line", "command substitution", "yaml document", "long")]
    for options in hostile_submissions(template, some):
        try:
            document = yaml.safe_load(endpoint_templates.render(text, UNCHECKED, options))
        except TemplateError:
            continue
        assert "" in options.values() or [""] in options.values()
        assert document.keys() == expected.keys()
        assert document["engine"].keys() == expected["engine"].keys()


@settings(max_examples=60)
@given(word=st.text(max_size=80))
def test_any_text_is_refused_or_arrives_as_it_is(word):
    slurm = endpoint_templates.find("slurm")
    options = dict.fromkeys(("account", "queue", "qos", "constraint", "reservation", "run_id"), word)
    try:
        rendered = endpoint_templates.render(slurm.text(installed(slurm)), UNCHECKED, options)
    except TemplateError:
        return
    provider = yaml.safe_load(rendered)["engine"]["provider"]
    assert provider.get("account", "") == word
    assert set(word) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")
    assert [line.split(" ")[0] for line in provider["scheduler_options"].splitlines()] == ["#SBATCH"] * (2 + bool(word))


@pytest.mark.parametrize("template", ALL, **BY_NAME)
def test_hostile_values_of_an_installer_are_refused(template):
    for kind, made in (("str", lambda text: text), ("list", lambda text: [text])):
        for name in parameters_taking(template, SetBy.INSTALLER, kind):
            for text in HOSTILE.values():
                with pytest.raises(TemplateError) as error:
                    template.text(installed(template) | {name: made(text)})
                assert error.value.where == name
    for name in parameters_taking(template, SetBy.SUBMITTER, "str"):
        for text in HOSTILE.values():
            with pytest.raises(TemplateError):
                template.text(installed(template) | {name: text})


@pytest.mark.parametrize("kind", ["venv", "conda"])
def test_paths_that_only_look_odd_are_taken(kind):
    slurm = endpoint_templates.find("slurm")
    for path in ("/a", "/lus/flare/projects/x_y/env-1.2", "/home/u@site/e+v"):
        given = installed(slurm) | {"environment": path, "environment_kind": kind, "run_root": path}
        assert f"DIRECTOR_RUN_ROOT={path}" in slurm.text(given)


# ---- through the endpoint's own command


def command(tmp_path, *, template, schema, options):
    files = {"template.j2": template, "schema.json": json.dumps(schema), "options.json": json.dumps(options)}
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    return subprocess.run(
        [COMMAND, "render-user-config", "-t", "template.j2", "-s", "schema.json", "-o", "options.json"],
        cwd=tmp_path,
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=100,
    )


def test_the_endpoints_own_command_renders_the_same(tmp_path):
    template = endpoint_templates.find("slurm")
    text, schema = template.text(installed(template)), template.schema()
    options = submitted(template) | {"nodes": 2, "run_id": "322c4ce19135"}
    done = command(tmp_path, template=text, schema=schema, options=options)
    assert done.returncode == 0, done.stderr
    assert done.stdout == endpoint_templates.render(text, schema, options) + "\n"


def test_the_endpoints_own_command_takes_a_folder_as_it_is(tmp_path):
    template = endpoint_templates.find("aurora")
    endpoint_templates.configure(template, tmp_path / "ep", installed(template) | {"account": "project"})
    done = subprocess.run(
        [COMMAND, "render-user-config", "-e", "ep", "-o", "-"],
        input='{"nodes": 2, "filesystems": ["home"]}',
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "GLOBUS_COMPUTE_USER_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    provider = yaml.safe_load(done.stdout)["engine"]["provider"]
    assert (provider["account"], provider["nodes_per_block"]) == ("project", 2)
    assert "-l filesystems=home\n" in provider["scheduler_options"]


@pytest.mark.parametrize(
    ("case", "checked"),
    [
        ("script line", True),
        ("long and hostile", True),
        ("line break at the end", True),
        ("command substitution", False),
        ("yaml document", False),
        ("jinja attribute", False),
        ("script line", False),
    ],
)
def test_the_endpoints_own_command_refuses_what_is_hostile(tmp_path, case, checked):
    template = endpoint_templates.find("slurm")
    schema = template.schema() if checked else UNCHECKED
    options = {"account": HOSTILE[case], "reservation": "x"}
    done = command(tmp_path, template=template.text(installed(template)), schema=schema, options=options)
    assert done.returncode != 0
    assert done.stdout == ""
    assert not list(tmp_path.rglob("injected"))
