"""``make bench``, or ``python -m benchmarks [NAME ...]``."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from benchmarks import (
    agents,
    campaigns,
    closing,
    cluster,
    gpu,
    ledger,
    mcp_calls,
    md_speed,
    overhead,
    simulation,
    submit,
    tuned,
    walltime,
    worker_life,
)
from benchmarks.table import Row, table
from director.collecting import collect_rarely

ALL = {
    "throughput": overhead.throughput,
    "single": overhead.single_calls,
    "first": overhead.first_outcome,
    "utilization": overhead.utilization,
    "long": md_speed.long_runs,
    "node": md_speed.node,
    "tune": tuned.tune,
    "gpu": gpu.gpu,
    "short": simulation.short_requests,
    "start": worker_life.start_up,
    "memory": worker_life.memory,
    "files": worker_life.files,
    "closing": closing.closing,
    "ledger": ledger.ledger,
    "many": ledger.many,
    "partitions": cluster.partitions,
    "recovery": cluster.recovery,
    "blocks": cluster.blocks,
    "walltime": walltime.walltime,
    "agents": agents.agents,
    "decide": campaigns.decide,
    "campaign": campaigns.campaign,
    "embedded": submit.embedded,
    "submit": submit.full_stack,
    "tool_calls": mcp_calls.tool_calls,
}


def main() -> int:
    """Runs the benchmarks named on the command line, or all; exit code 1 if a bar is missed, 2 for a wrong name."""
    console = Console()
    collect_rarely()  # as the command does
    names = sys.argv[1:] or list(ALL)
    unknown = [name for name in names if name not in ALL]
    if unknown:
        console.print(f"no benchmark {', '.join(unknown)}; there are: {', '.join(ALL)}")
        return 2
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="md-director-bench-") as folder:
        for name in names:
            begin = time.perf_counter()
            place = Path(folder) / name
            place.mkdir()
            rows += ALL[name](place)
            console.print(f"{name}: {time.perf_counter() - begin:.0f} s", style="dim")
    console.print(table(rows))
    return 0 if all(row.met is not False for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
