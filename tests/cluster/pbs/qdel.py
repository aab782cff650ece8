"""Ends jobs.

usage: qdel FOLDER ID...
"""

from __future__ import annotations

import sys
from pathlib import Path

from wire import SERVER, UNKNOWN_JOB, ask


def main() -> None:
    """See the module."""
    folder = Path(sys.argv[1])
    failed = 0
    for name in sys.argv[2:]:
        full = name if "." in name else f"{name}.login"
        answer = ask(folder, SERVER, {"do": "delete", "id": full})
        if "error" in answer:
            failed = answer["error"]
            sys.stderr.write(f"qdel: {'Unknown Job Id' if failed == UNKNOWN_JOB else 'Job has finished'} {full}\n")
    sys.exit(failed & 0xFF)


if __name__ == "__main__":
    main()
