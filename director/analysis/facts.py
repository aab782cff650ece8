"""What a structure file says of itself: read without any simulation program, and told to the model as data. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

PDB_SUFFIXES = (".pdb", ".ent")
CIF_SUFFIXES = (".cif", ".mmcif", ".pdbx")

# fmt: off
AMINO_ACIDS = frozenset([
    "ALA", "ARG", "ASN", "ASP", "CYS", "GLN", "GLU", "GLY", "HIS", "ILE", "LEU", "LYS", "MET", "PHE",
    "PRO", "SER", "THR", "TRP", "TYR", "VAL", "ASH", "CYM", "CYX", "GLH", "HID", "HIE", "HIP", "HSD",
    "HSE", "HSP", "LYN", "ACE", "NME", "NMA", "NHE",
])
# fmt: on
"""With the names that force fields give to other protonation states, and caps."""

WATERS = frozenset(["HOH", "WAT", "H2O", "SOL", "TIP", "TIP3", "TIP4", "SPC", "DOD"])

_TOKEN = re.compile(r"""'((?:[^']|'(?=\S))*)'(?=\s|$)|"((?:[^"]|"(?=\S))*)"(?=\s|$)|(\S+)""")


class UnreadableStructure(ValueError):  # noqa: N818  (it reads as what is wrong)
    """A file holds no atoms that could be read. Its text says why."""


@dataclass(frozen=True)
class _Atom:
    element: str
    residue: str
    chain: str
    number: str


def structure_facts(name: str, text: str) -> dict[str, Any]:
    """Counts what is in a PDB or mmCIF file; of several models in the first.

    Args:
        name: The file's name; its suffix says the format.
        text: Its content.

    Returns:
        ``file``, ``format``, ``title``, ``models``, ``atoms``, ``hydrogens``, ``residues``, ``chains`` (residues of
        each), ``amino_acids`` (how many of each name), ``other_residues`` (likewise), ``waters``, ``box``.

    Raises:
        UnreadableStructure: If it holds no atoms, or its format is not known.
    """
    suffix = PurePath(name).suffix.lower()
    if suffix in PDB_SUFFIXES:
        kind, atoms, about = "PDB", list(_pdb_atoms(text)), _pdb_about(text)
    elif suffix in CIF_SUFFIXES:
        kind, atoms, about = "mmCIF", list(_cif_atoms(text)), _cif_about(text)
    else:
        known = ", ".join((*PDB_SUFFIXES, *CIF_SUFFIXES))
        raise UnreadableStructure(f"{name} has none of the suffixes {known}")
    if not atoms:
        raise UnreadableStructure(f"{name} holds no atoms that could be read as {kind}")
    residues = dict.fromkeys((atom.chain, atom.number, atom.residue) for atom in atoms)
    names = Counter(residue for _, _, residue in residues)
    chains = Counter(chain for chain, _, residue in residues if residue not in WATERS)
    return {
        "file": name,
        "format": kind,
        **about,
        "atoms": len(atoms),
        "hydrogens": sum(atom.element in {"H", "D"} for atom in atoms),
        "residues": len(residues),
        "chains": dict(sorted(chains.items())),
        "amino_acids": {one: count for one, count in sorted(names.items()) if one in AMINO_ACIDS},
        "other_residues": {
            one: count for one, count in sorted(names.items()) if one not in AMINO_ACIDS and one not in WATERS
        },
        "waters": sum(count for one, count in names.items() if one in WATERS),
    }


def _pdb_atoms(text: str) -> Iterator[_Atom]:
    """Columns as in the PDB format's version 3.3; alternate locations but the first are left out."""
    for line in text.splitlines():
        if line.startswith("ENDMDL"):
            return
        if line.startswith(("ATOM  ", "HETATM")) and line[16:17] in (" ", "A", "1", ""):
            element = line[76:78].strip() or line[12:16].strip().lstrip("0123456789")[:1]
            yield _Atom(element.upper(), line[17:21].strip(), line[21:22].strip() or "-", line[22:27].strip())


def _pdb_about(text: str) -> dict[str, Any]:
    lines = text.splitlines()
    title = " ".join(line[10:80].strip() for line in lines if line.startswith("TITLE "))
    return {
        "title": title[:500],
        "models": max(1, sum(line.startswith("MODEL ") for line in lines)),
        "box": any(line.startswith("CRYST1") for line in lines),
    }


def _cif_atoms(text: str) -> Iterator[_Atom]:
    columns: dict[str, int] = {}
    first_model: str | None = None
    for line in text.splitlines():
        if line.startswith("_atom_site."):
            columns[line.split()[0].removeprefix("_atom_site.")] = len(columns)
            continue
        if not columns:
            continue
        if line.startswith(("#", "loop_", "_", "data_")):
            return
        row = _tokens(line)
        if len(row) != len(columns):
            continue

        def field(*names: str, row: list[str] = row) -> str:
            return next(
                (row[columns[name]] for name in names if name in columns and row[columns[name]] not in ".?"), ""
            )

        model = field("pdbx_PDB_model_num")
        first_model = model if first_model is None else first_model
        if model == first_model and field("label_alt_id") in ("", "A", "1"):
            number = field("auth_seq_id", "label_seq_id") + field("pdbx_PDB_ins_code")
            names = field("auth_comp_id", "label_comp_id"), field("auth_asym_id", "label_asym_id")
            yield _Atom(field("type_symbol").upper(), names[0], names[1] or "-", number)


def _cif_about(text: str) -> dict[str, Any]:
    title = next(
        (line.removeprefix("_struct.title") for line in text.splitlines() if line.startswith("_struct.title")), ""
    )
    models = set(re.findall(r"^MODEL\s+(\d+)", text, re.MULTILINE))
    return {
        "title": " ".join(_tokens(title))[:500],
        "models": max(1, len(models)),
        "box": "_cell.length_a" in text,
    }


def _tokens(line: str) -> list[str]:
    return [single or double or bare for single, double, bare in _TOKEN.findall(line)]
