"""Endpoints of Globus Compute for Directors: templates of facilities, their parameters, and endpoint folders.

`find` a template, `configure` an endpoint folder from it; `render` and `load` say what the endpoint will make of a
submission.
"""

from endpoint_templates.describe import Parameter, parameters_of
from endpoint_templates.errors import TemplateError
from endpoint_templates.facts import Facility, Limit, NodeType, Queue, Source
from endpoint_templates.fields import SetBy
from endpoint_templates.folder import Configured, configure, read_folder, versions_here
from endpoint_templates.options import options_from
from endpoint_templates.rendering import load, render
from endpoint_templates.template import Template, find, names

__all__ = [
    "Configured",
    "Facility",
    "Limit",
    "NodeType",
    "Parameter",
    "Queue",
    "SetBy",
    "Source",
    "Template",
    "TemplateError",
    "configure",
    "find",
    "load",
    "names",
    "options_from",
    "parameters_of",
    "read_folder",
    "render",
    "versions_here",
]
