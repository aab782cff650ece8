"""Settings of a simulation as a candidate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Value = str | int | float | bool


@dataclass(frozen=True)
class Settings:
    """Values of some inputs.

    Attributes:
        values: Name and value of each, in the order of names.
    """

    values: tuple[tuple[str, Value], ...]

    @property
    def inputs(self) -> dict[str, Value]:
        """The values by name."""
        return dict(self.values)


def settings_of(inputs: Mapping[str, Any]) -> Settings:
    """The settings with these values."""
    return Settings(tuple(sorted(inputs.items())))
