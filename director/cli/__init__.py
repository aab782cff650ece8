"""The command ``director``."""

from director.cli.app import main

__all__ = ["main"]
