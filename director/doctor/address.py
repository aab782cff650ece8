"""Whether compute nodes can find the way back: the address at which the endpoint waits for its workers."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass

from director.doctor.findings import Finding, Topic

_TOPIC = Topic("address")
_HINT = (
    "Configure with an interface that compute nodes reach, as `ip -brief address` lists them: --option interface=NAME"
)


@dataclass(frozen=True)
class AddressFacts:
    """What was found.

    Attributes:
        address: What workers are told; None: Parsl would guess.
        error: Why nobody can listen there on this machine; empty if one can.
        elsewhere: Whether workers are on other machines than this one.
    """

    address: str | None
    error: str = ""
    elsewhere: bool = False


def gather(address: str | None, *, elsewhere: bool) -> AddressFacts:
    """Listens at the address for a moment, on any port."""
    if address is None:
        return AddressFacts(None, elsewhere=elsewhere)
    try:
        family, _, _, _, where = socket.getaddrinfo(address, 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind(where)
    except OSError as error:
        return AddressFacts(address, error.strerror or str(error), elsewhere)
    return AddressFacts(address, elsewhere=elsewhere)


def judge(facts: AddressFacts) -> list[Finding]:
    """Says whether workers can use it."""
    if facts.address is None:
        return [_TOPIC.failed("workers' way back", "none is set: Parsl would ask the internet for one", _HINT)]
    if facts.error:
        found = f"{facts.address} is no address of this machine ({facts.error})"
        return [_TOPIC.failed("workers' way back", found, f"{_HINT}. Check on the machine that the endpoint runs on")]
    if facts.elsewhere and _is_loopback(facts.address):
        found = f"{facts.address} is this machine's loopback: workers on other machines cannot reach it"
        return [_TOPIC.failed("workers' way back", found, _HINT)]
    return [_TOPIC.ok("workers' way back", facts.address)]


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"
