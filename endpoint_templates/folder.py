"""Endpoint folders: what ``globus-compute-endpoint start`` takes as it is, and how it is read back."""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml

from endpoint_templates.errors import TemplateError
from endpoint_templates.rendering import TEMPLATE_FILE
from endpoint_templates.template import Template

CONFIG_FILE = "config.yaml"
SCHEMA_FILE = "user_config_schema.json"
ENVIRONMENT_FILE = "user_environment.yaml"
RECORD_FILE = "md-director.json"
RECORD_FORMAT = 1
PACKAGES = ("md-director", "globus-compute-sdk", "globus-compute-endpoint", "dill", "parsl")
# What the endpoint allows, less what a shell would read.
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
DISPLAY_NAME = re.compile(r"[ -~]{1,128}")
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"


@dataclass(frozen=True)
class Configured:
    """An endpoint folder that was written here.

    Attributes:
        name: The endpoint's name: that of its folder.
        template: Name of the template.
        text: What the endpoint renders.
        schema: By which it checks what is submitted.
        given: What the installer set.
        versions: Of Python and packages, when it was configured; a package that was missing then is missing here.
    """

    name: str
    template: str
    text: str
    schema: dict[str, Any]
    given: dict[str, Any]
    versions: dict[str, str]


def versions_here() -> dict[str, str]:
    """Versions of this Python, and of the packages that both sides of a submission must agree on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def configure(
    template: Template,
    folder: Path,
    given: Mapping[str, Any],
    *,
    display_name: str | None = None,
    local_services: bool = False,
    force: bool = False,
    search_path: str | None = None,
) -> list[Path]:
    """Writes an endpoint folder (0700, its files 0600).

    Args:
        template: What nodes are got by.
        folder: Where to; its name is the endpoint's. Nothing but these files is changed in a folder that is there.
        given: Parameters: fixed those that only an installer sets, and defaults of the others.
        display_name: What Globus shows; the folder's name if None.
        local_services: Whether Globus Compute's services are those of this machine, as in tests.
        force: Whether files that are there may be replaced.
        search_path: Where the endpoint's processes find the scheduler's commands; this process's ``PATH`` if None. The
            environment's own folder comes before it.

    Returns:
        The files.

    Raises:
        TemplateError: If a value is missing or not accepted, or the folder is there without ``force``.
        OSError: If the folder cannot be written.
    """
    if not NAME.fullmatch(folder.name):
        raise TemplateError(
            "name", f"{folder.name!r} cannot be an endpoint's name", "Take letters, digits and - _ . only"
        )
    if display_name is not None and not DISPLAY_NAME.fullmatch(display_name):
        raise TemplateError("display_name", "must be 1 to 128 printable characters", "Shorten it")
    text, schema = template.text(given), template.schema(given)
    if folder.exists() and not force:
        hint = "Choose another folder or name, or replace its files with --force"
        raise TemplateError(str(folder), "is already there", hint)
    config: dict[str, Any] = {"display_name": display_name or folder.name}
    if local_services:
        config["local_compute_services"] = True
    record = {
        "format": RECORD_FORMAT,
        "template": template.name,
        "given": dict(given),
        "versions": versions_here(),
    }
    path = os.environ.get("PATH", SYSTEM_PATH) if search_path is None else search_path
    written = {
        CONFIG_FILE: yaml.safe_dump(config, sort_keys=False),
        TEMPLATE_FILE: text,
        SCHEMA_FILE: json.dumps(schema, indent=2) + "\n",
        ENVIRONMENT_FILE: _environment(str(given["environment"]), path),
        RECORD_FILE: json.dumps(record, indent=2) + "\n",
    }
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    for name, content in written.items():
        _replace(folder / name, content)
    return [folder / name for name in written]


def _environment(environment: str, search_path: str) -> str:
    """The environment of the endpoint's processes, which start others by name."""
    own = f"{environment}/bin"
    folders = [own, *(part for part in search_path.split(":") if part.startswith("/") and part != own)]
    return yaml.safe_dump({"PATH": ":".join(dict.fromkeys(folders))})


def _replace(path: Path, content: str) -> None:
    """Writes a file that nobody else can read at any time, and that is never there in part."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(content)
    new.replace(path)


def read_folder(folder: Path) -> Configured:
    """Reads an endpoint folder that `configure` wrote. What was changed in it since then is read as it is.

    Raises:
        TemplateError: If it is not such a folder.
    """
    hint = "Write such a folder with `director endpoint configure`"
    try:
        record = json.loads((folder / RECORD_FILE).read_text(encoding="utf-8"))
        schema = json.loads((folder / SCHEMA_FILE).read_text(encoding="utf-8"))
        text = (folder / TEMPLATE_FILE).read_text(encoding="utf-8")
    except OSError as error:
        where = error.filename or str(folder)
        raise TemplateError(where, f"cannot be read ({error.strerror})", hint) from None
    except ValueError as error:
        raise TemplateError(str(folder), f"holds a file that is not JSON ({error})", hint) from None
    if not isinstance(record, dict) or record.get("format") != RECORD_FORMAT or not isinstance(schema, dict):
        raise TemplateError(str(folder / RECORD_FILE), "is not of this version of md-director", hint)
    try:
        return Configured(
            folder.name, record["template"], text, schema, dict(record["given"]), dict(record["versions"])
        )
    except (KeyError, TypeError, ValueError):
        raise TemplateError(str(folder / RECORD_FILE), "is not complete", hint) from None
