"""Commands from anybody: whatever the JSON, a command or one sentence; and none is carried out twice."""

from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nrt.daemon.backoff import CALM, FIRST, MOST, SPREAD, Backoff
from nrt.daemon.command import Command, Replies, Reply
from nrt.errors import ConfigError

json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
nearly = st.fixed_dictionaries(
    {},
    optional={
        "id": json | st.text(max_size=200),
        "verb": st.sampled_from(["stop", "start", "", "STOP"]) | json,
        "pipeline": json,
        "arguments": json,
    },
)


@given(json | nearly, st.none() | st.sampled_from(["stop", "deploy", "../"]))
def test_anything_is_a_command_or_refused(data: object, verb: str | None) -> None:
    try:
        command = Command.parse(data, verb)
    except ConfigError:
        return
    assert 0 < len(command.id) <= 128
    assert verb in (None, command.verb)


def test_a_whole_command_is_read() -> None:
    command = Command.parse({"id": "1", "verb": "set", "pipeline": "eye", "arguments": {"decide": "1ms"}})
    assert command == Command("1", "set", "eye", {"decide": "1ms"})
    assert Command.parse({"id": "1"}, "stop") == Command("1", "stop")
    refused: list[object] = [{"id": "1", "verb": "stop"}, {"id": ""}, {}, [], None, {"id": "1", "more": 1}]
    for wrong in refused:
        with pytest.raises(ConfigError):
            Command.parse(wrong, "start")


async def test_a_command_that_comes_again_has_its_reply_repeated() -> None:
    replies, calls = Replies(), 0
    gate = asyncio.Event()

    async def work() -> Reply:
        nonlocal calls
        calls += 1
        await gate.wait()
        return Reply("a", True, calls)

    first, second = (asyncio.create_task(replies.once("a", work)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    gate.set()
    assert (await second).result == 1
    assert (await replies.once("a", work)).result == 1
    assert calls == 1
    await replies.settle()


async def test_only_the_last_thousand_replies_are_remembered() -> None:
    replies, calls = Replies(), 0

    async def work() -> Reply:
        nonlocal calls
        calls += 1
        return Reply("", True)

    for number in range(1_100):
        await replies.once(str(number), work)
    await replies.once("1099", work)
    assert calls == 1_100
    await replies.once("0", work)
    assert calls == 1_101


def test_delays_double_up_to_a_bound_and_begin_anew_when_it_worked() -> None:
    backoff = Backoff(chance=random.Random(4))
    delays = [backoff.next() for _ in range(12)]
    for k, delay in enumerate(delays):
        middle = min(FIRST * 2**k, MOST)
        assert middle * (1 - SPREAD) <= delay <= middle * (1 + SPREAD)
    assert len(set(delays)) == len(delays)
    assert backoff.next(CALM) <= FIRST * (1 + SPREAD)
