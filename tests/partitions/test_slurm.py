import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partitions import Node
from partitions.schedulers.slurm import scontrol_command, slurm_allocation

# As Slurm 22.05 set them in a job of `sbatch -N4 --gpus-per-node=2 --exclusive`; two nodes have no type of GPU.
BATCH = {
    "CUDA_VISIBLE_DEVICES": "0,1,2,3",
    "SLURM_CPUS_ON_NODE": "4",
    "SLURM_GPUS_ON_NODE": "4",
    "SLURM_GPUS_PER_NODE": "2",
    "SLURM_JOBID": "2",
    "SLURM_JOB_CPUS_PER_NODE": "4(x2),2(x2)",
    "SLURM_JOB_GPUS": "0,1,2,3",
    "SLURM_JOB_ID": "2",
    "SLURM_JOB_NODELIST": "node[1-4]",
    "SLURM_JOB_NUM_NODES": "4",
    "SLURM_NNODES": "4",
    "SLURM_NODELIST": "node[1-4]",
    "SLURM_TASKS_PER_NODE": "4(x2),2(x2)",
}
SCONTROL = (
    "JobId=2 JobName=job.sh UserId=root(0) GroupId=root(0) MCS_label=N/A Priority=4294901758 Nice=0 Account=(null) "
    "QOS=(null) JobState=RUNNING Reason=None Dependency=(null) Requeue=1 Restarts=0 BatchFlag=1 Reboot=0 ExitCode=0:0 "
    "DerivedExitCode=0:0 RunTime=00:00:00 TimeLimit=00:05:00 TimeMin=N/A SubmitTime=2026-11-21T05:13:54 "
    "EligibleTime=2026-11-21T05:13:54 AccrueTime=2026-11-21T05:13:54 StartTime=2026-11-21T05:13:55 "
    "EndTime=2026-11-21T05:18:55 Deadline=N/A SuspendTime=None SecsPreSuspend=0 LastSchedEval=2026-11-21T05:13:55 "
    "Scheduler=Main Partition=work AllocNode:Sid=login:0 ReqNodeList=(null) ExcNodeList=(null) NodeList=node[1-4] "
    "BatchHost=node1 NumNodes=4 NumCPUs=12 NumTasks=4 CPUs/Task=1 ReqB:S:C:T=0:0:*:* TRES=cpu=12,node=4,billing=12 "
    "Socks/Node=* NtasksPerN:B:S:C=0:0:*:* CoreSpec=* JOB_GRES=gpu:a100:8,gpu:8 "
    "  Nodes=node[1-2] CPU_IDs=0-3 Mem=0 GRES=gpu:a100:4(IDX:0-3) "
    "  Nodes=node[3-4] CPU_IDs=0-1 Mem=0 GRES=gpu:4(IDX:0-3) "
    "MinCPUsNode=1 MinMemoryNode=0 MinTmpDiskNode=0 Features=(null) DelayBoot=00:00:00 OverSubscribe=NO Contiguous=0 "
    "Licenses=(null) Network=(null) Command=/tmp/job.sh WorkDir=/tmp StdErr=/tmp/b StdIn=/dev/null StdOut=/tmp/b "
    "Power= TresPerNode=gres:gpu:2 \n"
)
ALL_GPUS = ("0", "1", "2", "3")


def job(nodes: str, cpus: str, **more: str) -> dict[str, str]:
    return {"SLURM_JOB_ID": "12", "SLURM_JOB_NODELIST": nodes, "SLURM_JOB_CPUS_PER_NODE": cpus, **more}


def detail(nodes: str, gres: str) -> str:
    return f"   Nodes={nodes} CPU_IDs=0-3 Mem=0 GRES={gres} "


def gpus(environment: dict[str, str], scontrol: str | None) -> list[int]:
    found = slurm_allocation(environment, scontrol).nodes
    assert all(node.accelerators == ALL_GPUS[: len(node.accelerators)] for node in found)
    return [len(node.accelerators) for node in found]


def test_a_real_job_is_read_in_full():
    found = slurm_allocation(BATCH, SCONTROL)
    assert found.nodes == (
        Node("node1", (0, 1, 2, 3), ALL_GPUS),
        Node("node2", (0, 1, 2, 3), ALL_GPUS),
        Node("node3", (0, 1), ALL_GPUS),
        Node("node4", (0, 1), ALL_GPUS),
    )
    assert (found.scheduler, found.job_id) == ("slurm", "2")
    assert found.deadline == datetime(2026, 11, 21, 5, 18, 55, tzinfo=UTC)


def test_scontrol_is_asked_for_times_whose_zone_is_known():
    command = scontrol_command(BATCH)
    assert command[:4] == ["env", "TZ=UTC", "SLURM_TIME_FORMAT=standard", "scontrol"]
    assert command[-1] == "2"


@pytest.mark.parametrize(
    ("more", "scontrol", "expected"),
    [
        ({}, None, [0, 0]),
        ({}, "", [0, 0]),
        ({}, detail("n[1-2]", ""), [0, 0]),
        ({}, detail("n1", "gpu:a100:4(IDX:0-3)") + detail("n2", "gpu:a100:1(IDX:2)"), [4, 1]),
        ({}, detail("n[1-2]", "gpu:1g.5gb:2(IDX:0,3),gpu:a100:1(IDX:5),nic:2(IDX:0-1)"), [3, 3]),
        ({}, detail("n[1-2]", "gpu_mem:80,nic:2"), [0, 0]),
        ({"SLURM_GPUS_PER_NODE": "2"}, detail("n[1-2]", "gpu:4(IDX:0-3)"), [4, 4]),
        ({"SLURM_GPUS_PER_NODE": "a100:2,v100:1"}, None, [3, 3]),
        ({"SLURM_GPUS_PER_NODE": "2"}, detail("n1", "gpu:4(IDX:0-3)"), [4, 2]),
        ({"SLURM_JOB_GPUS": "2", "SLURM_GPUS_ON_NODE": "2"}, None, [1, 1]),
        ({"SLURM_JOB_GPUS": "0-1,3"}, None, [3, 3]),
        ({"SLURM_GPUS_ON_NODE": "2"}, None, [2, 2]),
        ({"SLURM_GPUS_ON_NODE": "0,1"}, None, [2, 2]),
        ({"SLURM_GPUS_ON_NODE": "2", "SLURM_GPUS": "a100:4"}, None, [2, 2]),
        (
            {"SLURM_GPUS_ON_NODE": "4", "SLURM_GPUS": "5"},
            detail("n1", "gpu:4(IDX:0-3)") + detail("n2", "gpu:1"),
            [4, 1],
        ),
    ],
)
def test_gpus_are_those_that_scontrol_tells_of_and_else_the_variables(more, scontrol, expected):
    assert gpus(job("n[1-2]", "4(x2)", **more), scontrol) == expected


@pytest.mark.parametrize(
    ("end_time", "told", "expected"),
    [
        (None, "2026-11-21T05:23:53", datetime(2026, 11, 21, 5, 23, 53, tzinfo=UTC)),
        ("1795238633", "2026-11-21T05:00:00", datetime(2026, 11, 21, 5, 23, 53, tzinfo=UTC)),
        (None, "Unknown", None),
        (None, "UNLIMITED", None),
        ("4294967295", "2026-11-21T05:00:00", None),
    ],
)
def test_the_deadline(end_time, told, expected):
    environment = job("n1", "4") | ({"SLURM_JOB_END_TIME": end_time} if end_time else {})
    assert slurm_allocation(environment, f"StartTime=Unknown EndTime={told} Deadline=N/A").deadline == expected


def test_a_job_name_that_looks_like_a_time_is_not_one():
    scontrol = SCONTROL.replace("JobName=job.sh", "JobName=EndTime=2020-01-01T00:00:00")
    assert slurm_allocation(BATCH, scontrol).deadline == datetime(2026, 11, 21, 5, 18, 55, tzinfo=UTC)


def test_the_older_name_of_the_list_serves():
    environment = {"SLURM_JOB_ID": "1", "SLURM_NODELIST": "b,a", "SLURM_JOB_CPUS_PER_NODE": "1(x2)"}
    assert [node.hostname for node in slurm_allocation(environment, None).nodes] == ["b", "a"]


@given(st.lists(st.tuples(st.integers(1, 128), st.integers(1, 50)), min_size=1, max_size=20))
def test_cpus_per_node_are_dealt_to_the_nodes_in_order(runs):
    text = ",".join(f"{cpus}(x{times})" if times > 1 else f"{cpus}" for cpus, times in runs)
    expected = [cpus for cpus, times in runs for _ in range(times)]
    found = slurm_allocation(job(f"n[1-{len(expected)}]", text), None)
    assert [len(node.cores) for node in found.nodes] == expected


@pytest.mark.parametrize(
    ("environment", "scontrol", "message"),
    [
        ({}, None, "SLURM_JOB_ID: is not set"),
        (job("n1", "4", SLURM_JOB_ID="--help"), None, "SLURM_JOB_ID: '--help'"),
        ({"SLURM_JOB_ID": "1"}, None, "SLURM_JOB_NODELIST: is not set"),
        (job("n[1-", "4"), None, "SLURM_JOB_NODELIST: 'n[1-' has brackets"),
        (job("n*", "4"), None, "SLURM_JOB_NODELIST: 'n*' is not a hostname"),
        ({"SLURM_JOB_ID": "1", "SLURM_NODELIST": "n1 n2"}, None, "SLURM_NODELIST: 'n1 n2' has ' '"),
        (job("n[1-4]", "4", SLURM_JOB_NUM_NODES="5"), None, "SLURM_JOB_NUM_NODES: '5' is not the number of nodes"),
        ({"SLURM_JOB_ID": "1", "SLURM_JOB_NODELIST": "n1"}, None, "SLURM_JOB_CPUS_PER_NODE: is not set"),
        (job("n1", "4(x"), None, "SLURM_JOB_CPUS_PER_NODE: '4(x' is not of the form"),
        (job("n1", "4,"), None, "SLURM_JOB_CPUS_PER_NODE: '4,' is not of the form"),
        (job("n[1-2]", "4"), None, "SLURM_JOB_CPUS_PER_NODE: '4' is of 1 nodes, but the job has 2"),
        (job("n[1-2]", "4(x999999999)"), None, "SLURM_JOB_CPUS_PER_NODE: '4(x999999999)' is of 999999999"),
        (job("n1", "0"), None, "SLURM_JOB_CPUS_PER_NODE: gives n1 0 cores"),
        (job("n1", "999999999"), None, "SLURM_JOB_CPUS_PER_NODE: gives n1 999999999 cores"),
        (job("n1", "4", SLURM_GPUS_PER_NODE="many"), None, "SLURM_GPUS_PER_NODE: 'many' is not a number"),
        (job("n1", "4", SLURM_JOB_GPUS="GPU-x"), None, "SLURM_JOB_GPUS: 'GPU-x' is not a list"),
        (job("n[1-2]", "4(x2)", SLURM_GPUS="5", SLURM_GPUS_ON_NODE="4"), None, "SLURM_GPUS: '5' GPUs on 2 nodes"),
        (job("n1", "4"), detail("n1", "gpu:a100"), "scontrol show job: GRES='gpu:a100'"),
        (job("n1", "4"), "StartTime=05:13:55 EndTime=05:18:55 Deadline=N/A", "scontrol show job: EndTime='05:18:55'"),
        (job("n1", "4", SLURM_JOB_END_TIME="soon"), None, "SLURM_JOB_END_TIME: 'soon' is not a time"),
    ],
)
def test_what_is_missing_malformed_or_contradictory_is_refused(environment, scontrol, message):
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        slurm_allocation(environment, scontrol)
