import stat

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from director.door import Refused
from director.requestbook import RequestBook
from simulations.records import Request
from tests.helpers import mock_request


def test_what_was_written_down_is_read_in_order_also_when_it_was_in_several_goes(tmp_path):
    book = RequestBook(tmp_path / "requests.jsonl")
    assert book.read() == []
    book.add([])
    assert not (tmp_path / "requests.jsonl").exists()
    first = [mock_request("a"), Request(id="b", tool="md", inputs={"note": "two\nlines\r\u2028"}, priority=3)]
    book.add(first)
    book.add([mock_request("c")])
    assert book.read() == [*first, mock_request("c")]
    assert stat.S_IMODE((tmp_path / "requests.jsonl").stat().st_mode) == 0o600


def test_a_request_that_was_written_down_twice_is_read_once(tmp_path):
    book = RequestBook(tmp_path / "requests.jsonl")
    book.add([mock_request("a", 1.0), mock_request("b")])
    book.add([mock_request("a", 2.0)])
    assert book.read() == [mock_request("a", 1.0), mock_request("b")]


@given(st.integers(1, 4), st.integers(0, 400), st.integers(0, 3))
@settings(max_examples=50)
def test_a_file_that_was_cut_off_anywhere_gives_its_whole_lines_and_takes_more(tmp_path_factory, count, cut, more):
    path = tmp_path_factory.mktemp("book") / "requests.jsonl"
    book = RequestBook(path)
    before = [mock_request(f"r{index}") for index in range(count)]
    book.add(before)
    body = path.read_bytes()
    kept = body[: max(0, len(body) - cut)]
    path.write_bytes(kept)
    whole = before[: kept.count(b"\n")]
    assert book.read() == whole
    after = [mock_request(f"s{index}") for index in range(more)]
    book.add(after)
    assert book.read() == whole + after


def test_a_line_in_the_middle_that_is_no_request_is_said_and_not_left_out(tmp_path):
    path = tmp_path / "requests.jsonl"
    book = RequestBook(path)
    book.add([mock_request("a")])
    path.write_bytes(path.read_bytes() + b'{"id": "b"}\n')
    book.add([mock_request("c")])
    with pytest.raises(Refused, match="line 2 is no request"):
        book.read()
