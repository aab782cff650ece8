"""What the benchmarks of the way from the laptop run there, in fresh processes: ``in_laptop.py WHAT …``.

Each prints lines of JSON, whose times are those of the machine's monotonic clock. What is not needed is not imported:
imports are a good part of what is measured.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

STRATEGY_PERIOD_S = 0.2
# The SDK sends at most 8 submissions in a second, and that only if it is told to.
PAUSE_S = 0.15
RETRY_S = 0.05


def no_op() -> None:
    """Does nothing."""


def say(**what: Any) -> None:
    """Prints a line."""
    print(json.dumps(what), flush=True)


async def embedded(run_dir: str, options: str) -> None:
    """Ours without a service: two Directors in an endpoint's engine, and the first Outcome."""
    from director import EmbeddedSite, Fleet

    imported = time.monotonic()
    given = json.loads(options)
    site = EmbeddedSite("local", {}, given, run_dir=Path(run_dir))
    launching = Fleet.launch(given["directors"], given["nodes"], run_dir=run_dir, site=site, workers_per_node=1)
    async with launching as fleet:
        answered = time.monotonic()
        outcome = await fleet.run("mock_md", duration_s=0.0)
        assert outcome.status == "ok", outcome.error
        say(imported=imported, answered=answered, first=time.monotonic())


def engine(folder: str, options: str) -> None:
    """The same engine from the same template, bare, as facilities' own scripts would have it: and one call."""
    import pwd
    import uuid

    import yaml
    from globus_compute_common import messagepack
    from globus_compute_common.messagepack.message_types import Task
    from globus_compute_endpoint.endpoint.config import CoreEndpointConfig
    from globus_compute_endpoint.endpoint.config.utils import load_config_yaml, render_config_user_template
    from globus_compute_endpoint.endpoint.identity_mapper import MappedPosixIdentity
    from globus_compute_endpoint.engines import GCFuture
    from globus_compute_sdk.serialize import ComputeSerializer

    imported = time.monotonic()
    place = Path(folder)
    rendered = render_config_user_template(
        parent_config=CoreEndpointConfig(),
        user_config_template=(place / "template.yaml.j2").read_text(),
        user_config_template_path=place / "template.yaml.j2",
        mapped_identity=MappedPosixIdentity(pwd.getpwuid(os.getuid()), uuid.UUID(int=0), []),
        user_config_schema=json.loads((place / "schema.json").read_text()),
        user_opts=json.loads(options),
        user_runtime={},
    )
    values = yaml.safe_load(rendered)
    values["engine"]["job_status_kwargs"]["strategy_period"] = (
        STRATEGY_PERIOD_S  # as ours does, for a first job at once
    )
    bare: Any = load_config_yaml(yaml.safe_dump(values)).engine  # type: ignore[union-attr]
    bare.start(endpoint_id=uuid.uuid4(), run_dir=str(place / "run"))
    started = time.monotonic()
    serializer = ComputeSerializer()
    parts = [serializer.serialize(part) for part in (no_op, [], {})]
    future = GCFuture(uuid.uuid4())
    task = Task(task_id=future.gc_task_id, task_buffer=serializer.pack_buffers(parts))
    bare.submit(task_f=future, packed_task=messagepack.pack(task), resource_specification={}, result_serializers=None)
    result: Any = messagepack.unpack(future.result())
    assert not result.is_error, result
    say(imported=imported, started=started, first=time.monotonic())
    bare.shutdown()


def sdk(endpoint: str, options: str) -> None:
    """The SDK's Executor as it comes: one call."""
    from globus_compute_sdk import Client, Executor

    imported = time.monotonic()
    with Executor(endpoint_id=endpoint, client=Client(), user_endpoint_config=json.loads(options)) as executor:
        executor.submit(no_op).result()
        say(imported=imported, first=time.monotonic())


async def watcher(store: str) -> None:
    """Waits for the next run that is submitted from this home, and says when its first Outcome has come here."""
    from director.call import DirectorLost
    from director.cli.target import find_target
    from director.exchange import ExchangeError

    runs = Path(store) / "runs"
    before = set(runs.iterdir()) if runs.exists() else set()
    say(ready=time.monotonic())
    while not (new := [path for path in runs.glob("*/run.json") if path.parent not in before]):
        await asyncio.sleep(RETRY_S)
    noted = time.monotonic()
    target = find_target(new[0].parent.name, None, None)
    while True:
        try:
            async with await target.fleet() as fleet:
                answered = time.monotonic()
                async for outcome in fleet.outcomes(follow=True):
                    assert outcome.status == "ok", outcome.error
                    return say(run=target.run_id, noted=noted, answered=answered, first=time.monotonic())
        except (DirectorLost, ExchangeError):  # it is not there yet
            await asyncio.sleep(RETRY_S)


async def calls(run: str, endpoint: str, options: str, count: str) -> None:
    """Calls of a Director and of the SDK, one at a time and in turn, when all that they need runs already."""
    from globus_compute_sdk import Client, Executor

    from director.cli.target import find_target

    loop = asyncio.get_running_loop()
    found: dict[str, list[float]] = {"status": [], "run": [], "sdk": []}
    executor = Executor(
        endpoint_id=endpoint,
        client=Client(),
        user_endpoint_config=json.loads(options),
        api_burst_limit=8,
        api_burst_window_s=1,
    )

    async def timed(name: str, call: Any) -> None:
        begin = time.monotonic()
        await call
        found[name].append(time.monotonic() - begin)
        await asyncio.sleep(PAUSE_S)

    with executor:
        await loop.run_in_executor(None, lambda: executor.submit(no_op).result())  # its job starts
        async with await find_target(run, None, None).fleet() as fleet:
            for index in range(int(count)):
                await timed("sdk", asyncio.wrap_future(executor.submit(no_op)))
                await timed("status", fleet.status())
                await timed("run", fleet.run("mock_md", duration_s=0.0, seed=index + 1))
        say(**{name: values[1:] for name, values in found.items()})  # the first finds nothing open yet


WHAT = {"embedded": embedded, "engine": engine, "sdk": sdk, "watcher": watcher, "calls": calls}

if __name__ == "__main__":
    doing: Any = WHAT[sys.argv[1]](*sys.argv[2:])  # type: ignore[operator]
    if doing is not None:
        asyncio.run(doing)
