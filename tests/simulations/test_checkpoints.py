"""Checkpoints on disk: what is torn, changed or stale never counts, and the last good one always does."""

import errno
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from simulations.checkpoints import CheckpointStore, DamagedError, decode, discard, encode
from tests.helpers import NOON


def save(folder, epoch, amount, content=None):
    CheckpointStore(folder, epoch).save(amount, NOON, str(amount).encode() if content is None else content)


def load(folder, epoch):
    """Amounts of the checkpoints that an attempt may go on from, the newest first, and what it was told of others."""
    skipped = []
    return [found.amount for found in CheckpointStore(folder, epoch).load(skipped.append)], skipped


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@given(
    amount=st.floats(0, 1e12), content=st.binary(max_size=200), delay_s=st.floats(0, 1e8), number=st.integers(1, 10**9)
)
def test_what_was_saved_is_what_is_loaded(amount, content, delay_s, number):
    saved_at = NOON + timedelta(seconds=delay_s)
    found = decode(encode(amount, saved_at, content) + content, 3, number)
    assert (found.amount, found.saved_at, found.content) == (amount, saved_at, content)
    assert (found.epoch, found.number) == (3, number)


@given(content=st.binary(max_size=100), cut=st.integers(1, 400), extra=st.binary(min_size=1, max_size=20))
def test_a_torn_or_longer_file_is_damaged(content, cut, extra):
    whole = encode(1.5, NOON, content) + content
    for data in (whole[:-cut], whole + extra):
        with pytest.raises(DamagedError):
            decode(data, 1, 1)


@given(content=st.binary(max_size=100), place=st.integers(0, 10_000), bit=st.integers(0, 7))
@example(content=b"", place=30, bit=0)
def test_a_file_with_one_bit_changed_is_damaged(content, place, bit):
    data = bytearray(encode(1.5, NOON, content) + content)
    data[place % len(data)] ^= 1 << bit
    with pytest.raises(DamagedError):
        decode(bytes(data), 1, 1)


def test_two_are_kept_and_the_newest_comes_first(tmp_path):
    for amount in (1.0, 2.0, 3.0):
        save(tmp_path, 1, amount)
    assert load(tmp_path, 1) == ([3.0, 2.0], [])
    assert names(tmp_path) == ["saved.1.2", "saved.1.3"]


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-1], lambda data: b"", lambda data: data[:40] + b"x" + data[41:]]
)
def test_a_damaged_one_is_passed_over_with_a_note(tmp_path, damage):
    save(tmp_path, 1, 1.0)
    save(tmp_path, 1, 2.0)
    latest = tmp_path / "saved.1.2"
    latest.write_bytes(damage(latest.read_bytes()))
    found, skipped = load(tmp_path, 2)
    assert found == [1.0]
    assert len(skipped) == 1
    assert "saved.1.2" in skipped[0]


def test_what_a_stale_attempt_saves_later_counts_less_than_what_a_later_one_adopted(tmp_path):
    save(tmp_path, 1, 1.0)
    save(tmp_path, 2, 1.0)
    save(tmp_path, 1, 9.0)
    assert load(tmp_path, 3)[0] == [1.0, 9.0, 1.0]


def test_an_attempt_does_not_go_on_from_a_later_ones(tmp_path):
    save(tmp_path, 1, 1.0)
    CheckpointStore(tmp_path, 3)
    (tmp_path / "saved.3.1").write_bytes((tmp_path / "saved.1.1").read_bytes())
    assert load(tmp_path, 2) == ([1.0], [])


def test_a_later_attempts_first_save_keeps_the_last_of_earlier_ones_until_it_has_two(tmp_path):
    save(tmp_path, 1, 1.0)
    save(tmp_path, 1, 2.0)
    save(tmp_path, 2, 2.0)
    assert names(tmp_path) == ["saved.1.2", "saved.2.1"]
    (tmp_path / "saved.2.1").write_bytes(b"")
    assert load(tmp_path, 3)[0] == [2.0]
    save(tmp_path, 2, 3.0)
    assert names(tmp_path) == ["saved.2.1", "saved.2.2"]
    save(tmp_path, 1, 3.0)
    assert {"saved.2.1", "saved.2.2"} <= set(names(tmp_path))


def test_one_that_cannot_be_read_is_passed_over_but_then_nothing_begins_anew(tmp_path, monkeypatch):
    save(tmp_path, 1, 1.0)
    save(tmp_path, 1, 2.0)
    read = Path.read_bytes

    def failing(path):
        if path.name == "saved.1.2":
            raise OSError(errno.EIO, "Input/output error")
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", failing)
    skipped = []
    found = CheckpointStore(tmp_path, 2).load(skipped.append)
    assert next(found).amount == 1.0
    assert "saved.1.2 was passed over: Input/output error" in skipped[0]
    with pytest.raises(OSError, match="Input/output"):
        next(found)


def test_numbers_are_no_words(tmp_path):
    for number in range(1, 12):
        save(tmp_path, 10, float(number))
    assert load(tmp_path, 11)[0] == [11.0, 10.0]
    save(tmp_path, 11, 12.0)
    assert load(tmp_path, 11)[0] == [12.0, 11.0]


def test_a_request_with_its_outcome_keeps_none(tmp_path):
    save(tmp_path, 1, 1.0)
    (tmp_path / "saved.start.abc").touch()
    (tmp_path / "trajectory.dcd.1.partial").touch()
    (tmp_path / "trajectory.dcd").touch()
    discard(tmp_path)
    assert names(tmp_path) == ["trajectory.dcd"]
