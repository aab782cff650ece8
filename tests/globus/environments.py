"""Python environments like this one, but for one package."""

from __future__ import annotations

import sys
from pathlib import Path


def environment_without(package: str, folder: Path, *, instead: str | None = None) -> Path:
    """Makes an environment that has all packages of this one except for one.

    Args:
        package: The package, by its distribution's name.
        folder: Where; not there yet.
        instead: Version of the package that the environment seems to have instead.
    """
    name = package.replace("-", "_")
    site, programs = folder / "site", folder / "bin"
    site.mkdir(parents=True)
    programs.mkdir()
    for place in (Path(entry) for entry in sys.path if entry.endswith("-packages")):
        for entry in place.iterdir():
            # An editable installation is found by what it leaves beside its metadata.
            if not entry.name.startswith((name, f"__editable___{name}", f"__editable__.{name}")):
                _link(site / entry.name, entry)
    if instead is not None:
        metadata = site / f"{name}-{instead}.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {instead}\n")
    python = programs / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH={site} exec {Path(sys.executable).resolve()} "$@"\n')
    python.chmod(0o755)
    for entry in Path(sys.executable).parent.iterdir():
        if entry.is_file() and entry.read_bytes().startswith(b"#!") and not entry.name.startswith("python"):
            _, _, program = entry.read_text(errors="replace").partition("\n")
            (programs / entry.name).write_text(f"#!{python}\n{program}")
            (programs / entry.name).chmod(0o755)
    (programs / "activate").write_text(f"PATH={programs}:$PATH\n")
    return folder


def _link(at: Path, to: Path) -> None:
    if not at.is_symlink():
        at.symlink_to(to)
