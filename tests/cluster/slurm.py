"""Slurm in the cluster: its configuration, and jobs of it."""

from __future__ import annotations

import re
import secrets
import time
from pathlib import Path

from tests.cluster.job import Job, Run

UNFINISHED = {"PENDING", "CONFIGURING", "RUNNING", "SIGNALING", "SUSPENDED", "COMPLETING"}

# SlurmdTimeout: how long a node may be silent before Slurm gives it up, 300 s by default. MessageTimeout: how long it
# waits for an answer before it calls that silence. With both, the loss of a node is noticed after some 8 to 15 s.
# ReturnToService=2: a node that comes back is used again without anybody's word.
# OverSubscribe=EXCLUSIVE: a job has whole nodes, as on most machines for which this is built.
# proctrack/linuxproc: Slurm forgets processes that leave their parents; there may be no control groups here.
_CONFIGURATION = """\
ClusterName=cluster
SlurmctldHost=login(10.77.0.254)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/run/munge
StateSaveLocation={folder}/slurm
SlurmdSpoolDir={folder}/slurm/%n
SlurmctldPidFile={folder}/run/slurmctld.pid
SlurmdPidFile={folder}/run/slurmd-%n.pid
SlurmctldLogFile={folder}/log/slurmctld
SlurmdLogFile={folder}/log/slurmd-%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1,batch_sched_delay=0,sched_min_interval=0
ReturnToService=2
SlurmdTimeout={timeout_s}
MessageTimeout=5
KillWait=5
InactiveLimit=0
MinJobAge=3600
NodeName=node[1-{nodes}] CPUs={cpus} RealMemory=4000 State=UNKNOWN
PartitionName=work Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=EXCLUSIVE
"""


def configure(folder: Path, nodes: int, cpus: int, timeout_s: int = 8) -> None:
    """Writes ``slurm.conf`` and the key that Slurm's daemons share."""
    (folder / "slurm").mkdir()
    (folder / "slurm.conf").write_text(
        _CONFIGURATION.format(folder=folder, nodes=nodes, cpus=cpus, timeout_s=timeout_s)
    )
    key = folder / "munge.key"
    key.touch(0o600)
    key.write_bytes(secrets.token_bytes(128))


def wait_until_idle(run: Run, nodes: int, timeout_s: float) -> None:
    """Waits until Slurm has all nodes, and no job on any.

    Raises:
        TimeoutError: If that takes too long.
    """
    give_up = time.monotonic() + timeout_s
    while (seen := run(["sinfo", "--noheader", "--format=%t %D"]).split()) != ["idle", str(nodes)]:
        if time.monotonic() > give_up:
            raise TimeoutError(f"Slurm has not all of its {nodes} nodes idle after {timeout_s:g} s: {' '.join(seen)}")
        time.sleep(0.05)


class SlurmJob(Job):
    """A Slurm job. Its states are ``RUNNING``, ``COMPLETED``, ``CANCELLED``, ``NODE_FAIL`` …"""

    def state(self) -> str:
        """See `Job.state`."""
        shown = self._run(["scontrol", "--oneliner", "show", "job", self.id])
        found = re.search(r"\bJobState=(\w+)", shown)
        assert found, shown
        return found[1]

    @staticmethod
    def ended(state: str) -> bool:
        """See `Job.ended`."""
        return state not in UNFINISHED

    def cancel(self) -> None:
        """See `Job.cancel`."""
        self._run(["scancel", self.id])
