"""What only agents' interfaces need, and not every installation has."""

from __future__ import annotations

import importlib
from typing import Any

from director.door import Problem, Refused


def need(module: str) -> Any:
    """Imports a module that comes with the extra ``agents``.

    Raises:
        Refused: If its package is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != package:
            raise  # it is there, and something else that it imports is not
        hint = 'pip install "md-director[agents]"'
        raise Refused([Problem(package, "is not installed here", hint)]) from error
