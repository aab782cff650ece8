"""What the tests of the doctor share: findings by how they ended, and what schedulers print."""

from __future__ import annotations

from director.doctor.commands import Answer
from director.doctor.findings import Finding, State

# As a Slurm 22.05 cluster printed them.
SCONTROL = (
    "PartitionName=work AllowGroups=ALL AllowAccounts=ALL AllowQos=ALL AllocNodes=ALL Default=YES QoS=N/A "
    "DefaultTime=NONE DisableRootJobs=NO ExclusiveUser=NO GraceTime=0 Hidden=NO MaxNodes=UNLIMITED MaxTime=UNLIMITED "
    "MinNodes=0 LLN=NO MaxCPUsPerNode=UNLIMITED Nodes=node[1-4] PriorityJobFactor=1 PriorityTier=1 RootOnly=NO "
    "ReqResv=NO OverSubscribe=EXCLUSIVE OverTimeLimit=NONE PreemptMode=OFF State=UP TotalCPUs=8 TotalNodes=4 "
    "SelectTypeParameters=NONE JobDefaults=(null) DefMemPerNode=UNLIMITED MaxMemPerNode=UNLIMITED "
    "TRES=cpu=8,mem=16000M,node=4,billing=8\n"
    "PartitionName=short AllowGroups=ALL AllowAccounts=good,chem AllowQos=ALL AllocNodes=ALL Default=NO QoS=N/A "
    "MaxNodes=2 MaxTime=00:30:00 MinNodes=0 State=UP TotalCPUs=4 TotalNodes=2 TRES=cpu=4,mem=8000M,node=2,billing=4\n"
    "PartitionName=big AllowAccounts=ALL DenyAccounts=guest Default=NO MaxNodes=UNLIMITED MaxTime=2-00:00:00 "
    "MinNodes=3 State=UP TotalNodes=4\n"
    "PartitionName=down AllowAccounts=ALL Default=NO MaxNodes=UNLIMITED MaxTime=UNLIMITED MinNodes=0 State=DOWN "
    "TotalNodes=4\n"
)
STARTS = Answer(0, "", "sbatch: Job 1 to start at 2026-11-21T08:23:50 using 8 processors on nodes node[1-4] in work\n")
NO_ACCOUNTS = Answer(
    1,
    "",
    "You are not running a supported accounting_storage plugin\nOnly 'accounting_storage/slurmdbd' is supported.\n",
)
NO_CONTROLLER = "Unable to contact slurm controller (connect failure)\n"
# As PBS Pro prints it, with the attributes that sites set.
QSTAT = """{
    "timestamp":1615924938,
    "pbs_version":"2022.1.1",
    "pbs_server":"pbs",
    "Queue":{
        "prod":{"queue_type":"Route", "total_jobs":0, "resources_max":{"nodect":496},
            "resources_min":{"nodect":10}, "route_destinations":"small,medium", "enabled":"True", "started":"True"},
        "small":{"queue_type":"Execution", "from_route_only":"True",
            "resources_max":{"nodect":24, "walltime":"03:00:00"}, "enabled":"True", "started":"True"},
        "medium":{"queue_type":"Execution", "from_route_only":"True",
            "resources_max":{"nodect":"99", "walltime":"06:00:00"}, "enabled":"True", "started":"True"},
        "debug":{"queue_type":"Execution", "resources_max":{"nodect":2, "walltime":"01:00:00"},
            "resources_min":{"nodect":1, "walltime":"00:05:00"}, "enabled":"True", "started":"True"},
        "ours":{"queue_type":"Execution", "acl_user_enable":"True", "acl_users":"ann@*,bob", "enabled":"True",
            "started":"True"},
        "held":{"queue_type":"Execution", "enabled":"True", "started":"False"},
        "shut":{"queue_type":"Execution", "enabled":"False", "started":"True"}
    }
}"""


def by_state(findings: list[Finding], state: State) -> dict[str, Finding]:
    return {finding.check: finding for finding in findings if finding.state is state}


def failed(findings: list[Finding]) -> dict[str, Finding]:
    return by_state(findings, State.FAILED)
