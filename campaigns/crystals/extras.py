"""Packages that only some components need."""

from __future__ import annotations

from typing import Any

from simulations.errors import ToolError
from simulations.extras import need


class MissingExtraError(ValueError):
    """A component needs a package that is not installed here. Its text says how to get it."""


def needed(module: str, extra: str, who: str) -> Any:
    """Imports a module that comes with an extra of md-director.

    Args:
        module: Its full name.
        extra: The extra.
        who: The component that needs it.

    Raises:
        MissingExtraError: If its package is not installed.
    """
    try:
        return need(module, extra)
    except ToolError as error:
        package = module.partition(".")[0]
        raise MissingExtraError(
            f"{who} needs the package {package!r}, which is not installed where the campaign decides: "
            f'pip install "md-director[{extra}]"'
        ) from error
