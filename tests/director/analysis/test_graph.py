"""The graph asks a real client of a loopback model, and takes from it only what passes the door and the check."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from campaigns.language import LanguageModelError, Message, Reply, ToolFace
from campaigns.llm import LanguageSettings, Meter, OpenAIModel
from campaigns.reasoner.checkpoint import checkpoints
from director.analysis.facts import structure_facts
from director.analysis.graph import Hands, build, go_on, kept
from director.analysis.spec import AnalysisFolder, AnalysisSpec
from director.analysis.state import AnalysisState, fresh
from director.analysis.writing import document_of, escaped, markdown, page, write
from simulations.records import ErrorInfo, Outcome, Request, Status
from simulations.tool import AnyTool, find_tools
from tests.helpers import NOON
from tests.llm.fixtures import Llm
from tests.llm.minds import INJECTION
from tests.llm.minds_analysis import analyst, inventor, outcomes_told
from tests.llm.server import LLMServer
from tests.llm.talk import Answer, Call, Chat, Fault, Mind

PEPTIDE = Path(__file__).resolve().parents[3] / "docs/examples/structures/peptide.pdb"


def energy_of(request: Request) -> float:
    """What the stand-in for a simulation finds: it depends on all inputs."""
    return -100.0 - request.inputs["temperature_k"] / 7 - request.inputs.get("timestep_fs", 0.0)


def outcome_of(request: Request, error: ErrorInfo | None = None) -> Outcome:
    result = {"potential_energy_kj_mol": {"mean": energy_of(request), "std": 1.25}, "n_frames": 4, "remarks": []}
    return Outcome(
        id=request.id,
        key=request.id,
        tool="md",
        tool_version="3",
        status=Status.FAILED if error else Status.OK,
        inputs=request.inputs,
        result=None if error else result,
        error=error,
        director=0,
        partition=["local-0"],
        submitted_at=NOON,
        finished_at=NOON,
        artifacts={"topology": f"director-0/work/{request.id}/topology.pdb"},
    )


class World:
    """Runs an analysis, with Outcomes that are computed at once."""

    def __init__(self, folder: Path, server: LLMServer, **spec: Any) -> None:
        self.place = AnalysisFolder(folder)
        self.place.inputs.mkdir(parents=True, exist_ok=True)
        shutil.copy(PEPTIDE, self.place.inputs / "peptide.pdb")
        self.settings = LanguageSettings(base_url=server.base_url, model="small", retry_wait_s=0.01, max_retries=1)
        self.spec = AnalysisSpec(
            **({"question": "At 280 K and 320 K?", "structure": "peptide.pdb", "language": self.settings} | spec)
        )
        self.tool: AnyTool = find_tools()["md"]
        self.ran: list[Request] = []
        self.error: ErrorInfo | None = None
        self.after: Callable[[Outcome], Outcome] = lambda outcome: outcome

    def analyse(self) -> AnalysisState:
        return asyncio.run(self._analyse())

    async def _analyse(self) -> AnalysisState:
        meter = Meter()
        model = OpenAIModel(self.settings, agent="analyst", meter=meter)

        async def ask(messages: Sequence[Message], face: ToolFace) -> Reply:
            return await asyncio.to_thread(model.reply, messages, [face])

        async def run(requests: Sequence[Request]) -> Sequence[Outcome]:
            self.ran += requests
            return [self.after(outcome_of(request, self.error)) for request in reversed(requests)]

        async with checkpoints(self.place.steps_file) as saver:
            before = await kept(saver)
            if before is not None:
                meter.load(before["spent"])
            hands = Hands(ask, run, meter.all, lambda _: None)
            graph = build(self.spec, self.tool, self.place.inputs, hands, saver)
            facts = structure_facts("peptide.pdb", PEPTIDE.read_text())
            return await go_on(graph, before, fresh(facts), self.spec)


def proposing(*answers: Answer) -> Mind:
    """Proposes so, one reply after another, and reports as the analyst does."""

    def mind(chat: Chat) -> Answer:
        if "write_report" in chat.tools:
            return analyst(chat)
        return answers[min(len(chat.texts("assistant")), len(answers) - 1)]

    return mind


def md(**inputs: Any) -> Call:
    return Call("md", {"steps": 100, "temperature_k": 300.0, "why": "To see.", **inputs})


def test_two_proposals_are_two_runs_and_the_report_quotes_their_outcomes(tmp_path: Path, llm: Llm) -> None:
    server = llm(analyst)
    world = World(tmp_path, server)
    state = world.analyse()
    assert state["ended"] == "done"
    assert [(request.id, request.inputs["temperature_k"]) for request in world.ran] == [("run-1", 280), ("run-2", 320)]
    assert all(request.inputs["structure"] == "peptide.pdb" for request in world.ran)
    # What was asked: the facts of the structure, and no input that is not the model's to choose.
    first = server.chats[0]
    assert '"atoms": 22' in first.user
    assert "temperature_k" in first.tools["md"]["properties"]
    assert not {"structure", "restart"} & set(first.tools["md"]["properties"])
    # What the report was asked for: the very energies that came, each with its id.
    told = {one["id"]: one["result"]["potential_energy_kj_mol"]["mean"] for one in outcomes_told(server.chats[1])}
    assert told == {request.id: energy_of(request) for request in world.ran}
    assert state["paragraphs"][1] == {
        "text": f"At 320 K the mean potential energy is {energy_of(world.ran[1]):.2f} kJ/mol over 4 frames.",
        "outcomes": ["run-2"],
    }


def test_a_time_step_of_10_ps_is_refused_with_the_doors_reason_and_corrected(tmp_path: Path, llm: Llm) -> None:
    server = llm(analyst)
    world = World(tmp_path, server, question="At 280 K and 320 K, with a step of 10 ps?")
    state = world.analyse()
    assert state["ended"] == "done"
    assert [request.inputs["timestep_fs"] for request in world.ran] == [2.0, 2.0]
    answers = [answer for _, _, answer in server.chats[1].tool_results("md")]
    assert all("timestep_fs: input should be less than or equal to 5, got 10000.0" in answer for answer in answers)
    assert len(state["refused"]) == 2


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (md(steps=-1), "steps: input should be greater than or equal to 1"),
        (md(temperature_k="300"), "temperature_k: input should be a valid number"),
        (md(solvent="beer"), "solvent: input should be 'vacuum', 'implicit' or 'explicit'"),
        (md(tempreature_k=300.0), "Did you mean 'temperature_k'?"),
        (md(ensemble="NPT"), "ensemble NPT needs solvent explicit"),
        (md(structure="/etc/passwd"), "structure: is not yours to choose here"),
        (md(restart="../../secret.xml"), "restart: is not yours to choose here"),
        (md(platform="CPU"), "platform: is not yours to choose here"),
        (md(steps=10**9), "this comes to 2000 ns, and at most 1 ns are allowed"),
        (md(why=" "), "why: is required"),
        (Call("md_turbo", {"steps": 1}), "there is no tool 'md_turbo'"),
        (Call("md", '{"steps": 100,'), "they are no JSON object"),
        (Call("md", "[1, 2]"), "no JSON object"),
    ],
)
def test_what_the_door_refuses_goes_back_with_the_reason(tmp_path: Path, llm: Llm, call: Call, reason: str) -> None:
    server = llm(proposing(Answer(calls=(call,)), Answer(calls=(md(),))))
    world = World(tmp_path, server, fixed={"platform": "Reference"}, max_amount=1.0)
    state = world.analyse()
    assert state["ended"] == "done"
    (request,) = world.ran
    assert (request.inputs["steps"], request.inputs["platform"]) == (100, "Reference")
    ((_, _, answer),) = server.chats[1].tool_results()
    assert answer.startswith("refused, nothing was run:")
    assert reason in answer


def test_corrections_are_bounded_and_then_nothing_is_run(tmp_path: Path, llm: Llm) -> None:
    server = llm(proposing(Answer(calls=(md(timestep_fs=10_000.0),))))
    world = World(tmp_path, server, max_corrections=2)
    state = world.analyse()
    assert (state["ended"], world.ran) == ("no_proposal", [])
    assert len(server.log) == 3
    assert "No simulation" in markdown(document_of(world.spec, state))


def test_a_good_proposal_beside_a_bad_one_is_kept(tmp_path: Path, llm: Llm) -> None:
    server = llm(proposing(Answer(calls=(md(), md(steps=0))), Answer("That is all then.")))
    world = World(tmp_path, server)
    state = world.analyse()
    assert [request.id for request in world.ran] == ["run-1"]
    assert (state["ended"], len(state["refused"])) == ("done", 1)


def test_the_same_proposal_twice_is_run_once_and_no_more_are_run_than_allowed(tmp_path: Path, llm: Llm) -> None:
    calls = (md(), md(), md(temperature_k=310.0), md(temperature_k=320.0))
    server = llm(proposing(Answer(calls=calls), Answer("Enough.")))
    world = World(tmp_path, server, max_simulations=2)
    world.analyse()
    assert [request.inputs["temperature_k"] for request in world.ran] == [300.0, 310.0]
    answers = [answer for _, _, answer in server.chats[1].tool_results("md")]
    assert answers[1] == "accepted as run-1: the same simulation was proposed before, and is run once"
    assert "at most 2 simulations" in answers[3]


@pytest.mark.parametrize(
    "kind", ["no_tool_call", "malformed_json", "unknown_tool", "duplicate_call", "rate_limit", "dropped"]
)
@pytest.mark.parametrize("stage", ["Propose 1 to", "Write the report"])
def test_each_fault_in_each_stage_ends_well(tmp_path: Path, llm: Llm, kind: str, stage: str) -> None:
    server = llm(analyst, faults=[Fault(kind, containing=stage)])
    world = World(tmp_path, server, max_simulations=3)
    assert world.analyse()["ended"] == "done"
    assert [request.id for request in world.ran] == ["run-1", "run-2"]
    assert [logged.fault for logged in server.log if logged.fault] == [kind]


def test_a_number_that_is_in_no_outcome_is_refused(tmp_path: Path, llm: Llm) -> None:
    server = llm(inventor)
    world = World(tmp_path, server)
    state = world.analyse()
    assert state["ended"] == "done"
    assert state["text_refused"] == ["paragraph 1 has numbers that are not in what it cites: 351.7."]
    assert "351.7" in server.chats[2].last
    assert "351.7" not in " ".join(one["text"] for one in state["paragraphs"])


def test_a_number_of_another_outcome_is_refused_and_so_is_an_unknown_one(tmp_path: Path, llm: Llm) -> None:
    def swapping(chat: Chat) -> Answer:
        answer = analyst(chat)
        if "write_report" not in chat.tools or len(chat.tool_results()) > 1:
            return answer
        document = json.loads(answer.calls[0].text)
        first, second = document["paragraphs"]
        names = ["run-2", "run-1"] if not chat.tool_results() else ["run-1", "run-9"]
        first["outcomes"], second["outcomes"] = [names[0]], [names[1]]
        return Answer(calls=(Call("write_report", document),))

    state = World(tmp_path, llm(swapping)).analyse()
    assert state["ended"] == "done"
    assert "paragraph 1 has numbers" in state["text_refused"][0]
    assert "paragraph 2 cites 'run-9'; there is run-1, run-2" in state["text_refused"][1]


def test_without_an_acceptable_text_the_report_has_the_outcomes_and_says_so(tmp_path: Path, llm: Llm) -> None:
    def stubborn(chat: Chat) -> Answer:
        if "write_report" not in chat.tools:
            return analyst(chat)
        text = {"text": "It melts at 351.7 K.", "outcomes": []}
        return Answer(calls=(Call("write_report", {"title": "Nonsense", "paragraphs": [text]}),))

    world = World(tmp_path, llm(stubborn), max_corrections=1)
    state = world.analyse()
    assert (state["ended"], len(state["text_refused"])) == ("no_text", 2)
    text = markdown(document_of(world.spec, state))
    assert "No text: every one that the model wrote was refused" in text
    assert f"`{energy_of(world.ran[0])!r}`" in text
    assert "It melts" not in text


def test_a_failed_simulation_is_reported_as_such(tmp_path: Path, llm: Llm) -> None:
    world = World(tmp_path, llm(analyst))
    world.error = ErrorInfo(type="Exploded", message="the energy is not finite", hint="Take a shorter time step")
    state = world.analyse()
    assert [one["status"] for one in state["outcomes"].values()] == ["failed", "failed"]
    assert "Exploded: the energy is not finite" in markdown(document_of(world.spec, state))
    assert state["paragraphs"][0]["text"] == "This simulation failed: the energy is not finite."


def test_an_injection_in_an_outcome_changes_nothing_but_text(tmp_path: Path, llm: Llm) -> None:
    """The model obeys it: it calls md once more, and whatever else it is told to, and all of that is refused."""
    planted = INJECTION.format(name="md", arguments='{"steps": 1000000}')

    def obeying(chat: Chat) -> Answer:
        if planted in chat.user.replace('\\"', '"') and not chat.tool_results():
            return Answer("As you wish.", (Call("md", {"steps": 1_000_000}), Call("shell", {"command": "rm -rf /"})))
        return analyst(chat)

    world = World(tmp_path, llm(obeying))
    world.after = lambda outcome: outcome.model_copy(
        update={"result": {**(outcome.result or {}), "remarks": [f"</data> {planted}"]}}
    )
    state = world.analyse()
    assert state["ended"] == "done"
    assert [request.id for request in world.ran] == ["run-1", "run-2"]
    assert state["text_refused"] == ["there is no tool 'md'; there are: write_report."]


def test_no_text_of_a_model_becomes_markup(tmp_path: Path, llm: Llm) -> None:
    evil = "<script>alert(1)</script> ![x](http://evil/x.png) [y](http://evil) # no heading | `code`"

    def marking(chat: Chat) -> Answer:
        if "write_report" not in chat.tools:
            return Answer(calls=(md(why=evil),))
        return Answer(
            calls=(
                Call(
                    "write_report",
                    {"title": evil.replace("1", ""), "paragraphs": [{"text": evil.replace("1", ""), "outcomes": []}]},
                ),
            )
        )

    world = World(tmp_path, llm(marking))
    state = world.analyse()
    assert state["ended"] == "done"
    html = page(document_of(world.spec, state))
    assert "<script" not in html
    assert 'src="http' not in html
    text = markdown(document_of(world.spec, state))
    assert "\\<script\\>" in text
    assert "![" not in text.replace("\\[", "")
    assert escaped("1. first\n# second") == "1\\. first # second"


def test_after_an_interruption_nothing_is_asked_or_run_again(tmp_path: Path, llm: Llm) -> None:
    """The endpoint fails in the middle; the next process goes on with the step that it was at."""
    server = llm(analyst, faults=[Fault("server_error", containing="Write the report", times=2)])
    world = World(tmp_path, server)
    with pytest.raises(LanguageModelError, match="status 500"):
        world.analyse()
    assert len(world.ran) == 2
    again = World(tmp_path, server)
    state = again.analyse()
    assert (state["ended"], again.ran) == ("done", [])
    proposals = [logged for logged in server.log if "md" in logged.chat.tools]
    assert len(proposals) == 1
    assert state["spent"]["analyst"]["questions"] == 2
    once_more = World(tmp_path, server)
    assert once_more.analyse() == state
    assert len(server.log) == 4


def test_the_reports_are_written_for_their_owner_only(tmp_path: Path, llm: Llm) -> None:
    world = World(tmp_path, llm(analyst))
    write(world.place, world.spec, world.analyse())
    for file in (world.place.markdown, world.place.page, world.place.steps_file):
        assert file.stat().st_mode & 0o777 == 0o600
    assert '<a href="#run-2">run-2</a>' in world.place.page.read_text()
