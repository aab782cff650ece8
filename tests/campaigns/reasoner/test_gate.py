"""What becomes of tool calls: candidates, or reasons that the model is told."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campaigns.language import ToolCall
from campaigns.reasoner import MoleculeSubject, NotACandidateError
from campaigns.reasoner.board import Claim, Glance
from campaigns.reasoner.gate import answer, judge, settle
from campaigns.reasoner.state import first_state
from campaigns.reasoner.subject import ToolSubject, key_of
from simulations.ionization import TOOL as IONIZATION
from simulations.md import TOOL as MD
from tests.campaigns.reasoner.made import call, reply, steps, subject


def kinds(*calls, room=10, **known):
    return [verdict.kind for verdict in judge(calls, subject(), room=room, **known)]


def test_each_kind_of_wrong_call_is_told_its_reason():
    calls = [
        call(duration_s=1.0),
        call(name="rm", duration_s=1.0),
        ToolCall("x", "mock_md", None, "{not json"),
        call(duration_s=-1),
        call(duration_s=1.0),
        call(seconds=3),
    ]
    verdicts = judge(calls, subject(), room=10)
    assert [one.kind for one in verdicts] == ["wanted", "unknown_tool", "malformed", "invalid", "duplicate", "invalid"]
    assert "there is mock_md" in verdicts[1].reason
    assert "{not json" in verdicts[2].reason
    assert "greater than or equal to 0" in verdicts[3].reason
    assert "there is duration_s" in verdicts[5].reason


def test_a_call_beyond_the_room_of_the_round_is_refused():
    assert kinds(call(duration_s=1.0), call(duration_s=2.0), room=1) == ["wanted", "limit"]


def test_a_candidate_with_an_outcome_is_answered_with_it_and_not_run_again():
    entry = {"id": "r1", "key": key_of({"duration_s": 1.0}), "candidate": {"duration_s": 1.0}, "status": "ok",
             "result": {"slept_s": 1.0}, "error": None, "reasoner": "me", "round": 1, "score": 1.0,
             "node_hours": 0.0}  # fmt: skip
    [verdict] = judge([call(duration_s=1)], subject(), entries=[entry], room=10)
    assert verdict.kind == "duplicate"
    assert json.loads(answer(verdict).content)["result"] == {"slept_s": 1.0}
    [others] = judge([call(duration_s=1)], subject(), room=10)
    known = settle(others, {others.key: Claim("known", entry=entry | {"reasoner": "reasoner-7"})})
    assert known.kind == "known"
    assert json.loads(answer(known).content)["id"] == "r1"
    assert "reasoner-7" in json.loads(answer(known).content)["note"]


def test_calls_that_have_one_id_are_told_apart():
    verdicts = judge([call(duration_s=1.0), call(duration_s=2.0)], subject(), taken_ids=["call-1"], room=10)
    assert len({verdict.call.id for verdict in verdicts} | {"call-1"}) == 3


def test_two_spellings_of_a_molecule_are_one_candidate():
    molecules = MoleculeSubject(IONIZATION)
    first, second = (molecules.to_json(molecules.read({"smiles": text})) for text in ("CNC(N)=O", "NC(=O)NC"))
    assert first == second


@pytest.mark.parametrize(
    ("smiles", "reason"),
    [("C(C", "no SMILES"), ("CC.O", "2 molecules"), ("[NH4+]", "charge"), ("[CH3]", "unpaired"), ("C C", "pattern")],
)
def test_what_is_no_molecule_is_refused_with_the_reason(smiles, reason):
    with pytest.raises(NotACandidateError, match=reason):
        MoleculeSubject(IONIZATION).read({"smiles": smiles})


def test_a_time_step_of_10_ps_is_refused_with_its_bound():
    md = ToolSubject(MD, varied=("timestep_fs",), fixed={"structure": "ala10", "steps": 10}, objective="rmsd_nm")
    with pytest.raises(NotACandidateError, match=r"timestep_fs.*10000"):
        md.read({"timestep_fs": 10_000})


def test_a_model_is_told_of_no_input_that_it_may_not_choose():
    face = MoleculeSubject(IONIZATION, fixed={"conformers": 3}).face
    assert list(face.parameters["properties"]) == ["smiles"]
    assert face.parameters["additionalProperties"] is False


@pytest.mark.parametrize(
    "options",
    [
        {"varied": ("duration",), "objective": "slept_s"},
        {"varied": ("duration_s",), "objective": "energy_ev"},
        {"varied": ("duration_s",), "objective": "slept_s", "fixed": {"duration_s": 1}},
        {"varied": (), "objective": "slept_s"},
    ],
)
def test_a_subject_that_cannot_be_is_refused(options):
    with pytest.raises(ValueError, match=r"mock_md|varied"):
        ToolSubject(subject().tool, **options)


ARGUMENTS = st.none() | st.dictionaries(
    st.sampled_from(["duration_s", "seconds", "__class__"]),
    st.none() | st.booleans() | st.floats() | st.text(max_size=5) | st.lists(st.integers(), max_size=2),
    max_size=3,
)


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.text(max_size=3), st.sampled_from(["mock_md", "other", ""]), ARGUMENTS), max_size=8),
    st.integers(0, 5),
)
def test_every_call_is_answered_once_whatever_a_model_writes(made, room):
    """Also: no more are wanted than there is room for, none twice, and the next step is always a possible one."""
    calls = [ToolCall(name, tool, arguments, repr(arguments)) for name, tool, arguments in made]
    verdicts = judge(calls, subject(), room=room)
    assert len(verdicts) == len(calls)
    assert len({verdict.call.id for verdict in verdicts}) == len(calls)
    wanted = [verdict.key for verdict in verdicts if verdict.kind == "wanted"]
    assert len(wanted) == len(set(wanted)) <= room
    assert all(verdict.reason for verdict in verdicts if verdict.kind != "wanted")
    machine = steps()
    state = first_state("me", {"duration_s": 1.0}) | {"next": "tool_calling"}
    said = reply(*calls)
    judged = machine.judged(state, said)
    after = machine.replied(state, Glance(), said, judged, {one.key: Claim("granted") for one in judged})
    assert after["next"] in ("tool_calling", "simulate")
    assert (after["next"] == "simulate") <= bool(after["pending"])
    answered = [message["tool_call_id"] for message in after["talk"] if message["role"] == "tool"]
    assert answered == [one["id"] for one in after["talk"][0]["tool_calls"]]
