"""The environment that the template's ``worker_init`` leads to: what is in it, and whether Directors can run there."""

from __future__ import annotations

import inspect
import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from director.doctor.commands import Answer, ask
from director.doctor.findings import Finding, Topic
from director.doctor.inside import look
from director.doctor.versions import WORKERS, compare

# Modules and conda environments on a busy parallel file system take their time.
TIMEOUT_S = 90.0
MARK = "md-director-doctor:"
# The template must take these from the workers' environment. The doctor puts a false one there, to see whether it does.
CANARY = {"GLOBUS_COMPUTE_CLIENT_ID": "a-canary", "GLOBUS_COMPUTE_CLIENT_SECRET": "a-canary"}

_TOPIC = Topic("environment")
_TROUBLE = re.compile(r"not found|no such file|error|cannot|unable|permission denied", re.IGNORECASE)


@dataclass(frozen=True)
class EnvironmentFacts:
    """What was found.

    Attributes:
        answer: What the shell answered that went through ``worker_init``.
        seen: What `look` saw there; None if it could not look.
        wanted: The environment that the template names, if that is known.
    """

    answer: Answer
    seen: Mapping[str, Any] | None
    wanted: str | None = None
    here: Mapping[str, str] = field(default_factory=dict)


def script(worker_init: str) -> str:
    """The shell script that goes where workers go, and looks around there."""
    code = f"{inspect.getsource(look)}\nimport json\nprint()\nprint({MARK!r} + json.dumps(look()))\n"
    return (
        f"{worker_init}\n"
        "python=$(command -v python || command -v python3) || { echo 'there is no python' >&2; exit 127; }\n"
        f'exec "$python" -c {shlex.quote(code)}\n'
    )


def gather(worker_init: str, environment: Mapping[str, str], wanted: str | None) -> EnvironmentFacts:
    """Goes where workers go. Nothing but the environment's Python is started.

    Args:
        worker_init: The template's commands.
        environment: That of the endpoint.
        wanted: The environment that the template names, if that is known.
    """
    command = ["bash", "-c", script(worker_init)]
    answer = ask(command, environment={**environment, **CANARY}, timeout_s=TIMEOUT_S)
    return EnvironmentFacts(answer, seen(answer), wanted, look()["versions"])


def seen(answer: Answer) -> Mapping[str, Any] | None:
    """What `look` saw, from what the shell printed."""
    for line in reversed(answer.out.splitlines()):
        if line.startswith(MARK):
            value = json.loads(line.removeprefix(MARK))
            return value if isinstance(value, dict) else None
    return None


def judge(facts: EnvironmentFacts) -> list[Finding]:
    """Says what is right and wrong with it."""
    if facts.seen is None:
        hint = (
            "Correct the options `environment` and `modules` and configure again, or install there what is missing: "
            f"{facts.wanted or 'ENVIRONMENT'}/bin/python -m pip install md-director"
        )
        return [_TOPIC.failed("worker_init", f"does not lead to a Python: {facts.answer.told}", hint)]
    there = facts.seen
    python = str(there["executable"])
    findings = [
        _where(facts),
        *compare(_TOPIC, facts.here, there["versions"], WORKERS, place="in the workers' environment", python=python),
    ]
    findings += contents(_TOPIC, there, python)
    findings += _command(there, python)
    return findings


def contents(topic: Topic, there: Mapping[str, Any], python: str) -> list[Finding]:
    """Says whether what is installed there works."""
    findings = []
    installed = there["versions"]
    if "md-director" in installed:
        modules = ("director", "partitions", "simulations")
        broken = [f"{name}: {there['broken'][name]}" for name in modules if name in there["broken"]]
        if broken:
            hint = f"See what {python} -c 'import director' says, and mend that environment"
            findings.append(topic.failed("md-director", f"cannot be imported ({'; '.join(broken)})", hint))
        unloaded = [f"{name}: {error}" for name, error in there["tools"].items() if error]
        names = sorted(name for name, error in there["tools"].items() if not error)
        if unloaded:
            hint = "Mend or remove the package that the Tool comes from"
            findings.append(topic.failed("Tools", f"cannot be loaded ({'; '.join(unloaded)})", hint))
        if names:
            findings.append(topic.ok("Tools", ", ".join(names)))
        elif not unloaded:
            hint = f"Install md-director there again: {python} -m pip install --force-reinstall --no-deps md-director"
            findings.append(topic.failed("Tools", "no Tool is installed", hint))
    if "openmm" in there["broken"]:
        hint = f"Install it there: {python} -m pip install openmm. Without it there is no `md`"
        findings.append(topic.failed("openmm", f"cannot be imported ({there['broken']['openmm']})", hint))
    else:
        findings.append(topic.ok("openmm", f"can be imported, {installed.get('openmm', 'of unknown version')}"))
    if there["secrets"]:
        hint = "Configure the endpoint again: the templates of this release take them away"
        findings.append(topic.failed("secrets", f"workers see {', '.join(there['secrets'])} of the endpoint", hint))
    else:
        findings.append(topic.ok("secrets", "workers do not see those of the endpoint"))
    return findings


def _where(facts: EnvironmentFacts) -> Finding:
    assert facts.seen is not None  # noqa: S101  (the caller has looked)
    prefix, said = str(facts.seen["prefix"]), facts.answer.err
    if facts.wanted is not None and not _same_folder(prefix, facts.wanted):
        found = f"workers would run in {prefix}, not in {facts.wanted}, which the template names"
        hint = f"See whether {facts.wanted} is a virtual or conda environment; `environment_kind` says which"
        return _TOPIC.failed("worker_init", found, hint)
    if trouble := [line.strip() for line in said.splitlines() if _TROUBLE.search(line)]:
        hint = "Correct the template's options, such as `modules`, and configure again"
        return _TOPIC.warning("worker_init", f"leads to {prefix}, and says: {'; '.join(trouble[:3])}", hint)
    return _TOPIC.ok("worker_init", f"leads to {prefix}")


def _same_folder(one: str, other: str) -> bool:
    from pathlib import Path

    return Path(one).resolve() == Path(other).resolve()


def _command(there: Mapping[str, Any], python: str) -> list[Finding]:
    """Workers are started by the command ``globus-compute-endpoint``, whichever the search path has first."""
    command = there["endpoint_command"]
    install = f"Install it there: {python} -m pip install globus-compute-endpoint"
    if command is None:
        return [_TOPIC.failed("globus-compute-endpoint", "the command is not in the workers' search path", install)]
    if not str(command).startswith(f"{there['prefix']}/"):
        found = f"workers would be started by {command}, which is not of {there['prefix']}"
        return [_TOPIC.failed("globus-compute-endpoint", found, install)]
    return []
