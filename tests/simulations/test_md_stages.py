"""Stages before production, chains of runs, ensembles and restraints: what the dynamics of md are made of."""

import json

import mdtraj
import numpy as np
import openmm as mm
import pytest
from openmm import unit

from simulations.cache import BuildCache
from simulations.errors import Paused, ToolError
from simulations.md import TOOL, MdRequest
from simulations.md.analysis import degrees_of_freedom
from simulations.md.platforms import PlatformChoice
from simulations.md.restart import Restart
from simulations.md.restraints import restraint_force
from simulations.md.saved import INDIFFERENT, identity
from simulations.md.segments import segments
from simulations.md.start import SYSTEM_INPUTS, find_start, start_key, system_key
from simulations.md.structure import source_of
from simulations.md.system import prepare
from simulations.workspace import Resources, Workspace
from tests.simulations.test_md_run import Ticking

HEAT = {"kind": "heat", "steps": 50, "from_temperature_k": 20.0}
RELAX = {"kind": "equilibrate", "steps": 40, "restraint": "heavy", "temperature_k": 310.0}
STEPS = 60
STAGED = {"stages": [HEAT, RELAX], "steps": STEPS, "report_interval_steps": 20}
PLATFORM = PlatformChoice("Reference")


@pytest.fixture(scope="module")
def cache():
    return BuildCache()


def attempt(tmp_path, cache, name="work", epoch=1, **more):
    return Workspace(tmp_path / name, tmp_path, Resources("host", "host/0"), cache=cache, epoch=epoch, **more)


def run(workspace, **inputs):
    request = {"structure": "alanine-dipeptide", "platform": "Reference", **inputs}
    return TOOL.run(MdRequest(**{"steps": 20, "minimize_max_iterations": 20, **request}), workspace)


def path(workspace, name):
    return workspace.run_folder / workspace.artifacts[name]


def pause_at(workspace, step):
    """Asks for a pause when so many steps are done, stages included."""
    progress = workspace.progress

    def watched(report, amount=None):
        progress(report, amount)
        if amount > (step - 0.5) * 2e-6 and not workspace.flag():
            workspace.path(f"stop.{workspace.epoch}").write_text("pause")

    workspace.progress = watched


def folder_content(folder):
    names = ("trajectory.dcd", "checkpoint.chk", "final_state.xml")
    rows = [line.rsplit(",", 1)[0] for line in (folder / "state.csv").read_text().splitlines()]  # less ns_per_day
    return [(folder / name).read_bytes() for name in names] + [rows]


# ---- Stages


@pytest.fixture(scope="module")
def whole(tmp_path_factory, cache):
    folder = tmp_path_factory.mktemp("whole")
    return folder / "work", run(attempt(folder, cache), **STAGED)


def test_stages_leave_no_frames_and_say_how_they_ended(whole):
    folder, result = whole
    assert (result.n_frames, result.steps, result.simulated_ns) == (3, STEPS, pytest.approx(STEPS * 2e-6))
    assert [(stage.kind, stage.steps) for stage in result.stages] == [("heat", 50), ("equilibrate", 40)]
    assert all(np.isfinite(stage.potential_energy_kj_mol) for stage in result.stages)
    assert result.wall_s.stages > 0
    times = [float(line.split(",")[1]) for line in (folder / "state.csv").read_text().splitlines()[1:]]
    assert times == pytest.approx([0.04, 0.08, 0.12])  # production begins at zero


@pytest.mark.parametrize("pauses", [[15], [0, 49, 50, 51], [70, 89, 90], [20, 60, 120]])
def test_a_run_that_pauses_in_its_stages_is_byte_by_byte_that_which_did_not(tmp_path, cache, whole, pauses):
    for epoch, step in enumerate([*pauses, 10**9], 1):
        workspace = attempt(tmp_path, cache, epoch=epoch, clock=Ticking())
        pause_at(workspace, step)
        if step < 10**9:
            with pytest.raises(Paused):
                run(workspace, **STAGED)
        else:
            result = run(workspace, **STAGED)
    assert (result.resumed, result.exact) == (len(pauses), True)
    assert folder_content(tmp_path / "work") == folder_content(whole[0])
    assert result.stages == whole[1].stages
    assert workspace.course.amount == pytest.approx(150 * 2e-6)
    assert workspace.notes == []


def test_going_on_in_a_stage_on_another_platform_says_so_and_repeats_no_random_numbers(tmp_path, cache):
    workspace = attempt(tmp_path, cache, clock=Ticking())
    pause_at(workspace, 30)
    with pytest.raises(Paused):
        run(workspace, **STAGED)
    again = attempt(tmp_path, cache, epoch=2)
    result = run(again, **{**STAGED, "platform": "CPU"})
    assert (result.resumed, result.exact, result.n_frames) == (1, False, 3)
    assert "random numbers were not" in again.notes[0]


def test_heating_reaches_its_temperature_in_equal_levels():
    heat, production = segments(MdRequest(structure="ala10", steps=10, stages=[{**HEAT, "steps": 1000}]))
    temperatures = [heat.temperature_at(step) for step in range(1000)]
    assert temperatures[0] == pytest.approx(22.8)
    assert temperatures[-1] == 300.0
    assert sorted(set(np.round(np.diff(temperatures), 9))) == [0.0, 2.8]
    ends, step = [], 0
    while step < 1000:
        step = heat.level_end(step)
        ends.append(step)
    assert ends == list(range(10, 1001, 10))
    assert (production.level_end(3), production.temperature_at(3), production.before) == (10, 300.0, 1000)


def test_heating_slowly_leaves_a_system_that_is_as_warm_as_asked(tmp_path, cache):
    stages = [{"kind": "heat", "steps": 600, "from_temperature_k": 0.0, "temperature_k": 500.0}]
    result = run(attempt(tmp_path, cache), stages=stages, friction_per_ps=50.0, temperature_k=500.0, steps=300,
                 report_interval_steps=10)  # fmt: skip
    assert result.temperature_k.mean == pytest.approx(500, abs=100)


def test_a_stage_that_blows_up_is_named(tmp_path, cache):
    hot = {"kind": "equilibrate", "steps": 400, "temperature_k": 2000.0}
    stages = [{"kind": "heat", "steps": 1, "from_temperature_k": 0.0, "temperature_k": 1.0}, hot]
    with pytest.raises(ToolError) as caught:
        run(attempt(tmp_path, cache), stages=stages, timestep_fs=5.0, constraints="none", friction_per_ps=1000.0)
    assert caught.value.kind == "SimulationDiverged"
    assert caught.value.message.startswith("stage 2 (equilibrate): ")
    assert caught.value.details["stage"] == 2


# ---- Chains of runs


def test_a_chain_of_two_runs_is_one_long_run(tmp_path, cache):
    """Without a thermostat the second goes on where the first ended, to the last digits."""
    inputs = {"ensemble": "NVE", "timestep_fs": 1.0}
    long, first, second = (attempt(tmp_path, cache, name) for name in ("long", "first", "second"))
    run(long, steps=60, report_interval_steps=30, **inputs)
    run(first, steps=30, **inputs)
    second.inputs = {"restart": path(first, "final_state")}
    result = run(second, steps=30, restart="first/final_state.xml", **inputs)
    assert (result.restarted, result.minimized, result.n_frames) == (True, False, 1)
    ours, theirs = (mm.XmlSerializer.deserialize(path(w, "final_state").read_text()) for w in (second, long))
    assert ours.getPositions(asNumpy=True)._value == pytest.approx(theirs.getPositions(asNumpy=True)._value, abs=1e-9)
    assert ours.getVelocities(asNumpy=True)._value == pytest.approx(theirs.getVelocities(asNumpy=True)._value, abs=1e-6)
    top = path(second, "topology")  # its start is the end of the first
    assert mdtraj.load(top).xyz == pytest.approx(mdtraj.load(path(first, "final_structure")).xyz, abs=1e-4)


def test_a_restarted_run_that_was_interrupted_is_that_which_was_not(tmp_path, cache):
    first = attempt(tmp_path, cache, "first")
    run(first)
    inputs = {"restart": path(first, "final_state")}
    run(attempt(tmp_path, cache, "whole", inputs=inputs), restart="x", steps=40)
    workspace = attempt(tmp_path, cache, inputs=inputs, clock=Ticking())
    pause_at(workspace, 15)
    with pytest.raises(Paused):
        run(workspace, restart="x", steps=40)
    assert run(attempt(tmp_path, cache, epoch=2, inputs=inputs), restart="x", steps=40).restarted
    assert folder_content(tmp_path / "work") == folder_content(tmp_path / "whole")


def test_a_box_is_taken_over(tmp_path, cache):
    inputs = {"structure": None, "water_box_nm": 2.2, "solvent": "explicit", "steps": 2, "platform": "CPU"}
    first, second = attempt(tmp_path, cache, "first"), attempt(tmp_path, cache, "second")
    run(first, **inputs, minimize_max_iterations=5)
    text = path(first, "final_state").read_text()
    (tmp_path / "wider.xml").write_text(text.replace('<A x="2.2"', '<A x="2.25"'))
    second.inputs = {"restart": tmp_path / "wider.xml"}
    run(second, **inputs, restart="wider.xml")
    lengths = mdtraj.load(path(second, "trajectory"), top=path(second, "topology")).unitcell_lengths
    assert lengths[0] == pytest.approx([2.25, 2.2, 2.2], abs=1e-5)
    assert mdtraj.load(path(second, "topology")).unitcell_lengths[0] == pytest.approx([2.25, 2.2, 2.2], abs=1e-3)


def test_a_state_of_other_atoms_is_refused_with_the_difference(tmp_path, cache):
    first = attempt(tmp_path, cache, "first")
    run(first, steps=1)
    other = attempt(tmp_path, cache, inputs={"restart": path(first, "final_state")})
    with pytest.raises(ToolError) as caught:
        run(other, structure=None, sequence="GA", n_terminus="ACE", c_terminus="NME", restart="x")
    assert caught.value.kind == "BadRestart"
    assert "residue 2 is 'ALA: N " in caught.value.message
    assert "'GLY: N " in caught.value.message
    longer = attempt(tmp_path, cache, "longer", inputs={"restart": path(first, "final_state")})
    with pytest.raises(ToolError, match=r"residue 3 is 'NME: .* 'ALA: "):
        run(longer, structure="ala10", restart="x")


def test_any_openmm_state_will_do_but_its_names_cannot_be_checked(tmp_path, cache):
    first = attempt(tmp_path, cache, "first")
    run(first, steps=1)
    head, _, tail = path(first, "final_state").read_text().partition("<Atoms>")
    (tmp_path / "plain.xml").write_text(head + tail.partition("</Atoms>")[2])
    second = attempt(tmp_path, cache, inputs={"restart": tmp_path / "plain.xml"})
    result = run(second, restart="plain.xml", timestep_fs=2.5)
    assert result.restarted
    assert "timestep_fs 2.5 is longer than 2" in result.remarks[0]
    assert "only their number" in result.remarks[1]
    third = attempt(tmp_path, cache, "third", inputs={"restart": tmp_path / "plain.xml"})
    with pytest.raises(ToolError, match="22 particles; the inputs describe 112"):
        run(third, structure="ala10", restart="plain.xml")


@pytest.mark.parametrize("content", [b"", b"hello", b"\xff\xfe", b"<State/>", b'<?xml version="1.0" ?><System/>'])
def test_what_is_no_state_is_refused(tmp_path, cache, content):
    (tmp_path / "bad.xml").write_bytes(content)
    with pytest.raises(ToolError) as caught:
        run(attempt(tmp_path, cache, inputs={"restart": tmp_path / "bad.xml"}), restart="bad.xml")
    assert caught.value.kind == "BadRestart"
    assert "final_state" in caught.value.hint


# ---- Ensembles, masses, restraints


def test_nve_conserves_energy_where_a_thermostat_does_not(tmp_path, cache):
    def spread(ensemble):
        result = run(attempt(tmp_path, cache, ensemble), ensemble=ensemble, timestep_fs=0.5, steps=200,
                     report_interval_steps=20)  # fmt: skip
        return result.total_energy_kj_mol.std

    assert spread("NVE") < 0.5 < spread("NVT")


def test_what_holds_atoms_or_has_no_thermostat_goes_on_exactly_too(tmp_path, cache):
    inputs = {"ensemble": "NVE", "restraint": "heavy", "hydrogen_mass_da": 3.0, "constraints": "allbonds", "steps": 40}
    run(attempt(tmp_path, cache, "whole"), **inputs)
    workspace = attempt(tmp_path, cache, clock=Ticking())
    pause_at(workspace, 15)
    with pytest.raises(Paused):
        run(workspace, **inputs)
    assert run(attempt(tmp_path, cache, epoch=2), **inputs).exact
    assert folder_content(tmp_path / "work") == folder_content(tmp_path / "whole")


def prepared(cache, **inputs):
    request = MdRequest(**{"structure": "alanine-dipeptide", "steps": 1, **inputs})
    return prepare(request, source_of(request, {}), cache)


def test_hydrogens_get_their_mass_from_what_they_are_bonded_to(cache):
    plain, heavy = prepared(cache), prepared(cache, hydrogen_mass_da=3.0)
    assert heavy.mass_da == pytest.approx(plain.mass_da)
    for atom in heavy.topology.atoms():
        if atom.element.symbol == "H":
            assert heavy.system.getParticleMass(atom.index)._value == pytest.approx(3.0)
    water = prepared(cache, structure=None, water_box_nm=2.1, solvent="explicit", hydrogen_mass_da=3.0)
    masses = {round(water.system.getParticleMass(i)._value, 3) for i in range(water.n_atoms)}
    assert masses == {15.999, 1.008}


def test_constraints_are_those_that_were_asked_for(cache):
    counts = [prepared(cache, constraints=name).system.getNumConstraints() for name in ("none", "hbonds", "allbonds")]
    assert counts == [0, 12, 21]
    assert prepared(cache, constraints="hangles").system.getNumConstraints() > 21


def moved(workspace, names):
    frames = mdtraj.load(path(workspace, "trajectory"), top=path(workspace, "topology"))
    start = mdtraj.load(path(workspace, "topology"))
    kept = [atom.index for atom in start.topology.atoms if atom.name in names and atom.residue.name == "ALA"]
    return float(np.linalg.norm(frames.xyz[:, kept] - start.xyz[:, kept], axis=2).max())


def test_restrained_atoms_stay_and_the_others_do_not(tmp_path, cache):
    workspace = attempt(tmp_path, cache)
    inputs = {"steps": 300, "report_interval_steps": 30, "temperature_k": 600.0, "friction_per_ps": 20.0}
    run(workspace, restraint="backbone", restraint_kj_mol_nm2=1e6, timestep_fs=0.5, **inputs)
    assert moved(workspace, {"N", "CA", "C", "O"}) < 0.02
    assert moved(workspace, {"HB1", "HB2", "HB3"}) > 0.02


def test_the_energy_of_a_restraint_is_k_half_times_the_square_of_the_distance(cache, tmp_path):
    request = MdRequest(structure="alanine-dipeptide", steps=1, minimize=False)
    start, _ = find_start(request, source_of(request, {}), None, PLATFORM, attempt(tmp_path, cache))
    system = mm.System()
    for _ in range(22):
        system.addParticle(1.0)
    system.addForce(restraint_force(start, "heavy", 200.0))
    context = mm.Context(system, mm.VerletIntegrator(0.001), mm.Platform.getPlatformByName("Reference"))
    context.setPositions(start.positions + np.array([0.3, 0.0, 0.4]))
    energy = context.getState(energy=True).getPotentialEnergy().value_in_unit(unit.kilojoules_per_mole)
    assert energy == pytest.approx(10 * 0.5 * 200.0 * 0.25)  # ten heavy atoms
    assert degrees_of_freedom(system) == 66


def test_a_restraint_that_holds_nothing_is_refused(tmp_path, cache):
    water = tmp_path / "ion.pdb"
    water.write_text("HETATM    1 NA    NA A   1       0.000   0.000   0.000  1.00  0.00          NA\nEND\n")
    inputs = {"structure": "ion.pdb", "solvent": "explicit", "padding_nm": 1.1, "restraint": "heavy"}
    with pytest.raises(ToolError, match="restraint heavy holds nothing"):
        run(attempt(tmp_path, cache, inputs={"structure": water}), **inputs, steps=1, platform="CPU", minimize=False)


def test_a_box_of_water_has_water_and_the_salt_that_was_asked_for(cache):
    pure = prepared(cache, structure=None, water_box_nm=2.1, solvent="explicit")
    assert {residue.name for residue in pure.topology.residues()} == {"HOH"}
    assert (pure.box_origin, len(pure.solute)) == ("built", 0)
    assert pure.mass_da / 2.1**3 * 1.66054e-3 == pytest.approx(1.0, abs=0.08)
    salted = prepared(
        cache,
        structure=None,
        water_box_nm=2.1,
        solvent="explicit",
        ionic_strength_m=1.0,
        cation="K+",
        water_model="opc",
    )
    names = [residue.name for residue in salted.topology.residues()]
    assert names.count("K") == names.count("CL") > 0
    assert salted.n_atoms == 4 * names.count("HOH") + 2 * names.count("K")
    with pytest.raises(ToolError) as caught:
        prepared(cache, structure=None, water_box_nm=1.9, solvent="explicit", ensemble="NPT")
    assert "water_box_nm to 2.1" in caught.value.hint


# ---- What decides what is kept for the next request

CHANGED = {
    "structure": {"structure": "chignolin"},
    "sequence": {"structure": None, "sequence": "GA"},
    "conformation": {"structure": None, "sequence": "GA", "conformation": "helix"},
    "n_terminus": {"structure": None, "sequence": "GA", "n_terminus": "ACE"},
    "c_terminus": {"structure": None, "sequence": "GA", "c_terminus": "NME"},
    "water_box_nm": {"structure": None, "water_box_nm": 3.0},
    "repair": {"repair": "hydrogens"},
    "ph": {"repair": "hydrogens", "ph": 4.0},
    "missing_residues": {"repair": "missing_atoms", "missing_residues": "loops"},
    "nonstandard": {"repair": "missing_atoms", "nonstandard": "replace"},
    "heterogens": {"heterogens": "remove"},
    "force_field": {"force_field": "amber19"},
    "solvent": {"solvent": "vacuum", "water_model": None, "padding_nm": None},
    "implicit_model": {"solvent": "implicit", "implicit_model": "gbn2", "padding_nm": None},
    "water_model": {"water_model": "spce"},
    "padding_nm": {"padding_nm": 1.2},
    "ionic_strength_m": {"ionic_strength_m": 0.1},
    "cation": {"cation": "K+"},
    "constraints": {"constraints": "none"},
    "hydrogen_mass_da": {"hydrogen_mass_da": 3.0},
    "minimize": {"minimize": False},
    "minimize_max_iterations": {"minimize_max_iterations": 7},
    "restart": {"restart": "a.xml"},
    "steps": {"steps": 2},
    "stages": {"stages": [HEAT]},
    "ensemble": {"ensemble": "NVE"},
    "pressure_bar": {"ensemble": "NPT", "pressure_bar": 2.0},
    "temperature_k": {"temperature_k": 310.0},
    "timestep_fs": {"timestep_fs": 1.0},
    "friction_per_ps": {"friction_per_ps": 2.0},
    "restraint": {"restraint": "heavy"},
    "restraint_kj_mol_nm2": {"restraint": "heavy", "restraint_kj_mol_nm2": 2.0},
    "seed": {"seed": 2},
    "report_interval_steps": {"report_interval_steps": 2},
    "checkpoint_interval_s": {"checkpoint_interval_s": 2.0},
    "platform": {"platform": "CPU"},
}
"""For each input others in which it differs."""
SOURCES = {"structure", "sequence", "conformation", "n_terminus", "c_terminus", "water_box_nm"}


def keys(**inputs):
    request = MdRequest(**{"structure": "ala10", "steps": 1, "solvent": "explicit", **inputs})
    source = source_of(request, {})
    nothing = np.zeros((1, 3))
    restart = Restart("r", nothing, nothing, np.eye(3), None) if request.restart else None
    name = identity(request, source, restart.key if restart else None)
    return system_key(request, source), start_key(request, source, restart, PLATFORM), name


@pytest.mark.parametrize("name", MdRequest.model_fields)
def test_every_input_is_part_of_the_keys_of_what_it_changes(name):
    base = {
        "ph": {"repair": "hydrogens"},
        "missing_residues": {"repair": "missing_atoms"},
        "nonstandard": {"repair": "missing_atoms"},
        "conformation": {"structure": None, "sequence": "GA"},
        "n_terminus": {"structure": None, "sequence": "GA"},
        "c_terminus": {"structure": None, "sequence": "GA"},
        "implicit_model": {"solvent": "implicit"},
        "restraint_kj_mol_nm2": {"restraint": "heavy"},
        "pressure_bar": {"ensemble": "NPT"},
    }.get(name, {})
    before, after = keys(**base), keys(**CHANGED[name])
    system, start, whole = (ours != theirs for ours, theirs in zip(before, after, strict=True))
    assert system == (name in SYSTEM_INPUTS | SOURCES)
    assert start == (system or name in {"minimize", "minimize_max_iterations", "restart"})
    assert whole == (name not in INDIFFERENT)


def test_what_a_stage_reports_while_it_runs_is_json(tmp_path, cache):
    workspace = attempt(tmp_path, cache, clock=Ticking())
    said = []
    progress = workspace.progress

    def watched(report, amount=None):
        said.append(json.loads(json.dumps(report())))
        progress(report, amount)

    workspace.progress = watched
    run(workspace, **STAGED)
    assert said[0]["stage"] == "1 of 2 (heat)"
    assert said[0]["thermostat_k"] > 20
    assert "stage" not in said[-1]
