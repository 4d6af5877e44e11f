from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from nrt.worker import Reader, Worker


def count_to(n: int, stop: threading.Event) -> Iterator[int]:
    yield from range(n)


async def test_a_reader_hands_over_everything_in_order() -> None:
    reader = Reader(lambda stop: count_to(10_000, stop), depth=4, name="nrt.test")
    assert [item async for item in reader.items()] == list(range(10_000))
    await reader.close()


async def test_a_reader_stays_at_most_its_depth_ahead() -> None:
    made: list[int] = []

    def produce(stop: threading.Event) -> Iterator[int]:
        for k in range(100):
            made.append(k)
            yield k

    reader = Reader(produce, depth=3, name="nrt.test")
    items = reader.items()
    assert await anext(items) == 0
    await asyncio.sleep(0.05)
    assert len(made) <= 1 + 3 + 1  # taken, waiting, and the one being handed over
    await reader.close()


async def test_what_a_reader_died_of_comes_after_everything_it_produced() -> None:
    def produce(stop: threading.Event) -> Iterator[int]:
        yield 1
        raise OSError("unplugged")

    reader, seen = Reader(produce, depth=4, name="nrt.test"), []
    with pytest.raises(OSError, match="unplugged"):
        async for item in reader.items():
            seen.append(item)
    assert seen == [1]
    await reader.close()


async def test_closing_a_reader_ends_a_thread_that_waits_for_room_or_for_time() -> None:
    def produce(stop: threading.Event) -> Iterator[int]:
        yield from range(3)
        stop.wait(60)

    full = Reader(produce, depth=1, name="nrt.test")
    await full.close()
    waiting = Reader(produce, depth=8, name="nrt.test")
    items = waiting.items()
    assert await anext(items) == 0
    await waiting.close()


async def test_a_worker_answers_in_order_and_ends() -> None:
    worker: Worker[int, int] = Worker(lambda k: [k, -k], depth=2, name="nrt.test")

    async def feed() -> None:
        for k in range(100):
            await worker.put(k)
        worker.end()

    task = asyncio.create_task(feed())
    assert [r async for r in worker.results()] == [s for k in range(100) for s in (k, -k)]
    await task
    await worker.close()


async def test_put_waits_while_the_results_are_not_read() -> None:
    worker: Worker[int, int] = Worker(lambda k: [k], depth=2, name="nrt.test")
    await worker.put(1)
    await worker.put(2)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await worker.put(3)
    await worker.close()


async def test_what_a_worker_died_of_reaches_both_ends() -> None:
    worker: Worker[int, float] = Worker(lambda k: [1 / k], depth=2, name="nrt.test")
    await worker.put(1)
    await worker.put(0)
    seen = []
    with pytest.raises(ZeroDivisionError):
        async for result in worker.results():
            seen.append(result)
    assert seen == [1.0]
    with pytest.raises(ZeroDivisionError):
        await worker.put(2)
    await worker.close()
