"""Reading a tool file: what is wrong with it is said with its line."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from simulations.plain_yaml import Unreadable, read_yaml_file
from simulations.records import StagedFile
from simulations.shell.definition import ToolDefinition, make_tool
from simulations.shell.fields import (
    BooleanInput,
    EnumInput,
    FileInput,
    IntegerInput,
    NumberInput,
    StringInput,
    Value,
)
from simulations.shell.toolfile import Mpi, Output, Switch, ToolFile

MAX_FILE_BYTES = 50_000
MAX_SHIPPED_BYTES = 1_000_000

_MODELS: tuple[type[BaseModel], ...] = (
    ToolFile, Output, Mpi, Switch, Value, NumberInput, IntegerInput, BooleanInput, EnumInput, StringInput, FileInput,
)  # fmt: skip


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with a tool file.

    Attributes:
        where: The file, the line and the field.
        message: What is wrong with it.
        hint: What to do.
    """

    where: str
    message: str
    hint: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}. {self.hint}"


class ToolFileError(ValueError):
    """A tool file that cannot be used.

    Args:
        faults: All that is wrong with it; at least one.
    """

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(map(str, self.faults)))


@dataclass(frozen=True)
class ToolSource:
    """A tool file that was read.

    Attributes:
        definition: What it says; this travels.
        paths: Where the files are that ship with it.
    """

    definition: ToolDefinition
    paths: Mapping[str, Path]

    def stage(self, target: Path) -> None:
        """Copies the files that ship with it into a folder, under the names of their content.

        Raises:
            ToolFileError: If one of them has been changed since it was read.
            OSError: If one cannot be read or written.
        """
        for name, staged in self.definition.files.items():
            content = self.paths[name].read_bytes()
            if hashlib.sha256(content).hexdigest() != staged.sha256:
                hint = "Run it again, to use the file as it is now"
                raise ToolFileError([Fault(str(self.paths[name]), "was changed while the tool file was used", hint)])
            copy = target / staged.stored_name
            if not copy.exists():
                partial = copy.with_name(f".{copy.name}.partial")
                partial.write_bytes(content)
                partial.replace(copy)


def read_tool_file(path: Path, *, shown: str | None = None) -> ToolSource:
    """Reads a tool file and the files that ship with it, and makes its Tool once to see that it can be made.

    Args:
        path: The file, in YAML or JSON.
        shown: What it is called in errors; None: its path.

    Raises:
        ToolFileError: With everything that is wrong with it.
    """
    where = shown or str(path)
    try:
        found = read_yaml_file(path, where, MAX_FILE_BYTES)
    except Unreadable as error:
        raise ToolFileError([Fault(error.where, error.message, error.hint)]) from None
    document, root = found.value, found.root
    if not isinstance(document, dict):
        raise ToolFileError([Fault(where, "is not a mapping", "Begin with `name:`; see docs/tools/shell.md")])
    try:
        file = ToolFile.model_validate(document)
    except ValidationError as error:
        raise ToolFileError(
            [_fault(dict(item), where, document, root) for item in error.errors(include_url=False)]
        ) from None
    paths, staged = _shipped(file, path.resolve().parent, where, root)
    source = ToolSource(ToolDefinition(file=file, files=staged), paths)
    try:
        make_tool(source.definition)
    except ValueError as error:
        raise ToolFileError([Fault(where, str(error), "Rename it")]) from None
    return source


def _fault(item: Mapping[str, Any], where: str, document: Any, root: yaml.Node | None) -> Fault:
    path, missing = _path(item["loc"], document)
    name = str(missing if missing is not None else path[-1] if path else "")
    line = _line(root, path)
    shown = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")
    place = f"{where}, line {line}" + (f", {shown}" if shown else "")
    if item["type"] == "extra_forbidden":
        names = _names_beside(item["loc"])
        close = difflib.get_close_matches(name, names, n=1)
        guess = f"Did you mean {close[0]!r}? " if close else ""
        return Fault(place, f"{name!r} is not known", f"{guess}Known names: {', '.join(sorted(names))}")
    if item["type"] == "missing":
        return Fault(place, f"{name} is required but was not given", f"Give it. {_meaning(name)}".strip())
    if item["type"] in ("union_tag_invalid", "union_tag_not_found"):
        kinds = "number, integer, boolean, enum, string, file"
        return Fault(place, "has no type that is known", f"Give type: one of {kinds}")
    message = item["msg"].removeprefix("Value error, ")
    if message == item["msg"]:  # pydantic's own begins with a capital letter
        message = message[:1].lower() + message[1:]
    given = item["input"]
    if not isinstance(given, dict | list | BaseModel):
        text = repr(given)
        message += f", got {text if len(text) <= 80 else text[:77] + '…'}"
    return Fault(place, message, f"Correct it. {_meaning(name)}".strip())


def _path(loc: Sequence[str | int], document: Any) -> tuple[list[str | int], str | None]:
    """Where an error is in the document; pydantic's location also names the types that it tried.

    Returns:
        The path, and the last name of the location if there is no such entry.
    """
    path: list[str | int] = []
    here = document
    for part in loc:
        if _has(here, part):
            here = here[part]
            path.append(part)
    last = loc[-1] if loc else None
    return path, last if isinstance(last, str) and (not path or path[-1] != last) else None


def _has(here: Any, part: str | int) -> bool:
    if isinstance(here, dict):
        return part in here
    return isinstance(here, list) and isinstance(part, int) and part < len(here)


def _line(node: yaml.Node | None, path: Sequence[str | int]) -> int:
    line = node.start_mark.line if node else 0
    for part in path:
        if isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == part), None)
            if found is None:
                break
            line, node = found[0].start_mark.line, found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            node = node.value[part]
            line = node.start_mark.line
        else:
            break
    return line + 1


def _names_beside(loc: Sequence[str | int]) -> list[str]:
    kinds: dict[str, type[BaseModel]] = {"number": NumberInput, "integer": IntegerInput, "boolean": BooleanInput}
    kinds |= {"enum": EnumInput, "string": StringInput, "file": FileInput, "Switch": Switch}
    model: type[BaseModel] = ToolFile
    for part in loc[:-1]:
        if part == "outputs":
            model = Output
        elif part == "values" and model is Output:
            model = Value
        elif part == "mpi":
            model = Mpi
        elif part in kinds and model is ToolFile:
            model = kinds[str(part)]
    return list(model.model_fields)


def _meaning(name: str) -> str:
    descriptions = (model.model_fields[name].description for model in _MODELS if name in model.model_fields)
    found = next(descriptions, None)
    return f"{name}: {found}" if found else ""


def _shipped(
    file: ToolFile, base: Path, where: str, root: yaml.Node | None
) -> tuple[dict[str, Path], dict[str, StagedFile]]:
    """Finds and reads the files that ship with a tool, which must lie beside its tool file or below.

    Raises:
        ToolFileError: If one is not there, or lies elsewhere, or they are too large together.
    """
    faults: list[Fault] = []
    paths: dict[str, Path] = {}
    staged: dict[str, StagedFile] = {}
    size = 0
    for name, relative in file.files.items():
        place = f"{where}, line {_line(root, ['files', name])}, files.{name}"
        path = (base / relative).resolve()
        if not path.is_relative_to(base):
            faults.append(Fault(place, f"{relative!r} leads out of {base}", "Put the file beside the tool file"))
            continue
        try:
            content = path.read_bytes() if path.stat().st_size <= MAX_SHIPPED_BYTES else b"\0" * (MAX_SHIPPED_BYTES + 1)
        except OSError as error:
            message = f"{relative!r} cannot be read ({error.strerror}; looked for {path})"
            faults.append(Fault(place, message, "Correct the path"))
            continue
        size += len(content)
        suffix = path.suffix if path.suffix[1:].isalnum() and path.suffix.isascii() and len(path.suffix) <= 13 else ""
        paths[name] = path
        staged[name] = StagedFile(name=path.name, sha256=hashlib.sha256(content).hexdigest(), suffix=suffix)
    if size > MAX_SHIPPED_BYTES:
        message = f"the files that ship with the tool are larger than {MAX_SHIPPED_BYTES:,} bytes together"
        faults.append(Fault(f"{where}, files", message, "Install what is large where the workers are"))
    if faults:
        raise ToolFileError(faults)
    return paths, staged
