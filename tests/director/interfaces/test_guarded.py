"""Calls of agents on real Directors: handed over, waited for, bounded, confirmed, and written down."""

from __future__ import annotations

import asyncio
import base64
import json
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from director.fleet import Fleet
from director.interfaces.audit import AuditLog
from director.interfaces.confirming import Answer
from director.interfaces.guarded import GuardedCaller
from director.interfaces.guarding import Guard
from director.interfaces.policy import AgentPolicy, Budget, Policy
from simulations.records import Outcome
from tests.simulations.shell_tools import write_tool

MD = {"structure": "alanine-dipeptide", "steps": 20, "report_interval_steps": 10, "minimize": False, "platform": "CPU"}
SECRET = "-----BEGIN SECRET-----"  # noqa: S105
FREE = Policy(confirm=[])

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("guarded")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet(folder: Path) -> AsyncIterator[Fleet]:
    tool = write_tool(folder / "tools", name="status", summary="A program whose name is that of an action.")
    async with Fleet.launch(directors=2, run_dir=folder / "run", workers_per_node=1, tools=[tool]) as up:
        yield up


def caller(fleet: Fleet, folder: Path, policy: Policy = FREE, agent: str = "alice", **more: Any) -> GuardedCaller:
    """A caller with a log of its own."""
    return GuardedCaller.of(fleet, agent, policy=policy, state=folder / "states" / uuid.uuid4().hex, **more)


def lines(caller: GuardedCaller) -> list[dict[str, Any]]:
    return [json.loads(text) for text in caller.guard.log.path.read_text().splitlines()]


async def submit(caller: GuardedCaller, count: int, duration_s: float = 0.0, **more: Any) -> dict[str, Any]:
    seed = uuid.uuid4().int % 10**6
    entry = {"tool": "mock_md", "inputs": {"duration_s": duration_s, "seed": seed}, "repeat": count}
    return await caller.call("submit", {"requests": [entry], **more})


async def test_a_batch_is_handed_over_at_once_and_its_outcomes_are_waited_for_by_another_call(
    fleet: Fleet, folder: Path
) -> None:
    alice = caller(fleet, folder)
    given = await submit(alice, 7, 0.02)
    assert given["status"] == "ok"
    assert len(set(given["ids"])) == 7
    found = await alice.call("outcomes", {"ids": given["ids"], "wait_s": 60.0})
    assert found["status"] == "ok", found
    assert [one["id"] for one in found["outcomes"]] == given["ids"]  # by id, in the order that was asked for
    assert {one["status"] for one in found["outcomes"]} == {"ok"}
    assert all(one["node_hours"] >= 0 for one in found["outcomes"])


async def test_what_runs_is_said_to_run_and_an_id_that_nobody_has_is_unknown(fleet: Fleet, folder: Path) -> None:
    alice = caller(fleet, folder)
    (name,) = (await submit(alice, 1, 60.0))["ids"]
    waited = await alice.call("outcomes", {"ids": [name, "nobody"], "wait_s": 0.3})
    assert (waited["status"], waited["running"], waited["unknown"]) == ("running", [name], ["nobody"])
    stopped = await alice.call("cancel", {"ids": [name]})
    assert stopped["requests"][name] in ("cancelled", "stopping")
    ended = await alice.call("outcomes", {"ids": [name], "wait_s": 60.0})
    assert ended["outcomes"][0]["status"] == "cancelled"


async def test_pages_have_every_outcome_once(fleet: Fleet, folder: Path) -> None:
    alice = caller(fleet, folder)
    ids = (await submit(alice, 9))["ids"]
    await alice.call("outcomes", {"ids": ids, "wait_s": 60.0})
    seen: list[str] = []
    after = None
    while True:
        page = await alice.call("outcomes", {"limit": 4, **({"after": after} if after else {})})
        if not page["outcomes"]:
            break
        assert len(page["outcomes"]) <= 4
        seen += [one["id"] for one in page["outcomes"]]
        after = page["next"]
    assert len(seen) == len(set(seen))
    assert set(ids) <= set(seen)
    new = asyncio.create_task(alice.call("outcomes", {"after": after, "wait_s": 60.0}))
    (late,) = (await submit(alice, 1))["ids"]
    assert [one["id"] for one in (await new)["outcomes"]] == [late]
    wrong = await alice.call("outcomes", {"after": "1.2.3"})
    assert wrong["problems"][0]["where"] == "after"


async def test_a_submission_with_a_token_is_run_once_by_whomever_it_is_made(fleet: Fleet, folder: Path) -> None:
    alice = caller(fleet, folder, Policy(confirm=[], others=AgentPolicy(budget=Budget(requests=3))))
    ask = {"requests": [{"tool": "mock_md", "inputs": {"duration_s": 0, "seed": 99}, "repeat": 3}], "token": "mine"}
    first = await alice.call("submit", ask)
    await alice.call("outcomes", {"ids": first["ids"], "wait_s": 60.0})
    before = sum(sum(status["finished"].values()) for status in await fleet.status())
    again = await alice.call("submit", ask)  # and it is charged once, too
    other = await caller(fleet, folder).call("submit", ask)
    assert first["ids"] == again["ids"] == other["ids"]
    assert sum(sum(status["finished"].values()) for status in await fleet.status()) == before
    assert (await alice.call("director_status", {}))["budget"]["spent"]["requests"] == 3


@pytest.mark.parametrize(
    ("requests", "where"),
    [
        ([{"tool": "mock_md", "inputs": {"duration_s": -1}}], "requests[0].inputs.duration_s"),
        ([{"tool": "mock_md"}, {"tool": "mock_m", "inputs": {}}], "requests[1].tool"),
        ([{"tool": "mock_md", "repeats": 2}], "requests[0].repeats"),
        ([{"tool": "mock_md", "inputs": {"duration_s": 0}, "repeat": 20_000}], "requests[0].repeat"),
        ([{"tool": "mock_md", "sweep": {"seed": list(range(6000)), "duration_s": [0, 1]}}], "requests"),
        ([], "requests"),
    ],
)
async def test_a_batch_with_anything_wrong_is_refused_as_a_whole_with_the_place(
    fleet: Fleet, folder: Path, requests: list[Any], where: str
) -> None:
    alice = caller(fleet, folder)
    answer = await alice.call("submit", {"requests": requests})
    assert answer["status"] == "refused"
    assert where in {problem["where"] for problem in answer["problems"]}
    (line,) = lines(alice)
    assert (line["event"], line["decision"], line.get("ids", [])) == ("asked", "refused", [])


async def test_a_budget_of_requests_is_for_all_ways_of_calling_and_refused_ones_do_not_count(
    fleet: Fleet, folder: Path
) -> None:
    alice = caller(fleet, folder, Policy(others=AgentPolicy(budget=Budget(requests=4))))
    assert (await alice.call("mock_md", {"duration_s": -1}))["status"] == "refused"
    assert (await submit(alice, 3))["status"] == "ok"
    assert (await submit(alice, 2))["problems"][0]["where"] == "budget.requests"
    assert (await alice.call("mock_md", {"duration_s": 0, "seed": 5}))["status"] == "ok"
    assert (await alice.call("mock_md", {"duration_s": 0, "seed": 6}))["problems"][0]["where"] == "budget.requests"
    again = GuardedCaller.of(fleet, "alice", policy=alice.guard.policy, state=alice.guard.log.path.parent)
    assert (await submit(again, 1))["problems"][0]["where"] == "budget.requests"  # a restart gives nothing back
    bob = GuardedCaller.of(fleet, "bob", policy=alice.guard.policy, state=alice.guard.log.path.parent)
    assert (await submit(bob, 1))["status"] == "ok"


async def test_many_calls_at_once_do_not_overspend(fleet: Fleet, folder: Path) -> None:
    alice = caller(fleet, folder, Policy(budget=Budget(requests=5)))
    answers = await asyncio.gather(*(alice.call("mock_md", {"duration_s": 0, "seed": n}) for n in range(12)))
    assert sorted(answer["status"] for answer in answers) == ["ok"] * 5 + ["refused"] * 7


async def test_node_hours_of_what_was_handed_over_long_ago_are_counted(fleet: Fleet, folder: Path) -> None:
    alice = caller(fleet, folder, Policy(others=AgentPolicy(budget=Budget(node_hours=1e-6))))
    given = await submit(alice, 1, 0.2)
    await fleet_outcome(fleet, given["ids"][0])
    refused = await alice.call("mock_md", {"duration_s": 0, "seed": 8})
    assert refused["problems"][0]["where"] == "budget.node_hours"
    (told,) = [line for line in lines(alice) if line["event"] == "outcomes"]
    assert told["statuses"] == {given["ids"][0]: "ok"}


async def fleet_outcome(fleet: Fleet, name: str) -> Outcome:
    while True:
        async for outcome in fleet.outcomes():
            if outcome.id == name:
                return outcome
        await asyncio.sleep(0.05)


async def test_tokens_of_a_model_are_counted_as_far_as_they_are_told(fleet: Fleet, folder: Path) -> None:
    alice = caller(fleet, folder, Policy(others=AgentPolicy(budget=Budget(llm_tokens=100))))
    assert (await alice.call("mock_md", {"duration_s": 0, "seed": 1}, llm_tokens=60))["status"] == "ok"
    refused = await alice.call("mock_md", {"duration_s": 0, "seed": 2}, llm_tokens=60)
    assert refused["problems"][0]["where"] == "budget.llm_tokens"


async def test_what_an_agent_may_not_call_it_is_not_shown_and_cannot_call(fleet: Fleet, folder: Path) -> None:
    alice = caller(fleet, folder, Policy(agents={"alice": AgentPolicy(tools=["md", "outcomes"])}, others=None))
    assert [face.name for face in alice.faces] == ["md", "outcomes"]
    assert (await alice.call("mock_md", {"duration_s": 0}))["problems"][0]["where"] == "tool"
    assert alice.for_agent("mallory").faces == []
    assert (await alice.for_agent("mallory").call("md", MD))["problems"][0]["where"] == "agent"
    assert [line["decision"] for line in lines(alice)] == ["refused", "refused"]


async def test_a_name_that_nothing_has_is_refused_with_all_that_there_is(fleet: Fleet, folder: Path) -> None:
    (problem,) = (await caller(fleet, folder).call("outcome", {}))["problems"]
    assert problem["hint"].startswith("Did you mean 'outcomes'? There are: ")
    assert "ionization_energy" in problem["hint"]


async def test_a_tool_of_the_run_keeps_its_name_and_the_action_takes_another(fleet: Fleet, folder: Path) -> None:
    alice = caller(fleet, folder)
    faces = {face.name: face for face in alice.faces}
    assert faces["status"].is_tool
    assert faces["director_status"].known_as == "status"
    assert len(faces) == len(alice.faces)
    assert (await alice.call("status", {}))["tool"] == "status"
    said = await alice.call("director_status", {})
    assert [one["director"] for one in said["directors"]] == [0, 1]


@pytest.mark.parametrize("allow", [True, False, None])
async def test_a_human_is_asked_before_anything_is_taken_away(fleet: Fleet, folder: Path, allow: bool | None) -> None:
    alice = caller(fleet, folder, Policy(confirm_within_s=0.3 if allow is None else 60.0))
    (name,) = (await submit(alice, 1, 60.0))["ids"]
    calling = asyncio.create_task(alice.call("cancel", {"ids": [name], "why": "it hangs"}))
    if allow is not None:
        while not (asked := alice.guard.questions.waiting()):
            await asyncio.sleep(0.01)
        assert (asked[0].why, json.loads(asked[0].arguments)) == ("it hangs", {"ids": [name]})
        assert name in await fleet.open_ids()
        alice.guard.questions.answer(asked[0].call, Answer(allow=allow, by="a test", note="as you say"))
    answer = await calling
    assert answer["status"] == ("ok" if allow else "refused")
    found = [(line["event"], line.get("decision")) for line in lines(alice)[2:]]
    told = [("asked", "to_confirm"), ("answered", "allowed" if allow else "refused")]
    assert found[:2] == told
    if not allow:
        assert name in await fleet.open_ids()
        assert "as you say" in str(answer) or "nobody answered" in str(answer)
        await fleet.cancel([name])


async def test_where_a_reason_is_required_each_schema_asks_for_it_and_the_log_has_it(
    fleet: Fleet, folder: Path
) -> None:
    alice = caller(fleet, folder, Policy(why="required"))
    assert all("why" in face.schema["required"] for face in alice.faces)
    assert (await alice.call("mock_md", {"duration_s": 0}))["problems"][0]["where"] == "why"
    assert (await alice.call("mock_md", {"duration_s": 0, "why": "to see"}))["status"] == "ok"
    assert (await alice.call("mock_md", {"duration_s": 0}, why="beside it"))["status"] == "ok"
    assert [line["why"] for line in lines(alice) if line["event"] == "asked" and "why" in line] == [
        "to see",
        "beside it",
    ]


async def test_each_call_stands_in_the_log_with_what_came_of_it(fleet: Fleet, folder: Path) -> None:
    alice = caller(fleet, folder)
    failed = await alice.call("mock_md", {"duration_s": 0, "crash": "error", "seed": 31}, why="a test")
    asked, told, ended = lines(alice)
    assert (asked["event"], asked["agent"], asked["face"], asked["why"]) == ("asked", "alice", "python", "a test")
    assert asked["ids"] == [failed["id"]]
    assert told["statuses"] == {failed["id"]: "failed"}
    assert (ended["event"], ended["call"], ended["status"]) == ("ended", asked["call"], "failed")
    assert ended["problems"][0].startswith("Crashed")
    assert ended["wall_s"] > 0


async def test_what_nobody_has_thought_of_is_said_and_written_down_too(
    fleet: Fleet, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any) -> None:
        raise ZeroDivisionError("of a test")

    alice = caller(fleet, folder)
    monkeypatch.setattr(fleet, "cancel", broken)
    answer = await alice.call("cancel", {"ids": ["r1"]})
    assert (answer["status"], answer["error"]["type"]) == ("failed", "ZeroDivisionError")
    assert lines(alice)[-1]["problems"] == ["ZeroDivisionError: of a test"]


async def test_no_call_is_made_that_cannot_be_written_down(fleet: Fleet, folder: Path) -> None:
    state = folder / "blocked"
    (state / "audit.jsonl").mkdir(parents=True)
    alice = GuardedCaller.of(fleet, "alice", policy=FREE, state=state)
    before = sum(sum(status["finished"].values()) for status in await fleet.status())
    answer = await alice.call("mock_md", {"duration_s": 0, "seed": 41})
    assert answer["problems"][0]["where"] == "audit"
    assert sum(sum(status["finished"].values()) for status in await fleet.status()) == before


async def test_files_are_read_of_requests_only_wherever_a_path_or_a_link_leads(fleet: Fleet, folder: Path) -> None:
    alice = caller(fleet, folder)
    done = await alice.call("md", MD)
    table = await alice.call("read_artifact", {"path": done["artifacts"]["state_table"]})
    assert table["text"].startswith("step,time_ps")
    work = folder / "run" / Path(done["artifacts"]["state_table"]).parent
    (folder / "secret.txt").write_text(SECRET)
    for name, target in {
        "out.txt": folder / "secret.txt",
        "ledger.txt": folder / "run" / "director-0" / "ledger.sqlite",
        "folder": folder,
    }.items():
        (work / name).symlink_to(target)
    relative = work.relative_to(folder / "run")
    for path in (
        f"{relative}/out.txt", f"{relative}/ledger.txt", f"{relative}/folder/secret.txt", "../secret.txt",
        str(folder / "secret.txt"), "exchange.json", "agents/audit.jsonl", f"{relative}/../../ledger.sqlite",
        f"{relative}", "", "\0",
    ):  # fmt: skip
        answer = await alice.call("read_artifact", {"path": path})
        assert answer["status"] == "refused", path
        assert SECRET not in json.dumps(answer)


async def test_plots_are_pictures_of_what_has_ended(fleet: Fleet, folder: Path) -> None:
    alice = caller(fleet, folder)
    done = [await alice.call("md", {**MD, "seed": seed}) for seed in (1, 2)]
    ids = [one["id"] for one in done]
    drawn = await alice.call("report", {"kind": "energies", "ids": ids})
    assert drawn["quantity"] == "potential_energy_kj_mol.mean"
    assert drawn["values"] == {one["id"]: one["result"]["potential_energy_kj_mol"]["mean"] for one in done}
    for ask in ({"kind": "energies", "ids": ids}, {"kind": "run"}, {"kind": "trace", "ids": ids[:1]}):
        picture = (await alice.call("report", ask))["image"]
        assert base64.b64decode(picture["data"]).startswith(b"\x89PNG")
    assert (await alice.call("report", {"kind": "trace"}))["problems"][0]["where"] == "ids"
    assert (await alice.call("report", {"kind": "run", "ids": ["nobody"]}))["status"] == "refused"


async def test_the_log_of_a_run_lies_in_its_folder_and_two_callers_share_it(fleet: Fleet, folder: Path) -> None:
    first, second = (GuardedCaller.of(fleet, name, policy=FREE) for name in ("alice", "bob"))
    await first.call("mock_md", {"duration_s": 0})
    await second.call("mock_md", {"duration_s": 0})
    seen: list[str] = []
    with AuditLog(folder / "run" / "agents" / "audit.jsonl").turn(lambda line: seen.append(line.agent)):
        pass
    assert {"alice", "bob"} <= set(seen)
    assert isinstance(first.guard, Guard)
