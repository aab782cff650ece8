"""Results in a database of ASE and in a table: what is in a row, what is written once, and what is said of the rest."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import sqlite3
import subprocess
import sys
import warnings
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.db import connect
from ase.db.core import check
from ase.io import write
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from director import ase_database, carrier
from director.ase_database import Structured, check_database, key_value_pairs, unique_id, write_rows
from director.call import DirectorLost
from director.cli.app import app
from director.cli.export import to_database
from director.csv_table import csv_text, table_rows
from director.door import Refused
from director.flat import flat_outcome, flatten
from director.history import read_history
from director.ledger import Accepted, Finished, SqliteLedger, Started
from director.runfolder import RunFolder
from director.structure_files import StructureError, confined, read_structure, structure_artifact
from director.transfer import Transfer
from tests.director.test_report import failed, outcome
from tests.director.test_resuming import record
from tests.helpers import NOON, mock_request

SHIPPED = Path("simulations/structures").resolve()


# Plain values

plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
names = st.sampled_from(["a", "a_b", "b", "b_2", "energy", "CO2", "status", "1", "\r", "", "x y"]) | st.text(max_size=4)
inner = st.lists(plain, max_size=2) | st.dictionaries(names, plain, max_size=3)
documents = st.dictionaries(names, plain | inner | st.dictionaries(names, inner, max_size=2), max_size=4)


def leaves(value):
    if isinstance(value, dict):
        return sum(map(leaves, value.values()))
    if isinstance(value, float):
        return int(np.isfinite(value))
    return int(isinstance(value, str | int))


@settings(max_examples=50)
@given(documents)
def test_every_plain_value_has_a_name_of_its_own(document):
    assert len(flatten(document)) == leaves(document)


def test_units_stay_in_the_names():
    result = {"temperature_k": {"mean": 300.0, "std": 5.0}, "rmsd_nm": None, "rmsf_nm": [0.1, 0.2], "converged": True}
    assert flatten(result) == {"temperature_k_mean": 300.0, "temperature_k_std": 5.0, "converged": True}
    assert flatten({"a": {"b": 1}, "a_b": 2}) == {"a_b": 1, "a_b_2": 2}
    assert flat_outcome(outcome("r", inputs={"smiles": "OC"}, result={"smiles": "CO"})) == {
        "input_smiles": "OC",
        "smiles": "CO",
    }


@settings(max_examples=50)
@given(documents, documents)
def test_ase_takes_any_result(inputs, result):
    pairs = key_value_pairs(outcome("17", inputs=inputs, result=result), "structure")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check(pairs)
    assert len(pairs) == 5 + leaves(inputs) + leaves(result)


@pytest.mark.parametrize(
    ("name", "value", "key", "taken"),
    [
        ("energy", 1.5, "result_energy", 1.5),
        ("CO2", 0.5, "result_CO2", 0.5),
        ("C-alpha", 2, "C_alpha", 2),
        ("3d", 1, "result_3d", 1),
        ("note", "1e5", "note", "text:1e5"),
        ("note", "True", "note", "text:True"),
        ("count", 10**30, "count", 1e30),
    ],
)
def test_what_ase_would_not_take_is_kept_under_another_name(name, value, key, taken):
    assert key_value_pairs(outcome("r1", inputs={}, result={name: value}), "structure")[key] == taken


# Structure files


def test_of_several_structures_the_one_at_the_end_counts():
    files = {"topology": "a/topology.pdb", "trajectory": "a/trajectory.dcd", "final_structure": "a/final.pdb"}
    assert structure_artifact(files) == "final_structure"
    assert structure_artifact({"topology": "a/topology.pdb", "snapshot": "a/x.XYZ"}) == "snapshot"
    assert structure_artifact({"topology": "a/topology.pdb"}) == "topology"
    assert structure_artifact({"trajectory": "a/trajectory.dcd"}) is None
    assert structure_artifact({}) is None


@pytest.mark.parametrize("path", ["../x.xyz", "/etc/x.xyz", "director-0/../../x.xyz", "link.xyz", "gone.xyz", ""])
def test_files_outside_the_run_folder_are_not_opened(path, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (tmp_path / "x.xyz").write_text("1\n\nH 0 0 0\n")
    (run / "link.xyz").symlink_to(tmp_path / "x.xyz")
    with pytest.raises(StructureError, match=r"leads out|is not there"):
        confined(run, path)


def test_energies_of_extended_xyz_are_read(tmp_path):
    atoms = bulk("Cu", cubic=True)
    atoms.calc = EMT()
    energy = atoms.get_potential_energy()
    write(tmp_path / "s.extxyz", atoms)
    found = read_structure(tmp_path / "s.extxyz")
    assert found.get_potential_energy() == pytest.approx(energy)
    assert found.cell == pytest.approx(atoms.cell)
    assert found.pbc.all()


def test_words_in_the_comment_of_plain_xyz_are_no_results(tmp_path):
    (tmp_path / "s.xyz").write_text("1\nenergy of H, charge=1\nH 0 0 0\n")
    found = read_structure(tmp_path / "s.xyz")
    assert found.calc is None
    assert found.get_chemical_formula() == "H"


def test_of_several_frames_the_last_counts(tmp_path):
    write(tmp_path / "s.xyz", [Atoms("H", [[x, 0, 0]]) for x in (0.0, 1.0, 2.0)])
    assert read_structure(tmp_path / "s.xyz").positions[0, 0] == 2.0


def test_pdb_and_both_kinds_of_cif_are_read(tmp_path):
    from openmm.app import PDBFile, PDBxFile

    source = PDBFile(str(SHIPPED / "alanine-dipeptide.pdb"))
    with (tmp_path / "s.cif").open("w") as stream:
        PDBxFile.writeFile(source.topology, source.positions, stream)
    write(tmp_path / "salt.cif", bulk("NaCl", "rocksalt", 5.64))
    pdb, macromolecule = read_structure(SHIPPED / "alanine-dipeptide.pdb"), read_structure(tmp_path / "s.cif")
    assert pdb.get_chemical_formula() == "C6H12N2O2"
    assert macromolecule.positions == pytest.approx(pdb.positions, abs=1e-3)
    salt = read_structure(tmp_path / "salt.cif")
    assert salt.get_chemical_formula() == "ClNa"
    assert salt.get_volume() == pytest.approx(5.64**3 / 4)


def test_virtual_sites_are_atoms_of_no_element_and_the_box_is_a_cell(tmp_path):
    (tmp_path / "s.pdb").write_text(
        "CRYST1   20.000   20.000   20.000  90.00  90.00  90.00 P 1           1\n"
        "HETATM    1  O   HOH A   1       0.000   0.000   0.000  1.00  0.00           O\n"
        "HETATM    2  H1  HOH A   1       0.600   0.500   0.000  1.00  0.00           H\n"
        "HETATM    3  H2  HOH A   1      -0.600   0.500   0.000  1.00  0.00           H\n"
        "HETATM    4  M   HOH A   1       0.000   0.150   0.000  1.00  0.00            \n"
        "END\n"
    )
    found = read_structure(tmp_path / "s.pdb")
    assert list(found.numbers) == [8, 1, 1, 0]
    assert found.cell.lengths() == pytest.approx([20.0] * 3)


@pytest.mark.parametrize("text", ["", "2\n\nH 0 0 0\n", "1\n\nH nan 0 0\n", "no structure at all"])
def test_a_damaged_file_is_an_error_of_ours(text, tmp_path):
    (tmp_path / "s.xyz").write_text(text)
    with pytest.raises(StructureError):
        read_structure(tmp_path / "s.xyz")


# Rows


def structured(folder, name="r1", **more):
    """An Outcome with a structure of its own."""
    file = folder / f"{name}.xyz"
    write(file, Atoms("OH", [[0, 0, 0], [0, 0, 0.96]]))
    return Structured(outcome(name, **more), "relaxed_structure", file)


def test_a_row_holds_the_structure_the_numbers_and_all_of_the_outcome(tmp_path):
    item = structured(tmp_path, "17", result={"energy_ev": -3.5, "stress_gpa": [1, 2], "steps": 7, "converged": True})
    assert write_rows(tmp_path / "r.db", [item]).written == 1
    row = connect(tmp_path / "r.db").get(request="text:17")
    assert (row.energy_ev, row.steps, row.converged, row.tool) == (-3.5, 7, True, "md")
    assert row.input_temperature_k == 300
    assert row.toatoms().get_distance(0, 1) == pytest.approx(0.96)
    assert row.data["outcome"] == item.outcome.model_dump(mode="json")


def test_what_is_exported_again_is_not_there_twice_and_not_changed(tmp_path):
    path = tmp_path / "r.db"
    first = [structured(tmp_path, name) for name in ("a", "b")]
    assert write_rows(path, first).written == 2
    connect(path).update(1, remark="mine")
    again = write_rows(path, [*first, structured(tmp_path, "c")])
    assert (again.written, again.there) == (1, 2)
    rows = list(connect(path).select())
    assert [row.request for row in rows] == ["a", "b", "c"]
    assert rows[0].remark == "mine"


def test_requests_of_the_same_id_in_two_runs_have_a_row_each():
    first = outcome("a")
    assert unique_id(first) == unique_id(outcome("a"))
    others = [outcome("b"), outcome("a", key="other"), outcome("a", end=2.0)]
    assert len({unique_id(item) for item in [first, *others]}) == 4
    elsewhere = first.model_copy(update={"finished_at": first.finished_at.astimezone()})
    assert unique_id(elsewhere) == unique_id(first)


def test_one_that_was_killed_half_way_is_finished_by_the_next(tmp_path, monkeypatch):
    items = [structured(tmp_path, f"r{i}") for i in range(7)]
    path = tmp_path / "r.db"
    monkeypatch.setattr(ase_database, "ROWS_AT_ONCE", 3)
    # A process of its own, for it ends as one that is killed: between the rows of the second lot.
    script = f"""
import os
from pathlib import Path
from director import ase_database, carrier
from tests.director.test_ase_database import structured
write, left = ase_database._write, iter(range(4))
def dying(*arguments):
    write(*arguments)
    if next(left) == 3:
        os._exit(9)
ase_database.ROWS_AT_ONCE, ase_database._write = 3, dying
items = [structured(Path({str(tmp_path)!r}), f"r{{i}}") for i in range(7)]
ase_database.write_rows(Path({str(path)!r}), items)
"""
    done = subprocess.run([sys.executable, "-c", script], timeout=100, env={**os.environ, "PYTHONPATH": "."})
    assert done.returncode == 9
    assert connect(path).count() == 3
    assert (write_rows(path, items).written, connect(path).count()) == (4, 7)
    assert not list(tmp_path.glob("*.lock"))


def test_one_that_cannot_be_read_is_named_and_the_others_are_written(tmp_path):
    items = [structured(tmp_path, name) for name in ("a", "b", "c")]
    items[1].file.write_text("nothing")
    done = write_rows(tmp_path / "r.db", items)
    assert done.written == 2
    assert [(item.id, item.artifact) for item in done.unreadable] == [("b", "relaxed_structure")]
    assert "b.xyz cannot be read" in done.unreadable[0].reason


def test_a_database_that_another_holds_is_an_error_that_says_so(tmp_path, monkeypatch):
    path = tmp_path / "r.db"
    write_rows(path, [structured(tmp_path, "a")])
    monkeypatch.setattr(
        "ase.db.sqlite.SQLite3Database._connect", lambda self: sqlite3.connect(self.filename, timeout=0.05)
    )
    holder = sqlite3.connect(path)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(RuntimeError, match=r"r\.db cannot be written: database is locked"):
        write_rows(path, [structured(tmp_path, "b")])
    holder.rollback()


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [("r.sqlite", None, "does not end in"), ("no/r.db", None, "there is no folder"), ("r.db", b"text", "no database")],
)
def test_a_file_that_is_something_else_is_not_touched(name, content, says, tmp_path):
    if content:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(Refused, match=says):
        check_database(tmp_path / name)


def test_a_database_of_another_program_gets_no_tables_of_ase(run, tmp_path):
    other = tmp_path / "other.db"
    other.write_bytes(run.ledger(0).read_bytes())
    with pytest.raises(Refused, match="no database of ASE"):
        check_database(other)
    assert other.read_bytes() == run.ledger(0).read_bytes()


# The table


def test_the_table_has_a_row_for_each_outcome_whatever_it_is_of():
    some = [
        outcome("a", inputs={"smiles": "C,O"}, result={"energy_ev": -1.25, "converged": True}),
        outcome("b", tool="md", inputs={}, result={"status": 5, "temperature_k": {"mean": 300.5, "std": 1.0}}),
        failed("c", message='it said "no",\nand stopped'),
    ]
    text, columns = csv_text(table_rows(some))
    rows = list(csv.DictReader(io.StringIO(text)))
    assert columns[:5] == ["id", "key", "tool", "tool_version", "status"]
    assert [row["status"] for row in rows] == ["ok", "ok", "failed"]
    assert (rows[0]["input_smiles"], rows[0]["energy_ev"], rows[0]["converged"]) == ("C,O", "-1.25", "true")
    assert (rows[1]["result_status"], rows[1]["temperature_k_mean"], rows[1]["energy_ev"]) == ("5", "300.5", "")
    assert rows[2]["error_message"] == 'it said "no",\nand stopped'


@settings(max_examples=50)
@given(st.lists(st.tuples(documents, documents), max_size=2))
def test_every_number_in_the_table_reads_back_exactly(some):
    rows = table_rows([outcome(f"r{i}", inputs=a, result=b) for i, (a, b) in enumerate(some)])
    text, columns = csv_text(rows)
    read = list(csv.DictReader(io.StringIO(text, newline="")))
    assert len(read) == len(rows)
    for row, back in zip(rows, read, strict=True):
        for name in columns:
            value = row.get(name, "")
            if isinstance(value, float):
                assert float(back[name]) == value
            elif not isinstance(value, str | bool):
                assert int(back[name]) == value


# The command


@pytest.fixture
def run(tmp_path):
    """A run folder with five Outcomes: of three with structures one is outside of it, one has none, one failed."""
    folder = RunFolder(tmp_path / "run")
    folder.create(record(directors=1))
    work = folder.work(0)
    artifacts = {}
    for name in ("a", "b"):
        (work / name).mkdir()
        write(work / name / "relaxed.xyz", Atoms("OH", [[0, 0, 0], [0, 0, 0.96]]))
        artifacts[name] = {"relaxed_structure": f"director-0/work/{name}/relaxed.xyz"}
    some = [
        outcome("a", artifacts=artifacts["a"], result={"energy_ev": -1.0}),
        outcome("b", artifacts=artifacts["b"], result={"energy_ev": -2.0}, end=2.0),
        outcome("out", artifacts={"structure": "../out.xyz"}),
        outcome("none"),
        failed("bad", artifacts=artifacts["a"]),
    ]
    write(tmp_path / "out.xyz", Atoms("H"))
    ledger = SqliteLedger(folder.ledger(0))
    ledger.turn(accepted=[Accepted(mock_request(item.id), item.key, "1", NOON) for item in some])
    ledger.turn(started=[Started(item.id, 1, NOON) for item in some])
    ledger.turn(finished=[Finished(item, 1) for item in some])
    ledger.close()
    return folder


def export(*words, code=0):
    done = CliRunner().invoke(app, ["export", *map(str, words)])
    assert done.exit_code == code, f"{done.output}\n{done.exception}"
    return done


def test_the_command_writes_both_and_says_what_it_left_out(run, tmp_path):
    words = [run.path, "--ase-db", tmp_path / "r.db", "--csv", tmp_path / "t.csv"]
    first = json.loads(export(*words, "--json", code=1).stdout)
    assert {**first["ase_db"], "unreadable": []} == {
        "path": str(tmp_path / "r.db"),
        "written": 2,
        "there": 0,
        "without_structure": 1,
        "unreadable": [],
    }
    (problem,) = first["ase_db"]["unreadable"]
    assert problem["id"] == "out"
    assert "leads out of the run folder" in problem["reason"]
    assert first["csv"]["rows"] == 5
    again = export(*words, code=1)
    assert "0 rows written, 2 there already; 1 ok without a structure" in again.output
    assert "out: structure was not exported" in again.output


def test_ase_db_lists_what_was_exported(run, tmp_path):
    export(run.path, "--ase-db", tmp_path / "results.db", code=1)
    asked = ["db", "results.db", "energy_ev<-1.5", "-c", "id,formula,energy_ev,request,tool"]
    done = subprocess.run(
        [sys.executable, "-m", "ase", *asked], cwd=tmp_path, capture_output=True, text=True, timeout=100, check=True
    )
    assert re.search(r"^ *\d+\|HO *\| *-2\.000\|b *\|md", done.stdout, re.MULTILINE), done.stdout
    assert "Rows: 1" in done.stdout


def test_what_to_write_has_to_be_said(run, tmp_path):
    assert "it was not said what to write" in export(run.path, code=2).output
    assert "does not end in .db" in export(run.path, "--ase-db", tmp_path / "r.json", code=2).output
    assert "there is no folder" in export(run.path, "--csv", tmp_path / "no" / "t.csv", code=2).output
    assert not list(tmp_path.glob("r.*"))


def test_a_run_without_structures_is_said_to_have_none(run, tmp_path):
    said = export(run.path, "--csv", tmp_path / "t.csv")
    assert re.search(r"t\.csv: 5 rows, \d+ columns", said.output)
    assert (tmp_path / "t.csv").read_text().count("\n") == 6


class Elsewhere:
    """The client's view of a run whose folder is not seen from here; its Directors answer with real pieces of files."""

    def __init__(self, folder, breaks_after=10**9):
        self.transfer, self.left, self.fetched = Transfer(folder), breaks_after, []

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        pass

    async def fetch(self, path, target):
        if not self.left:
            raise DirectorLost("Director 0 does not answer")
        self.left -= 1
        self.fetched.append(path)
        return await carrier.fetch(self.call, path, target)

    async def call(self, action, path, offset):
        assert action == "get"
        try:
            return self.transfer.get(path, offset)
        except Refused as refused:
            return {"refused": [asdict(problem) for problem in refused.problems]}


class Far:
    """A Target that is no folder."""

    folder = None

    def __init__(self, client):
        self.client = client

    async def fleet(self):
        return self.client


def test_of_a_run_that_is_elsewhere_structures_are_fetched_once(run, tmp_path):
    outcomes = read_history(run).outcomes
    client, here = Elsewhere(run), tmp_path / "artifacts"
    first = to_database(Far(client), outcomes, tmp_path / "r.db", here)
    assert (first["written"], len(client.fetched)) == (2, 3)
    assert [(item["id"], item["artifact"]) for item in first["unreadable"]] == [("out", "structure")]
    assert "no artifact '../out.xyz'" in first["unreadable"][0]["reason"]
    assert sorted(str(path.relative_to(here)) for path in here.rglob("*.xyz")) == ["a/relaxed.xyz", "b/relaxed.xyz"]
    again = to_database(Far(client), outcomes, tmp_path / "r.db", here)
    assert (again["written"], again["there"], len(client.fetched)) == (0, 2, 4)


def test_what_was_fetched_before_a_director_was_lost_is_written_and_the_rest_is_named(run, tmp_path):
    said = to_database(Far(Elsewhere(run, 1)), read_history(run).outcomes, tmp_path / "r.db", tmp_path / "artifacts")
    assert said["written"] == 1
    assert len(said["unreadable"]) == 2
    assert all("not fetched: Director 0 does not answer" in item["reason"] for item in said["unreadable"])


def test_what_has_its_row_is_not_fetched_again_though_its_file_is_gone(run, tmp_path):
    outcomes = [item for item in read_history(run).outcomes if item.id != "out"]
    to_database(Far(Elsewhere(run)), outcomes, tmp_path / "r.db", tmp_path / "artifacts")
    client = Elsewhere(run, 0)
    again = to_database(Far(client), outcomes, tmp_path / "r.db", tmp_path / "elsewhere")
    assert (again["there"], again["unreadable"], client.fetched) == (2, [], [])
