"""Assembles the command from its parts."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer

from director.cli import (
    agents,
    analyze,
    campaign,
    chat,
    confirm,
    endpoint,
    exchange,
    export,
    ledger,
    look,
    partitions,
    reason,
    run,
    serve,
    steer,
    submit,
    tune,
)
from director.collecting import collect_rarely

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Drive batches of simulations on partitions of one batch job.",
    epilog="Exit codes: 0 every Outcome ok, 1 some not, 2 input refused before anything started, 3 the run failed.",
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"md-director {version('md-director')}")
        raise typer.Exit


@app.callback()
def director(
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Drive batches of simulations on partitions of one batch job."""


app.command(name="run")(run.run)
app.command(name="partitions")(partitions.partitions)
app.command(name="tune")(tune.tune)
app.command(name="tools")(look.tools)
app.command(name="status")(look.status)
app.command(name="outcomes")(look.outcomes)
app.command(name="report")(look.report)
app.command(name="export")(export.export)
app.command(name="submit")(submit.submit)
app.command(name="resume")(submit.resume)
app.command(name="watch")(steer.watch)
app.command(name="cancel")(steer.cancel)
app.command(name="prioritize")(steer.prioritize)
app.command(name="pause")(steer.pause)
app.command(name="unpause")(steer.unpause)
app.command(name="drain")(steer.drain)
app.command(name="close")(steer.close)
app.command(name="fetch")(steer.fetch)
app.command(name="serve")(serve.serve)
app.command(name="analyze")(analyze.analyze)
app.command(name="reason")(reason.reason)
app.command(name="mcp")(agents.mcp)
app.command(name="confirm")(confirm.confirm)
app.command(name="chat")(chat.chat)
app.command(name="exchange")(exchange.exchange)
app.add_typer(campaign.app, name="campaign")
app.add_typer(endpoint.app, name="endpoint")
app.add_typer(ledger.app, name="ledger")


def main() -> None:
    """Runs the command."""
    collect_rarely()
    app()
