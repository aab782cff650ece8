"""The endpoint's template and schema: whether they agree, and what engine they make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import endpoint_templates as templates
from director.doctor.findings import Finding, Topic
from director.doctor.job import JobRequest, job_request
from endpoint_templates.folder import SCHEMA_FILE
from endpoint_templates.rendering import TEMPLATE_FILE

# The endpoint's renderer gives these to every template.
_RENDERER_GIVES = {"_GC", "parent_config", "mapped_identity", "user_runtime"}

_INSTALL = "Install it into this environment, with which the endpoint is to be started"

_TOPIC = Topic("template")


@dataclass(frozen=True)
class TemplateFacts:
    """What was found.

    Attributes:
        name: The template that the folder was configured from.
        scheduler: Whose jobs it makes; empty if that is not known.
        environment: The environment that it was configured with; None if that is not known.
        configured_with: Versions of packages when it was configured.
        here: The same packages' versions now.
        changed: Files that are not what ``configure`` would write now.
        schema_error: What is wrong with the schema itself.
        undeclared: Names that the template reads and the schema does not have.
        unread: Names that the schema has and the template does not read.
        missing: Options without which nothing can be rendered, and which were not given.
        error: Why the template could not be read, rendered or loaded.
        hint: What to do about it.
        job: What the engine would submit; None if there is no engine.
    """

    name: str = ""
    scheduler: str = ""
    environment: str | None = None
    configured_with: Mapping[str, str] | None = None
    here: Mapping[str, str] | None = None
    changed: tuple[str, ...] = ()
    schema_error: str = ""
    undeclared: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    error: str = ""
    hint: str = ""
    job: JobRequest | None = None


def names_read(text: str) -> set[str]:
    """Names that a template takes from outside. Pure.

    Raises:
        ValueError: If it is no template.
    """
    import jinja2
    from jinja2 import meta
    from jinja2.sandbox import SandboxedEnvironment

    environment = SandboxedEnvironment()
    environment.filters["shell_escape"] = str  # the endpoint's own; only its name matters here
    try:
        return set(meta.find_undeclared_variables(environment.parse(text)))
    except jinja2.TemplateError as error:
        raise ValueError(f"the template cannot be read: {error}") from None


def accepted(folder: Path, options: Sequence[str]) -> dict[str, Any]:
    """Turns what whoever submits would give into values; of a folder that cannot be read, into none.

    Args:
        folder: The endpoint's folder.
        options: Words ``name=value``.

    Raises:
        TemplateError: If they are not what the template takes.
    """
    try:
        template = templates.find(templates.read_folder(folder).template)
    except templates.TemplateError:  # which `gather` tells
        return {}
    return templates.options_from(options, template.parameters)


def gather(folder: Path, given: Mapping[str, Any]) -> TemplateFacts:
    """Reads the folder, and makes an engine of its template, which is not started.

    Args:
        folder: The endpoint's folder.
        given: What whoever submits would give, as `accepted` returns it.
    """
    try:
        configured = templates.read_folder(folder)
        template = templates.find(configured.template)
    except templates.TemplateError as error:
        return TemplateFacts(error=f"{error.where} {error.message}", hint=error.hint)
    facts = TemplateFacts(
        name=template.name,
        scheduler=template.scheduler,
        environment=configured.given.get("environment"),
        configured_with=configured.versions,
        here=templates.versions_here(),
        changed=_changed(configured, template),
        schema_error=schema_error(configured.schema) or refused_default(configured.schema),
        missing=tuple(name for name in configured.schema.get("required", ()) if name not in given),
    )
    try:
        read = names_read(configured.text) - _RENDERER_GIVES
        declared = set(configured.schema.get("properties", {}))
        facts = replace(facts, undeclared=tuple(sorted(read - declared)), unread=tuple(sorted(declared - read)))
        if facts.schema_error or facts.missing:
            return facts
        config = templates.load(templates.render(configured.text, configured.schema, given))
        return replace(facts, job=job_request(config.engine))
    except templates.TemplateError as error:
        return replace(facts, error=f"{error.where}: {error.message}", hint=error.hint)
    except ImportError as error:
        return replace(facts, error=f"cannot be loaded ({error})", hint=_INSTALL)
    except ValueError as error:
        return replace(facts, error=str(error))


def _changed(configured: templates.Configured, template: templates.Template) -> tuple[str, ...]:
    try:
        text, schema = template.text(configured.given), template.schema(configured.given)
    except templates.TemplateError:  # a release that takes other options
        return (TEMPLATE_FILE, SCHEMA_FILE)
    same = {TEMPLATE_FILE: text == configured.text, SCHEMA_FILE: schema == configured.schema}
    return tuple(name for name, is_same in same.items() if not is_same)


def schema_error(schema: Mapping[str, Any]) -> str:
    """What is wrong with a JSON schema; empty if nothing is."""
    import jsonschema

    try:
        jsonschema.validators.validator_for(schema).check_schema(dict(schema))
    except jsonschema.SchemaError as error:
        return f"{'.'.join(map(str, error.absolute_path)) or 'the schema'}: {error.message}"
    return ""


def refused_default(schema: Mapping[str, Any]) -> str:
    """Which of a schema's own defaults it does not accept; empty if it accepts all."""
    import jsonschema

    properties = schema.get("properties", {})
    defaults = {name: field["default"] for name, field in properties.items() if "default" in field}
    only_these = {**schema, "required": []}
    validator = jsonschema.validators.validator_for(schema)(only_these)
    found = jsonschema.exceptions.best_match(validator.iter_errors(defaults))
    return f"its default of {'.'.join(map(str, found.absolute_path))}: {found.message}" if found else ""


def judge(facts: TemplateFacts) -> list[Finding]:
    """Says what is right and wrong with it."""
    again = "Configure again: director endpoint configure TEMPLATE --force"
    if not facts.name:
        return [_TOPIC.failed("configured", facts.error, facts.hint or again)]
    findings = [_configured(facts), *_agreement(facts)]
    if facts.schema_error:
        findings.append(_TOPIC.failed("schema", f"does not hold: {facts.schema_error}", again))
    if facts.missing:
        needed = ", ".join(facts.missing)
        hint = f"Give them, as whoever submits must: {' '.join(f'--set {name}=…' for name in facts.missing)}"
        findings.append(_TOPIC.failed("options", f"{needed}: required, without a default, and not given", hint))
    if facts.error:
        findings.append(_TOPIC.failed("engine", facts.error, facts.hint or again))
    if facts.job is not None:
        job = facts.job
        asks = (
            "this machine" if job.scheduler == "local" else f"a job of {job.nodes} node{'s' if job.nodes > 1 else ''}"
        )
        findings.append(
            _TOPIC.ok(
                "engine", f"the schema takes the options, the template renders and loads; the engine asks for {asks}"
            )
        )
    return findings


def _configured(facts: TemplateFacts) -> Finding:
    then, now = facts.configured_with or {}, facts.here or {}
    changed = [name for name in sorted(then) if now.get(name, then[name]) != then[name]]
    other = [f"{name} {then[name]}, now {now[name]}" for name in changed]
    hint = "Configure again, with --force, or leave it if you know that it fits"
    if facts.changed:
        found = f"{', '.join(facts.changed)} not as `configure` would write it now"
        return _TOPIC.warning("configured", f"from {facts.name}; {found}", hint)
    if other:
        return _TOPIC.warning("configured", f"from {facts.name}, with {'; '.join(other)}", hint)
    return _TOPIC.ok("configured", f"from {facts.name}, as `configure` would write it now")


def _agreement(facts: TemplateFacts) -> list[Finding]:
    hint = "Configure again, or change both files alike"
    findings = []
    if facts.undeclared:
        found = f"the template reads {', '.join(facts.undeclared)}, which the schema lets nobody give"
        findings.append(_TOPIC.warning("agreement", found, hint))
    if facts.unread:
        found = f"the schema lets {', '.join(facts.unread)} be given, which the template does not read"
        findings.append(_TOPIC.warning("agreement", found, hint))
    return findings
