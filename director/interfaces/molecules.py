"""Names of molecules, and geometries of SMILES: what an agent needs before it can call a Tool with a molecule."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import difflib
import json
import os
import sys
from importlib.resources import files
from typing import Any

from director.door import Problem, Refused

EMBED_S = 30.0
MOST_SMILES = 500
TABLE = "data/molecules.tsv"


def molecules() -> dict[str, dict[str, str]]:
    """The table: for each name, in lower case, ``smiles`` (RDKit's canonical form) and ``formula``."""
    text = files("director.interfaces").joinpath(TABLE).read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines(), delimiter="\t")
    return {row["name"]: {"smiles": row["smiles"], "formula": row["formula"]} for row in rows}


def smiles_of(name: str) -> dict[str, Any]:
    """The SMILES of a molecule that is in the table.

    Raises:
        Refused: If it is not. Nothing similar is put in its place.
    """
    table = molecules()
    wanted = " ".join(name.lower().split())
    if wanted not in table:
        close = difflib.get_close_matches(wanted, table, n=5)
        guess = f"Did you mean {' or '.join(close)}? " if close else ""
        message = f"{name!r} is not in the table of {len(table)} names"
        raise Refused([Problem("name", message, f"{guess}Give its SMILES to the Tool yourself")])
    found = table[wanted]
    others = sorted(other for other, row in table.items() if row["smiles"] == found["smiles"] and other != wanted)
    return {"status": "ok", "name": wanted, **found, "other_names": others}


async def structure_of(smiles: str, seed: int) -> dict[str, Any]:
    """A first geometry of a molecule; see `simulations.atomistic.smiles.molecule_from_smiles`.

    It is made in a process of its own, which is killed if it takes too long: RDKit cannot be interrupted.

    Raises:
        Refused: If there is none, or it takes too long.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "director.interfaces.embedding",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        cwd=os.sep,
    )
    try:
        async with asyncio.timeout(EMBED_S):
            out, _ = await process.communicate(json.dumps({"smiles": smiles, "seed": seed}).encode())
    except TimeoutError:
        message = f"no geometry was found within {EMBED_S:g} s"
        raise Refused([Problem("smiles", message, "Try a smaller molecule, or another seed")]) from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    try:
        said = json.loads(out)
    except ValueError:
        message = f"RDKit ended with exit code {process.returncode}"
        raise Refused([Problem("smiles", message, "Try another form of the SMILES, or another seed")]) from None
    if "problem" in said:
        raise Refused([Problem("smiles", *said["problem"])])
    return {"status": "ok", **said}
