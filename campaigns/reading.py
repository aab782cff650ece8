"""What a campaign's folder holds, as plain frozen records: campaign, systems, policies, episodes, evaluations.

Reading takes no lock and changes nothing: it can be done while the campaign runs. A last line that is not whole yet is
left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from campaigns.folder import CampaignFolder, CampaignRecord
from campaigns.record import read_lines


@dataclass(frozen=True)
class Evaluation:
    """One candidate that was evaluated. In the order in which the policy learned of it.

    Attributes:
        index: Which of the episode's candidates it was, in the order in which they were chosen, from 0.
        id: Of its Request and Outcome.
        decision: Number of the decision that chose it, from 0.
        candidate: As JSON has it.
        status: That of the Outcome.
        score: How good it is, more is better; None: it could not be evaluated.
        success: Whether it is what the campaign looks for.
        result: What the Tool found; empty if it found nothing.
        details: What the environment makes of it, with units in the names.
        error: Of the Outcome, if it is not ``ok``: ``type``, ``message``, ``hint``.
        predicted: How the policy had ranked it; None: it had not.
        by: The component that chose it.
        node_hours: What it cost, in h of whole nodes; None: not known, as for one that was reused.
        reused_from: Id of the Request whose result this repeats, if it was not run again.
        artifacts: Name of each file that it left, with its path relative to the folder of the run.
        latency_s: Time from the Outcome to the next decision that rests on it, in s; None: there was none.
        observed_at: When it was taken into account (ISO 8601, UTC).
    """

    index: int
    id: str
    decision: int
    candidate: Mapping[str, Any]
    status: str
    score: float | None
    success: bool
    result: Mapping[str, Any] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    error: Mapping[str, Any] | None = None
    predicted: float | None = None
    by: str = ""
    node_hours: float | None = None
    reused_from: str | None = None
    artifacts: Mapping[str, str] = field(default_factory=dict)
    latency_s: float | None = None
    observed_at: str = ""


@dataclass(frozen=True)
class Decision:
    """One time that a policy was asked.

    Attributes:
        number: Which, from 0.
        asked: How many candidates were asked for.
        outcomes: Ids of all Outcomes that it rests on, in the order in which they were observed.
        pending: Indices of the candidates that were being evaluated meanwhile.
        choices: What was chosen: ``index``, ``id``, ``candidate``, ``score``, ``by``, ``details``.
        reason: Why there are fewer than were asked for; empty: there are not.
        cost: What it cost, such as ``llm_input_tokens``.
        exhausted: Whether the policy has nothing left to propose.
        seconds: How long it took, in s.
        at: When it was made (ISO 8601, UTC).
    """

    number: int
    asked: int
    outcomes: tuple[str, ...]
    pending: tuple[int, ...]
    choices: tuple[Mapping[str, Any], ...]
    reason: str = ""
    cost: Mapping[str, float] = field(default_factory=dict)
    exhausted: bool = False
    seconds: float = 0.0
    at: str = ""


@dataclass(frozen=True)
class Episode:
    """One run of a policy, from nothing known to its end.

    Attributes:
        system: Name of the system.
        policy: Name of the policy.
        number: Which, from 1.
        evaluations: What was evaluated, in the order in which the policy learned of it.
        decisions: Each time that the policy was asked.
        ended: Why it ended, as one word: ``budget``, ``successes``, ``score``, ``no_improvement``, ``exhausted``,
            ``no_candidates``, ``failures``; None: it has not.
        reason: The same in a sentence.
    """

    system: str
    policy: str
    number: int
    evaluations: tuple[Evaluation, ...] = ()
    decisions: tuple[Decision, ...] = ()
    ended: str | None = None
    reason: str = ""

    @property
    def best(self) -> Evaluation | None:
        """The evaluation with the highest score; of equal ones the first; None if none has a score."""
        scored = [evaluation for evaluation in self.evaluations if evaluation.score is not None]
        return max(scored, key=lambda evaluation: evaluation.score or 0.0, default=None) if scored else None

    @property
    def pending(self) -> tuple[Mapping[str, Any], ...]:
        """Choices that have no Outcome yet."""
        known = {evaluation.index for evaluation in self.evaluations}
        return tuple(
            choice for decision in self.decisions for choice in decision.choices if choice["index"] not in known
        )


@dataclass(frozen=True)
class PolicyRuns:
    """A policy, and its episodes in order."""

    name: str
    episodes: tuple[Episode, ...]


@dataclass(frozen=True)
class SystemRuns:
    """A system, and its policies in the order of the campaign file."""

    name: str
    policies: tuple[PolicyRuns, ...]


@dataclass(frozen=True)
class Campaign:
    """A campaign's folder.

    Attributes:
        name: Its name.
        goal: What is looked for, as the campaign file says it.
        seed: Its seed.
        folder: Where it is.
        config: The composed campaign file.
        systems: In the order of the campaign file; one named ``default`` if the file names none.
    """

    name: str
    goal: str
    seed: int
    folder: Path
    config: Mapping[str, Any]
    systems: tuple[SystemRuns, ...]

    @property
    def episodes(self) -> tuple[Episode, ...]:
        """All episodes: by system, then by policy, then by number."""
        return tuple(episode for system in self.systems for policy in system.policies for episode in policy.episodes)


def read_campaign(folder: Path | str) -> Campaign:
    """Reads a campaign's folder. Blocks.

    Args:
        folder: The folder.

    Raises:
        NotAcceptable: If there is no campaign in it, or a record is damaged; it says where.
    """
    place = CampaignFolder(Path(folder))
    record = place.read()
    file = record.campaign
    systems = tuple(
        SystemRuns(system, tuple(PolicyRuns(policy, _episodes(place, record, system, policy)) for policy in file.names))
        for system in file.system_names
    )
    return Campaign(file.name, file.goal, file.seed, place.path, record.config, systems)


def _episodes(place: CampaignFolder, record: CampaignRecord, system: str, policy: str) -> tuple[Episode, ...]:
    numbers = range(1, record.campaign.episodes + 1)
    return tuple(
        read_episode(place.episode(system, policy, number).record_file, system, policy, number) for number in numbers
    )


def read_episode(path: Path, system: str, policy: str, number: int) -> Episode:
    """Reads the record of one episode; one that has none has not begun. Blocks.

    Raises:
        NotAcceptable: If it is damaged; it says where.
    """
    return episode_of(read_lines(path), system, policy, number)


def episode_of(lines: list[dict[str, Any]], system: str, policy: str, number: int) -> Episode:
    """Makes an episode of the lines of its record. Pure."""
    decisions: list[Decision] = []
    evaluations: list[Evaluation] = []
    observed: list[str] = []
    chosen: dict[int, tuple[int, Mapping[str, Any]]] = {}
    ended, reason = None, ""
    for line in lines:
        if line["event"] == "decision":
            decisions.append(_decision(line, tuple(observed)))
            chosen |= {choice["index"]: (line["number"], choice) for choice in line["choices"]}
        elif line["event"] == "outcome":
            observed.append(line["outcome"]["id"])
            evaluations.append(_evaluation(line, *chosen[line["index"]]))
        elif line["event"] == "end":
            ended, reason = line["ended"], line["reason"]
    latencies = dict(_latencies(lines))
    timed = tuple(
        evaluation if evaluation.index not in latencies else _timed(evaluation, latencies[evaluation.index])
        for evaluation in evaluations
    )
    return Episode(system, policy, number, timed, tuple(decisions), ended, reason)


def _decision(line: Mapping[str, Any], observed: tuple[str, ...]) -> Decision:
    return Decision(
        number=line["number"],
        asked=line["asked"],
        outcomes=observed,
        pending=tuple(line["pending"]),
        choices=tuple(line["choices"]),
        reason=line["reason"],
        cost=line["cost"],
        exhausted=line["exhausted"],
        seconds=line["seconds"],
        at=line["at"],
    )


def _evaluation(line: Mapping[str, Any], decision: int, choice: Mapping[str, Any]) -> Evaluation:
    outcome = line["outcome"]
    usage = outcome.get("usage")
    return Evaluation(
        index=line["index"],
        id=outcome["id"],
        decision=decision,
        candidate=choice["candidate"],
        status=outcome["status"],
        score=line["score"],
        success=line["success"],
        result=outcome.get("result") or {},
        details=line["details"],
        error=outcome.get("error"),
        predicted=choice["score"],
        by=choice["by"],
        node_hours=usage["node_hours"] if usage else None,
        reused_from=outcome.get("reused_from"),
        artifacts=outcome.get("artifacts") or {},
        observed_at=line["at"],
    )


def _latencies(lines: list[dict[str, Any]]) -> Iterator[tuple[int, float]]:
    """For each evaluation that a decision rests on that follows it at once, the time until its Request was ready."""
    since: list[tuple[int, float]] = []
    for line in lines:
        if line["event"] == "outcome":
            since.append((line["index"], line["clock_s"]))
        elif line["event"] == "decision":
            yield from ((index, line["clock_s"] - begin) for index, begin in since)
            since = []


def _timed(evaluation: Evaluation, latency_s: float) -> Evaluation:
    from dataclasses import replace

    return replace(evaluation, latency_s=max(0.0, latency_s))
