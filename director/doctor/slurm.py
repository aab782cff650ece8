"""Whether Slurm would take the job. It is asked by ``sbatch --test-only`` and by looking; nothing is submitted."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from director.doctor.commands import NOT_ASKED, Answer, ask, missing
from director.doctor.findings import Finding, Topic
from director.doctor.job import JobRequest
from director.doctor.walltime import shown, slurm_seconds

COMMANDS = ("sbatch", "squeue", "scancel", "scontrol", "srun")
TIMEOUT_S = 20.0
_SHOW = ("scontrol", "--all", "--oneliner", "show", "partition")
_ASSOCIATIONS = ("sacctmgr", "--noheader", "--parsable2", "show", "associations", "format=account,partition")

_TOPIC = Topic("scheduler")
_FIELD = re.compile(r"(\S+?)=(\S*)")


@dataclass(frozen=True)
class SlurmPartition:
    """A partition of Slurm, as far as it says who may do what there.

    Attributes:
        name: Its name.
        default: Whether jobs go there that name none.
        state: ``UP``, ``DOWN``, ``DRAIN`` or ``INACTIVE``.
        total_nodes: How many nodes it has.
        min_nodes: How many a job must have.
        max_nodes: How many it may have; None: no limit of its own.
        max_walltime_s: How long it may take, in s; None: no limit.
        accounts: Whose jobs it takes; None: all.
        denied: Whose it does not take.
    """

    name: str
    default: bool
    state: str
    total_nodes: int
    min_nodes: int
    max_nodes: int | None
    max_walltime_s: int | None
    accounts: tuple[str, ...] | None
    denied: tuple[str, ...] = ()


@dataclass(frozen=True)
class SlurmFacts:
    """What Slurm told.

    Attributes:
        missing: Programs that are not there.
        show: Its partitions, as ``scontrol`` shows them.
        associations: The user's accounts, as ``sacctmgr`` shows them.
        test: What ``sbatch --test-only`` said.
    """

    missing: tuple[str, ...] = ()
    show: Answer = NOT_ASKED
    associations: Answer = NOT_ASKED
    test: Answer = NOT_ASKED


def gather(job: JobRequest, environment: Mapping[str, str], user: str) -> SlurmFacts:
    """Asks Slurm.

    Args:
        job: What the endpoint would submit.
        environment: That of the endpoint.
        user: Name of the user.
    """
    absent = missing(COMMANDS, environment.get("PATH", ""))
    if {"sbatch", "scontrol"} & set(absent):
        return SlurmFacts(tuple(absent))
    with ThreadPoolExecutor() as pool:  # each may take its time when the controller is busy
        show = pool.submit(ask, _SHOW, environment=environment, timeout_s=TIMEOUT_S)
        mine = pool.submit(ask, (*_ASSOCIATIONS, f"user={user}"), environment=environment, timeout_s=TIMEOUT_S)
        test = pool.submit(
            ask, ("sbatch", "--test-only"), environment=environment, timeout_s=TIMEOUT_S, script=script(job)
        )
    return SlurmFacts(tuple(absent), show.result(), mine.result(), test.result())


def script(job: JobRequest) -> str:
    """The job's script, which asks for the same and would do nothing."""
    return "\n".join(["#!/bin/bash", *job.directives, ":", ""])


def partitions(text: str) -> list[SlurmPartition]:
    """Reads what ``scontrol --oneliner show partition`` prints.

    Raises:
        ValueError: If it is not that.
    """
    return [_partition(dict(_FIELD.findall(line))) for line in text.splitlines() if line.strip()]


def _partition(fields: Mapping[str, str]) -> SlurmPartition:
    try:
        accounts = fields.get("AllowAccounts", "ALL")
        most = fields["MaxNodes"]
        return SlurmPartition(
            name=fields["PartitionName"],
            default=fields.get("Default") == "YES",
            state=fields.get("State", "UP"),
            total_nodes=int(fields["TotalNodes"]),
            min_nodes=int(fields.get("MinNodes", "0")),
            max_nodes=int(most) if most.isdigit() else None,
            max_walltime_s=slurm_seconds(fields["MaxTime"]),
            accounts=None if accounts.upper() == "ALL" else tuple(accounts.split(",")),
            denied=tuple(filter(None, fields.get("DenyAccounts", "").split(","))),
        )
    except KeyError as error:
        raise ValueError(f"a partition of Slurm is shown without {error.args[0]}") from None


def judge(job: JobRequest, facts: SlurmFacts) -> list[Finding]:
    """Says whether Slurm would take the job, and if not, which value is wrong."""
    findings = [_commands(facts)]
    if facts.show.code is None and facts.test.code is None and facts.missing:
        return [*findings, _TOPIC.unchecked("partition", "Slurm's programs are not there")]
    known: list[SlurmPartition] | None = None
    try:
        known = partitions(facts.show.out) if facts.show.code == 0 else None
    except ValueError as error:
        findings.append(_TOPIC.unchecked("partition", str(error)))
    else:
        if known is None:
            hint = "If Slurm's controller is down, try again later; ask the facility if it stays so"
            return [*findings, _TOPIC.failed("partition", f"Slurm cannot be asked: {facts.show.told}", hint)]
        findings += _in_partitions(job, known)
    findings += _account(job, facts.associations, facts.test)
    findings.append(_test(job, facts.test, known or []))
    return findings


def _commands(facts: SlurmFacts) -> Finding:
    if facts.missing:
        found = f"{', '.join(facts.missing)} not in the search path"
        hint = "Load Slurm's module in the shell that starts the endpoint, or set PATH in its user_environment.yaml"
        return _TOPIC.failed("commands", found, hint)
    return _TOPIC.ok("commands", ", ".join(COMMANDS))


def _in_partitions(job: JobRequest, known: Sequence[SlurmPartition]) -> list[Finding]:
    by_name = {partition.name: partition for partition in known}
    listed = _listed(known)
    if job.queue is None:
        default = [partition for partition in known if partition.default]
        if not default:
            hint = f"Name one of {listed}"
            return [_TOPIC.failed("partition", "none is named, and Slurm has no default", hint)]
        wanted = default[:1]
    else:
        names = job.queue.split(",")
        if unknown := [name for name in names if name not in by_name]:
            found = f"{', '.join(map(repr, unknown))} is not known to Slurm"
            return [_TOPIC.failed("partition", found, f"Take one of {listed}")]
        wanted = [by_name[name] for name in names]
    findings = []
    for partition in wanted:
        findings.append(_state(partition, listed))
        findings.append(_limits(job, partition, known))
        findings += _allowed(job, partition)
    return findings


def _state(partition: SlurmPartition, listed: str) -> Finding:
    default = ", Slurm's default" if partition.default else ""
    if partition.state != "UP":
        found = f"{partition.name} is {partition.state}: jobs there do not start"
        return _TOPIC.failed("partition", found, f"Wait until it is up, or take another one of {listed}")
    return _TOPIC.ok("partition", f"{partition.name}{default}, with {partition.total_nodes} nodes")


def _limits(job: JobRequest, partition: SlurmPartition, known: Sequence[SlurmPartition]) -> Finding:
    most = min(partition.total_nodes, partition.max_nodes or partition.total_nodes)
    longest_s = partition.max_walltime_s
    wrong = []
    if job.nodes > most:
        wrong.append(f"{job.nodes} nodes, of which a job may have {most}")
    if job.nodes < partition.min_nodes:
        wrong.append(f"{job.nodes} nodes, of which a job must have {partition.min_nodes}")
    if longest_s is not None and job.walltime_s > longest_s:
        wrong.append(f"{shown(job.walltime_s)}, where a job may take {shown(longest_s)}")
    if wrong:
        fitting = [other.name for other in known if other.state == "UP" and _fits(job, other)]
        other = f", or take a partition that has more: {', '.join(fitting)}" if fitting else ""
        found = f"{partition.name}: asked are {' and '.join(wrong)}"
        return _TOPIC.failed("limits", found, f"Change `nodes` or `walltime_s`{other}")
    longest = "no limit" if longest_s is None else shown(longest_s)
    asked = f"{job.nodes} of at most {most} nodes, {shown(job.walltime_s)} of at most {longest}"
    return _TOPIC.ok("limits", f"{partition.name}: {asked}")


def _fits(job: JobRequest, partition: SlurmPartition) -> bool:
    most = min(partition.total_nodes, partition.max_nodes or partition.total_nodes)
    within = partition.max_walltime_s is None or job.walltime_s <= partition.max_walltime_s
    return within and partition.min_nodes <= job.nodes <= most


def _allowed(job: JobRequest, partition: SlurmPartition) -> list[Finding]:
    """Slurm compares accounts in lower case."""
    account = (job.account or "").lower()
    if partition.accounts is not None and account and account not in {name.lower() for name in partition.accounts}:
        taken = ", ".join(partition.accounts)
        hint = f"Give `account`: one of {taken}, or take another partition"
        return [_TOPIC.failed("account", f"{partition.name} does not take {job.account!r}", hint)]
    if account and account in {name.lower() for name in partition.denied}:
        hint = "Give another `account`, or take another partition"
        return [_TOPIC.failed("account", f"{partition.name} does not take {job.account!r}", hint)]
    return []


def _account(job: JobRequest, associations: Answer, test: Answer) -> list[Finding]:
    if associations.code != 0:
        why = f"Slurm does not say which accounts are yours ({associations.told})"
        # What sbatch says of a wrong account is said once, by the test itself.
        return [] if _blames(test, "account") else [_TOPIC.unchecked("account", why)]
    mine = sorted({line.split("|")[0] for line in associations.out.splitlines() if line.strip()})
    if not mine:
        hint = "Ask the facility for an account, or log in as the user who has one"
        return [_TOPIC.failed("account", "Slurm has no account for you", hint)]
    if job.account is None:
        return [_TOPIC.ok("account", f"none is named: Slurm takes your default. Yours are {', '.join(mine)}")]
    if job.account.lower() not in {name.lower() for name in mine}:
        return [_TOPIC.failed("account", f"{job.account!r} is none of yours", f"Take one of {', '.join(mine)}")]
    return [_TOPIC.ok("account", job.account)]


def _blames(test: Answer, word: str) -> bool:
    return test.code not in (0, None) and word in test.told.lower()


def _test(job: JobRequest, test: Answer, known: Sequence[SlurmPartition]) -> Finding:
    if test.code == 0:
        found = test.told.removeprefix("sbatch: ")
        return _TOPIC.ok("sbatch --test-only", found)
    if test.code is None:
        return _TOPIC.unchecked("sbatch --test-only", test.err)
    return _TOPIC.failed("sbatch --test-only", test.told, _remedy(job, test.told.lower(), known))


def _remedy(job: JobRequest, told: str, known: Sequence[SlurmPartition]) -> str:
    remedies = {
        "unable to contact": "Slurm's controller does not answer: try again later, and ask the facility if it stays so",
        "partition name": f"Take one of {_listed(known)}",
        "account": f"`account` is {job.account!r} and `queue` {job.queue!r}: take those that belong together",
        "qos": "Correct `qos`: `sacctmgr show associations user=$USER format=account,partition,qos` lists yours",
        "time limit": f"`walltime_s` is {job.walltime_s}: take less",
        "feature": "Correct `constraint`: `sinfo --format='%P %f'` lists what nodes have",
        "gres": "The partition's nodes have no such accelerators: take another one, or ask for fewer",
        "node configuration": f"`nodes` is {job.nodes}: take fewer, or another partition ({_listed(known)})",
        "node count": f"`nodes` is {job.nodes}: take fewer, or another partition ({_listed(known)})",
        "reservation": "Correct `reservation`: `scontrol show reservation` lists them",
        "unrecognized option": "This Slurm is older than the template: leave the option away, or use another template",
    }
    for sign, remedy in remedies.items():
        if sign in told:
            return remedy
    return "Change what Slurm objects to in the template's options; it would refuse the job with the same words"


def _listed(known: Sequence[SlurmPartition]) -> str:
    return ", ".join(partition.name for partition in known) or "those that sinfo lists"
