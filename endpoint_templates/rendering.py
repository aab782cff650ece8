"""What the endpoint makes of a template: by the code that the endpoint itself runs for each submission.

`globus_compute_endpoint` is imported where it is used, since that takes seconds. Its configuration functions are no
public interface; the tests compare them with the command ``globus-compute-endpoint render-user-config``.
"""

from __future__ import annotations

import logging
import os
import pwd
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from endpoint_templates.errors import TemplateError

if TYPE_CHECKING:
    from globus_compute_endpoint.endpoint.config import UserEndpointConfig

TEMPLATE_FILE = "user_config_template.yaml.j2"
WISHES = {
    "enum": "must be one of {}",
    "const": "must be {}",
    "pattern": "has characters that are not allowed here",
    "maxLength": "must not be longer than {} characters",
    "minimum": "must be at least {}",
    "maximum": "must be at most {}",
    "type": "must be of type {}",
    "minItems": "must have at least {} entries",
    "maxItems": "must have at most {} entries",
}


def render(template_text: str, schema: Mapping[str, Any], options: Mapping[str, Any]) -> str:
    """Renders a template with a submitter's options.

    Args:
        template_text: What `Template.text` returned.
        schema: What `Template.schema` returned.
        options: What is submitted: plain data of JSON.

    Returns:
        The configuration of a user endpoint, in YAML.

    Raises:
        TemplateError: If the endpoint refuses the options, or the template.
    """
    import jinja2
    import jsonschema
    from globus_compute_endpoint.endpoint.config import CoreEndpointConfig
    from globus_compute_endpoint.endpoint.config.utils import render_config_user_template
    from globus_compute_endpoint.endpoint.identity_mapper import MappedPosixIdentity

    identity = MappedPosixIdentity(
        local_user_record=pwd.getpwuid(os.getuid()), matched_identity=uuid.UUID(int=0), globus_identity_candidates=[]
    )
    # The folder is empty: a template can include nothing.
    with tempfile.TemporaryDirectory() as folder, _quiet():
        try:
            rendered: str = render_config_user_template(
                parent_config=CoreEndpointConfig(),
                user_config_template=template_text,
                user_config_template_path=Path(folder) / TEMPLATE_FILE,
                mapped_identity=identity,
                user_config_schema=dict(schema),
                user_opts=dict(options),
                user_runtime={},
            )
            return rendered
        except jsonschema.ValidationError as error:
            raise _refused(error, schema) from None
        except jsonschema.SchemaError as error:
            raise TemplateError("schema", f"is not a JSON schema ({error.message})", "Configure it again") from None
        except jinja2.TemplateError as error:
            raise TemplateError("template", str(error), "Correct the option, or configure the endpoint again") from None
        except ValueError as error:  # a reserved word among the options
            raise TemplateError("options", str(error), "Leave it out") from None


def load(yaml_text: str) -> UserEndpointConfig:
    """Makes the configuration of a user endpoint, with its engine, which is not started.

    Args:
        yaml_text: What `render` returned.

    Raises:
        TemplateError: If the endpoint could not start with it.
    """
    from click import ClickException
    from globus_compute_endpoint.endpoint.config import UserEndpointConfig
    from globus_compute_endpoint.endpoint.config.utils import load_config_yaml

    try:
        config = load_config_yaml(yaml_text)
    except ClickException as error:
        hint = "Correct the option that leads to it, or configure the endpoint again"
        raise TemplateError("configuration", error.message.strip(), hint) from None
    if not isinstance(config, UserEndpointConfig):
        raise TemplateError("configuration", "has no engine", "Configure the endpoint again")
    return config


def _refused(error: Any, schema: Mapping[str, Any]) -> TemplateError:
    path = [str(part) for part in error.absolute_path]
    properties = schema.get("properties", {})
    if error.validator == "additionalProperties":
        known = set(properties)
        extra = sorted(set(error.instance) - known)
        message = "only the person who configured the endpoint can set it, or there is no such option"
        return TemplateError(", ".join(extra), message, f"Options: {', '.join(properties)}")
    if error.validator == "required":
        name = next((name for name in error.validator_value if name not in error.instance), "options")
        return TemplateError(name, "is required but was not given", _meaning(properties, name))
    name = path[0] if path else "options"
    shown = repr(error.instance)
    shown = shown if len(shown) <= 60 else shown[:59] + "…"
    hint = error.schema.get("description") or _meaning(properties, name)
    return TemplateError(".".join(path) or "options", f"{_wish(error)}, got {shown}", hint)


def _wish(error: Any) -> str:
    if error.validator not in WISHES:
        return str(error.message)[:200]
    value = error.validator_value
    return WISHES[error.validator].format(", ".join(map(str, value)) if isinstance(value, list) else value)


def _meaning(properties: Mapping[str, Any], name: str) -> str:
    described = properties.get(name, {})
    parts = [f"{name}: {described['description']}" if "description" in described else f"Give {name} as the schema says"]
    if "pattern" in described:
        parts.append("One word of letters, digits and - _ .")
    return " ".join(parts)


@contextmanager
def _quiet() -> Iterator[None]:
    """What the endpoint logs about a refusal is in the error as well."""
    logger = logging.getLogger("globus_compute_endpoint.endpoint.config.utils")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before
