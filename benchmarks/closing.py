"""How long processes outlive the Fleet that they belong to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.table import Row
from partitions.guard import marked

BAR_S = 5.0
CLIENT = """
import asyncio, sys
from director import Fleet, sweep
async def main():
    async with Fleet.launch(directors=2, nodes=4, run_dir=sys.argv[1], workers_per_node=1) as fleet:
        stream = fleet.map(sweep("mock_md", duration_s=0.3, seed=range(400)))
        await anext(stream)
        print(*[f"{director.pid}:{director.mark}" for director in fleet._owned.directors], flush=True)
        await asyncio.to_thread(sys.stdin.readline)
asyncio.run(main())
"""


def closing(folder: Path) -> list[Row]:
    """Seconds until no process is left: after a close, and after `kill -9` of the client or of the Directors."""
    rows = []
    for how in ("close", "kill -9 of the client", "kill -9 of the Directors"):
        place = folder / how.split()[-1]
        client = subprocess.Popen(
            [sys.executable, "-c", CLIENT, str(place)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert client.stdin
        assert client.stdout
        words = [word.split(":") for word in client.stdout.readline().split()]
        directors, marks = [int(pid) for pid, _ in words], [mark for _, mark in words]
        count = sum(len(marked(mark)) for mark in marks)
        begin = time.perf_counter()
        if how == "close":
            client.stdin.write("\n")
            client.stdin.flush()
        elif how.endswith("client"):
            client.kill()
        else:
            for director in directors:
                os.kill(director, signal.SIGKILL)
        while any(marked(mark) for mark in marks):
            time.sleep(0.01)
        seconds = time.perf_counter() - begin
        client.kill()
        client.wait()
        what = f"until none of {count} processes is left after {how} (s)"
        rows.append(Row(what, f"{seconds:.2f}", "", None, f"≤ {BAR_S:g}", seconds <= BAR_S))
    return rows
