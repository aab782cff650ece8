"""The whole examination: what is looked into, in which order, and what comes of it."""

from __future__ import annotations

import getpass
import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from director.doctor import address, clock, disk, environment, exchanges, folder, pbs, probe, service, slurm, template
from director.doctor.findings import Check, Finding, State, Topic, side_by_side
from director.doctor.job import JobRequest
from director.exchange import ExchangeChoice
from endpoint_templates.folder import ENVIRONMENT_FILE

LIMIT_S = 45.0


@dataclass(frozen=True)
class Question:
    """What is to be examined.

    Attributes:
        folder: The endpoint's folder; None: there is none on this machine.
        options: What whoever submits would give, as words ``name=value``.
        endpoint: The endpoint's id, to ask the service about it.
        service_url: Where the service is; None: leave out whatever needs it.
        local_services: Whether that is a service on this machine.
        exchange: The exchange that runs would use.
        probe_wait_s: How long a function may take that is sent to the endpoint; None: send none.
        probe_options: What the endpoint's template is given for it.
    """

    folder: Path | None = None
    options: Sequence[str] = ()
    endpoint: uuid.UUID | None = None
    service_url: str | None = None
    local_services: bool = False
    exchange: ExchangeChoice | None = None
    probe_wait_s: float | None = None
    probe_options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Examination:
    """What came of it.

    Attributes:
        findings: All of them.
    """

    findings: tuple[Finding, ...]

    @property
    def failed(self) -> bool:
        """Whether something failed."""
        return any(finding.state is State.FAILED for finding in self.findings)


def examine(question: Question) -> Examination:
    """Looks into everything that the question is about.

    Raises:
        TemplateError: If the options are not what the template takes.
    """
    found: list[Finding] = []
    facts = template.TemplateFacts()
    if question.folder is not None:
        seen = folder.gather(question.folder)
        found += folder.judge(seen)
        if seen.mode is not None:
            judged, facts = _template(question.folder, template.accepted(question.folder, question.options))
            found += judged
    elsewhere = question.endpoint is not None or facts.scheduler not in ("", "local")
    checks = [*_of_folder(question, facts), *_of_both_sides(question, elsewhere=elsewhere)]
    return Examination((*found, *side_by_side(checks)))


def _template(endpoint: Path, given: Mapping[str, Any]) -> tuple[list[Finding], template.TemplateFacts]:
    """What the template makes; everything else in the folder depends on it."""
    seen: list[template.TemplateFacts] = []

    def look() -> list[Finding]:
        seen.append(template.gather(endpoint, given))
        return template.judge(seen[0])

    found = side_by_side([Check("template", look, LIMIT_S)])
    return found, seen[0] if seen else template.TemplateFacts()


def _of_folder(question: Question, facts: template.TemplateFacts) -> list[Check]:
    """What can be looked into where the endpoint is to run."""
    if question.folder is None:
        return []
    job = facts.job
    if job is None:
        why = "the template does not make an engine"
        return [_not_made("environment", why), _not_made("scheduler", why), _not_made("disk", why)]
    variables = surroundings(question.folder)

    def within() -> list[Finding]:
        seen = environment.gather(job.worker_init, variables, facts.environment)
        return [*environment.judge(seen), *_disk(seen, elsewhere=job.scheduler != "local")]

    def way_back() -> list[Finding]:
        return address.judge(address.gather(job.address, elsewhere=job.scheduler != "local"))

    return [
        Check("environment", within, environment.TIMEOUT_S + LIMIT_S),
        Check("scheduler", lambda: _scheduler(job, variables), LIMIT_S),
        Check("address", way_back, LIMIT_S),
    ]


def _of_both_sides(question: Question, *, elsewhere: bool) -> list[Check]:
    """What client and endpoint both need."""

    def reach() -> list[Finding]:
        return exchanges.judge(exchanges.gather(question.exchange, elsewhere=elsewhere))

    checks = [Check("exchange", reach, LIMIT_S), Check("clock", lambda: _clocks(question), LIMIT_S)]
    url = question.service_url
    if url is None:
        return [*checks, _not_made("service", "it was to be left out")]
    wait_s = question.probe_wait_s or 0.0
    return [*checks, Check("service", lambda: _service(question, url), wait_s + 2 * LIMIT_S)]


def _service(question: Question, url: str) -> list[Finding]:
    """What the service says, and if that is good, what comes of the probe."""
    found = service.judge(service.gather(url, question.endpoint))
    if question.probe_wait_s is None or question.endpoint is None:
        return found
    if any(one.state is State.FAILED for one in found):
        why = "nothing was sent, as the service says what is wrong already"
        return [*found, Topic("probe").unchecked("answer", why)]
    facts = probe.gather(
        question.endpoint,
        question.probe_options,
        wait_s=question.probe_wait_s,
        local_services=question.local_services,
    )
    return [*found, *probe.judge(facts)]


def _not_made(topic: str, why: str) -> Check:
    return Check(topic, lambda: [Topic(topic).unchecked("all", why)], LIMIT_S)


def _scheduler(job: JobRequest, variables: Mapping[str, str]) -> list[Finding]:
    if job.scheduler == "slurm":
        return slurm.judge(job, slurm.gather(job, variables, getpass.getuser()))
    if job.scheduler == "pbs":
        return pbs.judge(job, pbs.gather(variables, getpass.getuser()))
    return [Topic("scheduler").ok("needed", "none: Directors run on this machine")]


def _disk(seen: environment.EnvironmentFacts, *, elsewhere: bool) -> list[Finding]:
    if seen.seen is None:
        return [Topic("disk").unchecked("run_root", "workers' environment cannot be reached, so it is not known")]
    return disk.judge(disk.gather(seen.seen["run_root"], elsewhere=elsewhere))


def _clocks(question: Question) -> list[Finding]:
    asked = []
    if question.service_url is not None:
        asked.append(("Globus Compute", f"{question.service_url}/v2/version"))
    choice = question.exchange
    if choice is not None and choice.url is not None and clock.web_url(choice.url):
        asked.append(("the exchange", choice.url))
    return clock.judge([clock.read(of, url) for of, url in asked])


def surroundings(endpoint: Path) -> dict[str, str]:
    """The environment of the endpoint's processes: this one, and what ``user_environment.yaml`` puts into it."""
    try:
        added = yaml.safe_load((endpoint / ENVIRONMENT_FILE).read_text())
    except (OSError, yaml.YAMLError):
        added = None
    extra = {str(name): str(value) for name, value in added.items()} if isinstance(added, dict) else {}
    return {**os.environ, **extra}
