"""What the md tool takes, and that it refuses the rest with words that help."""

import json
import subprocess
import sys

import pytest
from pydantic import ValidationError

from simulations.md import TOOL, MdRequest
from simulations.md.timestep import timestep_advice
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
        ("ensemble", "NPH"),
        ("sequence", "GYX"),
        ("sequence", "gly"),
        ("sequence", ""),
        ("sequence", "G" * 501),
        ("water_box_nm", 0.0),
        ("water_box_nm", 31.0),
        ("repair", "all"),
        ("ph", -0.1),
        ("ph", 14.1),
        ("hydrogen_mass_da", 0.9),
        ("hydrogen_mass_da", 4.1),
        ("restraint", "all"),
        ("restraint_kj_mol_nm2", 0.0),
        ("stages", {"kind": "heat"}),
        ("restart", ""),
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
        ("constraints", "all"),
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


HEAT = {"kind": "heat", "steps": 100, "from_temperature_k": 10.0}
RELAX = {"kind": "equilibrate", "steps": 100}


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({}, ["exactly one of structure, sequence and water_box_nm", "none is given"]),
        ({"structure": "ala10", "sequence": "GA"}, ["structure and sequence are given"]),
        ({"sequence": "GA", "water_box_nm": 3.0}, ["sequence and water_box_nm are given"]),
        ({"sequence": "GA", "repair": "hydrogens"}, ["repair has no meaning with sequence", "structure"]),
        ({"sequence": "GA", "heterogens": "remove"}, ["heterogens has no meaning with sequence"]),
        ({"structure": "ala10", "conformation": "helix"}, ["conformation has no meaning with structure"]),
        ({"structure": "ala10", "n_terminus": "ACE"}, ["n_terminus has no meaning with structure"]),
        ({"structure": "ala10", "ph": 7.4}, ["ph has no meaning", "set repair"]),
        ({"structure": "a.pdb", "missing_residues": "loops"}, ["needs repair missing_atoms, not none"]),
        ({"structure": "a.pdb", "nonstandard": "replace", "repair": "hydrogens"}, ["missing_atoms, not hydrogens"]),
        ({"sequence": "GA", "force_field": "charmm36_2024", "c_terminus": "NME"}, ["charmm36_2024", "ACE and NME"]),
        ({"sequence": "G"}, ["single amino acid with two free ends", "n_terminus ACE"]),
        ({"water_box_nm": 3.0}, ["water_box_nm needs solvent explicit", "implicit"]),
        ({"water_box_nm": 3.0, "solvent": "explicit", "padding_nm": 1.0}, ["padding_nm", "edge of the box"]),
        ({"water_box_nm": 3.0, "solvent": "explicit", "restraint": "heavy"}, ["restraint", "no solute"]),
        ({"sequence": "GA", "solvent": "vacuum", "implicit_model": "gbn2"}, ["implicit_model", "vacuum"]),
        ({"sequence": "GA", "water_model": "opc"}, ["water_model needs solvent explicit"]),
        ({"sequence": "GA", "cation": "K+"}, ["cation needs solvent explicit"]),
        (
            {"sequence": "GA", "solvent": "explicit", "water_model": "tip4p2005"},
            ["amber14 does not go with water_model tip4p2005", "tip3pfb"],
        ),
        ({"sequence": "GA", "ensemble": "NVE", "friction_per_ps": 1.0}, ["friction_per_ps", "NVE", "no thermostat"]),
        ({"sequence": "GA", "ensemble": "NVE", "pressure_bar": 1.0}, ["pressure_bar", "NVE"]),
        ({"sequence": "GA", "restraint_kj_mol_nm2": 10.0}, ["restraint_kj_mol_nm2", "restraint none"]),
        ({"sequence": "GA", "restart": "a.xml", "minimize": True}, ["minimize has no meaning with restart"]),
        ({"sequence": "GA", "stages": [{"kind": "heat", "steps": 9}]}, ["heat needs from_temperature_k"]),
        ({"sequence": "GA", "stages": [{**HEAT, "ensemble": "NPT"}]}, ["heat is NVT"]),
        ({"sequence": "GA", "stages": [{**RELAX, "from_temperature_k": 9.0}]}, ["from_temperature_k has no meaning"]),
        ({"sequence": "GA", "stages": [{**RELAX, "restraint_kj_mol_nm2": 9.0}]}, ["restraint_kj_mol_nm2"]),
        ({"sequence": "GA", "stages": [{**RELAX, "ensemble": "NPT"}]}, ["NPT needs solvent explicit"]),
        ({"sequence": "GA", "stages": [RELAX] * 21}, ["stages", "20"]),
    ],
)
def test_what_contradicts_itself_is_refused_with_a_remedy(inputs, words):
    with pytest.raises(ValidationError) as caught:
        MdRequest(steps=1, **inputs)
    for word in words:
        assert word in str(caught.value)


def test_defaults_that_depend_on_other_inputs_are_shown():
    assert MdRequest(sequence="GA", steps=1).ph == 7.0
    assert MdRequest(structure="a.pdb", repair="hydrogens", steps=1).ph == 7.0
    assert MdRequest(**MINIMAL).ph is None
    assert MdRequest(**MINIMAL, ensemble="NVE").friction_per_ps is None
    assert MdRequest(**MINIMAL, ensemble="NVE", stages=[HEAT]).friction_per_ps == 1.0
    assert MdRequest(**MINIMAL, restraint="calpha").restraint_kj_mol_nm2 == 1000.0
    assert MdRequest(**MINIMAL, stages=[{**RELAX, "restraint": "heavy"}]).stages[0].restraint_kj_mol_nm2 == 1000.0
    assert MdRequest(**MINIMAL, restart="a.xml").minimize is False
    npt = MdRequest(**MINIMAL, solvent="explicit", stages=[{**RELAX, "ensemble": "NPT"}])
    assert (npt.ensemble, npt.pressure_bar) == ("NVT", 1.0)


def test_the_amount_of_work_counts_the_stages():
    assert TOOL.amount(MdRequest(**MINIMAL, stages=[HEAT, RELAX])) == pytest.approx(210 * 2e-6)


def test_a_single_amino_acid_is_taken_where_it_has_parameters():
    assert MdRequest(sequence="G", steps=1, n_terminus="ACE").n_terminus == "ACE"
    assert MdRequest(sequence="G", steps=1, force_field="charmm36").sequence == "G"


def test_a_rehearsal_has_no_stages():
    assert TOOL.rehearsal(MdRequest(**MINIMAL, stages=[HEAT])).stages == ()


def test_the_time_that_a_request_takes_is_learned_by_what_decides_it():
    requests = [
        {"sequence": "GA"},
        {"sequence": "GG"},
        {"sequence": "GA", "conformation": "helix"},
        {"sequence": "GA", "implicit_model": "gbn2"},
        {"sequence": "GA", "solvent": "explicit"},
        {"sequence": "GA", "solvent": "explicit", "water_model": "opc"},
        {"water_box_nm": 3.0, "solvent": "explicit"},
    ]
    assert len({TOOL.size(MdRequest(steps=1, **inputs)) for inputs in requests}) == len(requests)


@pytest.mark.parametrize(
    ("constraints", "mass", "usual"),
    [("none", None, 1.0), ("none", 3.0, 1.0), ("hbonds", None, 2.0), ("allbonds", 2.0, 2.0), ("hbonds", 3.0, 4.0)],
)
def test_a_timestep_longer_than_usual_is_remarked_on(constraints, mass, usual):
    inputs = {**MINIMAL, "constraints": constraints, "hydrogen_mass_da": mass}
    assert timestep_advice(MdRequest(**inputs, timestep_fs=usual)) is None
    assert f"longer than {usual:g}" in timestep_advice(MdRequest(**inputs, timestep_fs=usual + 0.1))


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
    stages = [HEAT, {**RELAX, "restraint": "backbone"}]
    request = MdRequest(**MINIMAL, solvent="explicit", ensemble="NPT", padding_nm=0.8, stages=stages, restart="a.xml")
    assert MdRequest.model_validate(json.loads(request.model_dump_json())) == request


def test_every_field_says_what_it_means():
    for side in ("request", "result"):
        for name, field in TOOL.schema()[side]["properties"].items():
            assert len(field.get("description", "")) > 10, f"{side}.{name} has no description"


def test_the_tool_is_installed_and_names_its_file_input():
    assert find_tools()["md"] is TOOL
    assert TOOL.file_inputs == {"structure": ["alanine-dipeptide", "ala10", "chignolin"], "restart": []}


def test_importing_the_tool_does_not_load_openmm_or_numpy():
    code = "import sys, simulations.md; print([m for m in ('openmm', 'numpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
