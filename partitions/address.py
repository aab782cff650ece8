"""Which address of this machine the nodes of a Partition can reach."""

from __future__ import annotations

import socket
from collections.abc import Sequence

from partitions.hostlist import first_label

LOOPBACK = "127.0.0.1"
DISCARD_PORT = 9


def address_for(hostnames: Sequence[str], here: str) -> str:
    """The address from which this machine would speak to these nodes. Nothing is sent to them.

    Args:
        hostnames: The nodes.
        here: Name of this machine. If it is the only node, workers are reached without leaving it.

    Raises:
        OSError: If none of the other nodes' names can be resolved, or none can be reached.
    """
    others = [name for name in hostnames if first_label(name) != first_label(here)]
    failures = []
    for name in others:
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                probe.connect((name, DISCARD_PORT))  # only chooses a route
                address = str(probe.getsockname()[0])
        except OSError as error:
            failures.append(f"{name}: {error}")
        else:
            if address != LOOPBACK:
                return address
            failures.append(f"{name}: resolves to this machine's loopback")
    if others:
        listed = "; ".join(failures[:3])
        raise OSError(f"no address by which the nodes could reach {here} was found ({listed}). Set `address`")
    return LOOPBACK
