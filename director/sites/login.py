"""A client of Globus Compute for who is logged in; a login is begun only where a person can answer."""

from __future__ import annotations

import sys
from typing import Any

from director.sites.globus import GlobusError, globus_client
from director.sites.state import explained

LOG_IN = (
    "Log in first: `globus-compute-endpoint login`. Without a person: set GLOBUS_COMPUTE_CLIENT_ID and "
    "GLOBUS_COMPUTE_CLIENT_SECRET"
)
ADDRESS = "https://compute.api.globus.org"


def open_client(*, local_services: bool = False) -> Any:
    """Connects to the service. Blocks.

    Args:
        local_services: Whether the services are this machine's own.

    Raises:
        GlobusError: If nobody is logged in, or the service cannot be reached, or refuses. It says what to do.
    """
    # The SDK would ask for a code on standard output, which belongs to the answer, and wait for it.
    if not (sys.stdin.isatty() and sys.stdout.isatty()) and not logged_in():
        raise GlobusError(f"nobody is logged in to Globus Compute here. {LOG_IN}")
    try:
        return globus_client(local_services=local_services)
    except GlobusError as error:
        raise GlobusError(explained(str(error))) from error


def logged_in() -> bool:
    """Whether there is a login: a stored one, or a client's in the environment. It may not be good any more.

    Raises:
        GlobusError: If half of a client's login is given.
    """
    import globus_sdk
    from globus_compute_sdk.sdk.auth.globus_app import get_globus_app

    try:
        app = get_globus_app()
    except ValueError as error:
        raise GlobusError(f"the login to Globus Compute is not complete: {str(error).rstrip('.')}. {LOG_IN}") from error
    if isinstance(app, globus_sdk.ClientApp):
        return True
    globus_sdk.ComputeClientV2(app=app, base_url=ADDRESS)  # which says what the login must be good for
    return not app.login_required()
