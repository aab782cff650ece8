import asyncio

from director.breathing import HOLD_S, Breathing


async def test_others_have_their_turn_during_long_work(monkeypatch):
    now = 0.0
    monkeypatch.setattr("time.perf_counter", lambda: now)
    turns = []

    async def other():
        while True:
            turns.append(now)
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    breathing = Breathing()
    for _ in range(10):
        await breathing()
    assert turns == []
    for _ in range(10):
        now += 2 * HOLD_S
        await breathing()
    task.cancel()
    assert len(turns) == 10
