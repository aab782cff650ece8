import socket

import pytest

from partitions.address import address_for


def test_a_partition_of_this_machine_alone_is_reached_by_loopback():
    assert address_for(["here.example.org"], "here") == "127.0.0.1"


def test_the_address_is_that_of_the_route_to_the_nodes():
    """Any address of another network is reached by way of the interface that leads out of this machine."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no route out; the cluster's tests look at this as well")
        assert address_for(["here", "192.0.2.1"], "here") == probe.getsockname()[0]


def test_names_that_lead_nowhere_are_an_error_that_says_what_to_set():
    with pytest.raises(OSError, match="Set `address`") as caught:
        address_for(["here", "localhost", "no-such-host.invalid"], "here")
    assert "localhost: resolves to this machine's loopback" in str(caught.value)
    assert "no-such-host.invalid" in str(caught.value)
