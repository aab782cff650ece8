"""Lists of hosts as Slurm writes them, such as ``nid[001-004,007],login1``: reading and writing them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import product
from math import prod
from typing import NamedTuple

MAX_HOSTS = 100_000
SHOWN_CHARACTERS = 80

_HOSTNAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_FOREIGN = re.compile(r"[^A-Za-z0-9._*?,\[\]-]")
_ENTRY = re.compile(r"(?:[^\[\],]|\[[^\[\]]*\])+")
_RANGE = re.compile(r"([0-9]{1,18})(?:-([0-9]{1,18}))?")
_LAST_NUMBER = re.compile(r"([^.]*?)([0-9]{1,18})([^0-9.]*(?:\..*)?)")


def shown(text: str) -> str:
    """A text for a message: quoted, and cut if it is long."""
    return repr(text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "…")


def is_hostname(text: str) -> bool:
    """Whether this can be the name of one host: letters, digits, ``.``, ``_`` and ``-``, which is not the first."""
    return _HOSTNAME.fullmatch(text) is not None


def expand(expression: str, where: str = "hosts") -> list[str]:
    """The hosts that an expression names, in its order.

    Entries are separated by commas. Brackets, of which an entry can have several and which text can follow, hold
    numbers and ranges of them; of several brackets the last varies fastest. A range is padded with zeros to the width
    of its first number. As with Slurm, brackets hold nothing but numbers: ``n[a,b]`` is refused. Outside of them ``*``
    and ``?`` stay as they are, so that patterns can be written in the same way.

    Args:
        expression: For example ``a,r[1-2]n[001-010,012]-ib``.
        where: What messages begin with: the variable or option that the expression comes from.

    Raises:
        ValueError: If it is malformed, or names more than 100,000 hosts.
    """
    try:
        entries = [_parts(entry) for entry in _entries(expression)]
        count = sum(prod(map(_size, parts)) for parts in entries)
        if count > MAX_HOSTS:
            raise ValueError(f"names {count:,} hosts, more than {MAX_HOSTS:,}")
    except ValueError as error:
        raise ValueError(f"{where}: {shown(expression)} {error}. Write hosts as in n[1-3,05],gpu7") from None
    return ["".join(words) for parts in entries for words in product(*map(_words, parts))]


class _Range(NamedTuple):
    first: int
    last: int
    width: int


_Part = str | list[_Range]


def _entries(expression: str) -> list[str]:
    if foreign := _FOREIGN.search(expression):
        raise ValueError(f"has {foreign[0]!r} at position {foreign.start() + 1}, which is in no hostname")
    brackets = "".join(character for character in expression if character in "[]")
    if brackets.replace("[]", ""):
        raise ValueError("has brackets that do not match")
    entries = _ENTRY.findall(expression)
    if not entries or ",".join(entries) != expression:
        raise ValueError("has an empty entry" if expression else "is empty")
    return entries


def _parts(entry: str) -> list[_Part]:
    if entry.startswith("-"):
        raise ValueError(f"has {entry!r}, which begins with '-'")
    pieces = re.split(r"\[([^\]]*)\]", entry)  # text and the inside of brackets, in turn
    return [list(map(_range, piece.split(","))) if index % 2 else piece for index, piece in enumerate(pieces)]


def _range(text: str) -> _Range:
    match = _RANGE.fullmatch(text)
    if not match:
        raise ValueError(f"has {text!r} in brackets, which is no number or range of numbers")
    first, last = match[1], match[2] or match[1]
    if last.startswith("0") and len(last) != len(first):
        raise ValueError(f"has the range {text!r}, whose ends are padded differently")
    if int(last) < int(first):
        raise ValueError(f"has the range {text!r}, which runs backwards")
    return _Range(int(first), int(last), len(first))


def _size(part: _Part) -> int:
    return 1 if isinstance(part, str) else sum(item.last - item.first + 1 for item in part)


def _words(part: _Part) -> list[str]:
    if isinstance(part, str):
        return [part]
    return [str(number).zfill(item.width) for item in part for number in range(item.first, item.last + 1)]


def first_label(hostname: str) -> str:
    """What a host is called within its domain."""
    return hostname.partition(".")[0].lower()


def grouped(hostnames: Iterable[str]) -> list[str]:
    """The names, each once, with those that differ only in the last number of their first label together, ascending."""
    groups: dict[tuple[str, str], list[tuple[int, str]]] = {}
    for name in dict.fromkeys(hostnames):
        prefix, digits, suffix = _split(name)
        groups.setdefault((prefix, suffix), []).append((int(digits or 0), name))
    return [name for members in groups.values() for _, name in sorted(members)]


def _split(name: str) -> tuple[str, str, str]:
    """A hostname around the last number of its first label, which may have none."""
    match = _LAST_NUMBER.fullmatch(name)
    return (match[1], match[2], match[3]) if match else (name, "", "")


def compress(hostnames: Sequence[str]) -> str:
    """The shortest such expression that keeps the order: `expand` gives the same names again.

    Neighbours that differ in the last number of their first label share a bracket.

    Args:
        hostnames: Names of hosts, each once.
    """
    groups: list[tuple[str, list[str], str]] = []
    for name in hostnames:
        prefix, digits, suffix = _split(name)
        if digits and groups and groups[-1][1] and (groups[-1][0], groups[-1][2]) == (prefix, suffix):
            groups[-1][1].append(digits)
        else:
            groups.append((prefix, [digits] if digits else [], suffix))
    return ",".join(prefix + _bracket(numbers) + suffix for prefix, numbers, suffix in groups)


def _bracket(numbers: Sequence[str]) -> str:
    runs: list[list[str]] = []
    for digits in numbers:
        if runs and digits == str(int(runs[-1][-1]) + 1).zfill(len(runs[-1][0])):
            runs[-1].append(digits)
        else:
            runs.append([digits])
    inner = ",".join(run[0] if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
    return f"[{inner}]" if len(numbers) > 1 else inner
