"""What the md tool takes, and that it refuses the rest with words that help."""

import json
import subprocess
import sys

import pytest
from pydantic import ValidationError

from simulations.md import TOOL, MdRequest
from simulations.tool import find_tools

MINIMAL = {"structure": "ala10", "steps": 10}


def test_defaults_are_what_a_chemist_would_accept():
    request = MdRequest(**MINIMAL)
    assert (request.force_field, request.solvent, request.ensemble) == ("amber14", "implicit", "NVT")
    assert (request.temperature_k, request.timestep_fs, request.friction_per_ps) == (300.0, 2.0, 1.0)
    assert (request.constraints, request.minimize, request.platform) == ("hbonds", True, "auto")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("steps", 0),
        ("steps", 10**12 + 1),
        ("steps", True),
        ("steps", "10"),
        ("steps", 10.5),
        ("structure", ""),
        ("structure", 3),
        ("force_field", "gaff"),
        ("solvent", "water"),
        ("ensemble", "NVE"),
        ("temperature_k", 0),
        ("temperature_k", -300.0),
        ("temperature_k", 2001),
        ("temperature_k", float("nan")),
        ("temperature_k", float("inf")),
        ("temperature_k", True),
        ("timestep_fs", 0.0),
        ("timestep_fs", 5.1),
        ("timestep_fs", float("nan")),
        ("friction_per_ps", 0.0),
        ("constraints", "allbonds"),
        ("minimize", 1),
        ("minimize_max_iterations", 0),
        ("seed", 0),
        ("seed", 2**31),
        ("report_interval_steps", 0),
        ("checkpoint_interval_s", 0.0),
        ("platform", "cuda"),
        ("padding_nm", 0.0),
        ("temperature", 300),
    ],
)
def test_a_bad_value_is_refused_and_its_field_named(field, value):
    with pytest.raises(ValidationError) as caught:
        MdRequest(**{**MINIMAL, field: value})
    assert [error["loc"] for error in caught.value.errors()] == [(field,)]


@pytest.mark.parametrize("missing", ["structure", "steps"])
def test_structure_and_steps_have_no_default(missing):
    with pytest.raises(ValidationError, match=missing):
        MdRequest(**{key: value for key, value in MINIMAL.items() if key != missing})


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"padding_nm": 1.0}, ["padding_nm", "implicit", "leave it out"]),
        ({"ionic_strength_m": 0.1, "solvent": "vacuum"}, ["ionic_strength_m", "vacuum"]),
        ({"ensemble": "NPT"}, ["ensemble NPT", "solvent explicit"]),
        ({"pressure_bar": 1.0}, ["pressure_bar", "NVT", "use NPT"]),
        ({"force_field": "charmm36"}, ["force_field charmm36", "ACE", "chignolin"]),
    ],
)
def test_fields_that_do_not_go_together_are_refused_with_a_remedy(inputs, words):
    with pytest.raises(ValidationError) as caught:
        MdRequest(**MINIMAL, **inputs)
    for word in words:
        assert word in str(caught.value)


def test_npt_without_a_pressure_shows_the_one_it_takes():
    request = MdRequest(**MINIMAL, solvent="explicit", ensemble="NPT")
    assert request.model_dump()["pressure_bar"] == 1.0


def test_a_request_survives_json_unchanged():
    request = MdRequest(**MINIMAL, solvent="explicit", ensemble="NPT", padding_nm=0.8)
    assert MdRequest.model_validate(json.loads(request.model_dump_json())) == request


def test_every_field_says_what_it_means():
    for side in ("request", "result"):
        for name, field in TOOL.schema()[side]["properties"].items():
            assert len(field.get("description", "")) > 10, f"{side}.{name} has no description"


def test_the_tool_is_installed_and_names_its_file_input():
    assert find_tools()["md"] is TOOL
    assert TOOL.file_inputs == {"structure": ["alanine-dipeptide", "ala10", "chignolin"]}


def test_importing_the_tool_does_not_load_openmm_or_numpy():
    code = "import sys, simulations.md; print([m for m in ('openmm', 'numpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
