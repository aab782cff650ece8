import pytest

from partitions.launchers import LauncherError, ProcessLauncher, ProgramLauncher, choose, flavour

HYDRA = "HYDRA build details:\n    Version:                                 4.0.2\n"
INTEL = "Intel(R) MPI Library for Linux* OS, Version 2021.12 (HYDRA)"
OPEN_MPI_4 = "mpiexec (OpenRTE) 4.1.4\n\nReport bugs to http://www.open-mpi.org/community/help/\n"
OPEN_MPI_5 = "mpirun (Open MPI) 5.0.3\n"
PALS = "PALS mpiexec version 1.2.12 (revision 1)"


@pytest.mark.parametrize(
    ("text", "kind"),
    [(HYDRA, "hydra"), (INTEL, "hydra"), (OPEN_MPI_4, "openmpi"), (OPEN_MPI_5, "openmpi"), (PALS, "pals"), ("1", None)],
)
def test_an_mpiexec_is_known_by_what_it_says_of_itself(text, kind):
    assert flavour(text) == kind


@pytest.mark.parametrize("kind", ["srun", "hydra", "openmpi", "pals"])
def test_every_launcher_names_the_hosts_and_starts_the_program_once_on_each(kind):
    command = ProgramLauncher(kind, f"/opt/{kind}").command(["node3", "node4"], ["python", "keeper.py", "a b"])
    assert command.arguments[0] == f"/opt/{kind}"
    assert command.arguments[-3:] == ["python", "keeper.py", "a b"]
    options = command.arguments[1:-3]
    named = [option for option in options if "node3" in option and "node4" in option]
    assert len(named) == 1
    assert any(option in ("2", "--ntasks=2") for option in options)
    assert "PBS_NODEFILE" not in command.environment


def test_slurm_steps_share_nodes_with_other_steps_and_do_not_end_with_one_node():
    options = ProgramLauncher("srun", "srun").command(["node1"], ["x"]).arguments
    assert {"--overlap", "--no-kill", "--kill-on-bad-exit=0", "--nodelist=node1", "--ntasks-per-node=1"} <= set(options)


def installed(**versions):
    """A machine's search path: programs, and what they print when asked for their version."""
    programs = {name.replace("_", "."): text for name, text in versions.items()}
    return {
        "program": None,
        "which": lambda name: f"/bin/{name}" if name in programs else None,
        "version": lambda path: programs[path.removeprefix("/bin/")] or None,
    }


BOTH = installed(srun="slurm 22.05", mpiexec=OPEN_MPI_4, mpiexec_hydra=HYDRA, mpiexec_openmpi=OPEN_MPI_4)


@pytest.mark.parametrize(
    ("wanted", "scheduler", "launcher"),
    [
        ("auto", "local", ProcessLauncher()),
        ("auto", "slurm", ProgramLauncher("srun", "/bin/srun")),
        ("auto", "pbs", ProgramLauncher("openmpi", "/bin/mpiexec")),
        ("hydra", "slurm", ProgramLauncher("hydra", "/bin/mpiexec.hydra")),
        ("openmpi", "pbs", ProgramLauncher("openmpi", "/bin/mpiexec.openmpi")),
    ],
)
def test_the_launcher_is_found_and_can_be_chosen(wanted, scheduler, launcher):
    assert choose(wanted, scheduler, **BOTH) == launcher


def test_the_program_can_be_named():
    machine = installed(mpiexec=OPEN_MPI_4, my_mpiexec=PALS) | {"program": "my.mpiexec"}
    assert choose("auto", "pbs", **machine) == ProgramLauncher("pals", "/bin/my.mpiexec")


@pytest.mark.parametrize(
    ("wanted", "scheduler", "machine", "message"),
    [
        ("auto", "slurm", installed(), "srun is not installed"),
        ("auto", "pbs", installed(), "mpiexec is not in the search path"),
        ("hydra", "pbs", installed(mpiexec=OPEN_MPI_4), "/bin/mpiexec says 'mpiexec (OpenRTE) 4.1.4'"),
        ("auto", "pbs", installed(mpiexec="mpiexec 0.1 by somebody"), "by somebody"),
        ("auto", "pbs", installed(mpiexec=""), "does not answer to --version"),
        ("process", "slurm", BOTH, "on this machine only"),
        ("srun", "local", BOTH, "logical nodes"),
    ],
)
def test_what_cannot_launch_is_refused_with_the_reason(wanted, scheduler, machine, message):
    with pytest.raises(LauncherError, match="launcher: ") as caught:
        choose(wanted, scheduler, **machine)
    assert message in str(caught.value)
