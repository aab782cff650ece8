"""The stand-in for PBS: whether it behaves as OpenPBS and PALS do where the product can tell."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from tests.cluster.cluster import Cluster
from tests.helpers import end_all, wait_until

NODES = ["node1", "node2", "node3", "node4"]
LAUNCH = {
    "hydra": "mpiexec -n {n} -ppn 1 -hosts {hosts}",
    "openmpi": "mpiexec -n {n} --map-by node --host {hosts}",
    "pals": "mpiexec -n {n} --ppn 1 --hosts {hosts} --cpu-bind none --line-buffer",
}

Command = Callable[..., CompletedProcess[str]]


@pytest.fixture
def tag(tmp_path: Path) -> str:
    """A word by which a test knows the processes that it has started."""
    return f"tag-{tmp_path.name}"


@pytest.fixture
def command(cluster: Cluster) -> Command:
    """Runs a command of PBS on the login host."""
    return lambda *words: cluster.run("login", words, environment=cluster.pbs_environment(), check=False)


class TestJob:
    def test_script_has_the_environment_of_a_job(self, cluster: Cluster) -> None:
        job = cluster.pbs_job("hostname; env; pwd; cat $PBS_NODEFILE", mpiprocs=2, environment={"WORD": "hello"})
        assert job.wait() == "F"
        assert job.exit_status == 0
        lines = job.output.split("\n")
        assert lines[0] == "node1"
        assert {
            f"PBS_JOBID={job.id}",
            f"PBS_O_WORKDIR={cluster.folder}",
            "PBS_ENVIRONMENT=PBS_BATCH",
            "NCPUS=2",
            "WORD=hello",
        } <= {*lines}
        assert lines[-10] == os.environ["HOME"]
        assert lines[-9:-1] == [name for name in NODES for _ in range(2)]

    def test_qsub_reads_directives_and_takes_no_environment_along(self, cluster: Cluster, tmp_path: Path) -> None:
        script = tmp_path / "job.sh"
        script.write_text(
            "#!/bin/bash\n#PBS -l select=2:ncpus=2:mpiprocs=1,walltime=90\n#PBS -N name\n#PBS -j oe\n"
            f"#PBS -o {tmp_path}/output\n\necho word=$WORD; cat $PBS_NODEFILE; exit 3\n"
        )
        environment = {**cluster.pbs_environment(), "WORD": "hello"}
        identity = cluster.run(
            "login", ["qsub", "-q", "debug", "-A", "me", str(script)], environment=environment
        ).stdout
        wait_until(lambda: describe(cluster, identity.strip())["job_state"] == "F")
        assert (tmp_path / "output").read_text().split() == ["word=", "node1", "node2"]
        shown = describe(cluster, identity.strip())
        assert (shown["Job_Name"], shown["queue"], shown["Account_Name"], shown["Exit_status"]) == (
            "name",
            "debug",
            "me",
            3,
        )
        assert shown["Resource_List"]["walltime"] == "00:01:30"

    def test_job_waits_for_nodes(self, cluster: Cluster, tmp_path: Path) -> None:
        first = cluster.pbs_job(f"until [ -e {tmp_path}/go ]; do sleep 0.1; done", nodes=3)
        second = cluster.pbs_job("hostname", nodes=2)
        wait_until(lambda: first.state() == "R")
        time.sleep(0.5)
        assert second.state() == "Q"
        (tmp_path / "go").touch()
        first.wait()
        second.wait()
        assert second.output == "node1\n"

    def test_walltime_ends_the_job(self, cluster: Cluster, tag: str) -> None:
        job = cluster.pbs_job(f"pbs_tmrsh node3 'sleep 100; : {tag}' & sleep 100", walltime_s=1)
        wait_until(lambda: len(cluster.pids("node3", tag)) > 0)
        job.wait(10)
        assert job.exit_status == 256 + signal.SIGTERM
        assert cluster.pids("node3", tag) == []

    @pytest.mark.parametrize("tolerant", [True, False])
    def test_job_outlives_a_node_only_if_it_was_told_to(self, cluster: Cluster, tmp_path: Path, tolerant: bool) -> None:
        script = f"echo begun; until [ -e {tmp_path}/back ]; do sleep 0.1; done; pbs_tmrsh node4 true; echo $?"
        job = cluster.pbs_job(script, args=[] if tolerant else ["-W", "tolerate_node_failures=none"])
        try:
            wait_until(lambda: "begun" in job.output)
            cluster.kill_node("node4")
            if tolerant:
                assert job.state() == "R"
            else:
                job.wait(5)
        finally:
            cluster.start_node("node4")
        (tmp_path / "back").touch()
        job.wait(10)
        if tolerant:  # as in PBS, a node that comes back has no part any more in the job
            assert 'tm_spawn: host "node4" err job is not known\n255\n' in job.output
        else:
            assert job.exit_status == 256 + signal.SIGKILL


class TestQueries:
    def test_qstat_shows_what_was_granted(self, cluster: Cluster, command: Command) -> None:
        job = cluster.pbs_job("sleep 100", nodes=3, mpiprocs=2, walltime_s=5400)
        wait_until(lambda: job.state() == "R")
        shown = describe(cluster, job.id)
        assert shown["exec_host"] == "node1/0*2+node2/0*2+node3/0*2"
        assert shown["exec_vnode"] == "(node1:ncpus=2)+(node2:ncpus=2)+(node3:ncpus=2)"
        assert shown["Resource_List"]["nodect"] == 3
        assert shown["Resource_List"]["walltime"] == "01:30:00"
        assert shown["Resource_List"]["select"] == "3:ncpus=2:mpiprocs=2"
        assert abs(time.mktime(time.strptime(shown["stime"])) - time.time()) < 20
        number = job.id.partition(".")[0]
        assert list(json.loads(command("qstat", "-f", "-F", "json", number).stdout)["Jobs"]) == [job.id]
        job.cancel()
        job.wait()
        forgotten = command("qstat", "-f", "-F", "json", job.id)
        assert forgotten.returncode == 35
        assert "Job has finished" in forgotten.stderr

    def test_one_unknown_id_fails_qstat_though_it_shows_the_others(self, cluster: Cluster, command: Command) -> None:
        job = cluster.pbs_job("true", nodes=1)
        done = command("qstat", "-x", "-f", "-F", "json", "99.login", job.id)
        assert done.returncode == 153
        assert done.stderr == "qstat: Unknown Job Id 99.login\n"
        assert list(json.loads(done.stdout)["Jobs"]) == [job.id]

    def test_qdel_ends_script_and_tasks_on_all_nodes(self, cluster: Cluster, command: Command, tag: str) -> None:
        job = cluster.pbs_job(f"trap '' TERM; pbs_tmrsh node3 'sleep 100; : {tag}' & sleep 100; sleep 100; : {tag}")
        wait_until(lambda: len(cluster.pids("node3", tag)) > 0)
        assert command("qdel", job.id).returncode == 0
        assert job.wait(10) == "F"
        assert job.exit_status == 256 + signal.SIGKILL
        assert [cluster.pids(name, tag) for name in NODES] == [[], [], [], []]
        assert command("qdel", job.id).returncode == 35
        assert command("qdel", "99.login").returncode == 153


class TestRemoteShell:
    def test_refuses_a_host_that_the_node_file_does_not_name(self, cluster: Cluster) -> None:
        job = cluster.pbs_job("pbs_tmrsh node3 hostname; echo $?", nodes=2)
        job.wait()
        assert job.output == f'pbs_tmrsh: host "node3" is not a node in job <{job.id}>\n255\n'

    def test_refuses_to_work_outside_a_job(self, cluster: Cluster, command: Command) -> None:
        done = command("pbs_tmrsh", "node1", "hostname")
        assert done.returncode == 255
        assert "not executing under PBS" in done.stderr

    def test_another_node_file_leads_to_another_node(self, cluster: Cluster, tmp_path: Path) -> None:
        (tmp_path / "part").write_text("node3\nnode4\n")
        job = cluster.pbs_job(f"PBS_NODEFILE={tmp_path}/part pbs_tmrsh node4 hostname", mpiprocs=1)
        job.wait()
        assert job.output == "node2\n"

    def test_task_has_environment_and_output_of_the_job(self, cluster: Cluster) -> None:
        script = "lost=$(WORD=own pbs_tmrsh node2 'hostname; echo $WORD $PBS_NODENUM/$PBS_NODEFILE'); echo lost=$lost"
        job = cluster.pbs_job(script, environment={"WORD": "job"})
        job.wait()
        assert job.output == "node2\njob 1/\nlost=\n"

    def test_exit_code_comes_back(self, cluster: Cluster) -> None:
        job = cluster.pbs_job("pbs_tmrsh -n -l root node2 'exit 5'; echo $?")
        job.wait()
        assert job.output == "5\n"

    def test_task_goes_on_when_it_is_killed_until_the_job_ends(self, cluster: Cluster, tag: str) -> None:
        job = cluster.pbs_job(f"pbs_tmrsh node2 'sleep 100; : {tag}' & sleep 100")
        wait_until(lambda: len(cluster.pids("node2", tag)) > 0)
        end_all(cluster.pids("node1", "pbs_tmrsh", tag))
        time.sleep(0.5)
        assert cluster.pids("node2", tag) != []
        job.cancel()
        job.wait()
        assert cluster.pids("node2", tag) == []


@pytest.mark.parametrize("name", LAUNCH)
class TestMpiexec:
    def test_places_on_the_named_nodes(self, cluster: Cluster, name: str) -> None:
        launch = LAUNCH[name]
        script = [launch.format(n=1, hosts=host) + " hostname" for host in ("node2", "node1", "node4")]
        job = cluster.pbs_job("\n".join([*script, launch.format(n=2, hosts="node3,node4") + " hostname"]), mpiexec=name)
        job.wait()
        # Under load Open MPI warns now and then that it could not make a process group that its child has made already.
        hosts = [line for line in job.output.splitlines() if "setpgid" not in line]
        assert hosts[:3] == ["node2", "node1", "node4"]
        assert sorted(hosts[3:]) == ["node3", "node4"]

    def test_says_what_it_is(self, cluster: Cluster, name: str) -> None:
        done = cluster.run("login", ["mpiexec", "--version"], environment=cluster.pbs_environment(name))
        assert {"hydra": "HYDRA", "openmpi": "OpenRTE", "pals": "PALS mpiexec version 1."}[name] in done.stdout

    def test_ends_its_processes_when_it_is_told_to(self, cluster: Cluster, name: str, tag: str) -> None:
        launch = LAUNCH[name].format(n=2, hosts="node2,node3")
        job = cluster.pbs_job(f"{launch} sh -c 'sleep 100; : {tag}' & sleep 100", mpiexec=name)
        wait_until(lambda: cluster.pids("node2", tag) != [] != cluster.pids("node3", tag))
        end_all(cluster.pids("node1", "mpiexec", tag), signal.SIGTERM)
        wait_until(lambda: cluster.pids("node2", tag) == [] == cluster.pids("node3", tag))
        job.cancel()
        job.wait()


class TestPals:
    def test_ranks_fill_one_host_after_the_other(self, cluster: Cluster, tmp_path: Path) -> None:
        launch = "mpiexec --np 3 --ppn 2 --hosts node4,node2 --env WORD=hello --envall"
        task = "echo $(hostname) $PALS_RANKID $WORD $OTHER $PWD"
        job = cluster.pbs_job(f"cd {tmp_path}; OTHER=too {launch} sh -c '{task}'", mpiexec="pals")
        job.wait()
        rest = f"hello too {tmp_path}"
        assert sorted(job.output.splitlines()) == [f"node2 2 {rest}", f"node4 0 {rest}", f"node4 1 {rest}"]

    def test_ends_all_when_one_fails(self, cluster: Cluster, tag: str) -> None:
        task = f"[ $PALS_RANKID = 1 ] && exit 9; sleep 100; : {tag}"
        job = cluster.pbs_job(f"mpiexec --ppn 1 sh -c '{task}'; echo $?", mpiexec="pals")
        job.wait(10)
        assert job.output == "9\n"
        assert [cluster.pids(name, tag) for name in NODES] == [[], [], [], []]

    @pytest.mark.parametrize("option", ["--overlap", "-hosts node2", "-ppn 1", "--bind-to none", "--map-by node"])
    def test_refuses_options_of_others(self, cluster: Cluster, option: str) -> None:
        words = ["mpiexec", *option.split(), "hostname"]
        done = cluster.run("login", words, environment=cluster.pbs_environment("pals"), check=False)
        assert done.returncode != 0
        assert "usage: mpiexec" in done.stderr

    def test_refuses_a_host_that_is_not_in_the_job(self, cluster: Cluster) -> None:
        job = cluster.pbs_job("mpiexec --hosts node4 hostname; echo $?", nodes=2, mpiexec="pals")
        job.wait()
        assert job.output == "mpiexec: host node4 is not in the job\n1\n"


def describe(cluster: Cluster, identity: str) -> dict[str, Any]:
    """What ``qstat`` says of a job."""
    words = ["qstat", "-x", "-f", "-F", "json", identity]
    answer = json.loads(cluster.run("login", words, environment=cluster.pbs_environment()).stdout)
    shown: dict[str, Any] = answer["Jobs"][identity]
    return shown
