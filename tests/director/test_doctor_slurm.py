"""What the doctor decides from what Slurm prints."""

from __future__ import annotations

import pytest

from director.doctor import slurm
from director.doctor.commands import Answer
from director.doctor.findings import State
from director.doctor.job import JobRequest
from tests.director.examining import NO_ACCOUNTS, NO_CONTROLLER, SCONTROL, STARTS, by_state, failed


def job(queue: str | None = "work", *, nodes: int = 2, walltime_s: int = 600, account: str | None = None) -> JobRequest:
    directives = (f"#SBATCH --nodes={nodes}", f"#SBATCH --time={walltime_s // 60}")
    return JobRequest("slurm", "", nodes, walltime_s, queue, account, directives=directives)


def slurm_facts(test: Answer = STARTS, associations: Answer = NO_ACCOUNTS, show: Answer | None = None):
    return slurm.SlurmFacts((), show or Answer(0, SCONTROL), associations, test)


def test_partitions_are_read_as_slurm_prints_them():
    work, short, big, down = slurm.partitions(SCONTROL)
    assert (work.name, work.default, work.total_nodes, work.max_nodes, work.max_walltime_s) == (
        "work",
        True,
        4,
        None,
        None,
    )
    assert (short.accounts, short.max_nodes, short.max_walltime_s) == (("good", "chem"), 2, 1800)
    assert (big.denied, big.min_nodes, big.max_walltime_s) == (("guest",), 3, 172800)
    assert down.state == "DOWN"
    with pytest.raises(ValueError, match="without MaxTime"):
        slurm.partitions("PartitionName=x TotalNodes=3 MaxNodes=1\n")


def test_a_job_that_slurm_takes_is_well_and_its_account_is_not_known():
    found = slurm.judge(job(), slurm_facts())
    assert not failed(found)
    assert "work, Slurm's default, with 4 nodes" in by_state(found, State.OK)["partition"].found
    assert "to start at" in by_state(found, State.OK)["sbatch --test-only"].found
    assert "accounting_storage" in by_state(found, State.UNCHECKED)["account"].found


@pytest.mark.parametrize(
    ("wanted", "check", "words", "hint"),
    [
        (job("nope"), "partition", "'nope' is not known", "Take one of work, short, big, down"),
        (job("work,nope"), "partition", "'nope' is not known", "work, short"),
        (job("down"), "partition", "down is DOWN", "another one of work"),
        (job("work", nodes=9), "limits", "9 nodes, of which a job may have 4", "`nodes`"),
        (job("short", nodes=3), "limits", "3 nodes, of which a job may have 2", "work, big"),
        (job("big", nodes=2), "limits", "2 nodes, of which a job must have 3", "work, short"),
        (job("short", walltime_s=3600), "limits", "01:00:00, where a job may take 00:30:00", "work"),
        (job("short", account="bad"), "account", "short does not take 'bad'", "good, chem"),
        (job("big", nodes=3, account="Guest"), "account", "big does not take 'Guest'", "another `account`"),
    ],
)
def test_what_slurm_would_not_take_is_named_with_what_it_would(wanted, check, words, hint):
    found = failed(slurm.judge(wanted, slurm_facts()))
    assert words in found[check].found
    assert hint in found[check].hint
    assert set(found) == {check}


def test_accounts_are_compared_with_those_of_the_user():
    mine = Answer(0, "chem|\ngood|\nchem|short\n")
    assert (
        by_state(slurm.judge(job(account="CHEM"), slurm_facts(associations=mine)), State.OK)["account"].found == "CHEM"
    )
    wrong = failed(slurm.judge(job(account="other"), slurm_facts(associations=mine)))["account"]
    assert (wrong.found, wrong.hint) == ("'other' is none of yours", "Take one of chem, good")
    none = by_state(slurm.judge(job(), slurm_facts(associations=mine)), State.OK)["account"]
    assert "Yours are chem, good" in none.found
    assert failed(slurm.judge(job(), slurm_facts(associations=Answer(0, "\n"))))["account"].found == (
        "Slurm has no account for you"
    )


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("allocation failure: Invalid account or account/partition combination specified", "`account` is 'a'"),
        ("sbatch: error: invalid partition specified: x\nallocation failure: Invalid partition name specified", "work"),
        ("allocation failure: Requested node configuration is not available", "`nodes` is 2: take fewer"),
        ("allocation failure: Invalid feature specification", "`constraint`"),
        ("sbatch: error: Invalid generic resource (gres) specification", "accelerators"),
        ("allocation failure: Requested reservation is invalid", "`reservation`"),
        ("allocation failure: Invalid qos specification", "`qos`"),
        ("allocation failure: Requested time limit is invalid (missing or exceeds some limit)", "`walltime_s` is 600"),
        ("sbatch: unrecognized option '--bogus=1'\nTry \"sbatch --help\" for more information", "older"),
        ("allocation failure: " + NO_CONTROLLER, "try again later"),
        ("allocation failure: something that nobody has seen", "same words"),
    ],
)
def test_what_slurm_says_of_a_job_is_passed_on_with_a_remedy(said, hint):
    found = failed(slurm.judge(job(account="a"), slurm_facts(Answer(1, "", said + "\n"))))["sbatch --test-only"]
    assert hint in found.hint
    assert said.splitlines()[-1].strip() in found.found


def test_slurm_that_does_not_answer_or_is_not_there_is_told_once():
    silent = slurm_facts(Answer(1, "", NO_CONTROLLER), show=Answer(1, "", "slurm_load_partitions: " + NO_CONTROLLER))
    assert list(failed(slurm.judge(job(), silent))) == ["partition"]
    absent = slurm.judge(job(), slurm.SlurmFacts(missing=("sbatch", "scontrol")))
    assert [one.state for one in absent] == [State.FAILED, State.UNCHECKED]
    assert "sbatch, scontrol not in the search path" in absent[0].found


def test_the_script_that_is_tested_asks_for_what_the_job_would():
    assert slurm.script(job(nodes=3)) == "#!/bin/bash\n#SBATCH --nodes=3\n#SBATCH --time=10\n:\n"
