"""The arguments of a program: text with placeholders, each of which stands for one whole typed value. Pure.

A value is put into one argument and stays in it, whatever it holds: there is no shell that could split or expand it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

Kind = Literal["input", "out", "file", "run"]

_TOKEN = re.compile(r"\{\{|\}\}|\{(?:(out|file|run):)?([a-z][a-z0-9_]*)\}|[{}]")
_CODE_OPTION = re.compile(r"-[a-z]*[ce]|--eval|--execute|--command|-Command")
_INTERPRETER = re.compile(
    r"(?:ba|da|k|z|c|tc|fi)?sh|python[0-9.]*|pypy[0-9.]*|perl[0-9.]*|ruby[0-9.]*|node|lua[0-9.]*|Rscript|R|julia|php|tclsh|pwsh"
)


@dataclass(frozen=True)
class Placeholder:
    """Stands for one value.

    Attributes:
        kind: ``input``: a typed input; ``out``: the path of an output; ``file``: the path of a file that ships with
            the tool; ``run``: what the run gives, such as its cores.
        name: Which.
    """

    kind: Kind
    name: str

    def __str__(self) -> str:
        return f"{{{self.name}}}" if self.kind == "input" else f"{{{self.kind}:{self.name}}}"


Part = str | Placeholder


def parts_of(text: str) -> list[Part]:
    """Splits one argument into text and placeholders.

    ``{{`` and ``}}`` stand for braces.

    Raises:
        ValueError: If a brace belongs to no placeholder.
    """
    parts: list[Part] = []
    end = 0
    for match in _TOKEN.finditer(text):
        if match.start() > end:
            parts.append(text[end : match.start()])
        end = match.end()
        word = match[0]
        if word in ("{{", "}}"):
            parts.append(word[0])
        elif match[2] is None:
            raise ValueError(f"{text!r} has a brace that belongs to no placeholder: write {{{{ or }}}} for a brace")
        else:
            kind: Kind = match[1] or "input"  # type: ignore[assignment]  # one of the words of the pattern
            parts.append(Placeholder(kind, match[2]))
    if end < len(text):
        parts.append(text[end:])
    return parts


def placeholders_of(text: str) -> Iterator[Placeholder]:
    """The placeholders of one argument.

    Raises:
        ValueError: See `parts_of`.
    """
    return (part for part in parts_of(text) if isinstance(part, Placeholder))


def filled(text: str, values: Mapping[Placeholder, str]) -> str:
    """One argument with its values.

    Raises:
        KeyError: If a placeholder has no value.
    """
    return "".join(part if isinstance(part, str) else values[part] for part in parts_of(text))


def written(value: float | int | str | bool) -> str:
    """How a value is written in an argument: numbers as JSON writes them, so that none of their digits is lost.

    >>> written(300.0), written(1e-20), written(5), written("a b")
    ('300.0', '1e-20', '5', 'a b')
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else repr(value)


def code_argument(arguments: Sequence[str]) -> int | None:
    """Which argument, if any, an interpreter would read as code and a caller could write in.

    Args:
        arguments: The program and all of its arguments.

    Returns:
        The position of the first one with a placeholder for a value, behind an option such as ``-c`` of a shell or of
        an interpreter; None if there is none.
    """
    for index in range(2, len(arguments)):
        before = [PurePosixPath(word).name for word in arguments[: index - 1]]
        if not _CODE_OPTION.fullmatch(arguments[index - 1]) or not any(map(_INTERPRETER.fullmatch, before)):
            continue
        if any(found.kind == "input" for found in placeholders_of(arguments[index])):
            return index
    return None
