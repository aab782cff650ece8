"""Submits a job, and prints its id. Knows what OpenPBS's ``qsub`` knows and a batch job of several nodes needs.

usage: qsub FOLDER [options] SCRIPT
"""

from __future__ import annotations

import getopt
import os
import socket
import sys
from pathlib import Path
from typing import Any

from wire import SERVER, ask, failure

OPTIONS = "A:e:j:k:l:m:M:N:o:q:r:S:v:VW:"
KNOWN = "usage: qsub [-A account] [-l resources] [-q queue] [-o path] [-e path] [-j oe] [-V] [-W attributes] script"
USAGE = 2


def main() -> None:
    """See the module."""
    folder = Path(sys.argv[1])
    options, rest = parse(sys.argv[2:])
    if len(rest) != 1:
        raise failure("this stand-in takes one script, in a file", USAGE)
    script = Path(rest[0])
    if not script.is_file():
        raise failure(f"script file:: {script}: No such file or directory", 1)
    text = script.read_text()
    # What the command line says comes last, and so decides.
    options = [*directives(text), *options]
    answer = ask(folder, SERVER, {"do": "submit", "job": {"script": text, **job(options, script.name)}})
    if "error" in answer:
        raise failure(str(answer["error"]), 188)
    sys.stdout.write(f"{answer['id']}\n")


def parse(arguments: list[str]) -> tuple[list[tuple[str, str]], list[str]]:
    """Reads options."""
    try:
        return getopt.getopt(arguments, OPTIONS)
    except getopt.GetoptError as error:
        raise failure(f"{error}\n{KNOWN}", USAGE) from None


def directives(text: str) -> list[tuple[str, str]]:
    """Options in the script: lines that begin with ``#PBS``, up to the first command."""
    found: list[tuple[str, str]] = []
    for line in text.splitlines():
        if line.startswith("#PBS"):
            found += parse(line.removeprefix("#PBS").split())[0]
        elif line.strip() and not line.startswith("#"):
            break
    return found


def job(options: list[tuple[str, str]], name: str) -> dict[str, Any]:
    """What the server is told of the job."""
    last = dict(options)
    resources = dict(entry.split("=", 1) for option, value in options if option == "-l" for entry in value.split(","))
    nodect, ncpus, mpiprocs = chunks(resources.setdefault("select", "1:ncpus=1"))
    walltime_s = seconds(resources["walltime"]) if "walltime" in resources else None
    if walltime_s is not None:
        resources["walltime"] = f"{walltime_s // 3600:02}:{walltime_s // 60 % 60:02}:{walltime_s % 60:02}"
    output = path(last.get("-o"))
    return {
        "name": last.get("-N", name),
        "queue": last.get("-q", "workq"),
        "account": last.get("-A"),
        "shell": last.get("-S", "/bin/bash"),
        "output": output,
        "error": output if last.get("-j") == "oe" else path(last.get("-e")),
        "variables": variables(options),
        "resources": resources,
        "nodect": nodect,
        "ncpus": ncpus,
        "mpiprocs": mpiprocs,
        "walltime_s": walltime_s,
        "tolerant": "tolerate_node_failures=all" in last.get("-W", ""),
    }


def chunks(select: str) -> tuple[int, int, int]:
    """Reads ``4:ncpus=2:mpiprocs=2``: chunks, and processors and ranks of each."""
    count, *entries = select.split(":")
    if not count.isdigit() or "+" in select:
        raise failure(f"this stand-in takes chunks of one kind only: select={select}", USAGE)
    values = dict(entry.split("=", 1) for entry in entries)
    return int(count), int(values.get("ncpus", 1)), int(values.get("mpiprocs", 1))


def seconds(walltime: str) -> int:
    """Reads ``01:30:00``, ``30:00`` or ``1800``."""
    total = 0
    for part in walltime.split(":"):
        total = 60 * total + int(part)
    return total


def variables(options: list[tuple[str, str]]) -> dict[str, str]:
    """The environment that goes along with the job: little, if it is not asked for."""
    known = {
        "PBS_O_HOME": os.environ.get("HOME", "/"),
        "PBS_O_LOGNAME": os.environ.get("USER", "root"),
        "PBS_O_PATH": os.environ.get("PATH", ""),
        "PBS_O_HOST": socket.gethostname(),
        "PBS_O_WORKDIR": str(Path.cwd()),
        "PBS_O_SYSTEM": "Linux",
    }
    given = dict(os.environ) if ("-V", "") in options else {}
    for option, value in options:
        if option == "-v":
            for entry in value.split(","):
                name, _, text = entry.partition("=")
                given[name] = text if "=" in entry else os.environ.get(name, "")
    return {**given, **known}


def path(name: str | None) -> str | None:
    """The path of an output file, which may be given with the name of a host."""
    return str(Path(name.rpartition(":")[2]).absolute()) if name else None


if __name__ == "__main__":
    main()
