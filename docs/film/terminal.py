"""What a terminal shows of what programs print: the few controls that ours use, and no more."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import groupby

CONTROL = re.compile(r"\x1b\[([?0-9;]*)([A-Za-z])|\x1b\](?:[^\x07\x1b]*)(?:\x07|\x1b\\)")
BASE = ("30363d", "d1453b", "3fb950", "d29922", "58a6ff", "bc8cff", "39c5cf", "c9d1d9")
BRIGHT = ("6e7681", "ff7b72", "56d364", "e3b341", "79c0ff", "d2a8ff", "56d4dd", "ffffff")
CUBE = (0, 95, 135, 175, 215, 255)


@dataclass(frozen=True)
class Style:
    """How a character looks.

    Attributes:
        colour: Six hexadecimal digits; None: as usual.
        bold: Whether it is bold.
        dim: Whether it is dim.
    """

    colour: str | None = None
    bold: bool = False
    dim: bool = False


PLAIN = Style()


@dataclass(frozen=True)
class Run:
    """Characters that stand side by side and look alike.

    Attributes:
        column: Where they begin, from 0.
        text: They themselves.
        style: How they look.
    """

    column: int
    text: str
    style: Style


class Terminal:
    """A terminal's screen.

    Args:
        columns: Its width.
        rows: Its height.
    """

    def __init__(self, columns: int, rows: int) -> None:
        self.columns = columns
        self.rows = rows
        self._lines: list[list[tuple[str, Style]]] = [[]]
        self._row = self._column = 0
        self._style = PLAIN
        self._rest = ""

    def write(self, text: str) -> None:
        """Takes what a program printed.

        Raises:
            ValueError: If it holds a control that is not known here.
        """
        text = self._rest + text
        self._rest = ""
        place = 0
        while place < len(text):
            if text[place] != "\x1b":
                self._put(text[place])
                place += 1
                continue
            found = CONTROL.match(text, place)
            if found is None:
                if len(text) - place > 64:
                    raise ValueError(f"unknown control {text[place : place + 16]!r}")
                self._rest = text[place:]  # the rest of it comes with the next piece
                return
            self._control(found[1] or "", found[2] or "")
            place = found.end()

    def shown(self) -> list[list[Run]]:
        """The rows that can be seen, as runs."""
        return [_runs(line) for line in self._lines[-self.rows :]]

    def _put(self, character: str) -> None:
        if character == "\r":
            self._column = 0
        elif character == "\n":
            self._down()
        elif character >= " ":
            if self._column == self.columns:
                self._down()
                self._column = 0
            line = self._lines[self._row]
            line.extend([(" ", PLAIN)] * (self._column + 1 - len(line)))
            line[self._column] = (character, self._style)
            self._column += 1

    def _down(self) -> None:
        self._row += 1
        if self._row == len(self._lines):
            self._lines.append([])

    def _control(self, arguments: str, kind: str) -> None:
        match kind:
            case "m":
                self._look([int(number or 0) for number in arguments.split(";")])
            case "A":
                self._row = max(0, self._row - int(arguments or 1))
            case "K":
                line = self._lines[self._row]
                del line[0 if arguments == "2" else self._column :]
            case "h" | "l" | "":  # the cursor, links and titles: nothing of them is seen
                return
            case _:
                raise ValueError(f"unknown control {arguments}{kind}")

    def _look(self, numbers: list[int]) -> None:
        while numbers:
            number = numbers.pop(0)
            if number == 0:
                self._style = PLAIN
            elif number in (1, 2):
                self._style = replace(self._style, bold=number == 1, dim=number == 2)
            elif number == 22:
                self._style = replace(self._style, bold=False, dim=False)
            elif number == 39:
                self._style = replace(self._style, colour=None)
            elif 30 <= number <= 37:
                self._style = replace(self._style, colour=BASE[number - 30])
            elif 90 <= number <= 97:
                self._style = replace(self._style, colour=BRIGHT[number - 90])
            elif number == 38 and numbers[:1] == [5]:
                self._style = replace(self._style, colour=_of_256(numbers[1]))
                del numbers[:2]
            elif number == 38 and numbers[:1] == [2]:
                self._style = replace(self._style, colour="{:02x}{:02x}{:02x}".format(*numbers[1:4]))
                del numbers[:4]


def _of_256(number: int) -> str:
    if number < 16:
        return (BASE + BRIGHT)[number]
    if number >= 232:
        return f"{8 + 10 * (number - 232):02x}" * 3
    number -= 16
    return "".join(f"{CUBE[part]:02x}" for part in (number // 36, number // 6 % 6, number % 6))


def _runs(line: list[tuple[str, Style]]) -> list[Run]:
    found, column = [], 0
    for style, group in groupby(line, key=lambda item: item[1]):
        text = "".join(character for character, _ in group)
        stripped = text.lstrip()
        if stripped.rstrip():
            found.append(Run(column + len(text) - len(stripped), stripped.rstrip(), style))
        column += len(text)
    return found
