"""A cluster of several nodes on this machine, for tests and measurements: real Slurm, and a stand-in for PBS.

Every host is a set of Linux namespaces: it has its own name, loopback, address, processes and mounts, and shares this
machine's files, as the nodes of a cluster share theirs. All nest in the login host's, so that the end of one process
ends everything. It needs root and a few Debian packages.
"""

from __future__ import annotations

import itertools
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from tests.cluster import openpbs
from tests.cluster import slurm as slurm_
from tests.cluster.machine import SEARCH_PATH, ClusterError, require
from tests.cluster.namespaces import START_S, Host, HostError, HostProcess, all_pids, namespace, pids_naming, read
from tests.cluster.openpbs import PbsJob
from tests.cluster.slurm import SlurmJob

HERE = Path(__file__).resolve().parent
MOST_NODES = 64
LOGIN_ADDRESS = "10.77.0.254"
IDLE_S = 30.0
DOWN_S = 5.0
# A Unix socket's path may have 107 characters; the longest name that is added to the folder has fewer than these.
LONGEST_FOLDER = 107 - 24


class CommandError(ClusterError):
    """A command inside the cluster failed."""


class Cluster:
    """A login host and some nodes.

    Args:
        folder: An empty or new folder for all that the cluster writes.
        nodes: How many nodes it has, at most 64: ``node1``, ``node2`` …
        cpus: How many processors Slurm and PBS believe each to have.
        slurm: Whether Slurm's daemons run.
        pbs: Whether those of the PBS stand-in run.
        gives_up_s: How long Slurm waits for a node that is silent, before it takes it out of its job, in s.
        setup: Shell lines that the login host runs before its daemons start. What they mount, the nodes see as well.
    """

    def __init__(
        self,
        folder: Path,
        nodes: int = 4,
        cpus: int = 2,
        *,
        slurm: bool = True,
        pbs: bool = True,
        gives_up_s: int = 8,
        setup: str = "",
    ) -> None:
        if not 1 <= nodes <= MOST_NODES:
            raise ValueError(f"a cluster has 1 to {MOST_NODES} nodes, not {nodes}")
        self.folder = folder.resolve()
        self.cpus = cpus
        self.nodes = [f"node{index}" for index in range(1, nodes + 1)]
        self._addresses = {f"node{index}": f"10.77.0.{index}" for index in range(1, nodes + 1)}
        self._slurm = slurm
        self._pbs = pbs
        self._gives_up_s = gives_up_s
        self._setup = setup
        self._hosts: dict[str, Host] = {}
        self._plugged: set[str] = set()
        self._scripts = itertools.count(1)

    def __enter__(self) -> Cluster:
        self.up()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()

    def up(self) -> None:
        """Starts all hosts, and returns when all are ready and Slurm has all nodes idle.

        Raises:
            ClusterError: If there can be no cluster on this machine. It says what is missing.
        """
        require(slurm=self._slurm)
        if len(str(self.folder)) > LONGEST_FOLDER:
            raise ClusterError(f"{self.folder} is too long a path: sockets in it could not be opened")
        if self.folder.exists() and any(self.folder.iterdir()):
            raise ClusterError(
                f"{self.folder} is not empty: a cluster needs a folder of its own each time that it comes up"
            )
        try:
            self._prepare()
            self._start_login()
            self._start_nodes(self.nodes)
            if self._slurm:
                slurm_.wait_until_idle(self._on_login, len(self.nodes), IDLE_S)
        except (HostError, TimeoutError) as error:
            self.down()
            raise ClusterError(f"the cluster did not come up: {error}") from error
        except BaseException:
            self.down()
            raise

    def down(self) -> None:
        """Ends all processes of the cluster, and with them its namespaces. May be called twice.

        Raises:
            ClusterError: If something is left.
        """
        if login := self._hosts.get("login"):
            login.kill()
        for host in self._hosts.values():
            host.kill()
        self._hosts.clear()
        self._plugged.clear()
        give_up = time.monotonic() + DOWN_S
        while (left := self.leftovers()) and time.monotonic() < give_up:  # what waited outside for a command ends now
            time.sleep(0.02)
        if left:
            raise ClusterError("the cluster is down, but this is left of it:\n" + "\n".join(left))

    def leftovers(self) -> list[str]:
        """What is there of the cluster: processes that name its folder, and mounts. Empty when it is down."""
        text = str(self.folder)
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()
        return [
            *(f"process {pid}: {read(pid, 'cmdline')}" for pid in pids_naming(text)),
            *(f"mount: {line}" for line in mounts if text in line),
        ]

    def run(
        self,
        host: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        timeout_s: float = 60.0,
        check: bool = True,
        cwd: Path | None = None,
        inherit: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command inside a host, and waits for it.

        Args:
            host: ``login`` or a node.
            command: Program and arguments.
            environment: What to add to this process's environment.
            timeout_s: How long it may take; then it is killed.
            check: Whether it must succeed.
            cwd: Where it runs; by default in the cluster's folder.
            inherit: Whether it gets this process's environment at all.

        Raises:
            CommandError: If it fails although it must not, or takes too long. It tells what the command printed.
        """
        pipe = subprocess.PIPE
        process = self.popen(host, command, environment=environment, cwd=cwd, inherit=inherit, stdout=pipe, stderr=pipe)
        with process:
            try:
                out, err = process.communicate(timeout=timeout_s)
            except subprocess.TimeoutExpired:
                process.kill()
                out, err = _rest(process)
                raise CommandError(_told(host, command, f"did not end within {timeout_s:g} s", out, err)) from None
            except BaseException:
                process.kill()
                raise
        if check and process.returncode:
            raise CommandError(_told(host, command, f"exited with {process.returncode}", out, err))
        return subprocess.CompletedProcess(list(command), process.returncode, out, err)

    def popen(
        self,
        host: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        inherit: bool = True,
        stdin: int | None = subprocess.DEVNULL,
        stdout: int | None = subprocess.DEVNULL,
        stderr: int | None = subprocess.DEVNULL,
    ) -> HostProcess:
        """Starts a command inside a host. See `run`, and `HostProcess` for what a signal to it does."""
        # nsenter leaves a command in the root folder of its host: env brings it to the right one.
        inside = ["setsid", "env", f"--chdir={cwd or self.folder}", *command]
        return HostProcess(
            [*self._host(host).enter(), *inside],
            env={
                **(os.environ if inherit else {}),
                "SLURM_CONF": str(self.folder / "slurm.conf"),
                **(environment or {}),
            },
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            text=True,
        )

    def kill_node(self, name: str) -> None:
        """Takes the power from a node: when this returns, its processes and its network are gone."""
        self._host(name).kill()

    def start_node(self, name: str) -> None:
        """Starts a node that was killed. Slurm takes a moment to see it."""
        if self.node_up(name):
            raise ClusterError(f"{name} is up already")
        try:
            self._start_nodes([name])
        except HostError as error:
            self._hosts[name].kill()
            raise ClusterError(f"{name} did not come up: {error}") from error

    def node_up(self, name: str) -> bool:
        """Whether a node runs."""
        return name in self._hosts and self._hosts[name].up

    def pids(self, host: str, *needles: str, environ: bool = False) -> list[int]:
        """Processes of a host, by the ids that they have outside of it.

        Args:
            host: ``login`` or a node.
            needles: What their command lines hold, all of it; or their environments.
            environ: Whether to look into their environments.
        """
        home = namespace(self._host(host).init)
        here = [pid for pid in all_pids() if namespace(pid) == home]
        what = "environ" if environ else "cmdline"
        return [pid for pid in here if all(needle in read(pid, what) for needle in needles)]

    def daemon_pid(self, host: str, name: str) -> int:
        """The process id, outside of the host, of ``slurmctld``, ``slurmd``, ``munged``, ``mom`` or ``server``."""
        init = self._host(host).init
        for pid in self.pids(host):
            program = read(pid, "comm").strip() == name or f"/pbs/{name}.py " in read(pid, "cmdline")
            if program and f"PPid:\t{init}\n" in read(pid, "status"):
                return pid
        raise ClusterError(f"there is no {name} on {host}")

    def sbatch(
        self,
        script: str,
        *,
        nodes: int = 4,
        args: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> SlurmJob:
        """Submits a script to Slurm from the login host. The job outlives its nodes.

        Args:
            script: A shell script.
            nodes: How many nodes the job has.
            args: More options of ``sbatch``.
            environment: What to add to the job's environment.
        """
        file = self._script(script)
        output = self.folder / "jobs" / "slurm-%j.out"
        options = ["--parsable", "--no-kill", "--no-requeue", f"--nodes={nodes}", f"--output={output}"]
        done = self.run("login", ["sbatch", *options, *args, str(file)], environment=environment)
        job = done.stdout.strip()
        return SlurmJob(job, self.folder / "jobs" / f"slurm-{job}.out", self._on_login)

    def pbs_environment(self, mpiexec: str | None = None) -> dict[str, str]:
        """What to add to the environment of a command so that it finds ``qsub``, ``qstat`` and ``qdel``.

        Args:
            mpiexec: Which program goes by the name of ``mpiexec``: ``hydra``, ``openmpi``, or ``pals``, which is a
                stand-in; None: what the machine has.
        """
        first = [self.folder / "bin"] if mpiexec is None else [self.folder / "mpi" / mpiexec, self.folder / "bin"]
        return {"PATH": ":".join([*map(str, first), os.environ.get("PATH", SEARCH_PATH)])}

    def pbs_job(
        self,
        script: str,
        *,
        nodes: int = 4,
        mpiprocs: int = 2,
        walltime_s: int = 600,
        mpiexec: str | None = None,
        args: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> PbsJob:
        """Submits a script to PBS from the login host, with this process's environment. The job outlives its nodes.

        Args:
            script: A shell script.
            nodes: How many nodes the job has.
            mpiprocs: How often the job's node file names each.
            walltime_s: How long it may run.
            mpiexec: See `pbs_environment`.
            args: More options of ``qsub``.
            environment: What to add to the job's environment.
        """
        file = self._script(script)
        output = file.with_suffix(".out")
        options = [
            "-V",
            *("-j", "oe", "-o", str(output), "-W", "tolerate_node_failures=all", "-l", f"walltime={walltime_s}"),
            *("-l", f"select={nodes}:ncpus={self.cpus}:mpiprocs={mpiprocs}"),
        ]
        found = {**self.pbs_environment(mpiexec), **(environment or {})}
        done = self.run("login", ["qsub", *options, *args, str(file)], environment=found)
        return PbsJob(done.stdout.strip(), output, self._on_login)

    def _script(self, text: str) -> Path:
        file = self.folder / "jobs" / f"job-{next(self._scripts)}.sh"
        file.write_text(text if text.startswith("#!") else f"#!/bin/bash\n{text}")
        return file

    def _host(self, name: str) -> Host:
        if name not in self._hosts:
            raise ClusterError(f"the cluster has no host {name}")
        if not self._hosts[name].up:
            raise ClusterError(f"{name} is down")
        return self._hosts[name]

    def _on_login(self, command: list[str]) -> str:
        return self.run("login", command, environment=self.pbs_environment()).stdout

    def _prepare(self) -> None:
        for name in ("run", "log", "jobs"):
            (self.folder / name).mkdir(parents=True)
        lines = ["127.0.0.1 localhost", f"{LOGIN_ADDRESS} login"]
        lines += [f"{address} {name}" for name, address in self._addresses.items()]
        (self.folder / "hosts").write_text("\n".join(lines) + "\n")
        (self.folder / "setup.sh").write_text(self._setup)
        if self._pbs:
            openpbs.install(self.folder)
        if self._slurm:
            slurm_.configure(self.folder, len(self.nodes), self.cpus, self._gives_up_s)

    def _start_login(self) -> None:
        init = [*self._init("login.sh"), str(self.cpus), *self.nodes]
        self._hosts["login"] = login = Host("login", init, self.folder / "log" / "login", self._environment())
        login.expect("ready")
        self._await_pbs(["server"])

    def _start_nodes(self, names: Sequence[str]) -> None:
        """Starts nodes, all at once. Each waits for its cable before it goes on."""
        login = self._hosts["login"]
        for name in names:
            init = self._init("node.sh", name, self._addresses[name])
            log = self.folder / "log" / name
            self._hosts[name] = Host(name, init, log, self._environment(), inside=login)
        started = [self._hosts[name] for name in names]
        for host in started:
            host.expect("born")
        self._plug_in(started)
        for host in started:
            host.tell()
        for host in started:
            host.expect("ready")
        self._await_pbs(names)

    def _await_pbs(self, names: Sequence[str]) -> None:
        """Waits until these daemons of PBS listen. Namespaces do not keep their sockets apart from here."""
        give_up = time.monotonic() + START_S
        for name in names if self._pbs else ():
            while not openpbs.listens(self.folder, name):
                if time.monotonic() > give_up:
                    raise HostError(f"PBS on {name} did not start: see {self.folder / 'log'}")
                time.sleep(0.01)

    def _plug_in(self, hosts: Sequence[Host]) -> None:
        """Connects nodes to the bridge, which is in the login host's network and in no other."""
        lines = []
        for host in hosts:
            lines += [
                f"link add to-{host.name} type veth peer name eth0 netns {host.init}",
                f"link set to-{host.name} master br0 up",
            ]
        # Only the network is entered: process ids are this machine's.
        enter = ["nsenter", f"--net=/proc/{self._hosts['login'].init}/ns/net", "ip"]
        for host in hosts:  # the kernel takes its time to remove the cable of a node that was killed
            if host.name in self._plugged:
                subprocess.run([*enter, "link", "delete", f"to-{host.name}"], stderr=subprocess.DEVNULL, check=False)
        done = subprocess.run(
            [*enter, "-batch", "-"], input="\n".join(lines), text=True, capture_output=True, check=False
        )
        if done.returncode:
            raise HostError(f"the nodes could not be connected: {done.stderr.strip()}")
        self._plugged.update(host.name for host in hosts)

    def _init(self, script: str, *arguments: str) -> list[str]:
        switches = [str(int(self._slurm)), str(int(self._pbs))]
        return ["bash", str(HERE / script), str(self.folder), *arguments, *switches, sys.executable]

    def _environment(self) -> dict[str, str]:
        """The environment of the daemons, which is also that in which PBS starts a job."""
        kept = {name: os.environ[name] for name in ("HOME", "USER", "LANG") if name in os.environ}
        return {**kept, "PATH": SEARCH_PATH, "SLURM_CONF": str(self.folder / "slurm.conf")}


def _rest(process: HostProcess) -> tuple[str, str]:
    """What a killed command printed. Something may have left its process group with its output still open."""
    try:
        return process.communicate(timeout=1)
    except subprocess.TimeoutExpired as open_still:
        return _text(open_still.stdout), _text(open_still.stderr)


def _text(output: bytes | str | None) -> str:
    return output.decode(errors="replace") if isinstance(output, bytes) else output or ""


def _told(host: str, command: Sequence[str], what: str, out: str, err: str) -> str:
    return f"{shlex.join(command)} on {host} {what}\n{out[-4000:]}{err[-4000:]}"
