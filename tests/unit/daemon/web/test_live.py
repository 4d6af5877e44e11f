"""What viewers are told, at their own speed, and that the pipeline does not notice them."""

from __future__ import annotations

import asyncio
import dataclasses
import struct
from typing import Any

import aiohttp
import pytest

from nrt.daemon.web import server
from nrt.daemon.web.viewer import AHEAD
from tests.unit.daemon.web.conftest import Box, Serve

HEADER = struct.Struct("<BBHHHHHIIIIIdd")  # as the table in frames.py says
PATIENCE = 60.0


class Page:
    """A viewer that answers only when it is told to."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.texts: list[dict[str, Any]] = []

    async def frame(self) -> bytes:
        while True:
            message = await self.socket.receive(timeout=PATIENCE)
            if message.type is aiohttp.WSMsgType.BINARY:
                data: bytes = message.data
                return data
            assert message.type is aiohttp.WSMsgType.TEXT, message
            self.texts.append(message.json())

    async def text(self, kind: str) -> dict[str, Any]:
        while True:
            for text in self.texts:
                if text["type"] == kind:
                    self.texts.remove(text)
                    return text
            message = await self.socket.receive(timeout=PATIENCE)
            assert message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY), message
            if message.type is aiohttp.WSMsgType.TEXT:
                self.texts.append(message.json())

    async def drawn(self, frame: bytes) -> None:
        await self.socket.send_json({"drawn": HEADER.unpack_from(frame)[7]})


async def opened(session: aiohttp.ClientSession, box: Box) -> Page:
    page = Page(await session.ws_connect(f"{box.url}api/live"))
    await page.socket.send_json({"view": "digits"})
    return page


async def test_a_page_is_told_of_the_node_its_pipelines_the_log_and_then_figures(serve: Serve) -> None:
    async with serve() as box, aiohttp.ClientSession() as session:
        page = await opened(session, box)
        assert (await page.text("node"))["info"]["node"] == "box"
        (digits,) = (await page.text("pipelines"))["pipelines"]
        assert [each["name"] for each in digits["populations"]][-1] == "digit"
        assert digits["placement"]["device"] == "cpu:"
        assert digits["shape"] == [2, 32, 32]
        assert any("dashboard at" in line["message"] for line in (await page.text("log"))["lines"])
        stats = (await page.text("stats"))["pipelines"]["digits"]
        assert stats["state"] == "running"
        decision = await page.text("decision")
        assert decision["pipeline"] == "digits"
        assert decision["end"] - decision["start"] == 50_000


async def test_frames_hold_the_sensor_s_size_events_and_the_lines_of_the_outputs(serve: Serve) -> None:
    async with serve() as box, aiohttp.ClientSession() as session:
        page = await opened(session, box)
        seen = dots = 0
        last = -1
        while seen < 1_000 or not dots:
            frame = await page.frame()
            await page.drawn(frame)
            kind, version, lines, columns, rows, factor, _, number, events, count, *_ = HEADER.unpack_from(
                frame
            )
            assert (kind, version, lines, columns, rows, factor) == (1, 1, 10, 32, 32, 1)
            assert number > last
            last, seen, dots = number, seen + events, dots + count
            mask = frame[HEADER.size + 8 * count :][: 32 * 32 // 8]
            values = frame[HEADER.size + 8 * count + len(mask) :]
            assert len(values) == sum(byte.bit_count() for byte in mask)
            assert sum((byte & 15) + (byte >> 4) for byte in values) <= events


async def test_a_page_that_draws_nothing_is_sent_no_more_than_a_few_frames(serve: Serve) -> None:
    async with serve() as box, aiohttp.ClientSession() as session:
        page = await opened(session, box)
        frames = [await page.frame() for _ in range(AHEAD)]
        page.texts.clear()
        while (told := await page.text("viewer"))["dropped"] < 5:
            pass
        assert told["frames"] == 0
        assert box.pipeline.stats().lost == 0
        await page.drawn(frames[-1])
        again = await page.frame()
        assert HEADER.unpack_from(again)[7] > HEADER.unpack_from(frames[-1])[7] + 1, "it gets the newest"


async def test_a_page_that_reads_nothing_does_not_keep_others_or_the_pipeline_waiting(serve: Serve) -> None:
    async with serve() as box, aiohttp.ClientSession() as session:
        deaf = await session.ws_connect(f"{box.url}api/live")
        await deaf.send_json({"view": "digits"})
        page = await opened(session, box)
        before = box.pipeline.stats().events
        for _ in range(30):
            await page.drawn(await page.frame())
        assert box.pipeline.stats().events > before
        assert box.pipeline.stats().lost == 0


async def test_nothing_is_made_of_a_pipeline_that_nobody_looks_at(serve: Serve) -> None:
    async with serve() as box, aiohttp.ClientSession() as session:
        assert not drawing()
        page = await opened(session, box)
        await page.frame()
        assert drawing() == 1
        second = await opened(session, box)
        await second.frame()
        assert drawing() == 1, "frames are made once for all"
        await page.socket.close()
        await second.socket.close()
        async with asyncio.timeout(PATIENCE):
            while drawing():  # noqa: ASYNC110
                await asyncio.sleep(0.02)


def drawing() -> int:
    return sum(task.get_name().startswith("nrt.web digits") for task in asyncio.all_tasks())


@pytest.mark.parametrize("text", ["not json", "[]", '"view"', "[" * 3_000, "x" * 5_000])
async def test_a_page_that_talks_nonsense_is_hung_up_on(serve: Serve, text: str) -> None:
    async with serve() as box, aiohttp.ClientSession() as session:
        page = await opened(session, box)
        await page.socket.send_str(text)
        async with asyncio.timeout(PATIENCE):
            async for _ in page.socket:
                pass
        assert page.socket.closed
        assert box.pipeline.wanted


async def test_requests_for_what_is_not_there_are_passed_over(serve: Serve) -> None:
    async with serve() as box, aiohttp.ClientSession() as session:
        page = Page(await session.ws_connect(f"{box.url}api/live"))
        for odd in ({"view": "nobody"}, {"drawn": -1}, {"drawn": 10**30}, {"drawn": None}, {}, {"view": 7}):
            await page.socket.send_json(odd)
        await page.socket.send_json({"view": "digits"})
        await page.frame()


async def test_there_is_an_end_to_the_number_of_viewers(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MOST", 2)
    async with serve() as box, aiohttp.ClientSession() as session:
        pages = [await opened(session, box) for _ in range(2)]
        for page in pages:
            await page.frame()
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await opened(session, box)
        assert refused.value.status == 503


async def test_a_command_is_carried_out_once_and_its_reply_repeated(serve: Serve) -> None:
    async with serve() as box, aiohttp.ClientSession() as session:
        body = {"id": "one", "verb": "restart", "pipeline": "digits"}
        replies = []
        for _ in range(2):
            async with session.post(f"{box.url}api/command", json=body) as answer:
                assert answer.status == 200
                replies.append(await answer.json())
        assert replies[0] == replies[1]
        restarts = [line for line in box.node.log.recent() if "restart: asked for" in line.message]
        assert len(restarts) == 1
        async with session.post(
            f"{box.url}api/command", json={**body, "id": "two", "pipeline": "x"}
        ) as answer:
            assert answer.status == 409
            assert "no pipeline 'x'" in (await answer.json())["error"]
        for broken in (b"{", b"[" * 20_000, b'{"id": 1}', b"\xff"):
            async with session.post(
                f"{box.url}api/command", data=broken, headers={"Content-Type": "application/json"}
            ) as answer:
                assert answer.status == 400, broken[:10]


async def test_a_reload_moves_the_server_and_leaves_the_pipeline_alone(serve: Serve) -> None:
    async with serve() as box, aiohttp.ClientSession() as session:
        page = await opened(session, box)
        await page.frame()
        before, uptime = box.url, box.pipeline.stats().uptime_s
        web = dataclasses.replace(box.node.config.tables["web"], names=("edge7.lab.example",))  # type: ignore[type-var]
        config = dataclasses.replace(box.node.config, tables={**box.node.config.tables, "web": web})
        await box.node.reload(config)
        async with asyncio.timeout(PATIENCE):
            async for _ in page.socket:
                pass
            while not box.url:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        with pytest.raises(aiohttp.ClientConnectionError):
            await session.get(before)
        await (await opened(session, box)).frame()
        assert box.pipeline.stats().uptime_s > uptime
