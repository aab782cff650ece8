"""``director serve``: services on nodes of their own, and a command on the lead node beside them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from director.cli.console import endings
from director.cli.options import AllocationOption, NodesOption
from director.cli.running import say
from director.door import Problem, Refused
from partitions.surroundings import ThisProcess


def serve(
    services: Annotated[Path, typer.Argument(help="What to serve: a file in YAML or JSON that begins with services.")],
    command: Annotated[
        list[str], typer.Argument(help="The command, after --: director reason …, director campaign run …, any other.")
    ],
    run_dir: Annotated[
        Path | None, typer.Option(help="Folder for the services' states and logs. Default: services-TIME.")
    ] = None,
    agent: Annotated[
        str | None, typer.Option("--service", help="Which of several is meant by agents that know one model only.")
    ] = None,
    allocation: AllocationOption = "auto",
    nodes: NodesOption = None,
) -> None:
    """Keep servers, such as a language model's, on nodes of this job, and run a command beside them.

    The command finds the server by DIRECTOR_LLM_BASE_URL, DIRECTOR_LLM_MODEL and DIRECTOR_LLM_API_KEY_FILE, other
    clients by OPENAI_BASE_URL and OPENAI_API_KEY. Directors that it launches leave the servers' nodes alone. All
    servers end with it. The exit code is the command's; 2 refused before anything started, 3 a server did not come up
    or was lost.
    """
    folder = run_dir or Path(f"services-{datetime.now():%Y%m%d-%H%M%S}")
    with endings(as_json=False, refused="refused; nothing was started"):
        from director.service_partition import beside
        from director.service_partition.finding import ServiceUnavailable

        file, specs = beside.read_services_file(services)
        chosen = agent or (specs[0].name if len(specs) == 1 else None)
        if chosen is not None and chosen not in [spec.name for spec in specs]:
            names = ", ".join(spec.name for spec in specs)
            raise Refused([Problem("--service", f"{agent!r} is no service of {services}", f"Name one of {names}")])
        around = ThisProcess()
        what = beside.plan_beside(file, specs, allocation=allocation, nodes=nodes, around=around)
        served = beside.start_beside(what, folder)
        try:
            with _announced(folder):
                served.until_up()
                if chosen is not None:
                    served.services[chosen].until_up(max(map(served.patience_s, specs)))
            environment = beside.command_environment(what, served, chosen)
            code, reason = beside.run_beside(what, command, environment, served.lost)
        finally:
            served.close()
        if reason is not None:
            raise ServiceUnavailable(reason)
    raise typer.Exit(code)


@contextlib.contextmanager
def _announced(folder: Path) -> Iterator[None]:
    """Says how the services come up."""
    from director.service_partition.saying import LOOK_S, News

    news, done = News(folder), threading.Event()

    def tell() -> None:
        last = False
        while not last:
            last = done.wait(LOOK_S)
            for line in news.lines():
                say(line)

    thread = threading.Thread(target=tell, name="telling", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
