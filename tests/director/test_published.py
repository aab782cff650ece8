"""Pages of Outcomes: each reader gets each Outcome once, in order, however its asking and their coming interleave."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import director.published
from director.ledger import Entry
from director.published import Published


def entry(seq):
    return Entry(seq, f"r{seq}", "{}")


class Disk:
    """A ledger's Outcomes, and how often they were read from it."""

    def __init__(self):
        self.entries = []
        self.reads = 0

    async def page(self, after, limit):
        self.reads += 1
        await asyncio.sleep(0)
        return [entry for entry in self.entries if entry.seq > after][:limit]


# What happens next: so many Outcomes are journaled; those are made known; a reader asks for so many.
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("journal"), st.integers(1, 4), st.integers(1, 2)),
        st.tuples(st.just("publish"), st.none(), st.none()),
        st.tuples(st.just("read"), st.integers(0, 2), st.integers(1, 5)),
    ),
    max_size=40,
)


@given(STEPS, st.integers(1, 6), st.integers(0, 6), st.integers(0, 5))
@settings(max_examples=200)
def test_every_reader_gets_every_outcome_once_and_in_order(steps, tail, head, before):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(director.published, "TAIL", tail)
        patch.setattr(director.published, "HEAD", head)
        asyncio.run(_interleaved(steps, before))


async def _interleaved(steps, before):
    disk = Disk()
    disk.entries = [entry(seq) for seq in range(1, before + 1)]  # those of a life before
    published = Published(disk.page)
    published.last_seq = before
    read = {0: [], 1: [], 2: []}
    unpublished = []

    async def ask(reader, limit):
        cursor = read[reader][-1].seq if read[reader] else 0
        page = await published.after(cursor, limit, 0.0)
        assert len(page) <= limit
        read[reader] += page
        return page

    for kind, first, second in steps:
        if kind == "journal":
            last = disk.entries[-1].seq if disk.entries else 0
            # A ledger's numbers may have gaps.
            new = [entry(last + second * number) for number in range(1, first + 1)]
            disk.entries += new
            unpublished += new
        elif kind == "publish" and unpublished:
            await published.add(unpublished)
            unpublished = []
        elif kind == "read":
            await ask(first, second)
    if unpublished:
        await published.add(unpublished)
    for reader in read:
        while await ask(reader, 3):
            pass
        assert read[reader] == disk.entries
    assert published.fetched_seq == published.last_seq == (disk.entries[-1].seq if disk.entries else 0)


async def test_an_outcome_counts_as_fetched_when_a_reader_asks_for_the_next_one():
    published = Published(Disk().page)
    await published.add([entry(1), entry(2)])
    assert [item.seq for item in await published.after(0, 10, 0.0)] == [1, 2]
    assert published.fetched_seq == 0, "it may have been lost on its way"
    await published.after(1, 10, 0.0)
    assert published.fetched_seq == 1
    await published.after(99, 10, 0.0)
    assert published.fetched_seq == 2, "nobody has what was never made known"
    await published.after(0, 10, 0.0)
    assert published.fetched_seq == 2, "another reader that begins takes nothing back"


async def test_who_waits_is_told_as_soon_as_there_is_something():
    disk = Disk()
    published = Published(disk.page)
    waiting = [asyncio.create_task(published.after(0, 10, 3600.0)) for _ in range(3)]
    await asyncio.sleep(0)
    await published.add([entry(1)])
    assert await asyncio.gather(*waiting) == [[entry(1)]] * 3
    assert disk.reads == 0


async def test_who_waits_goes_on_when_there_will_be_no_more():
    published = Published(Disk().page)
    waiting = asyncio.create_task(published.after(0, 10, 3600.0))
    await asyncio.sleep(0)
    await published.close()
    assert await waiting == []
    assert await published.after(0, 10, 3600.0) == []


async def test_waiting_ends_without_news_too():
    published = Published(Disk().page)
    assert await published.after(0, 10, 0.01) == []


async def test_what_is_not_at_hand_any_more_is_read_from_disk(monkeypatch):
    monkeypatch.setattr(director.published, "HEAD", 0)
    monkeypatch.setattr(director.published, "TAIL", 2)
    disk = Disk()
    published = Published(disk.page)
    disk.entries = [entry(seq) for seq in range(1, 6)]
    await published.add(disk.entries)
    assert await published.after(3, 10, 0.0) == disk.entries[3:]
    assert disk.reads == 0
    assert await published.after(2, 10, 0.0) == disk.entries[2:]
    assert disk.reads == 1


async def test_who_has_just_come_need_not_wait_for_the_disk():
    disk = Disk()
    published = Published(disk.page)
    entries = [entry(seq) for seq in range(1, director.published.TAIL + 3000)]
    disk.entries = entries
    for first in range(0, len(entries), 500):
        await published.add(entries[first : first + 500])
    assert await published.after(0, 100, 0.0) == entries[:100]
    assert await published.after(100, 100, 0.0) == entries[100:200]
    assert disk.reads == 0
    assert await published.after(director.published.HEAD, 100, 0.0) == entries[director.published.HEAD :][:100]
    assert disk.reads == 1


async def test_the_first_page_of_a_life_before_is_read_from_disk_once():
    disk = Disk()
    disk.entries = [entry(seq) for seq in range(1, 300)]
    published = Published(disk.page)
    published.last_seq = 299
    for _ in range(3):
        assert await published.after(0, 100, 0.0) == disk.entries[:100]
    assert disk.reads == 1
