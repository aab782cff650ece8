"""The kind of a value, in words: from the JSON schema of its field."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import TypeAdapter

from endpoint_templates.fields import AbsolutePath, InterfaceName, Ipv4Address, ModuleName, Word


def kind_of(described: Mapping[str, Any]) -> str:
    """Type, and range or values.

    Args:
        described: The JSON schema of a field, as pydantic makes it.
    """
    inner = next((kind for kind in described.get("anyOf", []) if kind.get("type") != "null"), described)
    if "enum" in inner or "const" in inner:
        return ", ".join(inner.get("enum", [inner.get("const")]))
    match inner.get("type"):
        case "integer":
            return f"{inner['minimum']} to {inner['maximum']}"
        case "boolean":
            return "true or false"
        case "array":
            return f"list of: {kind_of(inner['items'])}"
    return _words().get(inner.get("pattern", ""), "text")


@cache
def _words() -> dict[str, str]:
    kinds: dict[str, Any] = {
        "word (letters, digits, - _ .)": Word,
        "absolute path": AbsolutePath,
        "name of a module": ModuleName,
        "name of an interface": InterfaceName,
        "IPv4 address": Ipv4Address,
    }
    return {TypeAdapter(kind).json_schema()["pattern"]: words for words, kind in kinds.items()}
