import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from director.batch import read_batch
from director.door import Refused
from director.tuning_record import Machine, Settings, System, Tuned, TuningFile
from director.tuning_store import TuningStore, advice, machine_of, system_of, systems_of
from partitions.allocation import Allocation, Node
from simulations.tool import find_tools

HERE = Machine(cpu="Quick 9000", cores=8)
SMALL, LARGE = System(tool="md", size="small"), System(tool="md", size="large")
PEPTIDE = Path("simulations/structures/alanine-dipeptide.pdb").resolve()


def tuned(system=SMALL, machine=HERE, workers=8, at=1):
    return Tuned(
        machine=machine, system=system, settings=Settings(workers_per_node=workers, threads_per_worker=1),
        throughput=100.0, unit="ns/day", verdict="", measured=[], at=datetime(2026, 1, at, tzinfo=UTC), seconds=60.0,
    )  # fmt: skip


class Around:
    def __init__(self, cpuinfo="", answer=None):
        self.cpuinfo, self.answer = cpuinfo, answer
        self.environment, self.cores = {}, (0, 1)

    def read(self, path):
        if not self.cpuinfo:
            raise OSError(2, "no such file")
        return self.cpuinfo

    def output_of(self, command):
        return self.answer


def allocation(*nodes, scheduler="slurm"):
    return Allocation(scheduler, tuple(nodes))


def test_a_tuning_is_kept_for_its_owner_alone_and_takes_the_place_of_an_earlier_one(tmp_path):
    store = TuningStore(tmp_path / "home")
    assert store.read() == []
    store.keep(tuned(workers=8))
    store.keep(tuned(LARGE))
    store.keep(tuned(workers=4, at=2))
    assert store.path.stat().st_mode & 0o77 == 0
    assert [(one.system, one.settings.workers_per_node) for one in store.read()] == [(LARGE, 8), (SMALL, 4)]


def test_a_file_that_cannot_be_read_is_refused_and_left_as_it_is(tmp_path):
    store = TuningStore(tmp_path)
    store.path.write_text('{"tuning_schema": 1, "entries": 7}')
    for act in (store.read, lambda: store.keep(tuned())):
        with pytest.raises(Refused, match="no-tuning"):
            act()
    assert json.loads(store.path.read_text())["entries"] == 7


def test_a_run_goes_by_a_tuning_of_its_system_on_such_nodes_only():
    file = Path("tuning.json")
    entries = [tuned(), tuned(machine=Machine(cpu="Slow 1", cores=8), workers=2)]
    used = advice(entries, HERE, [SMALL], file).used
    assert used.settings == Settings(workers_per_node=8, threads_per_worker=1)
    assert used.systems == [SMALL]
    elsewhere = advice(entries, Machine(cpu="Quick 9000", cores=4), [SMALL], file)
    assert elsewhere.used is None
    assert "8 cores of Quick 9000" in elsewhere.why_not
    assert "4 cores of Quick 9000" in elsewhere.why_not
    assert advice(entries, HERE, [LARGE], file).why_not == ""
    assert advice([], HERE, [SMALL], file) == advice([], HERE, [], file)


def test_a_run_of_several_systems_goes_by_tunings_only_if_they_all_agree():
    file = Path("tuning.json")
    assert advice([tuned(at=3), tuned(LARGE, at=2)], HERE, [SMALL, LARGE], file).used.at.day == 2
    assert "different numbers" in advice([tuned(), tuned(LARGE, workers=1)], HERE, [SMALL, LARGE], file).why_not
    assert "1 of its 2 systems not tuned" in advice([tuned()], HERE, [SMALL, LARGE], file).why_not


@pytest.mark.parametrize(
    ("cpuinfo", "cpu"),
    [
        ("processor\t: 0\nmodel name\t: Quick 9000\n\nmodel name\t: Other\n", "Quick 9000"),
        ("cpu\t: POWER9\n", "POWER9"),
    ],
)
def test_a_machine_is_known_by_its_processor_cores_and_accelerators(cpuinfo, cpu):
    gpus = Around(cpuinfo, "NVIDIA H200\nNVIDIA H200\n")
    found = machine_of(allocation(Node("n1", (0, 1, 2, 3), ("0", "1"))), gpus)
    assert found == Machine(cpu=cpu, cores=4, accelerators=("NVIDIA H200", "NVIDIA H200"))
    unknown = machine_of(allocation(Node("n1", (0, 1), ("0.0",))), Around(cpuinfo))
    assert unknown.accelerators == ("0.0",)


def test_logical_nodes_share_a_machine_and_nodes_of_a_job_do_not():
    nodes = [Node("a", (0,)), Node("b", (1,))]
    assert machine_of(allocation(*nodes, scheduler="local"), Around()).nodes_here == 2
    assert machine_of(allocation(*nodes), Around()).nodes_here == 1


def test_nodes_that_differ_have_no_best_number():
    with pytest.raises(ValueError, match="differ"):
        machine_of(allocation(Node("a", (0,)), Node("b", (1, 2))), Around())


def test_a_system_is_known_by_its_size_and_the_content_of_its_files(tmp_path):
    md = find_tools()["md"]
    (tmp_path / "p.pdb").write_bytes(PEPTIDE.read_bytes())
    found = system_of(md, {"structure": "p.pdb", "steps": 10, "seed": 1}, tmp_path)
    assert found.files == {"structure": hashlib.sha256(PEPTIDE.read_bytes()).hexdigest()}
    assert system_of(md, {"structure": "p.pdb", "steps": 99, "seed": 7}, tmp_path) == found
    assert system_of(md, {"structure": "p.pdb", "steps": 10, "solvent": "vacuum"}, tmp_path) != found
    assert system_of(md, {"structure": "ala10", "steps": 10}, tmp_path).files == {}


def test_seeds_of_one_system_are_one_system(tmp_path):
    path = tmp_path / "batch.yaml"
    path.write_text(
        "requests:\n"
        "  - {tool: md, inputs: {structure: ala10, steps: 10}, repeat: 50, sweep: {temperature_k: [280, 300]}}\n"
        "  - {tool: md, inputs: {steps: 10}, sweep: {structure: [ala10, chignolin]}}\n"
    )
    found = systems_of(read_batch(path, find_tools()), find_tools())
    assert len(found) == 2


@pytest.mark.parametrize("name", ["md", "mock_md"])
def test_a_rehearsal_is_a_request_of_the_same_size_without_an_end(name):
    tool = find_tools()[name]
    inputs = {"structure": "ala10", "steps": 10} if name == "md" else {"duration_s": 1.0}
    request = tool.request.model_validate(inputs)
    again = tool.request.model_validate(tool.rehearsal(request).model_dump(mode="json"))
    assert tool.size(again) == tool.size(request)
    assert tool.amount(again) > 1000 * tool.amount(request)


def test_a_rehearsal_leaves_stages_out_and_what_only_they_needed():
    md = find_tools()["md"]
    request = md.request.model_validate(
        {
            "structure": "ala10", "solvent": "explicit", "steps": 10, "ensemble": "NVE",
            "stages": [{"kind": "equilibrate", "steps": 100, "ensemble": "NPT"}],
        }
    )  # fmt: skip
    again = md.request.model_validate(md.rehearsal(request).model_dump(mode="json"))
    assert (again.stages, again.pressure_bar, again.friction_per_ps) == ((), None, None)


def test_the_file_has_a_version(tmp_path):
    TuningStore(tmp_path).keep(tuned())
    document = json.loads((tmp_path / "tuning.json").read_text())
    assert document["tuning_schema"] == 1
    assert TuningFile.model_validate(document).entries == [tuned()]
