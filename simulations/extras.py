"""What only some Tools need, and not every installation has."""

from __future__ import annotations

import importlib
from typing import Any

from simulations.errors import ToolError


def need(module: str, extra: str) -> Any:
    """Imports a module that comes with an extra of md-director.

    Args:
        module: Its full name, such as ``rdkit.Chem``.
        extra: The extra, such as ``chem``.

    Raises:
        ToolError: ``MissingExtra``, if its package is not installed where the Tool runs.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != package:
            raise  # it is there, and something else that it imports is not
        raise ToolError(
            f"the package {package!r} is not installed where this Tool runs",
            hint=f'in the environment of the workers: pip install "md-director[{extra}]"',
            kind="MissingExtra",
        ) from error
