"""An interchange that is started before it is needed.

Parsl starts its interchange when its own import is done, and the interchange then takes as long to import the same.
Started at once, beside the Director's own imports, it is ready when Parsl asks for it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


class WarmInterchange:
    """A Parsl interchange that waits for its configuration.

    Parsl writes the configuration to the standard input of the command that it is told to launch. Here that command
    passes it on, through a named pipe, to the interchange that is running already.

    Args:
        folder: Where the pipe is made; its owner's alone. One interchange at a time uses it.

    Attributes:
        command: What Parsl is to launch as its interchange.
    """

    def __init__(self, folder: Path) -> None:
        self._pipe = pipe = folder / "interchange.fifo"
        pipe.unlink(missing_ok=True)
        os.mkfifo(pipe, 0o600)
        # Held open for both, so that the interchange waits for a writer and does not find the end of an empty pipe.
        self._held: int | None = os.open(pipe, os.O_RDWR)
        reading = os.open(pipe, os.O_RDONLY)
        try:
            # A scheduler's warnings go to all processes of a job, and results travel through this one.
            self._process = subprocess.Popen(
                [
                    *("/bin/sh", "-c", 'trap "" TERM USR1; exec "$0" "$@"'),
                    *(sys.executable, "-m", "partitions.lean", "parsl.executors.high_throughput.interchange"),
                ],
                stdin=reading,
            )
        finally:
            os.close(reading)
        self.command = ["/bin/sh", "-c", 'exec cat > "$0"', str(pipe)]

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def close(self) -> None:
        """Ends the interchange, if it still runs, and removes the pipe. May be called twice."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        if self._held is not None:
            os.close(self._held)
            self._held = None
            self._pipe.unlink(missing_ok=True)
