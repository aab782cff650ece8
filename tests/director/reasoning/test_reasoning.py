"""What reasoners are told and refused, the board between processes, and reports that hold Outcomes' values only."""

import asyncio
import json
import uuid

import pytest
from typer.testing import CliRunner

from campaigns.reasoner import Limits, Shared
from campaigns.reasoner.crew import Ended
from campaigns.reasoner.state import first_state
from campaigns.reasoner.summary import best_rows, effort, markdown, summary
from director.cli.app import app
from director.door import Refused
from director.reasoning.board_agent import BoardAgent, FarBoard
from director.reasoning.report import page
from director.reasoning.spawning import Spawned
from director.reasoning.spec import ReasoningSpec, read_spec, write_spec
from director.spec import ExchangeSpec
from simulations.tool import find_tools

MODEL = {"base_url": "http://127.0.0.1:9/v1", "model": "any"}


def spec(**changes):
    return ReasoningSpec.model_validate({"seeds": ["CO"], "language": MODEL, **changes})


def entry(name, number, value):
    return {
        "id": f"r{number}",
        "key": f"k{number}",
        "reasoner": name,
        "round": 1,
        "candidate": {"smiles": "C" * number},
        "status": "ok",
        "score": value,
        "result": {"ionization_energy_ev": value},
        "error": None,
        "node_hours": 0.0,
    }


def test_what_reasoners_do_is_kept_in_the_run_folder_and_taken_once(tmp_path):
    write_spec(tmp_path, spec())
    assert read_spec(tmp_path) == spec()
    assert (tmp_path / "reasoning.json").stat().st_mode & 0o077 == 0
    with pytest.raises(Refused, match="holds reasoners already"):
        write_spec(tmp_path, spec())
    with pytest.raises(Refused, match="there are no reasoners"):
        read_spec(tmp_path / "elsewhere")
    (tmp_path / "reasoning.json").write_text('{"seeds": []}')
    with pytest.raises(Refused, match="seeds"):
        read_spec(tmp_path)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"tool": "nothing"}, "'nothing' is not known"),
        ({"objective": "beauty"}, "finds no beauty"),
        ({"fixed": {"speed": 3}}, "has no input speed"),
        ({"tool": "mock_md", "objective": "slept_s"}, "has no input smiles"),
    ],
)
def test_a_spec_that_cannot_be_followed_is_refused(changes, reason):
    with pytest.raises(Refused, match=reason):
        spec(**changes).subject(find_tools())


def test_seeds_are_shared_out_in_turn_and_bad_ones_are_all_named():
    subject = spec().subject(find_tools())
    seeds = spec(seeds=["CO", "OCC"], reasoners=3).seeds_of(subject)
    assert list(seeds.values()) == [{"smiles": "CO"}, {"smiles": "CCO"}, {"smiles": "CO"}]
    with pytest.raises(Refused) as refusal:
        spec(seeds=["C(C", "CO", "[NH4+]"]).seeds_of(subject)
    assert [problem.where for problem in refusal.value.problems] == ["seed-molecule[0]", "seed-molecule[2]"]


@pytest.mark.parametrize(
    ("words", "where"),
    [
        ([], "--seed-molecule"),
        (["--seed-molecule", "C(C"], "seed-molecule[0]"),
        (["--seed-molecule", "CO", "--better", "best"], "better"),
        (["--seed-molecule", "CO", "--node-hours", "-1"], "limits.node_hours"),
        (["--resume", "nowhere", "--molecules", "3"], "--resume"),
    ],
)
def test_bad_input_is_refused_before_anything_is_started(words, where, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    environment = {"DIRECTOR_LLM_BASE_URL": MODEL["base_url"], "DIRECTOR_LLM_MODEL": "any"}
    done = CliRunner().invoke(app, ["reason", *words, "--json"], env=environment)
    assert done.exit_code == 2, done.output
    assert where in [problem["where"] for problem in json.loads(done.stderr)["refused"]]
    assert list(tmp_path.iterdir()) == []


def test_no_language_model_is_an_error_that_says_how_to_configure_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["reason", "--seed-molecule", "CO", "--json"], env={"DIRECTOR_LLM_MODEL": "any"})
    assert done.exit_code == 2
    assert "DIRECTOR_LLM_BASE_URL" in done.stderr
    assert list(tmp_path.iterdir()) == []


class Caller:
    """Calls a board's actions with what JSON leaves of the arguments; loses every third answer, and asks again."""

    def __init__(self, agent):
        self._agent, self._calls = agent, 0

    async def call(self, action, *arguments):
        for _ in range(2):
            self._calls += 1
            answer = await getattr(self._agent, action)(*json.loads(json.dumps(arguments)))
            if self._calls % 3:
                break
        return json.loads(json.dumps(answer))


def test_a_board_elsewhere_says_what_one_in_the_same_process_says():
    async def both():
        near, shared = Shared(Limits(requests=60)), Shared(Limits(requests=60))
        far = FarBoard(Caller(BoardAgent(shared)))
        state = first_state("a", {"smiles": "C"}) | {"conclusions": ["one", "two"]}
        for count in (0, 1, 3, 50):  # more than go into one message
            state = state | {"entries": [entry("a", number, float(number)) for number in range(1, count + 1)]}
            near.tell(state)
            await far.tell(state)
            assert await far.glance("b") == near.glance("b")
            keys = ["k1", "k2", f"new{count}"]
            assert await far.claim("b", keys) == near.claim("b", keys)
        assert shared.entries() == state["entries"]
        anew = FarBoard(Caller(BoardAgent(shared)))  # the board was lost, or the reasoner began anew
        anew._known["a"] = 50
        await anew.tell(state)
        assert shared.entries() == state["entries"]

    asyncio.run(both())


def test_a_director_refuses_what_is_no_reasoner(tmp_path):
    spawned = Spawned(0, tmp_path, ExchangeSpec(url="http://127.0.0.1:9"))
    work = {"name": "../evil", "seed": {}, "spec": spec().model_dump(mode="json"), "board": str(uuid.uuid4()),
            "address": str(uuid.uuid4())}  # fmt: skip
    assert spawned.spawn(work)["refused"][0]["where"] == "name"
    assert (
        "launches no reasoners"
        in Spawned(0, tmp_path, None).spawn(work | {"name": "reasoner-0"})["refused"][0]["message"]
    )
    assert spawned.all() == {}
    assert list(tmp_path.iterdir()) == []


def ended(*entries, conclusion="the best is <b>mine</b> | and yours"):
    state = first_state("reasoner-0", {"smiles": "C"}) | {"entries": list(entries), "conclusions": [conclusion]}
    return Ended(state | {"ended": "all 1 rounds are over", "next": "end"})


def test_the_report_holds_values_of_outcomes_by_their_ids_and_no_others():
    entries = [entry("reasoner-0", number, 10.0 + number) for number in range(1, 8)]
    results = {one["id"]: one["result"] for one in entries}
    rows = best_rows(entries, "ionization_energy_ev", results)
    assert [(row.id, row.value) for row in rows] == [(f"r{number}", 10.0 + number) for number in (7, 6, 5, 4, 3)]
    with pytest.raises(ValueError, match="no Outcome r7"):
        best_rows(entries, "ionization_energy_ev", {key: value for key, value in results.items() if key != "r7"})
    with pytest.raises(ValueError, match="told otherwise"):
        best_rows(entries, "ionization_energy_ev", results | {"r7": {"ionization_energy_ev": 99.0}})


def test_words_of_a_model_are_quoted_and_cannot_change_the_page():
    entries = [entry("reasoner-0", 1, 11.0)]
    rows = best_rows(entries, "ionization_energy_ev", {"r1": entries[0]["result"]})
    document = summary([ended(*entries)], rows, "the | goal", "ionization_energy_ev")
    assert "> the best is <b>mine</b> | and yours" in markdown(document)
    html = page(document)
    assert "<b>mine</b>" not in html
    assert "&lt;b&gt;mine" in html
    assert "nobody has checked" in html
    said = effort(document["reasoners"][0])
    assert said.startswith("1 round, 1 simulation, ")
    assert said in html
    assert said in markdown(document)
    empty = summary([ended(conclusion="")], [], "the goal", "ionization_energy_ev")
    assert "nothing was evaluated" in markdown(empty)
    assert "Nothing was evaluated" in page(empty)
