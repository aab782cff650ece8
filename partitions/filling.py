"""Filling in what is known only where a service runs, such as its port. Pure; no expression is evaluated."""

from __future__ import annotations

import re
from collections.abc import Mapping

# A name in single braces. JSON has quotation marks there, and templates have two braces: both stay as they are.
_PLACE = re.compile(r"(?<!\{)\{([a-z_]+)\}(?!\})")


def names_in(text: str) -> list[str]:
    """The names that a text has in braces, in their order, with repeats."""
    return _PLACE.findall(text)


def filled(text: str, values: Mapping[str, str]) -> str:
    """A text with the values put in the place of the names in braces. What is put in is not looked through again.

    Raises:
        KeyError: If a name has no value.
    """
    return _PLACE.sub(lambda match: values[match[1]], text)
