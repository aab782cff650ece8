"""What Globus Compute's web service says of the endpoint: reachable, logged in, known, online."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from director.doctor.findings import Finding, Topic

TIMEOUT_S = 15.0

_TOPIC = Topic("service")


@dataclass(frozen=True)
class ServiceFacts:
    """What the service said.

    Attributes:
        url: Where it is.
        endpoint: Which endpoint it was asked about; None: none.
        versions: What it says of itself; None if it does not answer.
        error: Why it does not answer, or does not let one in.
        logged_in: Whether there is a login that it takes; None: it was not tried.
        known: Whether it knows the endpoint; None: it was not asked.
        metadata: What it tells of the endpoint.
        status: ``online`` or another word; None: it was not asked.
    """

    url: str
    endpoint: uuid.UUID | None = None
    versions: Mapping[str, Any] | None = None
    error: str = ""
    logged_in: bool | None = None
    known: bool | None = None
    metadata: Mapping[str, Any] | None = None
    status: str | None = None


def gather(url: str, endpoint: uuid.UUID | None, *, authorizer: Any = None) -> ServiceFacts:
    """Asks the service. A login that needs a person is never begun.

    Args:
        url: Where it is.
        endpoint: Which endpoint to ask about; None: only whether it answers.
        authorizer: A Globus authorizer, instead of the login that the SDK has stored.
    """
    import globus_sdk
    from globus_sdk.transport import RequestsTransport, RetryConfig

    def client(**login: Any) -> Any:
        transport = RequestsTransport(http_timeout=TIMEOUT_S)
        return globus_sdk.ComputeClientV2(
            base_url=url, transport=transport, retry_config=RetryConfig(max_retries=1), **login
        )

    try:
        versions = dict(client(authorizer=globus_sdk.NullAuthorizer()).get_version(service="all").data)
    except globus_sdk.GlobusError as error:
        return ServiceFacts(url, endpoint, error=_told(error))
    if endpoint is None:
        return ServiceFacts(url, versions=versions)
    try:
        if authorizer is not None:
            return _ask(client(authorizer=authorizer), url, endpoint, versions)
        app = _login()
        known = client(app=app)  # which says what the login must be good for
        if app.login_required() and not isinstance(app, globus_sdk.ClientApp):
            return ServiceFacts(url, endpoint, versions, "nobody is logged in here", logged_in=False)
        return _ask(known, url, endpoint, versions)
    except (globus_sdk.GlobusError, ValueError) as error:
        return ServiceFacts(url, endpoint, versions, _told(error), logged_in=False)


def _login() -> Any:
    """The login that the SDK has stored, or that the environment has the credentials for."""
    from globus_compute_sdk.sdk.auth.globus_app import get_globus_app

    return get_globus_app()


def _ask(client: Any, url: str, endpoint: uuid.UUID, versions: Mapping[str, Any]) -> ServiceFacts:
    import globus_sdk

    try:
        metadata = dict(client.get_endpoint(endpoint).data)
        status = str(client.get_endpoint_status(endpoint).data.get("status", "unknown"))
    except globus_sdk.GlobusAPIError as error:
        if error.http_status in (401, 403):
            return ServiceFacts(url, endpoint, versions, _told(error), logged_in=False)
        if error.http_status == 404:
            return ServiceFacts(url, endpoint, versions, _told(error), logged_in=True, known=False)
        return ServiceFacts(url, endpoint, versions, _told(error), logged_in=True)
    return ServiceFacts(url, endpoint, versions, "", True, True, metadata, status)


def _told(error: BaseException) -> str:
    """What was wrong, without the layers of libraries around it."""
    inner = getattr(error, "underlying_exception", None)
    while inner is not None and (deeper := inner.__cause__ or inner.__context__) is not None:
        inner = deeper
    return " ".join(str(inner or error).split())[:300] or type(error).__name__


def judge(facts: ServiceFacts) -> list[Finding]:
    """Says how far one gets with the service."""
    if facts.versions is None:
        hint = (
            "See whether this machine can reach it (a proxy is set by HTTPS_PROXY), and https://www.globusstatus.com. "
            "Without the service there is still `director run --site embedded`"
        )
        return [_TOPIC.failed("reachable", f"{facts.url} does not answer: {facts.error}", hint)]
    least = ", ".join(f"{name} {value}" for name, value in sorted(facts.versions.items()) if name.startswith("min_"))
    findings = [_TOPIC.ok("reachable", f"{facts.url} ({least})" if least else facts.url), *_releases(facts.versions)]
    if facts.endpoint is None:
        return [*findings, _TOPIC.unchecked("endpoint", "none was named: --endpoint UUID")]
    if not facts.logged_in:
        hint = (
            "Log in: globus-compute-endpoint login, or in Python, globus_compute_sdk.Client().version_check(). "
            "Without a person: set GLOBUS_COMPUTE_CLIENT_ID and GLOBUS_COMPUTE_CLIENT_SECRET"
        )
        return [*findings, _TOPIC.failed("login", facts.error, hint)]
    findings.append(_TOPIC.ok("login", "the service takes it"))
    return [*findings, *_endpoint(facts)]


def _releases(versions: Mapping[str, Any]) -> list[Finding]:
    """Whether this machine's packages are too old for the service."""
    from importlib.metadata import PackageNotFoundError, version

    from packaging.version import InvalidVersion, Version

    findings = []
    for package, key in (("globus-compute-sdk", "min_sdk_version"), ("globus-compute-endpoint", "min_ep_version")):
        try:
            here, least = version(package), str(versions[key])
            too_old = Version(here) < Version(least)
        except (PackageNotFoundError, InvalidVersion, KeyError):
            continue
        if too_old:
            found = f"{package} is {here}, and the service takes {least} or later"
            findings.append(_TOPIC.failed("release", found, f"pip install --upgrade '{package}>={least}'"))
    return findings


def _endpoint(facts: ServiceFacts) -> list[Finding]:
    if facts.known is False:
        hint = "See the id that `globus-compute-endpoint list` shows on the facility, and whether it is of your login"
        return [_TOPIC.failed("endpoint", f"the service knows no endpoint {facts.endpoint}", hint)]
    if facts.known is None or facts.metadata is None:
        hint = "Try again later, and see https://www.globusstatus.com"
        return [_TOPIC.failed("endpoint", f"the service does not say: {facts.error}", hint)]
    name = str(facts.metadata.get("display_name") or facts.metadata.get("name") or facts.endpoint)
    told = _version_of(facts.metadata)
    findings = [_TOPIC.ok("endpoint", f"{name}, {f'version {told}' if told else 'whose version is not told'}")]
    if facts.status != "online":
        hint = f"Start it on the facility: globus-compute-endpoint start {facts.metadata.get('name') or 'NAME'}"
        return [*findings, _TOPIC.failed("online", f"the endpoint is {facts.status}", hint)]
    return [*findings, _TOPIC.ok("online", "it has been heard of lately")]


def _version_of(metadata: Mapping[str, Any]) -> str:
    """The service keeps what the endpoint said when it registered, at one of these places."""
    inner = metadata.get("metadata")
    for place in (metadata, inner if isinstance(inner, dict) else {}):
        for key in ("endpoint_version", "version"):
            if isinstance(place.get(key), str):
                return str(place[key])
    return ""
