"""What a program wrote: that it is there, and what it says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from pydantic import BaseModel, ValidationError

from simulations.errors import ToolError
from simulations.shell.fields import Value
from simulations.shell.toolfile import Output, ToolFile

MAX_JSON_BYTES = 10_000_000


def found_outputs(file: ToolFile, folder: Path) -> dict[str, Path]:
    """Paths of the outputs that are there.

    Args:
        file: The tool file.
        folder: The folder that the program ran in.

    Raises:
        ToolError: ``OutputInvalid``, if one is no plain file of this folder.
    """
    found = {}
    for name, output in file.outputs.items():
        path = folder / output.file
        if not path.exists():
            continue
        if not path.is_file() or not path.resolve().is_relative_to(folder.resolve()):
            _invalid(name, output, "is no plain file of the folder that the program ran in")
        found[name] = path
    return found


def check_required(file: ToolFile, found: Mapping[str, Path], said: str) -> None:
    """Makes sure that all required outputs are there.

    Args:
        file: The tool file.
        found: The outputs that are there.
        said: The last lines of what the program printed.

    Raises:
        ToolError: ``OutputMissing``.
    """
    missing = [
        f"{name} ({output.file})" for name, output in file.outputs.items() if output.required and name not in found
    ]
    if missing:
        more = f"; the last that it said: {said}" if said else ""
        raise ToolError(
            f"{file.name} ended well, but did not write {', '.join(missing)}{more}",
            hint="See what it printed, among the artifacts; if it need not write this, say required: false",
            kind="OutputMissing",
        )


def read_values(file: ToolFile, found: Mapping[str, Path], model: type[BaseModel]) -> BaseModel:
    """The values that become part of the result.

    Args:
        file: The tool file.
        found: The outputs that are there.
        model: Their model.

    Raises:
        ToolError: ``OutputInvalid``, if an output is no JSON, or a value is missing or not of its type.
    """
    values: dict[str, Any] = {}
    owners: dict[str, str] = {}
    for name, output in file.outputs.items():
        owners |= dict.fromkeys(output.values, name)
        if output.values and name in found:
            document = _document(name, output, found[name])
            values |= {word: _at(name, output, document, word, value) for word, value in output.values.items()}
    try:
        return model.model_validate(values)
    except ValidationError as error:
        item = error.errors(include_url=False)[0]
        word = str(item["loc"][0])
        given = "" if item["type"] == "missing" else f", got {item['input']!r:.80}"
        _invalid(owners[word], file.outputs[owners[word]], f"has no acceptable {word}: {item['msg']}{given}")


def _document(name: str, output: Output, path: Path) -> Any:
    if path.stat().st_size > MAX_JSON_BYTES:
        _invalid(name, output, f"is larger than {MAX_JSON_BYTES:,} bytes")
    try:
        return json.loads(path.read_bytes(), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        _invalid(name, output, f"is no JSON: {error}")


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number of JSON")


def _at(name: str, output: Output, document: Any, word: str, value: Value) -> Any:
    here = document
    for key in value.at or [word]:
        if not isinstance(here, dict) or key not in here:
            if value.optional:
                return None
            where = ".".join(value.at or [word])
            _invalid(name, output, f"has no {where!r}, which {word} is taken from")
        here = here[key]
    return here


def _invalid(name: str, output: Output, what: str) -> NoReturn:
    raise ToolError(
        f"output {name} ({output.file}) {what}",
        hint="Correct the program, or what the tool file says of its output; the file is among the artifacts",
        kind="OutputInvalid",
    )
