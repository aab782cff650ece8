"""Lists of molecules: from a file, from the campaign file, or shipped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from campaigns.errors import Fault, NotAcceptable, refuse
from campaigns.molecules.candidate import Molecule, molecule_of
from simulations.errors import ToolError

SHIPPED = ("small-organics",)
"""Lists that need no file."""

MOST_BYTES = 64 << 20
COMMENT = "#"

Duplicates = Literal["refuse", "merge"]


def read_list(smiles: str | Sequence[str], duplicates: Duplicates, folder: Path | None = None) -> tuple[Molecule, ...]:
    """Reads a list.

    Args:
        smiles: Name of a shipped list; path of a file with a SMILES a line, which a name may follow after a space,
            empty lines and those that begin with ``#`` left out; or the SMILES themselves.
        duplicates: What becomes of a molecule that is there twice: ``refuse``, or ``merge``, where the first stays.
        folder: Where a path that is not absolute starts; None: the working directory.

    Returns:
        Different molecules, in the order of the list; at least one.

    Raises:
        NotAcceptable: If the list cannot be read or is empty, or for each line that is no molecule that the Tool takes
            or is a duplicate.
        ToolError: ``MissingExtra``.
    """
    if isinstance(smiles, str):
        path = _path(smiles, folder)
        label = smiles
        lines = [(f"{label}:{number}", text) for number, text in _lines(path, label)]
    else:
        lines = [(f"smiles[{number}]", text) for number, text in enumerate(smiles)]
    if duplicates not in ("refuse", "merge"):
        raise refuse("duplicates", f"is {duplicates!r}", "refuse or merge")
    found = _molecules(lines, duplicates)
    if not found:
        raise refuse("smiles", "holds no molecule", "Give one SMILES a line")
    return found


def _path(name: str, folder: Path | None) -> Path:
    if name in SHIPPED:
        return Path(__file__).parent / "data" / f"{name}.smi"
    return (folder or Path()) / name


def _lines(path: Path, label: str) -> list[tuple[int, str]]:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise refuse(label, f"has more than {MOST_BYTES >> 20} MiB", "Split it into several campaigns")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        hint = f"The path of a text file with a SMILES a line, or one of the shipped lists: {', '.join(SHIPPED)}"
        raise refuse("smiles", f"{label} cannot be read ({error})", hint) from None
    return [
        (number, line.split()[0])
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip() and not line.lstrip().startswith(COMMENT)
    ]


def _molecules(lines: Iterable[tuple[str, str]], duplicates: Duplicates) -> tuple[Molecule, ...]:
    found: dict[Molecule, str] = {}
    faults: list[Fault] = []
    for where, text in lines:
        try:
            molecule = molecule_of(text)
        except ToolError as error:
            if error.kind == "MissingExtra":
                raise
            faults.append(Fault(where, error.message, error.hint))
            continue
        first = found.setdefault(molecule, where)
        if first != where and duplicates == "refuse":
            hint = "Leave one of them out, or set duplicates: merge"
            faults.append(Fault(where, f"{text} is the molecule of {first} again ({molecule.smiles})", hint))
    if faults:
        raise NotAcceptable(faults)
    return tuple(found)
