import json
import re
from datetime import UTC, datetime

import pytest

from partitions import Node
from partitions.schedulers.flux import flux_allocation, r_command
from partitions.schedulers.lsf import host_file, lsf_allocation

LSF = {"LSB_JOBID": "33", "LSB_MCPU_HOSTS": "batch5 1 a01n01 4 a01n02 2", "LSB_DJOB_HOSTFILE": "/home/ada/.lsbatch/33"}
FLUX = {"FLUX_URI": "local:///tmp/flux-Xy12/local-0", "FLUX_ENCLOSING_ID": "ƒ2iFkVu9V"}

# The form of flux-core's own example of R, with GPUs added: flux resource R
RESOURCES = """{"version": 1, "execution": {"R_lite": [
{"rank": "0-2,4", "children": {"core": "0-3"}}, {"rank": "3", "children": {"core": "0-1,6", "gpu": "2-3"}}],
"starttime": 1795233600.0, "expiration": 1795239000.5, "nodelist": ["pi[3,0-2]", "pi4"], "properties": {"8g": "0-2"}}}
"""


def resources(rank: str = "0", nodelist: tuple[str, ...] = ("n1",), core: str = "0-1", **more: object) -> str:
    entry = {"rank": rank, "children": {"core": core}}
    return json.dumps({"version": 1, "execution": {"R_lite": [entry], "nodelist": nodelist, **more}})


def test_an_lsf_job_has_as_many_cores_as_slots():
    found = lsf_allocation(LSF)
    assert found.nodes == (Node("batch5", (0,)), Node("a01n01", (0, 1, 2, 3)), Node("a01n02", (0, 1)))
    assert (found.scheduler, found.job_id, found.deadline) == ("lsf", "33", None)
    assert host_file(LSF) is None


def test_an_lsf_host_that_is_listed_again_has_all_its_slots():
    found = lsf_allocation(LSF | {"LSB_MCPU_HOSTS": "h1 1 h2 2 h1 3"})
    assert [(node.hostname, len(node.cores)) for node in found.nodes] == [("h1", 4), ("h2", 2)]


def test_an_lsf_host_file_says_the_same():
    environment = {name: value for name, value in LSF.items() if name != "LSB_MCPU_HOSTS"}
    assert host_file(environment) == "/home/ada/.lsbatch/33"
    lines = "batch5\na01n01\na01n01\na01n02\na01n01\na01n01\na01n02\n"
    assert lsf_allocation(environment, lines) == lsf_allocation(LSF)


@pytest.mark.parametrize(
    ("environment", "hostfile", "message"),
    [
        ({}, None, "LSB_JOBID: is not set"),
        (LSF | {"LSB_JOBID": "33[1]"}, None, "LSB_JOBID: '33[1]' is not the id"),
        (LSF | {"LSB_MCPU_HOSTS": "h1 4 h2"}, None, "LSB_MCPU_HOSTS: 'h1 4 h2' is not of the form"),
        (LSF | {"LSB_MCPU_HOSTS": "h1 h2"}, None, "LSB_MCPU_HOSTS: 'h2' is not a number of slots"),
        (LSF | {"LSB_MCPU_HOSTS": "h1 0"}, None, "LSB_MCPU_HOSTS: gives h1 0 cores"),
        (LSF | {"LSB_MCPU_HOSTS": "h/1 4"}, None, "LSB_MCPU_HOSTS: 'h/1' is not a hostname"),
        ({"LSB_JOBID": "33"}, "", "LSB_DJOB_HOSTFILE: names no host"),
    ],
)
def test_what_lsf_would_not_write_is_refused(environment, hostfile, message):
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        lsf_allocation(environment, hostfile)


def test_lsf_without_any_list_of_hosts_is_refused():
    with pytest.raises(ValueError, match=r"^LSB_MCPU_HOSTS: is not set"):
        host_file({"LSB_JOBID": "33"})


def test_a_flux_job_has_what_its_resource_set_says():
    found = flux_allocation(FLUX, RESOURCES)
    assert found.nodes == (
        Node("pi3", (0, 1, 2, 3)),
        Node("pi0", (0, 1, 2, 3)),
        Node("pi1", (0, 1, 2, 3)),
        Node("pi2", (0, 1, 2), ("2", "3")),
        Node("pi4", (0, 1, 2, 3)),
    )
    assert (found.scheduler, found.job_id) == ("flux", "ƒ2iFkVu9V")
    assert found.deadline == datetime(2026, 11, 21, 5, 30, 0, 500_000, tzinfo=UTC)


def test_a_flux_job_without_an_end_has_no_deadline():
    assert flux_allocation(FLUX, resources(expiration=0.0)).deadline is None
    assert flux_allocation(FLUX, resources()).deadline is None


@pytest.mark.parametrize(
    ("environment", "job", "command"),
    [
        (FLUX, "ƒ2iFkVu9V", "flux resource R"),
        (FLUX | {"FLUX_JOB_ID": "f3ABC"}, "f3ABC", "flux job info f3ABC R"),
        ({"FLUX_URI": FLUX["FLUX_URI"]}, FLUX["FLUX_URI"], "flux resource R"),
    ],
)
def test_a_task_of_flux_has_its_job_and_a_script_the_whole_instance(environment, job, command):
    assert r_command(environment) == command.split()
    assert flux_allocation(environment, resources()).job_id == job


@pytest.mark.parametrize(
    ("environment", "text", "message"),
    [
        ({}, resources(), "FLUX_JOB_ID: is not set"),
        ({"FLUX_JOB_ID": "--help me"}, resources(), "FLUX_JOB_ID: '--help me' is not the id"),
        (FLUX, None, "flux R: 'flux resource R' failed"),
        (FLUX, "", "flux R: '' is not a resource set"),
        (FLUX, "{}", "flux R: '{}' is not a resource set (version: Field required)"),
        (FLUX, resources().replace("1", "2", 1), 'flux R: \'{"version": 2'),
        (FLUX, resources(nodelist=("n[1",)), "flux R: nodelist: 'n[1' has brackets"),
        (FLUX, resources(nodelist=("n*",)), "flux R: 'n*' is not a hostname"),
        (FLUX, resources(nodelist=("n[1-2]",)), "flux R: has 1 ranks, but 2 hosts"),
        (FLUX, resources(rank="x"), "flux R: rank 'x' is not a list of numbers"),
        (FLUX, resources(core="0-x"), "flux R: core '0-x' is not a list of numbers"),
        (FLUX, resources(expiration=-1), "flux R: "),
    ],
)
def test_what_flux_would_not_write_is_refused(environment, text, message):
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        flux_allocation(environment, text)
