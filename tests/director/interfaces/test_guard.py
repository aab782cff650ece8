"""What agents may do and spend: pure decisions, and books that follow from the lines of a log."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from director.door import Refused
from director.interfaces.audit import AuditLine, Event
from director.interfaces.guard import Ask, Books, Spent, Verdict, decide, left, may
from director.interfaces.policy import AgentPolicy, Budget, Policy, read_policy
from tests.docs.pages import DOCS, blocks

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
NOTHING = Spent()


def ask(name: str = "md", agent: str = "alice", new: int = 1, why: str | None = None) -> Ask:
    return Ask(agent, (name,), why, new)


def where(decision: object) -> list[str]:
    return [problem.where for problem in decision.problems]  # type: ignore[attr-defined]


def line(event: Event, call: str, agent: str, **fields: object) -> AuditLine:
    return AuditLine(at=NOON, event=event, call=call, agent=agent, **fields)  # type: ignore[arg-type]


def test_without_a_policy_all_is_allowed_and_a_human_is_asked_for_what_destroys() -> None:
    assert decide(Policy(), ask("md"), NOTHING, NOTHING).verdict is Verdict.ALLOWED
    assert decide(Policy(), ask("cancel", new=0), NOTHING, NOTHING).verdict is Verdict.TO_CONFIRM
    assert decide(Policy(), ask("drain", new=0), NOTHING, NOTHING).verdict is Verdict.TO_CONFIRM


def test_an_agent_may_call_what_its_rules_name_and_nothing_else() -> None:
    policy = Policy(agents={"alice": AgentPolicy(tools=["md", "out*"], deny=["outlaw"])}, others=None)
    assert may(policy, ask("md")).verdict is Verdict.ALLOWED
    assert may(policy, ask("outcomes")).verdict is Verdict.ALLOWED
    assert where(may(policy, ask("outlaw"))) == ["tool"]
    assert where(may(policy, ask("relax"))) == ["tool"]
    assert where(may(policy, ask("md", agent="mallory"))) == ["agent"]


def test_an_action_that_had_to_take_another_name_is_still_the_one_that_rules_mean() -> None:
    renamed = Ask("alice", ("director_cancel", "cancel"))
    assert decide(Policy(), renamed, NOTHING, NOTHING).verdict is Verdict.TO_CONFIRM
    denied = Policy(others=AgentPolicy(deny=["cancel"]))
    assert may(denied, renamed).verdict is Verdict.REFUSED


def test_an_agents_own_list_of_what_is_confirmed_goes_over_that_of_the_policy() -> None:
    policy = Policy(confirm=["md"], agents={"alice": AgentPolicy(confirm=[])})
    assert decide(policy, ask("md"), NOTHING, NOTHING).verdict is Verdict.ALLOWED
    assert decide(policy, ask("md", agent="bob"), NOTHING, NOTHING).verdict is Verdict.TO_CONFIRM


@pytest.mark.parametrize("why", [None, "", "  "])
def test_where_a_reason_is_required_a_call_without_one_is_refused(why: str | None) -> None:
    policy = Policy(why="required")
    assert where(may(policy, ask(why=why))) == ["why"]
    assert may(policy, ask(why="to see")).verdict is Verdict.ALLOWED


@pytest.mark.parametrize(
    ("budget", "spent", "what"),
    [
        (Budget(requests=3), Spent(requests=3), "budget.requests"),
        (Budget(node_hours=1.5), Spent(node_hours=1.5), "budget.node_hours"),
        (Budget(llm_tokens=10), Spent(llm_tokens=11), "budget.llm_tokens"),
    ],
)
def test_what_is_spent_is_refused_to_the_agent_and_to_all_and_looking_stays_free(
    budget: Budget, spent: Spent, what: str
) -> None:
    mine = Policy(agents={"alice": AgentPolicy(budget=budget)})
    assert where(decide(mine, ask(), spent, spent)) == [what]
    assert decide(mine, ask(agent="bob"), NOTHING, spent).verdict is Verdict.ALLOWED
    everyone = Policy(budget=budget)
    assert where(decide(everyone, ask(), NOTHING, spent)) == [what]
    assert decide(everyone, ask("outcomes", new=0), spent, spent).verdict is Verdict.ALLOWED


def test_a_submission_that_is_larger_than_what_is_left_is_refused_as_a_whole() -> None:
    policy = Policy(others=AgentPolicy(budget=Budget(requests=5)))
    refused = decide(policy, ask("submit", new=3), Spent(requests=3), NOTHING)
    assert where(refused) == ["budget.requests"]
    assert "3 are asked for, and 2 of 5 are left" in refused.problems[0].message
    assert left(Budget(requests=5), Spent(requests=3)) == {"requests": 2}


@given(
    most=st.integers(0, 8),
    steps=st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 4), st.sampled_from(["ok", "refused", "denied"]))),
)
def test_no_row_of_calls_brings_more_requests_than_the_budgets_allow(
    most: int, steps: list[tuple[str, int, str]]
) -> None:
    policy = Policy(others=AgentPolicy(budget=Budget(requests=most)), budget=Budget(requests=most + 2))
    books, handed = Books(), {"a": 0, "b": 0}
    for index, (agent, count, end) in enumerate(steps):
        call, ids = f"c{index}", [f"r{index}.{number}" for number in range(count)]
        wanted = Ask(agent, ("submit",), None, len(books.new(ids)))
        verdict = decide(policy, wanted, books.of(agent), books.everyone).verdict
        kept = [] if verdict is Verdict.REFUSED else ids
        books.apply(line(Event.ASKED, call, agent, decision=verdict.value, ids=kept))
        if verdict is Verdict.REFUSED:
            continue
        if end == "denied":
            books.apply(line(Event.ANSWERED, call, agent, decision="refused"))
            continue
        books.apply(line(Event.ENDED, call, agent, status=end))
        handed[agent] += count if end == "ok" else 0
    assert all(handed[agent] == books.of(agent).requests <= most for agent in handed)
    assert sum(handed.values()) == books.everyone.requests <= most + 2


def test_the_same_request_is_charged_once_and_its_cost_is_counted_once() -> None:
    books = Books()
    for call in ("c1", "c2"):  # a call that is repeated with its token
        books.apply(line(Event.ASKED, call, "alice", decision="allowed", ids=["r1"]))
        books.apply(line(Event.ENDED, call, "alice", status="ok"))
        books.apply(line(Event.OUTCOMES, call, "alice", node_hours={"r1": 0.5, "somebody-elses": 9.0}))
    assert books.of("alice") == Spent(requests=1, node_hours=0.5)
    assert books.uncosted == 0


def test_a_policy_file_is_read_as_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(
        "agents:\n  claude:\n    tools: [md, submit, outcomes]\n    budget: {requests: 100, node_hours: 2.5}\n"
        "others: null\nconfirm: [cancel, drain, submit]\nwhy: required\n"
    )
    policy = read_policy(path)
    assert policy.of("claude") is not None
    assert policy.agents["claude"].budget == Budget(requests=100, node_hours=2.5)
    assert policy.of("another") is None
    (tmp_path / "empty.yaml").write_text("")
    assert read_policy(tmp_path / "empty.yaml") == Policy()


def test_the_policy_that_the_page_shows_is_one(tmp_path: Path) -> None:
    page = (DOCS / "how-to" / "agents.md").read_text(encoding="utf-8")
    (block,) = [block for block in blocks(page) if block.language == "yaml"]
    path = tmp_path / "policy.yaml"
    path.write_text("\n".join(block.lines))
    policy = read_policy(path)
    assert policy.agents["planner"].budget == Budget(requests=200, node_hours=4)
    assert (policy.others, policy.why, policy.budget.llm_tokens) == (None, "required", 2_000_000)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("agents: {a: {budgets: {}}}", "'budgets' is not known. Did you mean 'budget'"),
        ("confirm_within_s: 0", "policy.confirm_within_s"),
        ("agents: {'a b': {}}", "policy.agents"),
        ("budget: {requests: -1}", "policy.budget.requests"),
        ("why: sometimes", "policy.why"),
        ("a: [", "policy.yaml, line 1, column 5: is not valid YAML"),
        ("confirm: [a]\nconfirm: [b]", "given twice"),
        ("!!python/object/apply:os.system ['true']", "is not valid YAML"),
    ],
)
def test_a_policy_file_that_is_wrong_says_where(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(text)
    with pytest.raises(Refused) as refused:
        read_policy(path)
    assert said in str(refused.value)


def test_a_policy_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="cannot be read"):
        read_policy(tmp_path / "none.yaml")
