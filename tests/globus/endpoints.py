"""The endpoint folders of the stacks, as ``director endpoint configure`` writes them."""

from __future__ import annotations

import sys
from pathlib import Path

from endpoint_templates import configure, find
from tests.cluster.cluster import LOGIN_ADDRESS
from tests.cluster.machine import SEARCH_PATH


def local(folder: Path) -> None:
    """Directors beside the endpoint."""
    _configure("local", folder)


def slurm(folder: Path) -> None:
    """Directors on the first node of a Slurm job."""
    _configure("slurm", folder, address=LOGIN_ADDRESS)


def _configure(template: str, folder: Path, **given: str) -> None:
    kind = "venv" if (Path(sys.prefix) / "bin" / "activate").exists() else "conda"
    run_root = folder.parents[1] / "runs"
    run_root.mkdir(mode=0o700)
    installed = {"environment": sys.prefix, "environment_kind": kind, "run_root": str(run_root), **given}
    configure(find(template), folder, installed, local_services=True, search_path=SEARCH_PATH)
