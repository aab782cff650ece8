"""Packages that only language models need: the extra ``agents``."""

from __future__ import annotations

from typing import Any

from campaigns.language import NotConfigured
from simulations.errors import ToolError
from simulations.extras import need


def load(module: str) -> Any:
    """Imports a module of the extra ``agents``.

    Raises:
        NotConfigured: If its package is not installed.
    """
    try:
        return need(module, "agents")
    except ToolError as error:
        package = module.partition(".")[0]
        hint = 'pip install "md-director[agents]"'
        raise NotConfigured(
            f"the package {package!r} is not installed here, and language models need it: {hint}"
        ) from error
