"""What templates are given in tests: an installer's values, and submissions that each template takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import endpoint_templates
from endpoint_templates import SetBy, Template, parameters_of

ENVIRONMENT = "/opt/md-director/venv"
ALL = [endpoint_templates.find(name) for name in endpoint_templates.names()]
BY_NAME = {"ids": lambda value: value.name if isinstance(value, Template) else None}

# What has to be given, where it has to be.
INSTALLED: dict[str, Any] = {"environment": ENVIRONMENT, "cpus_per_node": 64}
SUBMITTED: dict[str, Any] = {"account": "proj-1_g", "queue": "wholenode", "qos": "regular", "constraint": "gpu"}

# What golden files are of: a job of several nodes and Directors, with all that an installer may want.
GOLDEN_INSTALLED: dict[str, Any] = INSTALLED | {
    "run_root": "/lustre/project/runs",
    "module_paths": ["/soft/modulefiles"],
    "modules": ["python/3.12.12", "cray-pals"],
}
GOLDEN_SUBMITTED: dict[str, Any] = SUBMITTED | {
    "directors": 2,
    "nodes": 2,
    "walltime_s": 3600,
    "run_id": "322c4ce19135",
}


def installed(
    template: Template, values: dict[str, Any] = INSTALLED, *, interface: str | None = "lo"
) -> dict[str, Any]:
    """An installer's values, as far as the template takes them; by default with an interface that every machine has."""
    found = {name: value for name, value in values.items() if name in template.parameters.model_fields}
    takes_interface = "interface" in template.parameters.model_fields
    return found | ({"interface": interface} if interface and takes_interface else {})


def submitted(template: Template, values: dict[str, Any] = SUBMITTED) -> dict[str, Any]:
    """A submission of these values, as far as the template takes them, and with a queue that is there."""
    properties = template.schema()["properties"]
    required = template.schema()["required"]
    found = {name: value for name, value in values.items() if name in (required if values is SUBMITTED else properties)}
    if "queue" in found and "enum" in properties["queue"]:
        found["queue"] = properties["queue"]["enum"][0]
    if template.name in ("slurm", "pbs"):
        found.pop("constraint", None)
    return {name: value for name, value in found.items() if not _not_one_of(value, properties[name])}


def _not_one_of(value: Any, described: dict[str, Any]) -> bool:
    return "enum" in described and value not in described["enum"]


def every_submission(template: Template) -> Iterator[dict[str, Any]]:
    """Submissions in which each option takes each of its values, or the ends of its range."""
    base = submitted(template)
    properties = template.schema()["properties"]
    queues = {queue.name: queue for queue in template.facility.queues} if template.facility else {}
    for name, described in properties.items():
        if name == "queue" and queues:
            for queue in queues.values():
                for limit in queue.limits:
                    for nodes in {limit.min_nodes, limit.max_nodes or limit.min_nodes}:
                        yield base | {"queue": queue.name, "nodes": nodes, "walltime_s": limit.max_walltime_s}
        elif name in ("nodes", "walltime_s") and queues:
            continue  # together with the queue
        else:
            for value in values_of(described):
                yield base | {name: value}


def values_of(described: dict[str, Any]) -> list[Any]:
    """Values that an option takes, by its schema."""
    if "enum" in described:
        return list(described["enum"])
    match described["type"]:
        case "integer":
            return [described["minimum"], described["maximum"]]
        case "array":
            words = values_of(described["items"])
            return [[word] for word in words] + [words]
        case "string":
            return ["a", "A1_b-c.d", "1e3", "0x10", "no", "x" * 64]
    raise AssertionError(described)


def parameters_taking(template: Template, by: SetBy, kind: str) -> list[str]:
    """Names of parameters whose values are of a kind: ``str``, or ``list`` of strings."""
    described = template.parameters.model_json_schema()["properties"]
    wanted = {"str": "string", "list": "array"}[kind]
    types = {
        name: {field.get("type"), *(t["type"] for t in field.get("anyOf", []))} for name, field in described.items()
    }
    return [p.name for p in parameters_of(template) if p.set_by is by and wanted in types[p.name]]


# Each would do harm somewhere: in a shell, in YAML, in Jinja, or in the lines that a scheduler reads from a script.
HOSTILE = {
    "empty": "",
    "space": "a b",
    "line break at the end": "word\n",
    "new line": "word\n#SBATCH --wrap=injected",
    "script line": "word\ntouch injected",
    "carriage return": "word\rtouch injected",
    "separator of lines": "word\u2028touch injected",
    "nul": "word\x00",
    "double quote": 'word"\n  x: "',
    "single quote": "word'; touch injected; '",
    "backslash": "word\\",
    "command substitution": "$(touch injected)",
    "backticks": "`touch injected`",
    "variable": "${IFS}",
    "semicolon": "word; touch injected",
    "pipe": "word | touch injected",
    "ampersand": "word & touch injected",
    "redirection": "word > injected",
    "glob": "*",
    "option": "--wrap=injected",
    "tilde": "~root",
    "yaml anchor": "&anchor word",
    "yaml alias": "*anchor",
    "yaml tag": "!!python/object/apply:os.system [touch injected]",
    "yaml mapping": "word: {type: AdHocProvider}",
    "yaml comment": "word # comment",
    "yaml document": "---\nengine: {type: ThreadPoolEngine}",
    "jinja expression": "{{ 7 * 7 }}",
    "jinja statement": "{% for x in range(9) %}x{% endfor %}",
    "jinja comment": "{# comment #}",
    "jinja attribute": "{{ ''.__class__.__mro__ }}",
    "our own marks": "<< template >> <% raw %>",
    "not ascii": "wörd",
    "fullwidth": "ｗｏｒｄ",
    "arabic digit": "٣",
    "long": "x" * 10_000,
    "long and hostile": "$(touch injected)" * 600,
    "traversal": "../../etc/passwd",
}
