import errno
import os
import re
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from partitions.discover import SCHEDULERS, discover, scheduler_of
from partitions.surroundings import Surroundings, ThisProcess

SLURM = {"SLURM_JOB_ID": "12", "SLURM_JOB_NODELIST": "node[1-4]", "SLURM_JOB_CPUS_PER_NODE": "2(x4)"}
PBS = {"PBS_JOBID": "7.pbs", "PBS_NODEFILE": "/nodes"}
LSF = {"LSB_JOBID": "5", "LSB_MCPU_HOSTS": "a 1 b 2"}
FLUX = {"FLUX_URI": "local:///run/flux"}
R = '{"version": 1, "execution": {"R_lite": [{"rank": "0", "children": {"core": "0"}}], "nodelist": ["f1"]}}'
SCONTROL = (
    "StartTime=x EndTime=2026-11-21T05:23:53 Deadline=N/A   Nodes=node[1-4] CPU_IDs=0-1 Mem=0 GRES=gpu:2(IDX:0-1) "
)
QSTAT = '{"Jobs":{"7.pbs":{"exec_vnode":"(n1:ncpus=2:ngpus=1)+(n2:ncpus=2)"}}}'


@dataclass(frozen=True)
class Around:
    environment: Mapping[str, str] = field(default_factory=dict)
    cores: tuple[int, ...] = (2, 3)
    files: Mapping[str, str] = field(default_factory=dict)
    programs: Mapping[str, str] = field(default_factory=dict)

    def read(self, path: str) -> str:
        if path not in self.files:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return self.files[path]

    def output_of(self, command: Sequence[str]) -> str | None:
        words = [word for word in command if word != "env" and "=" not in word]
        return self.programs.get(words[0])


JOBS: list[tuple[str, Surroundings, list[str], list[int], list[int]]] = [
    ("slurm", Around(SLURM), ["node1", "node2", "node3", "node4"], [2] * 4, [0] * 4),
    ("slurm", Around(SLURM, programs={"scontrol": SCONTROL}), [f"node{k}" for k in (1, 2, 3, 4)], [2] * 4, [2] * 4),
    ("pbs", Around(PBS, files={"/nodes": "n2\nn1\nn2\n"}), ["n2", "n1"], [2, 2], [0, 0]),
    ("pbs", Around(PBS, files={"/nodes": "n2\nn1"}, programs={"qstat": QSTAT}), ["n2", "n1"], [2, 2], [0, 1]),
    ("lsf", Around(LSF), ["a", "b"], [1, 2], [0, 0]),
    ("lsf", Around({"LSB_JOBID": "5", "LSB_DJOB_HOSTFILE": "/h"}, files={"/h": "a\na\n"}), ["a"], [2], [0]),
    ("flux", Around(FLUX, programs={"flux": R}), ["f1"], [1], [0]),
    ("local", Around({"PATH": "/bin"}), ["local-0"], [2], [0]),
]


@pytest.mark.parametrize(("kind", "around", "hosts", "cores", "accelerators"), JOBS)
def test_the_allocation_is_found_by_itself_and_by_name(kind, around, hosts, cores, accelerators):
    found = discover(around)
    assert found == discover(around, kind)
    assert found.scheduler == kind == scheduler_of(around.environment)
    assert [node.hostname for node in found.nodes] == hosts
    assert [len(node.cores) for node in found.nodes] == cores
    assert [len(node.accelerators) for node in found.nodes] == accelerators


def test_every_scheduler_is_tried_here():
    assert {kind for kind, *_ in JOBS} == set(SCHEDULERS)


def test_local_nodes_share_the_cores_of_this_process_whatever_job_it_is_in():
    assert [node.cores for node in discover(Around(SLURM), "local", nodes=2).nodes] == [(2,), (3,)]


def test_an_empty_variable_is_no_sign_of_a_job():
    assert scheduler_of({"SLURM_JOB_ID": "", "PBS_JOBID": "7"}) == "pbs"


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        (SLURM | PBS, "SLURM_JOB_ID and PBS_JOBID: both are set"),
        (LSF | {"FLUX_JOB_ID": "f1"} | FLUX, "LSB_JOBID and FLUX_JOB_ID: both are set"),
    ],
)
def test_two_schedulers_are_one_too_many(environment, message):
    with pytest.raises(ValueError, match=f"^{message}.*--allocation"):
        discover(Around(environment))


def test_of_two_schedulers_one_can_be_chosen():
    assert discover(Around(SLURM | LSF), "lsf").scheduler == "lsf"


def test_accelerators_of_the_user_are_those_of_each_node():
    for names in ((), ("0.0", "0.1", "MIG-3f/1:x_y")):
        found = discover(Around(SLURM, programs={"scontrol": SCONTROL}), accelerators=names)
        assert [node.accelerators for node in found.nodes] == [names] * 4
    assert discover(Around(), nodes=2, accelerators=["0"]).nodes[1].accelerators == ("0",)


def test_as_many_nodes_as_were_asked_for():
    assert len(discover(Around(SLURM), nodes=4).nodes) == 4


@pytest.mark.parametrize(
    ("around", "options", "message"),
    [
        (Around(SLURM), {"nodes": 8}, "nodes: 8 were asked for, but Slurm job 12 has 4 nodes (node[1-4])"),
        (
            Around(FLUX, programs={"flux": R}),
            {"nodes": 2},
            "nodes: 2 were asked for, but Flux job local:///run/flux has 1 ",
        ),
        (Around(), {"nodes": 0}, "nodes: 0 logical nodes"),
        (Around(), {"kind": "slurm"}, "SLURM_JOB_ID: is not set"),
        (Around(), {"kind": "pbs"}, "PBS_JOBID: is not set"),
        (Around(), {"kind": "lsf"}, "LSB_JOBID: is not set"),
        (Around(), {"kind": "flux"}, "FLUX_JOB_ID: is not set"),
        (Around(), {"kind": "sge"}, "allocation: 'sge' is none of auto, local, slurm"),
        (Around({"PBS_JOBID": "7"}), {}, "PBS_NODEFILE: is not set"),
        (Around(PBS), {}, "PBS_NODEFILE: '/nodes' cannot be read (No such file or directory)"),
        (Around(FLUX), {}, "flux R: 'flux resource R' failed"),
        (Around(), {"accelerators": ["0", ""]}, "accelerators: '' is not a name"),
        (Around(), {"accelerators": ["0,1"]}, "accelerators: '0,1' is not a name"),
        (Around(), {"accelerators": ["0\n"]}, r"accelerators: '0\n' is not a name"),
    ],
)
def test_what_cannot_be_had_is_refused(around, options, message):
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        discover(around, **options)


def python(code: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", code]


@pytest.fixture
def text_to_read():
    """Something on this process's standard input, which a program must not take."""
    saved, (reader, writer) = os.dup(0), os.pipe()
    os.write(writer, b"for somebody else")
    os.close(writer)
    os.dup2(reader, 0)
    yield
    os.dup2(saved, 0)
    os.close(saved)
    os.close(reader)


@pytest.mark.usefixtures("text_to_read")
def test_a_program_sees_the_environment_that_was_given_and_nothing_to_read(monkeypatch):
    monkeypatch.setenv("ONLY_HERE", "1")
    code = "import os, sys; print(os.environ.get('ONLY_HERE'), os.environ.get('GIVEN'), repr(sys.stdin.read()))"
    assert ThisProcess().output_of(python(code)) == "1 None ''\n"
    before = dict(os.environ)
    assert ThisProcess({"GIVEN": "ä"}).output_of(python(code)) == "None ä ''\n"
    assert dict(os.environ) == before


def test_a_program_is_looked_for_where_the_environment_says(tmp_path):
    program = tmp_path / "qstat"
    program.write_text("#!/bin/sh\necho found\n")
    program.chmod(0o700)
    assert ThisProcess({"PATH": str(tmp_path)}).output_of(["qstat"]) == "found\n"
    assert ThisProcess({"PATH": str(tmp_path / "none")}).output_of(["qstat"]) is None


@pytest.mark.parametrize(
    "command",
    [
        ["/no/such/program"],
        python("print('half'); raise SystemExit(1)"),
        python("import os; os.kill(os.getpid(), 9)"),
        ["echo; echo", "a shell"],
    ],
)
def test_a_program_that_does_not_end_well_says_nothing(command):
    assert ThisProcess().output_of(command) is None


def test_a_program_that_hangs_is_not_waited_for():
    started = time.monotonic()
    assert ThisProcess(timeout_s=0.5).output_of(python("import time; time.sleep(600)")) is None
    assert time.monotonic() - started < 10


def test_no_environment_is_too_odd():
    assert ThisProcess({"A": "\0"}).output_of(python("print(1)")) is None


def test_this_process_has_its_own_cores_and_reads_files(tmp_path):
    assert set(ThisProcess().cores) == os.sched_getaffinity(0)
    (tmp_path / "nodes").write_bytes(b"n1\n\xff\n")
    assert ThisProcess().read(str(tmp_path / "nodes")) == "n1\n\N{REPLACEMENT CHARACTER}\n"
    with pytest.raises(FileNotFoundError):
        ThisProcess().read(str(tmp_path / "none"))
