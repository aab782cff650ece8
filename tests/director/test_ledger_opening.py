"""A ledger that has lost what was in it is not begun anew."""

from __future__ import annotations

import os
from contextlib import closing

import pytest

from director.ledger import FencedError, LedgerError, SqliteLedger, mark_of, open_claimed
from tests.director.journaling import take


@pytest.fixture
def path(tmp_path):
    made = tmp_path / "ledger.sqlite"
    with closing(open_claimed(made, 1)) as ledger:
        take(ledger, "a")
    return made


def test_a_ledger_is_made_claimed_and_opened_again(path):
    with closing(open_claimed(path, 2)) as ledger:
        assert ledger.known(["a", "b"]) == {"a"}
        assert take(ledger, "b") == {"b"}
    with pytest.raises(FencedError):
        open_claimed(path, 2)


@pytest.mark.parametrize(("lose", "what"), [(lambda path: os.truncate(path, 0), "empty"), (os.unlink, "gone")])
def test_one_that_is_empty_or_gone_is_refused_and_left_as_it_is(path, lose, what):
    copy = path.read_bytes()
    lose(path)
    for _ in range(2):
        with pytest.raises(LedgerError, match=f"is {what}, and this Director has written to it.*put back a copy"):
            open_claimed(path, 2)
    assert not path.exists() or path.stat().st_size == 0
    path.write_bytes(copy)
    with closing(open_claimed(path, 2)) as ledger:
        assert ledger.known(["a"]) == {"a"}


def test_one_whose_maker_was_killed_before_it_was_claimed_is_begun(tmp_path):
    path = tmp_path / "ledger.sqlite"
    path.touch()
    open_claimed(path, 3).close()
    assert mark_of(path).read_text() == "3\n"


def test_one_of_an_older_version_is_marked_from_then_on(path):
    mark_of(path).unlink()
    open_claimed(path, 2).close()
    assert mark_of(path).exists()


def test_a_mark_that_cannot_be_written_is_an_error(tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("director.ledger.opening.replace_file", full)
    with pytest.raises(LedgerError, match="the disk is full"):
        open_claimed(tmp_path / "ledger.sqlite", 1)


def test_a_ledger_that_a_director_does_not_own_needs_no_mark(path):
    with closing(SqliteLedger(path)) as ledger:
        assert ledger.known(["a"]) == {"a"}
