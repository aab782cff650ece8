"""A chat with a team: lines go in, answers come out, on a terminal or for a program."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.text import Text

from director.door import Refused
from director.team import show
from director.team.commands import HELP, Typed, batch_texts, read_line
from director.team.documents import message_document, stats_document, status_document
from director.team.members import PAUSED, UNPAUSED, NotPossibleError
from director.team.records import AgentAnswer, Answered
from director.team.session import Team

PROMPT = "you> "
TYPED_BEFORE = 1000


class Chat:
    """A chat with a team.

    Args:
        team: The team.
        how: What runs its calls, in words.
        run: The run whose Tools it may call; None: there is none.
        out: Where answers go.
        err: Where what happens meanwhile goes.
        emit: Takes JSON documents; None: answers are shown to people.
        on_terminal: Whether a person types: Ctrl-C then never ends the chat.

    Attributes:
        all_ok: Whether every message was answered by every agent that was asked.
        cancelled: Whether a message was cancelled.
    """

    def __init__(
        self,
        team: Team,
        *,
        how: str,
        run: Mapping[str, Any] | None,
        out: Console,
        err: Console,
        emit: Callable[[Any], None] | None = None,
        on_terminal: bool = False,
    ) -> None:
        self._team = team
        self._how = how
        self._run = run
        self._out = out
        self._err = err
        self._emit = emit
        self._on_terminal = on_terminal
        self.all_ok = True
        self.cancelled = False

    @property
    def _names(self) -> list[str]:
        return [member.name for member in self._team.members.all]

    async def talk(self, lines: AsyncIterator[str]) -> None:
        """Goes through lines until ``/quit`` or their end. What is wrong with one is said, and the next is taken.

        Where no person types, a message that was cancelled is the end.
        """
        async for line in lines:
            try:
                typed = read_line(line)
                if typed is None:
                    continue
                if typed.command == "/quit":
                    return
                await self.do(typed)
                if self.cancelled and not self._on_terminal:
                    return
            except (Refused, NotPossibleError) as error:
                self.all_ok = False
                self._complain(error)

    def _complain(self, error: Refused | NotPossibleError) -> None:
        if self._emit is not None:
            problems = [asdict(problem) for problem in error.problems] if isinstance(error, Refused) else [str(error)]
            self._emit({"refused": problems})
            return
        self._err.print(Text(f"  {error}", "red"))

    async def do(self, typed: Typed) -> None:
        """Does what was typed.

        Raises:
            Refused: If it cannot be done.
            NotPossibleError: If an agent cannot be changed so.
        """
        match typed.command:
            case "":
                await self._uninterrupted(self._answer(typed.text))
            case "/batch":
                await self._uninterrupted(self._batch(batch_texts(typed)))
            case "/history":
                found = self._team.history.messages(last=typed.count)
                self._tell([message_document(done) for done in found], show.history_view(found, self._names))
            case "/stats":
                self._stats(0 if typed.text == "all" else self._team.first)
            case "/status":
                document = status_document(self._team, self._how, self._run)
                self._tell(document, show.status_view(document, self._names))
            case "/pause" | "/unpause":
                what = PAUSED if typed.command == "/pause" else UNPAUSED
                self._team.change(typed.text, what, by="user")
                self._tell({"agent": typed.text, "state": what}, Text(f"  {typed.text} is {what}"))
            case "/new":
                self._team.begin_conversation()
                number = self._team.history.conversation
                self._tell({"conversation": number}, Text(f"  conversation {number} begins", "dim"))
            case _:
                document = {name: f"{arguments} {meaning}".strip() for name, (arguments, meaning) in HELP.items()}
                self._tell(document, show.help_view())

    def _tell(self, document: Any, view: Any) -> None:
        if self._emit is not None:
            self._emit(document)
        else:
            self._out.print(view)

    # ---- messages

    async def _uninterrupted(self, work: Coroutine[Any, Any, None]) -> None:
        """Waits for work that Ctrl-C cancels."""
        task = asyncio.ensure_future(work)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, task.cancel)
        try:
            await task
        except asyncio.CancelledError:
            if not task.cancelled() or _cancelling():
                raise
            self.cancelled, self.all_ok = True, False
            self._complain_cancelled()
        finally:
            if self._on_terminal:
                ignore_interrupts()
            else:
                loop.remove_signal_handler(signal.SIGINT)

    def _complain_cancelled(self) -> None:
        if self._emit is not None:
            self._emit(message_document(self._team.history.messages(last=1)[0]))
        else:
            self._err.print(Text("  cancelled; what agents had said is in /history", "yellow"))

    async def _answer(self, text: str) -> None:
        done = await self._team.answer(text, self._hear)
        self.all_ok = self.all_ok and done.status == "ok"
        self._tell(message_document(done), show.answered_view(done, self._names))

    def _hear(self, what: str, who: str, told: AgentAnswer | str | None) -> None:
        if self._emit is not None:
            return
        if isinstance(told, AgentAnswer):
            self._err.print(show.ended_line(told, self._names))
        elif told is not None:
            self._err.print(Text(f"  {who}: {show.clean(told)}", "yellow"))

    async def _batch(self, texts: Sequence[str]) -> None:
        before = self._team.history.last()
        count = 0

        def heard(done: Answered) -> None:
            nonlocal count
            count += 1
            if self._emit is None:
                failed = f": failed {', '.join(one.agent for one in done.failed)}" if done.failed else ""
                line = f"  {count}/{len(texts)} {done.status} in {done.took_s:.1f} s{failed}"
                self._err.print(Text(line, "yellow" if failed else "dim"))

        done = await self._team.batch(texts, heard)
        self.all_ok = self.all_ok and all(one.status == "ok" for one in done)
        number = done[0].batch
        stats = stats_document(self._team.file, self._team.history.messages(after=before))
        document = {"batch": number, "messages": [message_document(one) for one in done], "stats": stats}
        self._tell(document, show.stats_view(stats, self._names))

    def _stats(self, after: int) -> None:
        stats = stats_document(self._team.file, self._team.history.messages(after=after))
        self._tell(stats, show.stats_view(stats, self._names))


def _cancelling() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def ignore_interrupts() -> None:
    """Lets Ctrl-C do nothing where no message is being answered. While a line is typed, it is a key like others."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, lambda: None)


async def typed_lines(typed_before: Sequence[str]) -> AsyncIterator[str]:
    """Lines that a user types on a terminal, with line editing, and what was typed before under the arrow keys.

    Args:
        typed_before: What was typed in earlier sessions, oldest first.
    """
    from prompt_toolkit import PromptSession
    from prompt_toolkit.completion import WordCompleter
    from prompt_toolkit.history import InMemoryHistory
    from prompt_toolkit.shortcuts import CompleteStyle

    session: PromptSession[str] = PromptSession(
        history=InMemoryHistory(list(typed_before)),
        completer=WordCompleter(list(HELP), sentence=True),
        complete_while_typing=False,
        complete_style=CompleteStyle.READLINE_LIKE,
    )
    ignore_interrupts()
    while True:
        try:
            line = await session.prompt_async(PROMPT, handle_sigint=False)
        except KeyboardInterrupt:  # nothing is being answered: only the line is given up
            continue
        except EOFError:
            return
        yield line


async def piped_lines(stream: Any) -> AsyncIterator[str]:
    """Lines from a pipe or a file."""
    while line := await asyncio.to_thread(stream.readline):
        yield line


async def given_lines(lines: Sequence[str]) -> AsyncIterator[str]:
    """Lines that were given on the command line."""
    for line in lines:
        yield line
