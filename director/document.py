"""Files in YAML or JSON that users give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from director.door import Problem, Refused
from simulations.plain_yaml import Unreadable, parse_yaml, read_yaml_file


def read_document(path: Path, most_bytes: int) -> Any:
    """Reads a file in YAML or JSON, whatever stands in it.

    Args:
        path: The file.
        most_bytes: What is larger is refused.

    Raises:
        Refused: If it cannot be read.
    """
    try:
        return read_yaml_file(path, str(path), most_bytes).value
    except Unreadable as error:
        raise _refused(error) from None


def parse_document(text: str, where: str) -> Any:
    """Reads a text in YAML or JSON, whatever it says. Pure.

    Args:
        text: The text.
        where: What it is called in messages.

    Raises:
        Refused: If it is not YAML.
    """
    try:
        return parse_yaml(text, where).value
    except Unreadable as error:
        raise _refused(error) from None


def _refused(error: Unreadable) -> Refused:
    return Refused([Problem(error.where, error.message, error.hint)])
