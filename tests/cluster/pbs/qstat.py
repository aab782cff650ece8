"""Shows jobs as OpenPBS does, in JSON only. An id that is not known fails the command, though it shows the others.

usage: qstat FOLDER [-x] -f -F json ID...
"""

from __future__ import annotations

import getopt
import json
import sys
import time
from pathlib import Path

from wire import FINISHED_JOB, SERVER, UNKNOWN_JOB, ask, failure


def main() -> None:
    """See the module."""
    folder = Path(sys.argv[1])
    try:
        options, names = getopt.gnu_getopt(sys.argv[2:], "xfF:")
    except getopt.GetoptError as error:
        raise failure(str(error), 2) from None
    if ("-f", "") not in options or ("-F", "json") not in options:
        raise failure("this stand-in shows jobs by -f -F json only", 2)
    failed = 0
    jobs = {}
    for name in names:
        full = name if "." in name else f"{name}.login"
        answer = ask(folder, SERVER, {"do": "status", "id": full, "history": ("-x", "") in options})
        if "job" in answer:
            jobs[full] = answer["job"]
        else:
            failed = answer["error"]
            sys.stderr.write(f"qstat: {EXPLAINED[failed].format(full)}\n")
    top = {"timestamp": int(time.time()), "pbs_version": "23.06.06", "pbs_server": "login"}
    sys.stdout.write(json.dumps({**top, "Jobs": jobs} if jobs else top, indent=4) + "\n")
    sys.exit(failed & 0xFF)


EXPLAINED = {
    UNKNOWN_JOB: "Unknown Job Id {}",
    FINISHED_JOB: "{} Job has finished, use -x or -H to obtain historical job information",
}

if __name__ == "__main__":
    main()
