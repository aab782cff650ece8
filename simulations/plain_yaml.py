"""YAML without surprises: plain values only, names are text, and one that is given twice is an error."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


class Unreadable(ValueError):  # noqa: N818  (a state, not a fault of the program)
    """A file or text from which nothing can be read.

    Args:
        where: The file, and the line and column if they are known.
        message: What is wrong with it.
        hint: What to do.
    """

    def __init__(self, where: str, message: str, hint: str) -> None:
        super().__init__(f"{where}: {message}. {hint}")
        self.where, self.message, self.hint = where, message, hint


@dataclass(frozen=True)
class Document:
    """What a text says.

    Attributes:
        value: Mappings, lists, texts, numbers, truth values, times and None.
        root: Where each of them stands in the text; None for an empty one.
    """

    value: Any
    root: yaml.Node | None


def read_yaml_file(path: Path, where: str, most_bytes: int) -> Document:
    """Reads a file in YAML or JSON.

    Args:
        path: The file.
        where: What it is called in errors.
        most_bytes: What is larger is not read.

    Raises:
        Unreadable: If it cannot be read, is too large, or is not YAML.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(most_bytes + 1)
        if len(content) > most_bytes:
            raise Unreadable(where, f"is larger than {most_bytes:,} bytes", "Shorten it, or split it")
        return parse_yaml(content.decode(), where)
    except OSError as error:
        raise Unreadable(where, f"cannot be read ({error.strerror})", "Correct the path") from None
    except UnicodeDecodeError:
        raise Unreadable(where, "is not UTF-8 text", "Give a YAML or JSON file") from None


def parse_yaml(text: str, where: str) -> Document:
    """Reads a text in YAML or JSON. Pure.

    Args:
        text: The text.
        where: What it is called in errors.

    Raises:
        Unreadable: If it is not YAML.
    """
    try:
        loader = _PlainLoader(text)
        try:
            root = loader.get_single_node()
            return Document(None if root is None else loader.construct_document(root), root)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{where}, line {mark.line + 1}, column {mark.column + 1}" if mark else where
        what = getattr(error, "problem", None) or str(error)
        raise Unreadable(place, f"is not valid YAML or JSON: {what}", "Correct it") from None
    except RecursionError:
        raise Unreadable(where, "is nested too deeply", "Write it plainly") from None


class _PlainLoader(yaml.SafeLoader):
    """Makes plain values only, and takes no name twice."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """As it is there; for a value that is none, such as the 45th of a month, with its place."""
        try:
            return super().construct_object(node, deep)
        except ValueError as error:
            raise yaml.constructor.ConstructorError(None, None, str(error), node.start_mark) from None
        except (LookupError, AttributeError, TypeError):  # of !!int and its like, given what they do not expect
            kind = node.tag.rpartition(":")[2]
            raise yaml.constructor.ConstructorError(None, None, f"this is no {kind}", node.start_mark) from None

    def construct_scalar(self, node: yaml.ScalarNode | yaml.MappingNode) -> Any:
        """As it is there; a character that JSON writes as a pair of escapes is one character."""
        value = super().construct_scalar(node)
        if isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value):
            try:
                return value.encode("utf-16", "surrogatepass").decode("utf-16")
            except UnicodeDecodeError:
                raise ValueError("holds half of a character") from None
        return value


def _mapping(loader: _PlainLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[str] = set()
    for key, _ in node.value:
        name = loader.construct_object(key, deep=True)
        if not isinstance(name, str):
            raise yaml.constructor.ConstructorError(None, None, f"the name {name!r} is not text", key.start_mark)
        if name in seen:
            raise yaml.constructor.ConstructorError(None, None, f"the name {name!r} is given twice", key.start_mark)
        seen.add(name)
    loader.flatten_mapping(node)
    return loader.construct_mapping(node, deep=True)


# 1e-5 is a number, as in JSON and YAML 1.2; that of YAML 1.1 has a point and a sign.
_PlainLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)[eE][-+]?\d+\Z", re.ASCII), list("-+.0123456789")
)
_PlainLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
