"""One episode: decide, hand over, observe, write down, until it ends. Interrupted anywhere, it goes on the same."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from campaigns.campaign_file import CampaignFile
from campaigns.ending import End, Used, end_of, remaining
from campaigns.environment import Environment, Observation, View
from campaigns.errors import ComponentError
from campaigns.folder import EpisodeFolder
from campaigns.policy import Choice, Policy, Proposal
from campaigns.record import EpisodeRecord
from campaigns.sharing import Outbox
from simulations.records import Outcome, Request

UNBOUNDED = 1_000_000

T = TypeVar("T")


@dataclass(frozen=True)
class Key:
    """Which episode.

    Attributes:
        campaign: Hash of all that the campaign's trajectories depend on.
        system: Name of the system.
        policy: Name of the policy.
        number: Which, from 1.
    """

    campaign: str
    system: str
    policy: str
    number: int

    def request_id(self, index: int, candidate: Mapping[str, Any]) -> str:
        """The id of a Request: equal for equal campaigns, so that no interruption has it run twice. Pure."""
        named = [self.campaign, self.system, self.policy, self.number, index, candidate]
        text = json.dumps(named, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def __str__(self) -> str:
        return f"{self.system}/{self.policy}/{self.number}"


@dataclass(frozen=True)
class Progress:
    """How far an episode is, for those who watch.

    Attributes:
        key: Which episode.
        evaluated: How many evaluations are done.
        in_flight: How many are being evaluated.
        best: The best score so far.
        successes: How many evaluations were what is looked for.
        failed: How many have failed.
        note: What is to be said now; empty: nothing.
        ended: Why it ended; None: it has not.
    """

    key: Key
    evaluated: int
    in_flight: int
    best: float | None
    successes: int
    failed: int
    note: str = ""
    ended: End | None = None


@dataclass(frozen=True)
class _Pending:
    index: int
    id: str
    candidate: Any
    document: Mapping[str, Any]


class EpisodeRun:
    """Runs one episode.

    Args:
        key: Which.
        campaign: The campaign.
        environment: Made anew for it.
        policy: Likewise.
        folder: Where its record is.
        inputs: Where its environment writes files.
        outbox: Takes Requests and gives their Outcomes.
        tell: Told how far it is.
    """

    def __init__(
        self,
        key: Key,
        campaign: CampaignFile,
        environment: Environment[Any],
        policy: Policy[Any],
        folder: EpisodeFolder,
        inputs: Path,
        outbox: Outbox,
        tell: Callable[[Progress], None] = lambda _: None,
    ) -> None:
        self.key = key
        self._campaign = campaign
        self._environment = environment
        self._policy = policy
        self._record = EpisodeRecord(folder.record_file, folder.state_file)
        self._inputs = inputs
        self._outbox = outbox
        self._tell = tell
        self._observations: list[Observation[Any]] = []
        self._pending: dict[str, _Pending] = {}
        self._chosen = 0
        self._decisions = 0
        self._empty_in_a_row = 0
        self._exhausted: str | None = None
        self._last_reason = ""
        self._node_hours = 0.0
        self._spent_s = 0.0
        self._begun_s = 0.0
        self.ended: End | None = None

    async def run(self) -> End:
        """Runs it to its end; at once if it has ended before.

        Raises:
            NotAcceptable: If its record is damaged.
            RuntimeError: If a component does what it must not.
            OSError: If the record cannot be written.
        """
        self._begun_s = time.monotonic()
        try:
            requests = await in_thread(self._open)
            while True:
                if requests:
                    await self._outbox.send(requests)
                outcomes = await self._receive() if self._pending else []
                requests = await in_thread(self._step, outcomes)
                self._say("" if requests else self._last_reason)
                if self.ended is not None:
                    return self.ended
        finally:
            self._record.close()

    async def _receive(self) -> list[Outcome]:
        """Waits for Outcomes: for all that are pending in a batch, or else for one and those that are there too."""
        if self._campaign.mode != "batch":
            return await self._outbox.receive(1)
        outcomes = await self._outbox.receive(len(self._pending))
        return sorted(outcomes, key=lambda outcome: self._pending[outcome.id].index)

    # ---- what is known from before

    def _open(self) -> list[Request]:
        """Takes up what is in the record; returns the Requests that have no Outcome yet."""
        self._record.open()
        known, state = list(self._record.lines), self._record.state
        if not known:
            key = {"system": self.key.system, "policy": self.key.policy, "episode": self.key.number}
            self._record.add({"event": "begin", **key, "campaign": self.key.campaign, "at": _now()})
            return []
        saved = state["lines"] if state is not None else 1
        for number, line in enumerate(known, 1):
            if state is not None and number == saved:
                self._environment.load_state(state["environment"])
                self._policy.load_state(state["policy"])
                self._spent_s = state["spent_s"]
            if line["event"] == "decision":
                if number > saved:
                    raise RuntimeError(f"{self.key}: line {number} of its record is newer than its state: restore both")
                self._take_decision(line)
            elif line["event"] == "outcome":
                self._take_again(line, replay=number > saved)
            elif line["event"] == "end":
                self.ended = End(line["ended"], line["reason"])
        return self._requests(list(self._pending.values()))

    def _take_decision(self, line: Mapping[str, Any]) -> None:
        self._decisions = line["number"] + 1
        self._last_reason = line["reason"]
        self._empty_in_a_row = 0 if line["choices"] or line["pending"] else self._empty_in_a_row + 1
        if line["exhausted"]:
            self._exhausted = line["reason"] or "the policy has nothing left to propose"
        for choice in line["choices"]:
            candidate = self._environment.from_json(choice["candidate"])
            pending = _Pending(choice["index"], choice["id"], candidate, choice["candidate"])
            self._pending[choice["id"]] = pending
            self._chosen = max(self._chosen, choice["index"] + 1)

    def _take_again(self, line: Mapping[str, Any], *, replay: bool) -> None:
        """Takes up an observation of before: the state knows of it, or it is made again."""
        outcome = Outcome.model_validate(line["outcome"])
        pending = self._pending.pop(outcome.id)
        self._node_hours += outcome.usage.node_hours if outcome.usage else 0.0
        if replay:
            observation = self._observed(pending, outcome)
            if observation.score != line["score"] or observation.success != line["success"]:
                raise RuntimeError(
                    f"{self.key}: evaluation {pending.index} was observed with score {line['score']} before, and now "
                    f"with {observation.score}: the environment does not depend on its arguments and Outcomes alone"
                )
            self._heard(observation)
        else:
            observation = Observation.of(
                pending.candidate, outcome, line["score"], success=line["success"], details=line["details"]
            )
        self._observations.append(observation)

    # ---- one step

    def _step(self, outcomes: Sequence[Outcome]) -> list[Request]:
        """Takes Outcomes into account and decides what is next; returns the Requests of that. Blocks."""
        self._take(outcomes)
        while self.ended is None:
            end = self._end()
            if end is not None and not self._pending:
                self._finish(end)
            want = self._want() if end is None else 0
            made = self._decide(want) if want else []
            if made or self._pending:
                return self._requests(made)
        return []

    def _end(self) -> End | None:
        end = end_of(self._campaign.budget, self._campaign.stop, self._used, self._observations)
        if end is None and self._exhausted is not None:
            return End("exhausted", self._exhausted)
        if end is None and self._empty_in_a_row >= self._campaign.attempts:
            return End("no_candidates", f"asked {self._empty_in_a_row} times, the policy had none: {self._last_reason}")
        return end

    @property
    def _used(self) -> Used:
        return Used(self._chosen, self._node_hours, self._spent_now_s)

    @property
    def _spent_now_s(self) -> float:
        return self._spent_s + time.monotonic() - self._begun_s

    def _want(self) -> int:
        left = remaining(self._campaign.budget, self._used)
        room = self._campaign.parallel + self._campaign.prefetch - len(self._pending)
        if self._campaign.mode == "batch" and self._pending:
            return 0
        return room if left is None else min(room, left)

    def _decide(self, want: int) -> list[_Pending]:
        left = remaining(self._campaign.budget, self._used)
        view = View(
            environment=self._environment,
            observations=tuple(self._observations),
            pending=tuple(pending.candidate for pending in self._pending.values()),
            remaining=UNBOUNDED if left is None else left,
        )
        begin = time.perf_counter()
        proposal = self._proposed(view, want)
        seconds = time.perf_counter() - begin
        chosen = [self._choice(self._chosen + offset, choice) for offset, choice in enumerate(proposal.choices)]
        line = self._decision_line(want, proposal, chosen, seconds)
        self._save(line)
        self._take_decision(line)
        return [_Pending(item["index"], item["id"], choice.candidate, item["candidate"]) for item, choice in chosen]

    def _proposed(self, view: View[Any], want: int) -> Proposal[Any]:
        with self._by(self._policy, "decide"):
            proposal = self._policy.propose(view, want)
        if len(proposal.choices) > want:
            name = type(self._policy).__name__
            raise RuntimeError(f"{self.key}: {name} was asked for {want} candidates, and gave {len(proposal.choices)}")
        return proposal

    @contextlib.contextmanager
    def _by(self, component: object, doing: str) -> Iterator[None]:
        """Says which component it was, if something goes wrong."""
        try:
            yield
        except Exception as error:
            raise ComponentError(str(self.key), type(component).__name__, doing, error) from error

    def _choice(self, index: int, choice: Choice[Any]) -> tuple[dict[str, Any], Choice[Any]]:
        document = self._environment.to_json(choice.candidate)
        item = {
            "index": index,
            "id": self.key.request_id(index, document),
            "candidate": document,
            "score": choice.score if choice.score is None or math.isfinite(choice.score) else None,
            "by": choice.by,
            "details": dict(choice.details),
        }
        return item, choice

    def _decision_line(
        self, want: int, proposal: Proposal[Any], chosen: Sequence[tuple[dict[str, Any], Any]], seconds: float
    ) -> dict[str, Any]:
        return {
            "event": "decision",
            "number": self._decisions,
            "asked": want,
            "based_on": len(self._observations),
            "pending": [pending.index for pending in self._pending.values()],
            "choices": [item for item, _ in chosen],
            "reason": proposal.reason,
            "cost": dict(proposal.cost),
            "exhausted": proposal.exhausted,
            "seconds": seconds,
            "at": _now(),
            "clock_s": time.time(),
        }

    def _save(self, line: Mapping[str, Any]) -> None:
        state = {
            "policy": self._policy.get_state(),
            "environment": self._environment.get_state(),
            "spent_s": self._spent_now_s,
        }
        try:
            self._record.step(line, state)
        except (TypeError, ValueError) as error:
            raise RuntimeError(f"{self.key}: the decision or the state of a component is no JSON ({error})") from error

    def _requests(self, pending: Sequence[_Pending]) -> list[Request]:
        with self._by(self._environment, "make a Request"):
            requests = [self._environment.request(one.candidate, one.id, self._inputs) for one in pending]
        for one, request in zip(pending, requests, strict=True):
            if request.id != one.id:
                name = type(self._environment).__name__
                raise RuntimeError(f"{self.key}: {name} was to name a Request {one.id}, and named it {request.id}")
        return requests

    def _take(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            clock_s = time.time()
            pending = self._pending.pop(outcome.id)
            self._node_hours += outcome.usage.node_hours if outcome.usage else 0.0
            observation = self._observed(pending, outcome)
            self._record.add(
                {
                    "event": "outcome",
                    "index": pending.index,
                    "score": observation.score,
                    "success": observation.success,
                    "details": dict(observation.details),
                    "outcome": outcome.model_dump(mode="json"),
                    "at": _now(),
                    "clock_s": clock_s,
                }
            )
            self._heard(observation)
            self._observations.append(observation)

    def _heard(self, observation: Observation[Any]) -> None:
        with self._by(self._policy, "learn from an evaluation"):
            self._policy.observe(observation)

    def _observed(self, pending: _Pending, outcome: Outcome) -> Observation[Any]:
        with self._by(self._environment, f"take evaluation {pending.index} into account"):
            found = self._environment.observe(pending.candidate, outcome)
        name = type(self._environment).__name__
        if found.score is not None and not math.isfinite(found.score):
            raise RuntimeError(f"{self.key}: {name} gave evaluation {pending.index} the score {found.score}")
        if outcome.error is not None and "error" not in found.details:
            said = f"{outcome.error.type}: {outcome.error.message}"
            found = replace(found, details={**found.details, "error": said})
        return found

    def _finish(self, end: End) -> None:
        self._record.add({"event": "end", "ended": end.ended, "reason": end.reason, "at": _now()})
        self.ended = end

    def _say(self, note: str) -> None:
        scores = [one.score for one in self._observations if one.score is not None]
        failed = sum(one.status != "ok" for one in self._observations)
        successes = sum(one.success for one in self._observations)
        best = max(scores) if scores else None
        done = len(self._observations)
        self._tell(Progress(self.key, done, len(self._pending), best, successes, failed, note, self.ended))


async def in_thread(work: Callable[..., T], *arguments: Any) -> T:
    """Runs what blocks in a thread. Whoever is cancelled meanwhile waits for its end: it may be writing a record."""
    running = asyncio.ensure_future(asyncio.to_thread(work, *arguments))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait((running,))
        raise


def _now() -> str:
    return datetime.now(UTC).isoformat()
