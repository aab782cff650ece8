"""What is asked within the environment of workers. The function travels as text, so it needs nothing but a Python."""

from typing import Any


def look() -> "dict[str, Any]":  # as a string: the text of this function is all that arrives there
    """Says which Python this is, what is installed in it, and whether it can be imported."""
    import importlib
    import os
    import platform
    import shutil
    import socket
    import sys
    import time

    names = [
        "md-director",
        "globus-compute-sdk",
        "globus-compute-endpoint",
        "dill",
        "parsl",
        "pydantic",
        "academy-py",
        "openmm",
    ]
    versions = {"python": platform.python_version()}
    tools = {}
    try:
        metadata = importlib.import_module("importlib.metadata")
        for name in names:
            try:
                versions[name] = metadata.version(name)
            except metadata.PackageNotFoundError:
                continue
        for entry in metadata.entry_points(group="director.tools"):
            try:
                entry.load()
                tools[entry.name] = ""
            except BaseException as error:
                tools[entry.name] = type(error).__name__ + ": " + str(error)[:500]
    except (ImportError, TypeError):  # a Python that is too old, which its version says
        pass
    broken = {}
    for module in ("director", "partitions", "simulations", "openmm"):
        try:
            importlib.import_module(module)
        except BaseException as error:
            broken[module] = type(error).__name__ + ": " + str(error)[:500]
    secrets = ("GLOBUS_COMPUTE_CLIENT_ID", "GLOBUS_COMPUTE_CLIENT_SECRET")
    return {
        "versions": versions,
        "executable": sys.executable,
        "prefix": sys.prefix,
        "endpoint_command": shutil.which("globus-compute-endpoint"),
        "broken": broken,
        "tools": tools,
        "secrets": [name for name in secrets if name in os.environ],
        "run_root": os.environ.get("DIRECTOR_RUN_ROOT"),
        "host": socket.gethostname(),
        "now": time.time(),
    }
