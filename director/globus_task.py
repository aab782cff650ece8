"""What Globus Compute runs on the lead node. It travels as source text, takes and returns JSON, and stands alone."""


def start_director(spec: str, client_version: str) -> str:
    """Runs a Director until it ends.

    Args:
        spec: JSON of a `director.DirectorSpec`.
        client_version: Version of md-director where it was made.

    Returns:
        JSON: ``director``, ``ok``, and ``reason`` or ``error``, as `director.run_director` gives it.
    """
    import json
    import platform
    import sys
    from importlib.metadata import PackageNotFoundError, version

    def failed(error: str) -> str:
        index = json.loads(spec).get("index")
        return json.dumps({"director": index, "ok": False, "error": error, "host": platform.node()})

    where = f"in the endpoint's environment ({sys.prefix} on {platform.node()}, Python {platform.python_version()})"
    try:
        found = version("md-director")
    except PackageNotFoundError:
        return failed(
            f"md-director is not installed {where}. Install md-director=={client_version} there, "
            "or name the right environment when you configure the endpoint"
        )
    if found.split(".")[:2] != client_version.split(".")[:2]:
        return failed(
            f"md-director is {client_version} here and {found} {where}. "
            f"Install md-director=={client_version} there, or {found} here"
        )
    try:
        from director.launch import run_director
    except ImportError as error:
        return failed(f"md-director cannot be loaded {where}: {error!r}. Install it again there")
    return json.dumps({**run_director(spec), "host": platform.node()})
