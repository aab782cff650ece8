"""Films a chat with the shipped team of agents: what ``director chat`` really prints on a terminal.

From the folder of the repository:

    .venv/bin/python docs/film/chat.py docs/_static/chat.svg

The agents' model is the loopback server of the tests, which says what `tests.llm.minds_team.water` has it say, half a
second after it was asked, and fails twice on purpose; so that it is not just asked again, the team is the shipped one
with ``max_retries: 0``. Long waits are cut; the clock above shows the real time.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]

from picture import Frame, write_film  # noqa: E402
from terminal import Terminal  # noqa: E402

from tests.agent_runs.terminals import ENTER, WHERE, OnTerminal, on_terminal  # noqa: E402
from tests.llm.minds_team import water  # noqa: E402
from tests.llm.server import LLMServer, Settings  # noqa: E402
from tests.llm.talk import Fault  # noqa: E402

COLUMNS, ROWS = 92, 38
TITLE = "director chat: three agents; a stand-in answers for their model"
ABOUT = (
    "Film of a terminal: a question is answered by three agents at the same time, each under its name; then a batch of "
    "twelve messages, in which one agent fails twice and is named, and a table of how the team did."
)
KEY_S, LOOK_S, READING_S = 0.05, 0.25, 2.5
FAULTS = (Fault("server_error", at=5, times=2, containing="precise"),)


class Screen(Terminal):
    """A terminal's screen, with the controls of programs that edit a line."""

    def __init__(self) -> None:
        super().__init__(COLUMNS, ROWS)

    def write(self, text: str) -> None:
        """Takes what a program printed."""
        super().write(text.replace(WHERE, "").replace("\x1b[J", "\x1b[0J"))

    def _put(self, character: str) -> None:
        if character == "\b":
            self._column = max(0, self._column - 1)
        else:
            super()._put(character)

    def _control(self, arguments: str, kind: str) -> None:
        count = int(arguments or 1) if arguments.isdigit() or not arguments else 1
        match kind:
            case "C":
                self._column += count
            case "D":
                self._column = max(0, self._column - count)
            case "J":
                del self._lines[self._row + 1 :]
                del self._lines[self._row][self._column :]
            case "m":
                super()._control(arguments.replace("7", "0") if arguments == "7" else arguments, kind)
            case _:
                super()._control(arguments, kind)


class Camera:
    """Keeps what is to be seen, and for how long."""

    def __init__(self) -> None:
        self._begin = time.monotonic()
        self._last = self._begin
        self.screen = Screen()
        self.frames: list[Frame] = []

    def watch(self, text: str) -> None:
        """Takes what was printed."""
        self.screen.write(text)
        if time.monotonic() - self._last >= LOOK_S:
            self.take(min(time.monotonic() - self._last, 1.0))

    def take(self, seconds: float) -> None:
        """Keeps what is seen now."""
        self._last = time.monotonic()
        since = int(self._last - self._begin)
        self.frames.append(Frame(seconds, TITLE, f"{since // 60}:{since % 60:02d}", self.screen.shown()))

    def type(self, terminal: OnTerminal, text: str) -> None:
        """Types as people do."""
        for letter in text:
            terminal.type(letter)
            terminal.rest(KEY_S)
        self.take(0.6)
        terminal.type(ENTER)


def record(folder: Path) -> list[Frame]:
    """Talks to the team, and films it."""
    camera = Camera()
    command = [sys.executable, "-m", "director", "chat", "team.yaml"]
    camera.screen.write("\x1b[1;32m$\x1b[0m \x1b[1mdirector chat team.yaml\x1b[0m\r\n")
    camera.take(1.6)
    team = (ROOT / "examples" / "team" / "trio.yaml").read_text()
    (folder / "team.yaml").write_text(team.replace("    prompt:", "    max_retries: 0\n    prompt:"))
    with LLMServer(Settings(water, FAULTS, delay_s=0.5)) as server:
        found = {"DIRECTOR_LLM_BASE_URL": server.base_url, "DIRECTOR_LLM_MODEL": "stand-in"}
        environment = {**os.environ, **found, "DIRECTOR_HOME": str(folder), "PYTHONPATH": str(ROOT)}
        with on_terminal(command, environment, rows=ROWS, columns=COLUMNS, cwd=folder, watch=camera.watch) as terminal:
            terminal.until("you>")
            terminal.rest(1.0)
            camera.type(terminal, "Which water model should I take for 10 ns at 300 K?")
            terminal.until("by merge")
            terminal.rest(1.0)
            camera.take(READING_S)
            camera.type(terminal, "/batch 12")
            terminal.until("response time")
            terminal.rest(1.0)
            camera.take(READING_S)
            terminal.type("/quit" + ENTER)
            terminal.ended()
    return camera.frames


if __name__ == "__main__":
    write_film(record, Path(sys.argv[1]), COLUMNS, ROWS, ABOUT)
