"""The language model of agents whose run serves one itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from campaigns.llm.access import BASE_URL, MODEL, LanguageAccess, access_from
from director.service_partition.finding import Services
from director.service_partition.spec import ServiceSpec

LONGEST_S = 86_400.0
NOT_YET = "http://service.invalid/v1"
"""Stands for the base URL of a service that is yet to be started. RFC 2606: no host has that name."""


def to_be_served(services: Sequence[ServiceSpec], environment: Mapping[str, str]) -> dict[str, str]:
    """What says where the language model is, before the run's own is started. Pure.

    What the environment says goes first. Of several services, none is taken.

    Args:
        services: The services of the run.
        environment: Environment of the client.
    """
    if len(services) != 1 or environment.get(BASE_URL):
        return dict(environment)
    known = {BASE_URL: NOT_YET, MODEL: environment.get(MODEL) or services[0].model or "to be listed"}
    return {**{name: value for name, value in environment.items() if not name.startswith("DIRECTOR_LLM_")}, **known}


def served(access: LanguageAccess | None, services: Services) -> LanguageAccess | None:
    """The language model, as soon as the run's service is up. Blocks.

    Args:
        access: What `to_be_served` said, read.
        services: The services of the run.

    Raises:
        ServiceUnavailable: If the service that is meant is not up.
        NotConfigured: If its key is gone.
    """
    if access is None or access.base_url != NOT_YET:
        return access
    (service,) = services.values()
    service.until_up(LONGEST_S)  # it gives up before by itself
    return access_from(service.variables())
