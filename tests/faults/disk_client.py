"""A client that hands Requests over one after the other, and says what becomes of them: ``disk_client.py RUN_FOLDER``.

Each line of its standard output is a JSON object: ``acknowledged`` (an id), ``outcome`` (a dictionary), ``lost`` (why
the Director is gone) or ``ended``.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
from pathlib import Path
from typing import Any

from director import Fleet
from director.call import DirectorLost
from simulations.records import Request

PAUSE_S = 0.02


def say(**what: Any) -> None:
    """One line."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


async def main(run_dir: Path) -> None:
    """Hands over until the Director is gone."""
    async with Fleet.launch(directors=1, nodes=1, workers_per_node=2, run_dir=run_dir) as fleet:
        link = fleet.links[0]
        say(up=True)
        for number in itertools.count():
            inputs = {"duration_s": 0.05, "seed": number}
            try:
                await link.post(Request(id=f"r{number}", tool="mock_md", inputs=inputs))
            except DirectorLost as error:
                say(lost=str(error))
                break
            say(acknowledged=f"r{number}")
            await asyncio.sleep(PAUSE_S)
    say(ended=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
