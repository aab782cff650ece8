"""Runs with services before anything is started: what they get, what is refused, and what records hold."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from director.batch import read_batch
from director.carving import owners_of
from director.door import Refused
from director.fleet import Fleet
from director.plan import Plan, allocation_spec, plan, pool_spec
from director.runfolder import RunRecord
from director.service_partition.beside import plan_beside, read_services_file
from director.service_partition.owning import ServicesPlan
from director.service_partition.spec import read_services
from director.spec import SharesSpec
from partitions.surroundings import ThisProcess
from simulations.tool import find_tools

SERVICE = {"name": "llm", "program": "serve", "arguments": ["{host}", "{port}"]}
FILE = """
nodes: 3
services:
  - {name: llm, program: serve, arguments: ["{host}", "{port}"]}
"""


def planned(tmp_path: Path, *services: dict[str, Any], nodes: int | None = None, **more: Any) -> Plan:
    read = read_services(services, tmp_path)
    return plan(
        allocation=allocation_spec("local", nodes), pool=pool_spec({}), services=read, **{"directors": 1} | more
    )


def test_without_a_number_there_is_a_logical_node_for_each_director_and_those_of_each_service(tmp_path):
    what = planned(tmp_path, SERVICE, SERVICE | {"name": "other", "nodes": 2}, directors=2)
    assert [part.hostnames for part in what.partitions] == [["local-0"], ["local-1"]]
    assert [part.hostnames for part in what.service_nodes] == [["local-2"], ["local-3", "local-4"]]
    assert owners_of(what.shares) == 5


def test_the_record_tells_of_services_and_is_read_again(tmp_path):
    record = planned(tmp_path, SERVICE).record()
    again = RunRecord.model_validate_json(record.model_dump_json())
    assert again == record
    assert [(one.spec.name, one.hostnames) for one in again.services] == [("llm", ["local-1"])]


def test_a_record_from_before_there_were_services_is_read_and_carved_as_ever(tmp_path):
    document = planned(tmp_path, nodes=3).record().model_dump(mode="json")
    assert document.pop("services") == []
    assert document["shares"].pop("aside") == []
    assert RunRecord.model_validate(document).services == []
    assert SharesSpec.model_validate(document["shares"]).aside == ()


@pytest.mark.parametrize(
    ("services", "nodes", "said"),
    [
        ([SERVICE], 1, "there are 0. Ask for more nodes"),
        ([SERVICE | {"hosts": "gpu1"}], 2, "gpu1 is not to be found"),
        ([SERVICE | {"hosts": "local-[0-1]"}], 2, "cannot share 0 nodes, and 2 nodes set aside for services"),
    ],
)
def test_nodes_that_cannot_be_had_are_refused(tmp_path, services, nodes, said):
    with pytest.raises(Refused) as caught:
        planned(tmp_path, *services, nodes=nodes)
    assert said in str(caught.value)


def test_accelerators_that_nobody_knows_of_are_not_counted_as_none(tmp_path):
    counting = SERVICE | {"arguments": ["{host}", "{port}", "{accelerators}"]}
    with pytest.raises(Refused, match="none are known of local-1"):
        planned(tmp_path, counting)
    read = read_services([counting], tmp_path)
    known = allocation_spec("local", None, ["0", "1"])
    assert plan(directors=1, allocation=known, pool=pool_spec({}), services=read).service_nodes[0].nodes[0].accelerators


def test_a_variable_that_is_not_set_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(Refused, match="HF_TOKEN is not set"):
        ServicesPlan.of(planned(tmp_path, SERVICE | {"forward": ["HF_TOKEN"]}), {})

    async def launch() -> None:
        async with Fleet.launch(run_dir=tmp_path / "run", services=[SERVICE | {"forward": ["NOT_SET_ANYWHERE"]}]):
            pass

    with pytest.raises(Refused, match="NOT_SET_ANYWHERE is not set"):
        asyncio.run(launch())
    assert not (tmp_path / "run").exists()


def test_services_of_a_batch_file_are_read_with_it(tmp_path):
    (tmp_path / "b.yaml").write_text(FILE + "requests: [{tool: mock_md, inputs: {duration_s: 1}}]\n")
    assert [spec.name for spec in read_batch(tmp_path / "b.yaml", find_tools()).services] == ["llm"]
    (tmp_path / "b.yaml").write_text(FILE.replace("{port}", "{prot}") + "requests: [{tool: mock_md, inputs: {}}]\n")
    with pytest.raises(Refused, match=r"services\[0\].*prot"):
        read_batch(tmp_path / "b.yaml", find_tools())


def test_what_is_submitted_through_globus_compute_has_no_services(tmp_path):
    class Elsewhere:
        elsewhere, shares_files = True, False

    with pytest.raises(Refused, match="services: are started from the lead node"):
        Fleet.launch(run_dir=tmp_path / "run", services=[SERVICE], site=Elsewhere())


SLURM = {
    "SLURM_JOB_ID": "7",
    "SLURM_JOB_NODELIST": "node[1-4]",
    "SLURM_JOB_CPUS_PER_NODE": "8(x4)",
    "PATH": "/usr/bin:/bin",
}


def test_beside_services_directors_see_the_other_nodes_only(tmp_path):
    (tmp_path / "s.yaml").write_text(FILE.replace("nodes: 3", "pool: {launcher: srun, launcher_program: 'true'}"))
    file, services = read_services_file(tmp_path / "s.yaml")
    what = plan_beside(file, services, allocation="auto", nodes=None, around=ThisProcess(SLURM))
    assert what.left == ("node1", "node2", "node3")
    assert what.variables == {"DIRECTOR_ASIDE": "node4"}
    inner = plan(
        directors=2, allocation=allocation_spec("auto", None), pool=pool_spec({"launcher_program": "true"}),
        surroundings=ThisProcess(SLURM | what.variables),
    )  # fmt: skip
    assert [part.hostnames for part in inner.partitions] == [["node1", "node2"], ["node3"]]
    with pytest.raises(Refused, match="4 were asked for, but Slurm job 7 has 3 nodes"):
        plan(
            directors=1, allocation=allocation_spec("auto", 4), pool=pool_spec({"launcher_program": "true"}),
            surroundings=ThisProcess(SLURM | what.variables),
        )  # fmt: skip


def test_the_lead_node_is_not_served_on_while_a_command_runs_there(tmp_path):
    (tmp_path / "s.yaml").write_text(FILE.replace("program: serve", "program: serve, hosts: local-0"))
    file, services = read_services_file(tmp_path / "s.yaml")
    with pytest.raises(Refused, match="names the lead node local-0"):
        plan_beside(file, services, allocation="local", nodes=None, around=ThisProcess())


def test_on_one_machine_services_and_the_command_have_cores_of_their_own(tmp_path):
    (tmp_path / "s.yaml").write_text(FILE)
    file, services = read_services_file(tmp_path / "s.yaml")
    what = plan_beside(file, services, allocation="local", nodes=None, around=ThisProcess())
    assert what.left == ("local-0", "local-1")
    assert what.variables == {}
    assert what.cores == {core for node in what.allocation.nodes[:2] for core in node.cores}


def test_the_examples_are_read():
    root = Path(__file__).parents[3]
    _, (spec,) = read_services_file(root / "examples" / "llm.yaml")
    assert (spec.program, spec.api_key_variable, spec.model) == ("vllm", "VLLM_API_KEY", "Qwen/Qwen2.5-7B-Instruct")
    assert [spec.model for spec in read_batch(root / "docs" / "examples" / "vllm.yaml", find_tools()).services] == [
        spec.model
    ]
