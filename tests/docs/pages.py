"""Reading the pages of the documentation: their blocks, and the commands in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(p for p in DOCS.rglob("*.md") if "_build" not in p.parts),
]
IN_TROUBLE = [DOCS / "how-to" / name for name in ("steer.md", "walltime.md", "when-something-fails.md")]
CHOOSING = [
    *sorted((DOCS / "campaigns").glob("*.md")),
    *(
        DOCS / "how-to" / f"{name}.md"
        for name in (
            "agents", "analyze", "campaign", "chat", "language-models", "local-language-model", "mcp", "own-component",
            "reasoners",
        )
    ),
]  # fmt: skip
FACILITY, LAPTOP = "facility", "laptop"


@dataclass
class Command:
    """One line that begins with ``$``, and what stands below it."""

    text: str
    exit_code: int = 0
    output: list[str] = field(default_factory=list)


@dataclass
class Block:
    """A fenced block of a page.

    Attributes:
        language: The first word after the fence.
        side: The second: where its commands are typed; ``facility`` or ``laptop``. Empty: in a clone.
        line: Where it begins.
        lines: What is in it.
    """

    language: str
    side: str
    line: int
    lines: list[str] = field(default_factory=list)

    def commands(self) -> list[Command]:
        found: list[Command] = []
        for line in self.lines:
            if line.startswith("$ "):
                text, _, comment = line[2:].partition("  #")
                code = re.search(r"exit code (\d+)", comment)
                found.append(Command(text.strip(), int(code[1]) if code else 0))
            elif found and found[-1].text.endswith("\\"):
                found[-1].text = f"{found[-1].text[:-1].rstrip()} {line.strip()}"
            elif found:
                found[-1].output.append(line)
            else:
                raise AssertionError(f"line {self.line}: a console block begins with a line that begins with '$ '")
        return found


def blocks(text: str) -> Iterator[Block]:
    """All fenced blocks of a page."""
    current: Block | None = None
    fence = ""
    for number, line in enumerate(text.splitlines(), 1):
        mark = re.match(r"\s*(`{3,}|~{3,}|:{3,})\s*(.*)$", line)
        if current is None and mark:
            language, _, rest = mark[2].strip().partition(" ")
            fence, current = mark[1], Block(language, rest.strip() if language == "console" else "", number)
        elif current is not None and line.strip() == fence:
            yield current
            current = None
        elif current is not None:
            current.lines.append(line)
    assert current is None, f"line {current.line if current else 0}: a block is not closed"


def page_name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def walked(page: Path) -> list[Block]:
    """The blocks of a page that are typed at a facility and on a laptop, in their order."""
    return [block for block in blocks(page.read_text(encoding="utf-8")) if block.language == "console" and block.side]


def shows(expected: list[str], actual: str) -> bool:
    """Whether the output is what the page shows, with ``…`` for anything."""
    wanted = "\n".join(line.rstrip() for line in expected).strip()
    got = "\n".join(line.rstrip() for line in actual.splitlines()).strip()
    pattern = ".*?".join(re.escape(part) for part in wanted.split("…"))
    return re.fullmatch(pattern, got, re.DOTALL) is not None


def check_unrun(command: str) -> None:
    """Checks a command that a test cannot run: what it names is there."""
    words = command.split()
    if words[0] == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert {word for word in words[1:] if "=" not in word} <= set(targets), command
    elif words[0] == "cd":
        assert words[1] == "md-director" or (ROOT / words[1]).is_dir(), command
    elif words[0] == "pip" or words[0].endswith("/bin/pip"):
        assert words[1] == "install", command
        assert words[2] == "./md-director" or (ROOT / words[2] / "pyproject.toml").is_file(), command
    elif words[0] == "python":
        assert (ROOT / "tests" / "examples" / f"test_{Path(words[1]).name}").is_file(), command
    elif words[0] in ("source", ".venv/bin/pre-commit"):
        assert words[-1].endswith("director/bin/activate") or "VENV := .venv\n" in (ROOT / "Makefile").read_text()
    elif words[:3] == ["python3", "-m", "venv"]:
        assert len(words) == 4, command
    else:
        assert words[:2] == ["git", "clone"], command
