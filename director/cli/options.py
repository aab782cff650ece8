"""Options that several commands have, and what they come to."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated, Any

import typer

from director.durations import seconds_of


class SiteName(enum.StrEnum):
    """Where Directors can be launched."""

    LOCAL = "local"
    EMBEDDED = "embedded"


# ---- where Directors run

AllocationOption = Annotated[
    str, typer.Option(help="auto, local, slurm, pbs, lsf or flux; auto: the batch job that this runs in, if any.")
]
SiteOption = Annotated[
    SiteName, typer.Option(help="Where Directors run: local, or embedded, in an endpoint's engine started here.")
]
TemplateOption = Annotated[str, typer.Option(help="With --site embedded: the endpoint template.")]
InstalledOption = Annotated[
    list[str] | None,
    typer.Option("--option", help="With --site embedded: an installer's option of the template: NAME=VALUE."),
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="An option of the endpoint's template: queue=debug. May be repeated.")
]
OpenRunOption = Annotated[
    str | None,
    typer.Option(
        "--run", metavar="RUN", help="Use the Directors of this open run, which go on: a run folder, or a name."
    ),
]
LocalServicesOption = Annotated[
    bool,
    typer.Option(
        envvar="DIRECTOR_LOCAL_SERVICES", help="Globus Compute's services are on this machine (for tests of endpoints)."
    ),
]

# ---- how many of what

DirectorsOption = Annotated[int, typer.Option(min=1, help="How many Directors.")]
SharedNodesOption = Annotated[int | None, typer.Option(min=1, help="How many nodes they share.")]
NodesOption = Annotated[int | None, typer.Option(min=1, help="How many nodes, instead of what the file says.")]
WorkersOption = Annotated[int | None, typer.Option(min=1, help="Worker processes on each node.")]

# ---- how long

WalltimeOption = Annotated[
    str | None, typer.Option(help="End within this time, if the job does not before: 180s, 3m, 2h or HH:MM:SS.")
]
ReserveOption = Annotated[
    str | None,
    typer.Option(
        help="How long before the end all that runs is asked to save what it has done: 20s. Default: 10 to 60 s."
    ),
]
WaitOption = Annotated[float, typer.Option(min=0, help="How long to wait for the Directors to answer, in s.")]

# ---- what was done before

NoReuseOption = Annotated[bool, typer.Option("--no-reuse", help="Run all, also what has an Outcome of equal inputs.")]
ReuseFromOption = Annotated[
    list[str] | None,
    typer.Option(help="Use Outcomes of equal inputs of this run folder too, where the Directors run. May be repeated."),
]

# ---- which language model, and how it is asked

ModelOption = Annotated[str | None, typer.Option(help="The language model. Default: DIRECTOR_LLM_MODEL.")]
TemperatureOption = Annotated[float | None, typer.Option(min=0, max=2, help="Randomness of the model's replies.")]
MaxOutputTokensOption = Annotated[int | None, typer.Option(min=1, help="Most tokens of one reply.")]
LlmTimeoutOption = Annotated[str, typer.Option(help="Longest time for one attempt to get a reply: 90s, 2m.")]

# ---- what an agent may read

FilesOption = Annotated[
    Path, typer.Option(help="Folder that files which an agent names must lie in: what it may read of this machine.")
]

Remote = tuple[str, list[str], list[str], str | None, Path | None]
"""The endpoint template, an installer's options, the user's settings, the exchange and its secret."""


def terms_of(allocation: str, walltime: str | None, reserve: str | None) -> dict[str, Any]:
    """What ``--allocation``, ``--walltime`` and ``--reserve`` come to; times in s.

    Raises:
        Refused: If one is no time.
    """
    return {
        "allocation": allocation,
        "walltime_s": seconds_of(walltime, "--walltime") if walltime else None,
        "reserve_s": seconds_of(reserve, "--reserve") if reserve else None,
    }
