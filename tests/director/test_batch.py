import json
from datetime import UTC, datetime

import pytest

from director.batch import read_batch
from director.door import Refused
from simulations.tool import find_tools

TOOLS = find_tools()
PDB = "ATOM      1  N   ALA A   1       0.000   0.000   0.000  1.00  0.00           N\nEND\n"


def written(tmp_path, text, name="batch.yaml"):
    path = tmp_path / name
    path.write_text(text)
    return path


def refused(tmp_path, text):
    with pytest.raises(Refused) as caught:
        read_batch(written(tmp_path, text), TOOLS)
    return caught.value.problems


def test_the_batch_file_of_the_reference(tmp_path):
    (tmp_path / "peptide.pdb").write_text(PDB)
    batch = read_batch(
        written(
            tmp_path,
            """
directors: 2
nodes: 4
shares: [1, 1]
requests:
  - tool: md
    inputs: {structure: peptide.pdb, solvent: implicit, steps: 5000, temperature_k: 300, seed: 1}
    repeat: 4
    sweep: {temperature_k: [280, 300, 320]}
""",
        ),
        TOOLS,
    )
    assert (batch.file.directors, batch.file.nodes, batch.base) == (2, 4, tmp_path)
    pairs = [(request.inputs["temperature_k"], request.inputs["seed"]) for request in batch.requests]
    assert pairs == [(kelvin, seed) for kelvin in (280, 300, 320) for seed in (1, 2, 3, 4)]
    assert len({request.id for request in batch.requests}) == 12


def test_json_is_read_too(tmp_path):
    document = {"requests": [{"tool": "mock_md", "inputs": {"duration_s": 0}}]}
    assert len(read_batch(written(tmp_path, json.dumps(document), "batch.json"), TOOLS).requests) == 1


def test_repeats_count_up_from_the_given_seed_or_from_one(tmp_path):
    text = "requests:\n- {tool: mock_md, repeat: 2, inputs: {duration_s: 0, seed: 7}}\n"
    text += "- {tool: mock_md, repeat: 2, inputs: {duration_s: 0}}\n"
    assert [request.inputs["seed"] for request in read_batch(written(tmp_path, text), TOOLS).requests] == [7, 8, 1, 2]


@pytest.mark.parametrize(
    ("text", "where", "hint"),
    [
        (
            "directorz: 2\nrequests: [{tool: mock_md, inputs: {duration_s: 0}}]",
            "directorz",
            "Did you mean 'directors'?",
        ),
        ("requests: [{tool: mock_md, input: {duration_s: 0}}]", "requests[0].input", "Did you mean 'inputs'?"),
        ("requests: [{tool: mock_md, inputs: {duration_s: 0, sed: 1}}]", "requests[0].inputs.sed", "'seed'"),
        ("requests: [{tool: nmr, inputs: {}}]", "requests[0].tool", "Installed tools: "),
        ("requests: []", "requests", "Correct"),
        ("{}", "requests", "Give it"),
        ("directors: 0\nrequests: [{tool: mock_md, inputs: {duration_s: 0}}]", "directors", "Correct"),
        ("directors: '2'\nrequests: [{tool: mock_md, inputs: {duration_s: 0}}]", "directors", "Correct"),
        ("requests: [{tool: mock_md, inputs: {duration_s: 0}, repeat: 0}]", "requests[0].repeat", "Correct"),
        (
            "requests: [{tool: mock_md, inputs: {duration_s: 0}, sweep: {seed: []}}]",
            "requests[0].sweep.seed",
            "at least",
        ),
        (
            "requests: [{tool: mock_md, inputs: {duration_s: 0}, repeat: 2, sweep: {seed: [1, 2]}}]",
            "requests[0].sweep.seed",
            "one of",
        ),
        (
            "requests: [{tool: mock_md, inputs: {duration_s: 0, seed: x}, repeat: 2}]",
            "requests[0].inputs.seed",
            "whole",
        ),
        (
            "requests: [{tool: mock_md, inputs: {duration_s: 0}, repeat: 999999, sweep: {seed: [1, 2]}}]",
            "requests",
            "at most",
        ),
        ("requests: [{tool: md, inputs: {structure: gone.pdb, steps: 10}}]", "requests[0].inputs.structure", "ala10"),
        ("requests: [{tool: md, inputs: {structure: ../x.pdb, steps: 10}}]", "requests[0].inputs.structure", "beside"),
        (
            "requests: [{tool: md, inputs: {structure: /etc/passwd, steps: 10}}]",
            "requests[0].inputs.structure",
            "beside",
        ),
        ("requests: [{tool: md, inputs: {structure: ala10, steps: 0}}]", "requests[0].inputs.steps", "Correct"),
        (
            "requests: [{tool: md, inputs: {structure: ala10, steps: 9, timestep_fs: 10000}}]",
            "requests[0].inputs.timestep_fs",
            "Correct",
        ),
        (
            "requests: [{tool: md, inputs: {structure: ala10, steps: 9, temperature_k: -300}}]",
            "requests[0].inputs.temperature_k",
            "Correct",
        ),
        (
            "requests: [{tool: md, inputs: {structure: ala10, steps: 9, platform: Abacus}}]",
            "requests[0].inputs.platform",
            "Correct",
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_place_and_a_remedy(tmp_path, text, where, hint):
    problems = refused(tmp_path, text)
    assert [problem.where for problem in problems] == [where]
    assert hint in problems[0].hint


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("requests: [", "line 1"),
        ("a: 1\na: 2\n", "'a' is given twice"),
        ("- 1\n", "not a mapping"),
        ("1: 2\n", "the name 1 is not text"),
        ("x: !!python/object/apply:os.system [true]\n", "could not determine a constructor"),
        ("", "not a mapping"),
    ],
)
def test_what_is_no_batch_file_is_refused(tmp_path, text, said):
    (problem,) = refused(tmp_path, text)
    assert said in str(problem)


def test_a_link_that_leads_out_of_the_folder_is_refused(tmp_path):
    folder = tmp_path / "batch"
    folder.mkdir()
    (tmp_path / "secret.pdb").write_text(PDB)
    (folder / "link.pdb").symlink_to(tmp_path / "secret.pdb")
    (problem,) = refused(folder, "requests: [{tool: md, inputs: {structure: link.pdb, steps: 10}}]")
    assert "outside" in problem.message


def test_problems_of_all_requests_are_said_at_once(tmp_path):
    text = "requests:\n- {tool: mock_md, inputs: {duration_s: -1}}\n- {tool: nmr}\n"
    assert [problem.where for problem in refused(tmp_path, text)] == [
        "requests[0].inputs.duration_s",
        "requests[1].tool",
    ]


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    for path in (tmp_path / "gone.yaml", tmp_path):
        with pytest.raises(Refused, match="cannot be read"):
            read_batch(path, TOOLS)


def test_priority_timeout_deadline_and_reuse_are_those_of_every_request_of_an_entry(tmp_path):
    text = """
reuse_from: [earlier, /scratch/other]
requests:
  - tool: mock_md
    inputs: {duration_s: 0}
    repeat: 2
    priority: -3
    timeout_s: 90
    deadline: 2026-03-01T18:00:00+01:00
    reuse: false
  - {tool: mock_md, inputs: {duration_s: 0}, deadline: "2026-03-01T17:00:00Z"}
  - {tool: mock_md, inputs: {duration_s: 0}}
"""
    batch = read_batch(written(tmp_path, text), TOOLS)
    first, second, third, plain = batch.requests
    for request in (first, second):
        assert (request.priority, request.timeout_s, request.reuse) == (-3, 90.0, False)
    assert first.deadline == third.deadline == datetime(2026, 3, 1, 17, tzinfo=UTC)
    assert (plain.priority, plain.timeout_s, plain.deadline, plain.reuse) == (0, None, None, True)
    assert batch.file.reuse
    assert batch.stores == [str(tmp_path / "earlier"), "/scratch/other"]


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("priority", "1001", "less than or equal to 1000"),
        ("priority", "high", "integer"),
        ("timeout_s", "0", "greater than 0"),
        ("timeout_s", ".inf", "finite"),
        ("deadline", "2026-03-01T18:00:00", "timezone"),
        ("deadline", '"2026-03-01T18:00:00"', "timezone"),
        ("deadline", "2h", "ISO 8601"),
        ("deadline", "2026-03-01", "datetime"),
        ("deadline", "17", "datetime"),
        ("reuse", '"no"', "boolean"),
    ],
)
def test_a_time_without_its_zone_and_what_is_out_of_bounds_is_refused(tmp_path, field, value, said):
    text = f"requests:\n  - tool: mock_md\n    inputs: {{duration_s: 0}}\n    {field}: {value}\n"
    (problem,) = refused(tmp_path, text)
    assert problem.where == f"requests[0].{field}"
    assert said in problem.message
