"""The cluster itself: whether its hosts and its Slurm are what the tests of the product take them for."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.cluster import machine, slurm
from tests.cluster.cluster import Cluster, CommandError
from tests.cluster.machine import ClusterError
from tests.cluster.namespaces import Host, HostError
from tests.helpers import alive, wait_until

NODES = ["node1", "node2", "node3", "node4"]
SRUN = "srun --overlap --nodes=1 --ntasks=1 --nodelist={}"
HYDRA = "mpiexec.hydra -n 1 -hosts {}"
OPEN_MPI = "OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 mpiexec.openmpi -n 1 --host {}"


@pytest.fixture
def tag(tmp_path: Path) -> str:
    """A word by which a test knows the processes that it has started."""
    return f"tag-{tmp_path.name}"


def idle(cluster: Cluster) -> bool:
    """Whether Slurm has all nodes, and nothing to do."""
    return cluster.run("login", ["sinfo", "--noheader", "--format=%t %D"]).stdout.split() == ["idle", "4"]


@contextlib.contextmanager
def restored(cluster: Cluster, name: str) -> Iterator[None]:
    """Brings a node back that was killed within."""
    try:
        yield
    finally:
        if not cluster.node_up(name):
            cluster.start_node(name)
        wait_until(lambda: idle(cluster))


class TestHosts:
    def test_each_has_its_own_name_and_address(self, cluster: Cluster) -> None:
        addresses = set()
        for host in ("login", *NODES):
            assert cluster.run(host, ["hostname"]).stdout.strip() == host
            own = cluster.run(host, ["hostname", "--ip-address"]).stdout.strip()
            assert f"inet {own}/" in cluster.run(host, ["ip", "address"]).stdout
            addresses.add(own)
        assert len(addresses) == 5

    @pytest.mark.parametrize(("listener", "dialler"), [("node3", "node1"), ("login", "node4"), ("node2", "login")])
    def test_each_reaches_the_others(self, cluster: Cluster, listener: str, dialler: str) -> None:
        assert reaches(cluster, dialler, listener, bind="", address=listener)

    def test_loopback_ends_at_the_host(self, cluster: Cluster) -> None:
        assert reaches(cluster, "node1", "node1", bind="127.0.0.1", address="127.0.0.1")
        assert not reaches(cluster, "node2", "node1", bind="127.0.0.1", address="127.0.0.1")

    def test_unknown_name_is_refused_at_once(self, cluster: Cluster) -> None:
        began = time.monotonic()
        assert cluster.run("node1", ["getent", "hosts", "node9"], check=False).returncode != 0
        assert time.monotonic() - began < 20  # it is looked up again and again for minutes where that is wrong

    def test_command_gets_environment_and_folder(self, cluster: Cluster, tmp_path: Path) -> None:
        done = cluster.run("node2", ["sh", "-c", "pwd; echo $WORD"], environment={"WORD": "hello"}, cwd=tmp_path)
        assert done.stdout.split() == [str(tmp_path), "hello"]

    def test_failed_command_tells_what_it_printed(self, cluster: Cluster) -> None:
        with pytest.raises(CommandError, match=r"node1 exited with 3\s+words"):
            cluster.run("node1", ["sh", "-c", "echo words; exit 3"])
        assert cluster.run("node1", ["sh", "-c", "exit 3"], check=False).returncode == 3

    def test_command_that_takes_too_long_is_killed(self, cluster: Cluster, tag: str) -> None:
        with pytest.raises(CommandError, match=r"did not end within 0\.5 s\s+words"):
            cluster.run("node1", ["sh", "-c", f"echo words; sleep 100; : {tag}"], timeout_s=0.5)
        wait_until(lambda: not cluster.pids("node1", tag))

    def test_signal_reaches_the_command(self, cluster: Cluster) -> None:
        script = "trap 'exit 7' TERM; echo ready; while :; do sleep 0.1; done"
        process = cluster.popen("node1", ["sh", "-c", script], stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.terminate()
        assert process.wait(5) == 7

    def test_processes_are_found_by_command_line_and_environment(self, cluster: Cluster, tag: str) -> None:
        process = cluster.popen("node2", ["sleep", "100"], environment={"WORD": tag})
        wait_until(lambda: cluster.pids("node2", "sleep", "100") == [process.leader()])
        assert cluster.pids("node2", f"WORD={tag}", environ=True) == [process.leader()]
        assert cluster.pids("node2", "sleep", tag) == []
        assert cluster.pids("node3", "sleep", "100") == []
        process.kill()
        assert process.wait(5) == -signal.SIGKILL

    def test_daemons_are_found(self, cluster: Cluster) -> None:
        places = [
            ("login", "slurmctld"),
            ("login", "munged"),
            ("login", "server"),
            ("node3", "slurmd"),
            ("node3", "mom"),
        ]
        assert len({cluster.daemon_pid(host, name) for host, name in places}) == len(places)
        with pytest.raises(ClusterError, match="no slurmctld on node3"):
            cluster.daemon_pid("node3", "slurmctld")


def reaches(cluster: Cluster, dialler: str, listener: str, *, bind: str, address: str) -> bool:
    """Whether a host can connect to an address on which another one listens."""
    listen = f"import socket; s = socket.create_server(({bind!r}, 4321)); print('ready', flush=True); s.accept()"
    dial = f"import socket; socket.create_connection(({address!r}, 4321), timeout=5)"
    server = cluster.popen(listener, [sys.executable, "-c", listen], stdout=subprocess.PIPE)
    assert server.stdout is not None
    assert server.stdout.readline() == "ready\n"
    code = cluster.run(dialler, [sys.executable, "-c", dial], check=False).returncode
    server.kill()
    server.wait(5)
    return code == 0


class TestNodeLoss:
    def test_killed_node_is_gone_and_comes_back(self, cluster: Cluster, tag: str) -> None:
        with restored(cluster, "node4"):
            process = cluster.popen("node4", ["sh", "-c", f"sleep 100; : {tag}"])
            wait_until(lambda: len(cluster.pids("node4", tag)) == 1)
            pid = cluster.pids("node4", tag)[0]
            cluster.kill_node("node4")
            assert not cluster.node_up("node4")
            assert not alive(pid)
            assert process.wait(5) == -signal.SIGKILL
            with pytest.raises(ClusterError, match="node4 is down"):
                cluster.run("node4", ["true"])
            wait_until(lambda: "to-node4" not in cluster.run("login", ["ip", "link"]).stdout)
            cluster.start_node("node4")
            assert cluster.node_up("node4")
            assert reaches(cluster, "node1", "node4", bind="", address="node4")
        done = cluster.run("login", ["srun", "--nodes=1", "--nodelist=node4", "hostname"])
        assert done.stdout.strip() == "node4"

    def test_node_that_is_up_cannot_be_started(self, cluster: Cluster) -> None:
        with pytest.raises(ClusterError, match="node1 is up already"):
            cluster.start_node("node1")

    def test_slurm_job_outlives_a_node_and_cannot_have_it_back(self, cluster: Cluster, tmp_path: Path) -> None:
        script = f"""
            echo begun
            until [ -e {tmp_path}/lost ]; do sleep 0.1; done
            {SRUN.format("node2")} hostname
            until [ -e {tmp_path}/back ]; do sleep 0.1; done
            {SRUN.format("node4")} hostname || echo refused"""
        job = cluster.sbatch(script)
        with restored(cluster, "node4"):
            wait_until(lambda: "begun" in job.output)
            cluster.kill_node("node4")
            wait_until(lambda: "down" in node_state(cluster, "node4"), timeout_s=40)
            (tmp_path / "lost").touch()
            wait_until(lambda: "node2" in job.output)
            cluster.start_node("node4")
            wait_until(lambda: node_state(cluster, "node4") == "idle", timeout_s=40)
            (tmp_path / "back").touch()
            assert job.wait(20) == "COMPLETED"
        assert "refused" in job.output
        assert "Requested node configuration is not available" in job.output


def node_state(cluster: Cluster, name: str) -> str:
    """What Slurm says of a node."""
    return cluster.run("login", ["sinfo", "--noheader", f"--nodes={name}", "--format=%T"]).stdout.strip()


class TestSlurm:
    def test_step_runs_on_all_nodes(self, cluster: Cluster) -> None:
        done = cluster.run("login", ["srun", "--nodes=4", "hostname"])
        assert sorted(done.stdout.split()) == NODES

    def test_job_has_whole_nodes_and_can_ask_about_itself(self, cluster: Cluster) -> None:
        job = cluster.sbatch(
            "env; scontrol show job $SLURM_JOB_ID; scontrol show hostnames", environment={"WORD": "hi"}
        )
        assert job.wait() == "COMPLETED"
        lines = job.output.split()
        assert {
            "SLURM_JOB_NODELIST=node[1-4]",
            "SLURM_JOB_CPUS_PER_NODE=2(x4)",
            f"SLURM_JOB_ID={job.id}",
            "WORD=hi",
        } <= {*lines}
        assert {f"JobId={job.id}", "NodeList=node[1-4]"} <= {*lines}
        assert lines[-4:] == NODES

    def test_two_disjoint_steps_run_at_once(self, cluster: Cluster, tmp_path: Path) -> None:
        task = "touch {}; until [ -e {} ]; do sleep 0.1; done; hostname"
        step = f"srun --overlap --nodes=2 --ntasks=2 --nodelist={{}} sh -c '{task}'"
        first, second = tmp_path / "first", tmp_path / "second"
        job = cluster.sbatch(
            f"{step.format('node1,node2', first, second)} & {step.format('node3,node4', second, first)} & wait"
        )
        assert job.wait() == "COMPLETED"
        assert sorted(job.output.split()) == NODES

    @pytest.mark.parametrize("launcher", [SRUN, HYDRA, OPEN_MPI], ids=["srun", "hydra", "openmpi"])
    def test_launcher_places_on_the_named_node(self, cluster: Cluster, launcher: str) -> None:
        job = cluster.sbatch("\n".join(f"{launcher.format(name)} hostname" for name in ("node2", "node1", "node4")))
        assert job.wait() == "COMPLETED"
        assert job.output.split() == ["node2", "node1", "node4"]

    def test_job_is_cancelled(self, cluster: Cluster) -> None:
        job = cluster.sbatch("echo begun; sleep 100", nodes=1)
        wait_until(lambda: "begun" in job.output)
        with pytest.raises(TimeoutError, match=rf"job {job.id} is RUNNING after 0\.2 s.*\s+begun"):
            job.wait(0.2)
        job.cancel()
        assert job.wait() == "CANCELLED"


class TestLifetime:
    def test_down_leaves_nothing(self, tmp_path: Path) -> None:
        cluster = Cluster(tmp_path / "c", nodes=2)
        cluster.up()
        cluster.sbatch("sleep 100", nodes=1)
        # Neither of these has a parent in the cluster, and one has a session of its own.
        waiting = [cluster.popen(host, ["setsid", "--fork", "sleep", "100"]) for host in ("login", "node2")]
        assert any("slurmctld" in line for line in cluster.leftovers())
        cluster.down()
        assert cluster.leftovers() == []
        cluster.down()
        for process in waiting:
            process.wait(5)

    def test_cluster_ends_with_the_process_that_made_it(self, tmp_path: Path) -> None:
        script = (
            "import sys, time; from pathlib import Path; from tests.cluster.cluster import Cluster;"
            "Cluster(Path(sys.argv[1]), nodes=2, slurm=False).up(); print('up', flush=True); time.sleep(100)"
        )
        root = Path(__file__).resolve().parents[2]
        with subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path / "c")], cwd=root, stdout=subprocess.PIPE, text=True
        ) as maker:
            assert maker.stdout is not None
            assert maker.stdout.readline() == "up\n"
            assert Cluster(tmp_path / "c").leftovers() != []
            maker.kill()
        wait_until(lambda: Cluster(tmp_path / "c").leftovers() == [])

    def test_failed_start_leaves_nothing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(self: Cluster, hosts: Sequence[Host]) -> None:
            raise HostError("no cables today")

        monkeypatch.setattr(Cluster, "_plug_in", refuse)
        cluster = Cluster(tmp_path / "c", nodes=2, slurm=False)
        with pytest.raises(ClusterError, match="did not come up: no cables today"):
            cluster.up()
        assert cluster.leftovers() == []

    def test_host_that_fails_tells_why(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        configure = slurm.configure

        def spoil(folder: Path, *settings: int) -> None:
            configure(folder, *settings)
            (folder / "munge.key").write_text("short")

        monkeypatch.setattr(slurm, "configure", spoil)
        cluster = Cluster(tmp_path / "c", nodes=2)
        with pytest.raises(ClusterError, match=r"login did not start:\s+munged: Error: "):
            cluster.up()
        assert cluster.leftovers() == []

    def test_folder_that_was_used_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(ClusterError, match="is not empty"):
            Cluster(tmp_path).up()

    def test_missing_package_is_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(machine.PACKAGES, "no-such-program", "no-such-package")
        with pytest.raises(ClusterError, match="apt-get install no-such-package"):
            Cluster(tmp_path / "c").up()

    def test_others_than_root_are_told_so(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("os.geteuid", lambda: 1000)
        with pytest.raises(ClusterError, match="as root"):
            Cluster(tmp_path / "c").up()

    def test_sixty_four_nodes_come_up(self, tmp_path: Path) -> None:
        with Cluster(tmp_path / "c", nodes=64, pbs=False) as cluster:
            done = cluster.run("login", ["srun", "--nodes=64", "hostname"])
            assert sorted(done.stdout.split(), key=lambda name: int(re.sub(r"\D", "", name))) == cluster.nodes
