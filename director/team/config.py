"""How Parsl is set up for a team on one machine. For nodes, see `director.team.nodes_process`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from partitions.lean import lean_parsl

EXECUTOR = "agents"


def threads_config(threads: int, folder: Path) -> Any:
    """Parsl's configuration for threads of this process: calls of models wait for the network, and compute nothing.

    Args:
        threads: How many calls run at the same time.
        folder: Where Parsl keeps its files.
    """
    with lean_parsl():
        from parsl.config import Config
        from parsl.executors import ThreadPoolExecutor

    return Config(
        executors=[ThreadPoolExecutor(label=EXECUTOR, max_threads=threads, thread_name_prefix="agent")],
        run_dir=str(folder),
        strategy="none",
        initialize_logging=False,
        usage_tracking=0,
        exit_mode="skip",
        retries=0,
    )
