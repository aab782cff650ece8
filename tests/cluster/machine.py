"""Whether there can be a cluster on this machine."""

from __future__ import annotations

import os
import shutil
import subprocess

from tests.cluster.namespaces import KINDS

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Debian packages, by a program of each.
PACKAGES = {
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "ip": "iproute2",
    "munged": "munge",
    "slurmctld": "slurmctld",
    "slurmd": "slurmd",
    "srun": "slurm-client",
    "mpiexec.hydra": "mpich",
    "mpiexec.openmpi": "openmpi-bin",
}
SLURM_PACKAGES = {"munge", "slurmctld", "slurmd", "slurm-client"}


class ClusterError(RuntimeError):
    """There can be no cluster here, or something of it went wrong."""


def require(*, slurm: bool = True) -> None:
    """Checks that there can be a cluster on this machine.

    Args:
        slurm: Whether Slurm is wanted.

    Raises:
        ClusterError: If not. It says what is missing, and how to get it.
    """
    if os.geteuid() != 0:
        raise ClusterError("the cluster is made of network namespaces, and only root can make them: run this as root")
    wanted = {name: package for name, package in PACKAGES.items() if slurm or package not in SLURM_PACKAGES}
    missing = sorted({package for name, package in wanted.items() if not shutil.which(name, path=SEARCH_PATH)})
    if missing:
        names = " ".join(missing)
        raise ClusterError(
            f"the cluster needs Debian packages that are not installed: {names}. apt-get install {names}"
        )
    new = [f"--{kind}" for kind in KINDS]
    bridge = ["ip", "link", "add", "br0", "type", "bridge"]
    tried = subprocess.run(
        ["unshare", *new, "--fork", "--mount-proc", *bridge], capture_output=True, text=True, check=False
    )
    if tried.returncode:
        raise ClusterError(
            f"this machine does not let root make namespaces with a network bridge: {tried.stderr.strip()}. "
            "A container needs to be privileged for it"
        )
