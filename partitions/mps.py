"""NVIDIA's Multi-Process Service, by which several workers compute on one GPU at the same time.

One daemon serves a node. It is started with the worker pool, carries its mark, and ends with it.
See NVIDIA, "Multi-Process Service", on ``nvidia-cuda-mps-control``.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from partitions.early_signals import ignore

PROGRAM = "nvidia-cuda-mps-control"
START_S = 20.0


def start(environment: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Starts the daemon, if it is installed.

    Args:
        environment: Environment of the worker pool, with its mark.
        folder: A folder of this node, for pipes and logs.

    Returns:
        What to add to the environment of the worker pool so that its workers use the daemon; nothing without one.
    """
    program = shutil.which(PROGRAM, path=environment.get("PATH"))
    if program is None:
        return {}
    ours = {"CUDA_MPS_PIPE_DIRECTORY": str(folder / "mps"), "CUDA_MPS_LOG_DIRECTORY": str(folder / "mps-log")}
    for path in ours.values():
        Path(path).mkdir(mode=0o700)
    # A daemon that is shown some GPUs only numbers them anew, and its clients would name them wrongly.
    shown = {name: value for name, value in environment.items() if name != "CUDA_VISIBLE_DEVICES"}
    said = folder / "mps-start"
    try:
        with said.open("wb") as output:  # not a pipe, which the daemon would hold open
            subprocess.run(
                [program, "-d"],
                env={**shown, **ours},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=START_S,
                preexec_fn=ignore,  # a keeper has no threads that it could disturb
                check=True,
            )
    except (OSError, subprocess.SubprocessError) as error:
        text = said.read_text(errors="replace").strip()
        sys.stderr.write(f"workers share GPUs without MPS, since {program} could not be started: {error} {text}\n")
        sys.stderr.flush()
        return {}
    return ours


def stop(environment: Mapping[str, str]) -> None:
    """Ends the daemon that `start` has started, where nothing else will.

    Args:
        environment: Where that was, with what it returned.
    """
    with contextlib.suppress(OSError, subprocess.SubprocessError):  # it has ended by itself
        subprocess.run(
            [PROGRAM],
            env=dict(environment),
            input=b"quit\n",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=START_S,
            check=True,
        )
