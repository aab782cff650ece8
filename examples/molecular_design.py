"""Molecular design by parallel reasoners: language models propose molecules, Directors compute ionization energies.

Two reasoners begin with two molecules, share what they find, and end with a report of the best five:

    export DIRECTOR_LLM_BASE_URL=https://host/v1 DIRECTOR_LLM_MODEL=NAME DIRECTOR_LLM_API_KEY=…
    python examples/molecular_design.py

Interrupted, or killed? The same command with the same --run-dir goes on where it was: no molecule is computed twice.
"""

import argparse
import asyncio
import os
from pathlib import Path

from rich.console import Console

from campaigns.llm import LanguageAccess, access_from
from director import Fleet
from director.reasoning.running import reason
from director.reasoning.spec import SPEC_FILE, LimitsSpec, ReasoningSpec, read_spec, write_spec

SEEDS = ("CNC(N)=O", "CC1=C(O)N=C(O)N1")


def what(asked: argparse.Namespace, folder: Path, access: LanguageAccess) -> ReasoningSpec:
    """What the reasoners do: as it stands in the run folder, or what is asked for now."""
    if not (folder / SPEC_FILE).exists():
        spec = ReasoningSpec(
            seeds=asked.seed or list(SEEDS),
            reasoners=asked.reasoners,
            goal="the molecule with the greatest vertical ionization energy in eV",
            limits=LimitsSpec(requests=asked.molecules),
            language=access.settings({"temperature": 0.7}),
        )
        write_spec(folder, spec)
    return read_spec(folder)


async def main(asked: argparse.Namespace, folder: Path) -> None:
    """Launches Directors and reasoners, follows them, and shows the best five."""
    console = Console()
    access = access_from(os.environ)
    spec = what(asked, folder, access)

    def launch():
        if (folder / "run.json").exists():
            return Fleet.resume(folder, idle=True)
        return Fleet.launch(2, run_dir=folder)

    def told(state):
        console.print(f"{state['reasoner']} round {state['round']}: {len(state['entries'])} done, then {state['next']}")

    done = await reason(folder, spec, access.key, launch, say=console.print, told=told)
    console.print("\n[bold]The best five[/bold] (GFN2-xTB, vertical, raw)")
    for row in done.summary["best"]:
        console.print(f"{row['rank']}. {row['smiles']}: {row['ionization_energy_ev']:.3f} eV ({row['id']})")
    console.print(f"Open the report in a browser: {folder / 'reasoning.html'}", soft_wrap=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", action="append", metavar="SMILES", help="a molecule to begin with; once for each")
    parser.add_argument("--reasoners", type=int, default=2, help="how many reasoners")
    parser.add_argument("--molecules", type=int, default=20, help="most molecules that are computed")
    parser.add_argument("--run-dir", default="runs/molecular-design", help="folder for the run")
    given = parser.parse_args()
    asyncio.run(main(given, Path(given.run_dir).resolve()))
