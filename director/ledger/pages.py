"""Reading rows out of an SQLite file that SQLite itself does not read any more.

Each page is looked at by itself: one that holds rows of a table says so, and has all that is needed to read them, but
for what overflows to other pages. So a page that is damaged costs its own rows, and no more.
The format is described in https://www.sqlite.org/fileformat2.html; the names here are those of that page.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MAGIC = b"SQLite format 3\x00"
DEFAULT_PAGE_SIZE = 4096
TABLE_LEAF = 0x0D

Value = int | float | str | bytes | None
_INTEGER_SIZES = (0, 1, 2, 3, 4, 6, 8)


class Damaged(Exception):  # noqa: N818  (not an error of this program)
    """What was found is not what it should be."""


@dataclass(frozen=True)
class Row:
    """A row of some table.

    Attributes:
        rowid: Its number.
        values: Its columns; that of the number itself is None.
    """

    rowid: int
    values: tuple[Value, ...]


class PagedFile:
    """An SQLite file, page by page.

    Args:
        path: The file.

    Raises:
        OSError: If it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._stream = path.open("rb")
        self._size = path.stat().st_size
        header = self._stream.read(100).ljust(100, b"\x00")
        self.has_header = header.startswith(MAGIC)
        (size,) = struct.unpack(">H", header[16:18])
        size = 65_536 if size == 1 else size
        plausible = self.has_header and 512 <= size <= 65_536 and size & (size - 1) == 0
        self._page_size = size if plausible else DEFAULT_PAGE_SIZE
        self._usable = self._page_size - (header[20] if plausible else 0)
        self._freelist = struct.unpack(">I", header[32:36])[0] if plausible else 0
        self.pages_expected = struct.unpack(">I", header[28:32])[0] if plausible else 0
        self.pages = self._size // self._page_size
        self.unreadable = 0

    def close(self) -> None:
        """Closes the file."""
        self._stream.close()

    def rows(self) -> Iterator[Row]:
        """The rows of all tables, as far as they can be read. Counts the rows and pages that cannot be."""
        free = self._free_pages()
        for number in range(1, self.pages + 1):
            if number in free:
                continue
            try:
                page = self._page(number)
                cells = self._cells(page, 100 if number == 1 else 0)
            except (Damaged, OSError):
                self.unreadable += 1
                continue
            for offset in cells:
                try:
                    yield self._row(page, offset)
                except (Damaged, OSError, UnicodeDecodeError, IndexError, struct.error):
                    self.unreadable += 1

    def _page(self, number: int) -> bytes:
        if not 1 <= number <= self.pages:
            raise Damaged
        self._stream.seek((number - 1) * self._page_size)
        page = self._stream.read(self._page_size)
        if len(page) < self._page_size:
            raise Damaged
        return page

    def _free_pages(self) -> set[int]:
        """Pages that are not in use: what they hold was deleted, or never committed."""
        free: set[int] = set()
        trunk = self._freelist
        while trunk and trunk not in free and 1 <= trunk <= self.pages:
            free.add(trunk)
            page = self._page(trunk)
            following, count = struct.unpack(">II", page[:8])
            if count > self._usable // 4 - 2:
                break
            free.update(struct.unpack(f">{count}I", page[8 : 8 + 4 * count]))
            trunk = following
        return free

    def _cells(self, page: bytes, start: int) -> list[int]:
        if page[start] != TABLE_LEAF:
            return []
        (count,) = struct.unpack(">H", page[start + 3 : start + 5])
        first = start + 8
        if first + 2 * count > self._usable:
            raise Damaged
        return list(struct.unpack(f">{count}H", page[first : first + 2 * count]))

    def _row(self, page: bytes, offset: int) -> Row:
        length, offset = _varint(page, offset)
        rowid, offset = _varint(page, offset)
        if length > self._size:
            raise Damaged
        most = self._usable - 35
        if length <= most:
            payload = page[offset : offset + length]
        else:
            least = (self._usable - 12) * 32 // 255 - 23
            here = least + (length - least) % (self._usable - 4)
            here = here if here <= most else least
            (overflow,) = struct.unpack(">I", page[offset + here : offset + here + 4])
            payload = page[offset : offset + here] + self._overflow(overflow, length - here)
        if len(payload) != length:
            raise Damaged
        return Row(rowid - (1 << 64) if rowid >= 1 << 63 else rowid, tuple(_record(payload)))

    def _overflow(self, number: int, length: int) -> bytes:
        parts = []
        while length > 0:
            page = self._page(number)
            (number,) = struct.unpack(">I", page[:4])
            parts.append(page[4 : 4 + min(length, self._usable - 4)])
            length -= len(parts[-1])
        return b"".join(parts)


def _varint(data: bytes, offset: int) -> tuple[int, int]:
    value = 0
    for _ in range(8):
        byte = data[offset]
        offset += 1
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, offset
    return value << 8 | data[offset], offset + 1


def _record(payload: bytes) -> Iterator[Value]:
    header, offset = _varint(payload, 0)
    body = header
    if header > len(payload):
        raise Damaged
    while offset < header:
        kind, offset = _varint(payload, offset)
        value, size = _value(payload, body, kind)
        body += size
        if body > len(payload):
            raise Damaged
        yield value
    if body != len(payload):
        raise Damaged


def _value(payload: bytes, at: int, kind: int) -> tuple[Value, int]:
    if kind == 0:
        return None, 0
    if kind <= 6:
        size = _INTEGER_SIZES[kind]
        return int.from_bytes(payload[at : at + size], "big", signed=True), size
    if kind == 7:
        return float(struct.unpack(">d", payload[at : at + 8])[0]), 8
    if kind in (8, 9):
        return kind - 8, 0
    if kind < 12:
        raise Damaged
    size = (kind - 12) // 2
    content = payload[at : at + size]
    return (content.decode() if kind % 2 else content), size
