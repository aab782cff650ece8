"""A team at work: each message goes to its agents, and one answer comes back that says who said what."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from weakref import WeakValueDictionary

from campaigns.language import Message, ToolFace
from campaigns.llm.cache import question_key
from campaigns.llm.settings import LanguageSettings
from director.team.desk import Desk
from director.team.history import History
from director.team.members import Member, Members
from director.team.records import AgentAnswer, Answered
from director.team.settings import AGGREGATOR, SUPERVISOR, AggregatorSettings, TeamFile
from director.team.turn import Asking, Spending, ToolDesk, Tools, Turn, take
from director.team.wording import aggregation, conversation, roster
from director.team.work import Heard, Work

SHAPING = ("base_url", "model", "temperature", "max_output_tokens")
"""What of a model's settings shapes its replies."""


class Team:
    """A team at work.

    Args:
        file: The team file.
        languages: The models' settings, by the names of those who speak with them.
        desk: Runs calls of models.
        history: Where all is kept.
        tools: For those agents that may call Tools what calls them.
        faces: For those agents the Tools as their models are told of them.
        reuse: Whether an answer is used again when an agent is told exactly the same once more.

    Attributes:
        file: The team file.
        members: Its agents.
        spending: The session's tokens.
        first: Number of the latest message before this session.
        open: How many messages are being answered.
    """

    def __init__(
        self,
        file: TeamFile,
        languages: Mapping[str, LanguageSettings],
        desk: Desk,
        history: History,
        *,
        tools: Mapping[str, Tools] | None = None,
        faces: Mapping[str, Sequence[ToolFace]] | None = None,
        reuse: bool = True,
    ) -> None:
        self.file = file
        self.members = Members(file, languages, history.changes())
        self.history = history
        self.reuse = reuse and file.reuse
        self.spending = Spending(file.max_tokens)
        self.first = history.last()
        self.open = 0
        self._languages = languages
        self._tools = dict(tools or {})
        self._faces = dict(faces or {})
        self._session = uuid.uuid4().hex[:12]
        self._asking = Asking(desk, self.spending, self._session)
        self._gates = {
            name: asyncio.Semaphore(speaker.concurrency)
            for name, speaker in file.speakers.items()
            if name in (AGGREGATOR, SUPERVISOR)
        }
        self._same: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._next = 0

    # ---- messages

    async def answer(
        self,
        text: str,
        heard: Heard = lambda *_: None,
        *,
        batch: int | None = None,
        past: Sequence[Answered] | None = None,
    ) -> Answered:
        """Answers a message. It is in the history before any agent is asked, and its answer before it is returned.

        Args:
            text: The message.
            heard: Is told what happens meanwhile.
            batch: Number of the batch that it belongs to; None: it is part of the conversation.
            past: What agents are told of the messages before; None: the conversation so far.

        Raises:
            asyncio.CancelledError: If it was cancelled; the history has what was said until then.
        """
        told = self.history.remembered(self.file.memory.messages) if past is None else past
        number = self.history.ask(text, team=self.file.name, mode=self.file.mode, batch=batch)
        work = Work(number, text, told, heard)
        asked_at, began = time.time(), time.monotonic()
        ended = partial(Answered, id=number, text=text, asked_at=asked_at, batch=batch)
        self.open += 1
        try:
            await self._work(work)
        except BaseException as error:
            cancelled = isinstance(error, asyncio.CancelledError)
            why = "cancelled" if cancelled else f"{type(error).__name__}: {error}"
            self._finish(ended(status="cancelled" if cancelled else "failed", error=why), work, began)
            raise
        finally:
            self.open -= 1
        return self._finish(replace(ended(status=work.status), **work.outcome()), work, began)

    async def batch(self, texts: Sequence[str], heard: Callable[[Answered], None] = lambda _: None) -> list[Answered]:
        """Answers messages that have nothing to do with one another, as many at the same time as the agents take.

        Each agent is told the message and nothing of the conversation.

        Args:
            texts: The messages.
            heard: Is told of each message that is answered.
        """
        number = self.history.next_batch()

        async def one(text: str) -> Answered:
            done = await self.answer(text, batch=number, past=())
            heard(done)
            return done

        tasks = [asyncio.create_task(one(text)) for text in texts]
        try:
            return list(await asyncio.gather(*tasks))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _finish(self, done: Answered, work: Work, began: float) -> Answered:
        whole = replace(
            done,
            answers=tuple(work.answers),
            extra=tuple(work.extra),
            events=tuple(work.events),
            took_s=time.monotonic() - began,
        )
        self.history.finish(whole)
        return whole

    # ---- modes

    async def _work(self, work: Work) -> None:
        match self.file.mode:
            case "parallel":
                await self._in_parallel(work)
                await self._aggregate(work)
            case "round_robin":
                await self._in_turn(work)
                await self._aggregate(work)
            case "supervisor":
                from director.team.supervisor import supervise

                async with self._gates[SUPERVISOR]:
                    await supervise(self, work, Turn(SUPERVISOR, self._languages[SUPERVISOR]), self._asking)

    async def _in_parallel(self, work: Work) -> None:
        order = [member.name for member in self.members.all]
        self._note_paused(work)
        tasks = [asyncio.create_task(self.turn(member, work)) for member in self.members.active]
        try:
            await asyncio.gather(*tasks)
        finally:  # if it was cancelled, each of them writes down how far it came
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            work.answers.sort(key=lambda answer: order.index(answer.agent))

    def _note_paused(self, work: Work) -> None:
        for member in self.members.all:
            if member.paused:
                self.note(work, AgentAnswer(member.name, "paused"))

    async def _in_turn(self, work: Work) -> None:
        self._note_paused(work)
        active = self.members.active
        turns = self.file.round_robin.turns or len(active)
        first, self._next = self._next, self._next + turns
        for place in range(turns):
            await self.turn(active[(first + place) % len(active)], work, said=tuple(work.answers))

    async def _aggregate(self, work: Work) -> None:
        aggregator = self.file.aggregator
        if not isinstance(aggregator, AggregatorSettings):
            work.merge()
            return
        if not any(answer.status == "ok" for answer in work.answers):
            return
        turn = Turn(AGGREGATOR, self._languages[AGGREGATOR])
        messages = aggregation(aggregator.prompt, work.text, work.answers)
        work.heard("begins", AGGREGATOR, None)
        made = await self._taken(turn, messages, self._gates[AGGREGATOR], ToolDesk())
        self.note(work, made, extra=True)
        if made.status == "ok":
            work.answer = f"{made.text}\n\n{roster(work.answers)}"
            work.aggregated_by = f"llm: {made.model}"
        else:
            work.merge(f"not aggregated: one below the other, since the aggregator failed ({made.error})", made.error)

    # ---- one turn

    async def turn(
        self, member: Member, work: Work, *, said: Sequence[AgentAnswer] = (), instruction: str | None = None
    ) -> AgentAnswer:
        """Lets an agent answer a message, and writes down what it says.

        Args:
            member: The agent.
            work: The message.
            said: What others have said to it already.
            instruction: What a supervisor wants of the agent.
        """
        faces = tuple(self._faces.get(member.name, ()))
        messages = conversation(
            member.prompt,
            work.text,
            agent=member.name,
            past=work.past,
            memory=self.file.memory,
            said=said,
            instruction=instruction,
        )
        about = member.language.model_dump(include=set(SHAPING))
        turn = Turn(member.name, member.language, key=question_key(about, messages, faces, None))
        token = f"{self._session}/{work.id}/{member.name}/{len(work.answers)}"
        rounds = member.settings.max_tool_rounds if faces else 0
        desk = ToolDesk(self._tools.get(member.name), faces, rounds, token)
        work.heard("begins", member.name, None)
        # What was said with the help of Tools is not used again: another time they may give something else.
        reuse = self.reuse and not faces
        # Who is told the same at the same time waits until the first one's answer is written down.
        same = self._same.setdefault(turn.key, asyncio.Lock()) if reuse else asyncio.Lock()
        try:
            async with same:
                before = self.history.reusable(turn.key) if reuse else None
                if before is not None:
                    answer = replace(turn.ended("ok", text=before.text), model=before.model, reused=True)
                else:
                    answer = await self._taken(turn, messages, member.gate, desk)
                    await asyncio.sleep(0)  # whoever waits for this agent asks it before this goes to the disk
                return self.note(work, answer)
        except asyncio.CancelledError:
            self.note(work, turn.ended("cancelled", error="cancelled"))
            raise

    async def _taken(
        self, turn: Turn, messages: Sequence[Message], gate: asyncio.Semaphore, tools: ToolDesk
    ) -> AgentAnswer:
        async with gate:
            turn.begins()
            return await take(turn, messages, self._asking, tools)

    def note(self, work: Work, answer: AgentAnswer, *, extra: bool = False) -> AgentAnswer:
        """Writes down what somebody said, and tells who listens."""
        (work.extra if extra else work.answers).append(answer)
        self.history.said(work.id, answer, extra=extra)
        work.heard("ends", answer.agent, answer)
        return answer

    # ---- the team

    def change(self, name: str, what: str, *, by: str, why: str = "", prompt: str | None = None) -> None:
        """Pauses an agent, unpauses it, or gives it another prompt, for the rest of this conversation.

        Raises:
            NotPossibleError: If that cannot be done.
        """
        self.members.change(name, what, prompt)
        self.history.change(by=by, agent=name, what=what, why=why, prompt=prompt)

    def begin_conversation(self) -> None:
        """Begins a new conversation, with all agents as the team file has them."""
        self.history.begin_conversation()
        self.members.reset()
