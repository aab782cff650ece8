"""Team files: what may stand in them, and what is refused before anything is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from director.door import Refused
from director.team.settings import SUPERVISOR, parse_team, read_team
from director.team.shipped import shipped_team
from director.team.voices import voices_of
from tests.director.team.teaming import team_file

EXAMPLES = Path(__file__).parents[3] / "examples" / "team"
AGENT = "agents: [{name: ada, prompt: You speak.}]"
HERE = {"DIRECTOR_LLM_BASE_URL": "http://127.0.0.1:1/v1", "DIRECTOR_LLM_MODEL": "m"}


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.name)
def test_every_shipped_team_is_complete(path: Path) -> None:
    team = read_team(path)
    heats = {agent.name: agent.temperature for agent in team.agents}
    assert heats.items() <= {"creative": 0.8, "analytical": 0.3, "balanced": 0.7}.items()
    assert voices_of(team, HERE).keys() == team.speakers.keys()


def test_the_team_that_answers_when_none_is_named_is_the_example() -> None:
    assert shipped_team() == read_team(EXAMPLES / "trio.yaml")
    assert (Path("director/team/trio.yaml")).read_bytes() == (EXAMPLES / "trio.yaml").read_bytes()


def test_all_three_modes_have_an_example() -> None:
    assert {read_team(path).mode for path in EXAMPLES.glob("*.yaml")} == {"parallel", "round_robin", "supervisor"}


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        (f"name: t\nmode: parallel\n{AGENT}", "aggregator", "is required: {by: merge}, or {by: llm}"),
        (f"name: t\nmode: supervisor\n{AGENT}", "supervisor", "is required in the mode supervisor"),
        (f"name: t\nmode: parallel\naggregator: {{by: vote}}\n{AGENT}", "aggregator", "'merge', 'llm'"),
        (f"name: t\nmode: parallel\naggregator: {{by: merge}}\nsupervisor: {{}}\n{AGENT}", "supervisor", "nothing to"),
        (
            f"name: t\nmode: parallel\naggregator: {{by: merge}}\nround_robin: {{turns: 2}}\n{AGENT}",
            "round_robin",
            "no",
        ),
        (f"name: t\nmode: chorus\naggregator: {{by: merge}}\n{AGENT}", "mode", "'parallel', 'round_robin'"),
        ("name: t\nmode: parallel\naggregator: {by: merge}\nagents: []", "agents", "at least 1"),
        (
            "name: t\nmode: parallel\naggregator: {by: merge}\nagents: [{name: a, prompt: p}, {name: a, prompt: p}]",
            "agents",
            "'a' is given twice",
        ),
        (
            f"name: t\nmode: parallel\naggregator: {{by: merge}}\nagents: [{{name: {SUPERVISOR}, prompt: p}}]",
            "agents",
            "is taken",
        ),
        (
            "name: t\nmode: parallel\naggregator: {by: merge}\nagents: [{name: a, prompt: p, temprature: 1}]",
            "agents[0].temprature",
            "is not known",
        ),
        (
            "name: t\nmode: parallel\naggregator: {by: merge}\nagents: [{name: a, prompt: p, temperature: 2.5}]",
            "agents[0].temperature",
            "less than or equal to 2",
        ),
        (
            "name: t\nmode: parallel\naggregator: {by: merge}\nagents: [{name: 'a b', prompt: p}]",
            "agents[0].name",
            "should match",
        ),
        ("- a", "t.yaml", "is not a mapping"),
        ("name: [", "t.yaml, line", "is not valid YAML"),
        ("name: a\nname: b", "t.yaml, line", "is given twice"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text: str, where: str, what: str) -> None:
    with pytest.raises(Refused) as refusal:
        parse_team(text, "t.yaml")
    found = [problem for problem in refusal.value.problems if problem.where.startswith(where)]
    assert found, refusal.value
    assert what in found[0].message


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="cannot be read"):
        read_team(tmp_path / "none.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(Refused, match="is not UTF-8 text"):
        read_team(tmp_path / "binary.yaml")


def test_several_services_are_told_apart_by_their_names_in_the_environment() -> None:
    file = team_file(["ada", "bob"])
    agents = [file.agents[0], file.agents[1].model_copy(update={"endpoint": "LOCAL"})]
    file = file.model_copy(update={"agents": agents})
    environment: dict[str, Any] = {
        **HERE,
        "DIRECTOR_LLM_API_KEY": "key-1",
        "DIRECTOR_LLM_LOCAL_BASE_URL": "http://127.0.0.1:2/v1",
        "DIRECTOR_LLM_LOCAL_MODEL": "small",
        "DIRECTOR_LLM_LOCAL_API_KEY": "key-2",
    }
    voices = voices_of(file, environment)
    found = {name: (voice.settings.base_url[-4:-3], voice.settings.model) for name, voice in voices.items()}
    assert found == {"ada": ("1", "m"), "bob": ("2", "small")}
    keys = {name: voice.key.reveal() for name, voice in voices.items() if voice.key}
    assert keys == {"ada": "key-1", "bob": "key-2"}
    assert "key-1" not in repr(voices)
    del environment["DIRECTOR_LLM_LOCAL_BASE_URL"]
    with pytest.raises(Refused) as refusal:
        voices_of(file, environment)
    (problem,) = refusal.value.problems
    assert problem.where == "bob"
    assert "DIRECTOR_LLM_LOCAL_BASE_URL" in problem.hint


def test_no_model_is_an_error_that_says_how_and_names_all_whom_it_concerns() -> None:
    with pytest.raises(Refused) as refusal:
        voices_of(team_file(), {})
    (problem,) = refusal.value.problems
    assert problem.where == "ada, bob, cy"
    assert "DIRECTOR_LLM_BASE_URL" in problem.hint
