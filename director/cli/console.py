"""What all commands share: where they write, and how they end.

Machines read standard output; people read standard error.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from director.door import Refused

OK, SOME_NOT_OK, REFUSED, RUN_FAILED, INTERRUPTED = 0, 1, 2, 3, 130

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON to standard output.")]


def err_console() -> Console:
    """A console on standard error."""
    return Console(stderr=True, highlight=False)


def resume_command(folder: os.PathLike[str] | str) -> str:
    """What a user types to finish a run."""
    return shlex.join(["director", "run", "--resume", os.fspath(folder)])


def emit(value: Any) -> None:
    """Writes one JSON document as one line to standard output."""
    typer.echo(value if isinstance(value, str) else json.dumps(value))


@contextlib.contextmanager
def endings(
    as_json: bool,
    *,
    refused: str = "refused",
    hint: str = "",
    interrupted: str = "interrupted; what has an Outcome is in the run folder",
) -> Iterator[None]:
    """Turns errors into a message on standard error and an exit code.

    Args:
        as_json: Whether the message is JSON.
        refused: How to begin when input is refused.
        hint: What to do when a run has failed.
        interrupted: What to say when the user has interrupted.
    """
    try:
        yield
    except Refused as refusal:
        if as_json:
            typer.echo(json.dumps({"refused": [asdict(problem) for problem in refusal.problems]}), err=True)
        else:
            console = err_console()
            console.print(Text(refused, style="bold red"))
            for problem in refusal.problems:
                console.print(Text.assemble((problem.where, "bold"), f": {problem.message}"), soft_wrap=True)
                console.print(Text(f"  → {problem.hint}", style="cyan"), soft_wrap=True)
        raise typer.Exit(REFUSED) from None
    except KeyboardInterrupt:
        typer.echo(interrupted, err=True)
        raise typer.Exit(INTERRUPTED) from None
    except (RuntimeError, OSError) as error:
        if as_json:
            typer.echo(json.dumps({"failed": {"type": type(error).__name__, "message": str(error)}}), err=True)
        else:
            err_console().print(Text(f"failed: {error}", style="bold red"), soft_wrap=True)
            if hint:
                err_console().print(Text(f"  → {hint}", style="cyan"), soft_wrap=True)
        raise typer.Exit(RUN_FAILED) from None
