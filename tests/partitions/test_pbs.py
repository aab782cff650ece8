import json
import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partitions import Node
from partitions.schedulers.pbs import pbs_allocation, qstat_command

JOB = "4217.pbs-01"
ENVIRONMENT = {"PBS_JOBID": JOB, "PBS_NODEFILE": "/var/spool/pbs/aux/4217.pbs-01", "PBS_WALLTIME": "60"}
END = datetime(2026, 11, 21, 5, 30, tzinfo=UTC)

# The form of OpenPBS 20 and later: qstat -f -F json 4217.pbs-01
QSTAT = """{
    "timestamp":1795233720,
    "pbs_version":"20.0.1",
    "pbs_server":"pbs-01",
    "Jobs":{
        "4217.pbs-01":{
            "Job_Name":"director",
            "Job_Owner":"ada@login1.site.org",
            "resources_used":{
                "cpupercent":0,
                "ncpus":128,
                "walltime":"00:02:00"
            },
            "job_state":"R",
            "queue":"workq",
            "ctime":"Sat Nov 21 03:59:57 2026",
            "exec_host":"x3006c0s13b0n0/0*64+x3006c0s19b0n0/0*64",
            "exec_vnode":"(x3006c0s13b0n0:ncpus=64:ngpus=4:mem=1kb)+(x3006c0s19b0n0:ncpus=64:ngpus=2)",
            "Resource_List":{
                "ncpus":128,
                "ngpus":6,
                "nodect":2,
                "place":"scatter",
                "select":"2:ncpus=64:ngpus=4",
                "walltime":"01:30:00"
            },
            "stime":"Sat Nov 21 04:00:00 2026",
            "jobdir":"/home/ada",
            "Variable_List":{
                "PBS_O_HOME":"/home/ada",
                "PBS_O_SYSTEM":"Linux"
            },
            "etime":"Sat Nov 21 03:59:57 2026",
            "Submit_arguments":"run.sh"
        }
    }
}
"""
HOSTS = ["x3006c0s13b0n0.hsn.site.org", "x3006c0s19b0n0.hsn.site.org"]
NODEFILE = "\n".join([*HOSTS, *HOSTS, ""])


def qstat(exec_vnode: str, **more: object) -> str:
    return json.dumps({"Jobs": {JOB: {"exec_vnode": exec_vnode, **more}}})


def counts(nodefile: str, text: str) -> dict[str, tuple[int, int]]:
    found = pbs_allocation(ENVIRONMENT, nodefile, text, [0])
    return {node.hostname: (len(node.cores), len(node.accelerators)) for node in found.nodes}


def test_a_real_job_is_read_in_full():
    found = pbs_allocation(ENVIRONMENT, NODEFILE, QSTAT, [0])
    assert found.nodes == (
        Node(HOSTS[0], tuple(range(64)), ("0", "1", "2", "3")),
        Node(HOSTS[1], tuple(range(64)), ("0", "1")),
    )
    assert (found.scheduler, found.job_id, found.deadline) == ("pbs", JOB, END)


@pytest.mark.parametrize("value", ["005", r'"\'a\'"', r'"a\,b"', '"BASH_FUNC": "() { echo "}", }"'])
def test_output_of_which_old_versions_break_the_list_of_variables_is_read_as_well(value):
    broken = QSTAT.replace('"Linux"', value)
    with pytest.raises(json.JSONDecodeError):
        json.loads(broken)
    assert pbs_allocation(ENVIRONMENT, NODEFILE, broken, [0]) == pbs_allocation(ENVIRONMENT, NODEFILE, QSTAT, [0])


def test_qstat_is_asked_for_times_in_a_known_zone():
    assert qstat_command(ENVIRONMENT) == ["env", "TZ=UTC", "qstat", "-f", "-F", "json", JOB]
    assert qstat_command({"PBS_JOBID": "12[4].pbs"})[-1] == "12[4].pbs"


@pytest.mark.parametrize(
    ("nodefile", "text", "expected"),
    [
        ("a b", qstat("(a:ncpus=2)+(b:ncpus=3:ngpus=1)"), {"a": (2, 0), "b": (3, 1)}),
        ("a", qstat("(a:ncpus=2:ngpus=1)+(a:ncpus=3:ngpus=1)"), {"a": (5, 2)}),
        ("a", qstat("(a[0]:ncpus=2:ngpus=1+a[1]:ncpus=4)"), {"a": (6, 1)}),
        ("a b", qstat("(v7:ncpus=2+v8:ncpus=1)+(v9:ncpus=4)", exec_host="b/0*3+a/0*4"), {"a": (4, 0), "b": (3, 0)}),
        ("A.x a.y", qstat("(a.y:ncpus=2)+(A.x:ncpus=1)"), {"A.x": (1, 0), "a.y": (2, 0)}),
        ("X1.site.org", qstat("(x1:ncpus=2)"), {"X1.site.org": (2, 0)}),
        ("a", json.dumps({"Jobs": {"4217.pbs-01.site.org": {"exec_vnode": "(a:ncpus=2)"}}}), {"a": (2, 0)}),
    ],
)
def test_chunks_are_added_up_by_host(nodefile, text, expected):
    assert counts(nodefile, text) == expected


@pytest.mark.parametrize(
    ("environment", "cores"), [({}, 3), ({"NCPUS": "16"}, 16), ({"NCPUS": "16", "PBS_NUM_PPN": "2"}, 16)]
)
def test_without_qstat_little_is_known(environment, cores):
    found = pbs_allocation(ENVIRONMENT | environment, "a\nb\na\n", None, [4, 5, 9])
    assert found.nodes == (Node("a", tuple(range(cores))), Node("b", tuple(range(cores))))
    assert found.deadline is None


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"stime": "Sat Nov 21 04:00:00 2026", "Resource_List": {"walltime": "01:30:00"}}, END),
        ({"stime": "Sat Nov 21 04:00:00 2026", "Resource_List": {"walltime": 5400}}, END),
        ({"stime": "Sun Nov  1 05:30:00 2026", "Resource_List": {"walltime": "480:00:00"}}, END),
        ({"stime": "Sat Nov 21 04:00:00 2026", "Resource_List": {}}, None),
        ({"etime": "Sat Nov 21 04:00:00 2026", "Resource_List": {"walltime": "01:30:00"}}, None),
    ],
)
def test_the_deadline_is_the_start_and_the_walltime(record, expected):
    assert pbs_allocation(ENVIRONMENT, "a", qstat("(a:ncpus=1)", **record), [0]).deadline == expected


ranks = st.lists(st.sampled_from([f"n{index}" for index in range(6)]), min_size=1, max_size=40)


@given(ranks)
def test_repeats_in_the_node_file_change_nothing_and_first_sight_gives_the_order(lines):
    once = list(dict.fromkeys(lines))
    text = qstat("+".join(f"({name}:ncpus={1 + int(name[1:])})" for name in sorted(once)))
    found = pbs_allocation(ENVIRONMENT, "\n".join(lines) + "\n", text, [0])
    assert found == pbs_allocation(ENVIRONMENT, "\n".join(once), text, [0])
    assert [node.hostname for node in found.nodes] == once


@pytest.mark.parametrize(
    ("environment", "nodefile", "text", "message"),
    [
        ({}, "a", None, "PBS_JOBID: is not set"),
        ({"PBS_JOBID": "-x"}, "a", None, "PBS_JOBID: '-x' is not the id of a PBS job"),
        (ENVIRONMENT, " \n", None, "PBS_NODEFILE: names no host"),
        (ENVIRONMENT, "a\n-b\n", None, "PBS_NODEFILE: '-b' is not a hostname"),
        (ENVIRONMENT | {"NCPUS": "all"}, "a", None, "NCPUS: 'all' is not a number"),
        (ENVIRONMENT | {"NCPUS": "0"}, "a", None, "NCPUS: gives a 0 cores"),
        (ENVIRONMENT, "a", "qstat: Unknown Job Id", "qstat: its output is not the JSON"),
        (ENVIRONMENT, "a", "[]", "qstat: its output is not the JSON"),
        (ENVIRONMENT, "a", '{"timestamp":1}', f"qstat: it does not know of job {JOB}"),
        (
            ENVIRONMENT,
            "a",
            '{"Jobs":{"7.pbs-01":{"exec_vnode":"(a:ncpus=1)"}}}',
            f"qstat: it tells of 7.pbs-01 and not of job {JOB}",
        ),
        (ENVIRONMENT, "a", qstat("a:ncpus=2"), "qstat: exec_vnode 'a:ncpus=2' is not of the form"),
        (ENVIRONMENT, "a", qstat("(a:ncpus=two)"), "qstat: exec_vnode '(a:ncpus=two)' has 'ncpus=two'"),
        (ENVIRONMENT, "a", qstat("(a:mem=1kb)"), "qstat: exec_vnode: gives a 0 cores"),
        (ENVIRONMENT, "a1 a2", qstat("(b:ncpus=2)"), "qstat: 'b' is none of a[1-2]"),
        (ENVIRONMENT, "a.x a.y", qstat("(a:ncpus=2)"), "qstat: 'a' could be a.x or a.y"),
        (ENVIRONMENT, "a1 a2 a3", qstat("(a1:ncpus=2)"), "qstat: exec_vnode has nothing on a[2-3]"),
        (
            ENVIRONMENT,
            "a",
            qstat("(a:ncpus=1)", stime="today", Resource_List={"walltime": 1}),
            "qstat: stime 'today' is not a time",
        ),
        (
            ENVIRONMENT,
            "a",
            qstat("(a:ncpus=1)", stime="Sat Nov 21 04:00:00 2026", Resource_List={"walltime": "1 h"}),
            "qstat: walltime '1 h' is not a length",
        ),
    ],
)
def test_what_is_missing_malformed_or_contradictory_is_refused(environment, nodefile, text, message):
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        pbs_allocation(environment, nodefile, text, [0])
