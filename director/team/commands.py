"""What a user types into a chat: a message, or a command that begins with a slash. Pure."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from director.door import Problem, Refused

MAX_BATCH = 1000
MAX_MESSAGE = 200_000
BATCH_TEXT = "This is message {k} of a test. Say in one sentence what you can do."

HELP = {
    "/help": ("", "what can be typed"),
    "/stats": ("[all]", "response times, throughput, overlap, utilization, costs: of this session, or of all"),
    "/status": ("", "the team, its agents, and what runs them"),
    "/batch": ("N [TEXT]", "send N messages that have nothing to do with one another; {k} in TEXT is their number"),
    "/history": ("[N]", "the last N messages (5), with what each agent said"),
    "/pause": ("AGENT", "do not ask this agent any more in this conversation"),
    "/unpause": ("AGENT", "ask it again"),
    "/new": ("", "begin a new conversation; what was said before is kept, and not told to the agents"),
    "/quit": ("", "end; Ctrl-D does the same, Ctrl-C cancels the message that is being answered"),
}


@dataclass(frozen=True)
class Typed:
    """What was typed.

    Attributes:
        command: The command, such as ``/stats``; empty: it is a message.
        text: The message, or what stands behind the command.
        count: N of ``/batch`` and ``/history``.
    """

    command: str
    text: str = ""
    count: int = 0


def read_line(line: str) -> Typed | None:
    """Reads what was typed.

    Returns:
        What it is; None: nothing.

    Raises:
        Refused: If it is no message and no command.
    """
    text = line.strip()
    if not text:
        return None
    if not text.startswith("/"):
        if len(text) > MAX_MESSAGE:
            hint = f"Send {MAX_MESSAGE} at most"
            raise Refused([Problem("message", f"has {len(text)} characters", hint)])
        return Typed("", text)
    word, _, rest = text.partition(" ")
    if word not in HELP:
        close = difflib.get_close_matches(word, HELP, n=1)
        hint = f"Did you mean {close[0]}?" if close else f"Commands: {', '.join(HELP)}"
        raise Refused([Problem(word, "is no command", hint)])
    return _arguments(word, rest.strip())


def _arguments(command: str, rest: str) -> Typed:
    match command:
        case "/batch":
            number, _, text = rest.partition(" ")
            return Typed(command, text.strip() or BATCH_TEXT, _count(command, number, MAX_BATCH))
        case "/history":
            return Typed(command, "", _count(command, rest or "5", 100_000))
        case "/pause" | "/unpause":
            if len(rest.split()) != 1:
                raise Refused([Problem(command, "takes the name of one agent", f"{command} {HELP[command][0]}")])
            return Typed(command, rest)
        case "/stats" if rest in ("", "all"):
            return Typed(command, rest)
        case _ if not rest:
            return Typed(command)
    raise Refused([Problem(command, f"takes no {rest!r}", f"{command} {HELP[command][0]}".strip())])


def _count(command: str, word: str, most: int) -> int:
    if word.isascii() and word.isdigit() and 1 <= int(word) <= most:
        return int(word)
    raise Refused([Problem(command, f"{word!r} is not a number from 1 to {most}", f"{command} {HELP[command][0]}")])


def batch_texts(typed: Typed) -> list[str]:
    """The messages of a ``/batch``."""
    return [typed.text.replace("{k}", str(number)) for number in range(1, typed.count + 1)]
