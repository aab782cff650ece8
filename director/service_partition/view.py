"""How the services of a run are shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from director.live import STATE_STYLE
from director.report.values import MISSING, clean
from director.runfolder import RunRecord
from director.service_partition.state import ServicesFolder

_STYLES = {
    "up": STATE_STYLE["up"],
    "unwell": STATE_STYLE["starting"],
    "starting": STATE_STYLE["starting"],
    "restarting": STATE_STYLE["starting"],
    "stopped": STATE_STYLE["closed"],
}


def services_view(run_folder: Path, record: RunRecord) -> list[dict[str, Any]]:
    """For each service of a run what ``director status --json`` prints.

    Args:
        run_folder: The run folder.
        record: The run's record.
    """
    folder = ServicesFolder(run_folder.resolve())
    found = []
    for one in record.services:
        state = folder.read(one.spec.name)
        ended = state is not None and state.state in ("stopped", "failed")
        found.append(
            {
                "name": one.spec.name,
                "partition": one.hostnames,
                "silent": not ended and folder.silent,
                **(state.model_dump(mode="json", exclude={"name"}) if state else {"state": "starting", "servers": []}),
                "base_url": next((server.base_url for server in state.servers if server.state == "up"), None)
                if state
                else None,
            }
        )
    return found


def service_table(services: Sequence[Mapping[str, Any]]) -> Table:
    """How each server of each service is."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for name in ("service", "node", "state", "starts", "base URL", "model", "reason"):
        table.add_column(name, overflow="fold")
    for service in services:
        for server in service["servers"]:
            state = "silent" if service["silent"] else server["state"]
            table.add_row(
                Text(clean(service["name"], 40)),
                Text(clean(server["node"], 255)),
                Text(state, style=_STYLES.get(state, STATE_STYLE["lost"])),
                str(server["starts"]),
                Text(clean(server["base_url"] or MISSING, 100)),
                Text(clean(service["model"] or MISSING, 60)),
                Text(clean(server["reason"] or "", 300)),
            )
    return table
