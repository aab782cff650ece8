"""What agents are given of a file: whole characters in pieces that join up, small pictures, and nothing else."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from director.door import Refused
from director.interfaces.artifacts import MOST_PICTURE_BYTES, PNG, read_artifact, text_of
from director.interfaces.book import fitting

PIECE = 1000


def folder(files: Mapping[str, bytes]) -> Any:
    """A Director that gives out pieces of files."""

    async def get(path: str, offset: int) -> dict[str, Any]:
        if path not in files:
            return {"refused": [{"where": "path", "message": "there is none", "hint": "Look"}]}
        data = files[path]
        return {"data": base64.b64encode(data[offset : offset + PIECE]).decode(), "size": len(data)}

    return get


@given(text=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), limit=st.integers(100, 400))
async def test_pieces_of_a_text_join_up_to_the_text(text: str, limit: int) -> None:
    get = folder({"a": text.encode()})
    found, offset = "", 0
    while True:
        answer = await read_artifact(get, "a", offset, limit)
        found += answer["text"]
        if answer["next_offset"] is None:
            break
        assert answer["next_offset"] > offset
        offset = answer["next_offset"]
    assert found == text


async def test_a_text_of_several_pieces_of_the_director_is_read_on_from_where_it_was_left() -> None:
    data = b"".join(b"%07d\n" % number for number in range(1000))
    answer = await read_artifact(folder({"a": data}), "a", 800, 100_000)
    assert answer["text"].startswith("0000100\n")
    assert (answer["size_bytes"], answer["next_offset"]) == (8000, 1800)


async def test_a_picture_comes_whole_and_one_that_is_too_large_does_not() -> None:
    picture = PNG + bytes(range(256)) * 20
    answer = await read_artifact(folder({"a": picture}), "a", 0, 100)
    assert base64.b64decode(answer["image"]["data"]) == picture
    with pytest.raises(Refused, match="at most"):
        await read_artifact(folder({"a": PNG + bytes(MOST_PICTURE_BYTES)}), "a", 0, 100)


@pytest.mark.parametrize("data", [b"\x00\x01", b"DCD\xff\xfe\xfd\xfc" * 30, b"CORD\x00" * 9])
async def test_what_is_neither_text_nor_picture_is_refused_with_its_size(data: bytes) -> None:
    with pytest.raises(Refused, match=f"is no text, and no PNG; it has {len(data)} bytes"):
        await read_artifact(folder({"a": data}), "a", 0, 1000)
    with pytest.raises(Refused, match="there is none"):
        await read_artifact(folder({}), "a", 0, 1000)


def test_a_piece_that_begins_within_a_character_begins_with_the_next_one() -> None:
    data = "aé€😀b".encode()
    assert text_of(data[2:], last=True) == ("€😀b", len(data) - 2)
    assert text_of(data[:-2], last=False) == ("aé€", 6)
    assert text_of(b"", last=True) == ("", 0)


@given(st.lists(st.integers(0, 300)), st.integers(1, 500))
def test_an_answer_has_at_least_one_document_and_no_more_than_fit(sizes: list[int], most: int) -> None:
    documents = [{"a": "x" * size} for size in sizes]
    count = fitting(documents, most)
    assert count == len(documents) or count >= 1
    assert sum(len(doc["a"]) for doc in documents[:count]) <= most or count == 1
