"""A film of a terminal as one SVG, which moves by itself wherever a picture can stand."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from html import escape
from itertools import pairwise
from pathlib import Path

from terminal import Run

COLUMN, ROW, MARGIN, BAR = 8.43, 19, 16, 40
ROOT = Path(__file__).resolve().parents[2]
END_S = 6.0
FONT = "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace"


@dataclass(frozen=True)
class Frame:
    """What is seen for a while.

    Attributes:
        seconds: For how long.
        title: What stands above.
        clock: What time it was since the beginning.
        rows: What the terminal shows.
    """

    seconds: float
    title: str
    clock: str
    rows: list[list[Run]]


def write_film(record: Callable[[Path], list[Frame]], target: Path, columns: int, rows: int, about: str) -> None:
    """Records a film in a temporary folder and writes it; its end stays for a while.

    Args:
        record: What is filmed, given a folder.
        target: The SVG.
        columns: Width of the terminal.
        rows: Its height.
        about: The same for those who do not see it.

    Raises:
        SystemExit: If an error, or a path of this machine, is to be seen in it.
    """
    with tempfile.TemporaryDirectory(prefix="film-") as folder:
        frames = record(Path(folder))
    shown = "\n".join("".join(run.text for run in row) for frame in frames for row in frame.rows)
    if unwanted := [text for text in ("Traceback", str(ROOT), sys.prefix, tempfile.gettempdir()) if text in shown]:
        raise SystemExit(f"the film shows {', '.join(unwanted)}: nothing was written")
    frames[-1] = replace(frames[-1], seconds=END_S)
    target.write_text(film(frames, columns, rows, about), encoding="utf-8")
    sys.stdout.write(f"{target}: {len(frames)} frames, {target.stat().st_size} bytes\n")


def film(frames: Sequence[Frame], columns: int, rows: int, about: str) -> str:
    """The SVG. Whatever stays from one frame to the next is in it once.

    Args:
        frames: The frames.
        columns: Width of the terminal.
        rows: Its height.
        about: The same for those who do not see it.
    """
    width, height = round(2 * MARGIN + columns * COLUMN), 2 * MARGIN + BAR + rows * ROW
    spans = _spans(frames)
    ends = [0.0]
    for frame in frames:
        ends.append(ends[-1] + frame.seconds)
    names = {span: f"s{number}" for number, span in enumerate(dict.fromkeys(span for span, _ in spans))}
    style = [
        f"text{{font:14px {FONT};fill:#c9d1d9;white-space:pre}}",
        ".b{font-weight:700}.d{opacity:.6}",
        f"g{{opacity:0;animation:{ends[-1]:.2f}s step-end infinite}}",
        "@media (prefers-reduced-motion:reduce){g{animation:none!important}}",
    ]
    for (first, last), name in names.items():
        style.append(_shown(name, ends[first], ends[last], ends[-1], still=last == len(frames)))
    body = [f'<g class="{names[span]}">{content}</g>' for span, content in spans]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
            f"<title>{escape(about)}</title>",
            f"<style>{''.join(style)}</style>",
            f'<rect width="{width}" height="{height}" rx="10" fill="#0d1117"/>',
            f'<path d="M0 {BAR}V10a10 10 0 0 1 10-10H{width - 10}a10 10 0 0 1 10 10V{BAR}z" fill="#161b22"/>',
            *body,
            "</svg>\n",
        ]
    )


def _shown(name: str, begin: float, end: float, total: float, *, still: bool) -> str:
    """A name for being seen from one time to another; where nothing moves, the end is seen."""
    steps = [(0.0, begin == 0), (begin, True), *([(end, False)] if end < total else [])]
    moves = "".join(
        f"{100 * at / total:.2f}%{{opacity:{int(seen)}}}" for at, seen in steps if at or seen == (begin == 0)
    )
    return f"@keyframes {name}{{{moves}}}.{name}{{animation-name:{name}{';opacity:1' if still else ''}}}"


def _spans(frames: Sequence[Frame]) -> list[tuple[tuple[int, int], str]]:
    """Everything that is drawn, each with its first frame and the one after its last."""
    found = []
    pictures = [_drawn(frame) for frame in frames]
    for before, after in pairwise(range(len(pictures) + 1)):
        for content in pictures[before]:
            if before and content in pictures[before - 1]:
                continue
            last = after
            while last < len(pictures) and content in pictures[last]:
                last += 1
            found.append(((before, last), content))
    return found


def _drawn(frame: Frame) -> dict[str, None]:
    drawn = dict.fromkeys(
        [
            f'<text x="{MARGIN}" y="26" class="b">{escape(frame.title)}</text>',
            f'<text x="100%" dx="-{MARGIN}" y="26" text-anchor="end" class="d">{escape(frame.clock)}</text>',
        ]
    )
    for number, row in enumerate(frame.rows):
        if row:
            drawn["".join(_text(run, BAR + MARGIN + (number + 0.75) * ROW) for run in row)] = None
    return drawn


def _text(run: Run, y: float) -> str:
    marks = " ".join(name for name, on in (("b", run.style.bold), ("d", run.style.dim)) if on)
    kind = f' class="{marks}"' if marks else ""
    colour = f' style="fill:#{run.style.colour}"' if run.style.colour else ""
    x, length = MARGIN + run.column * COLUMN, len(run.text) * COLUMN
    place = f'x="{x:.1f}" y="{y:.0f}" textLength="{length:.1f}" lengthAdjust="spacingAndGlyphs"'
    return f"<text {place}{kind}{colour}>{escape(run.text)}</text>"
