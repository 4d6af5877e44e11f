from __future__ import annotations

import asyncio

import pytest

import nrt
from nrt.network import Network, Population
from tests.fakes import Script, events, ticks

NETWORK = Network((Population("input", (2, 4, 4)),), (), ("input",), ("input",))


async def test_a_run_streams_everything_and_reports_it() -> None:
    async with nrt.open("null:") as session:
        await session.deploy(NETWORK)
        source = Script(ticks(50))
        async with session.stream(source) as run:
            ends = [packet.end async for packet in run]
    assert ends == [1_000 * k for k in range(1, 51)]
    assert (source.opened, source.closed) == (1, 1)
    assert (run.report.packets, run.report.events, run.report.lost) == (50, 50, 0)
    assert run.report.latency.packets == 50
    assert run.report.stream_s == pytest.approx(0.05)
    assert run.report.error == ""


async def test_leaving_early_closes_the_source_and_frees_the_device() -> None:
    async with nrt.open("null:") as session:
        await session.deploy(NETWORK)
        source = Script(ticks(500))
        async with session.stream(source) as run:
            async for packet in run:
                if packet.end == 10_000:
                    break
        assert source.closed == 1
        assert (await session.run(Script(ticks(3)))).packets == 3


async def test_a_failing_source_is_raised_after_everything_before_it() -> None:
    async with nrt.open("null:") as session:
        await session.deploy(NETWORK)
        source = Script(ticks(5), nrt.DeviceLost("camera:", "unplugged"))
        seen, run = 0, session.stream(source)
        with pytest.raises(nrt.DeviceLost, match="unplugged"):
            async with run:
                async for _ in run:
                    seen += 1
    assert seen == 5
    assert source.closed == 1
    assert run.report.error == "DeviceLost: camera:: unplugged"


async def test_a_failing_source_is_raised_even_if_nobody_iterates() -> None:
    async with nrt.open("null:") as session:
        await session.deploy(NETWORK)
        with pytest.raises(nrt.DeviceLost):
            async with session.stream(Script([], nrt.DeviceLost("camera:", "unplugged"))):
                await asyncio.sleep(0.01)


async def test_an_error_of_the_user_passes_through_unchanged() -> None:
    async with nrt.open("null:") as session:
        await session.deploy(NETWORK)
        source = Script(ticks(500))
        with pytest.raises(ZeroDivisionError):
            async with session.stream(source) as run:
                async for _ in run:
                    raise ZeroDivisionError
        assert source.closed == 1


async def test_a_timeout_closes_everything() -> None:
    class Stalled(Script):
        async def packets(self):  # type: ignore[no-untyped-def]
            yield ticks(1)[0]
            await asyncio.sleep(60)

    source = Stalled([])
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05), nrt.open("null:") as session:
            await session.deploy(NETWORK)
            await session.run(source)
    assert source.closed == 1


async def test_stop_ends_a_run_in_order_with_its_report() -> None:
    class Camera(Script):
        async def packets(self):  # type: ignore[no-untyped-def]
            while True:
                yield ticks(1)[0]
                await asyncio.sleep(0.001)

    async with nrt.open("null:") as session:
        await session.deploy(NETWORK)
        async with session.stream(Camera([])) as run:
            count = 0
            async for _ in run:
                count += 1
                if count == 3:
                    run.stop()
    assert run.report.error == "stopped by the user"
    assert run.report.packets >= 3


async def test_a_second_run_on_a_busy_device_is_refused() -> None:
    async with nrt.open("null:") as session:
        await session.deploy(NETWORK)
        async with session.stream(Script(ticks(3))):
            with pytest.raises(nrt.DeviceBusy):
                async with session.stream(Script(ticks(3))):
                    pass


async def test_streaming_before_deploying_is_refused() -> None:
    async with nrt.open("null:") as session:
        with pytest.raises(nrt.ConfigError, match="call deploy first"):
            session.stream(Script([]))


async def test_a_sensor_that_does_not_fit_the_network_is_refused_before_anything_runs() -> None:
    async with nrt.open("null:") as session:
        await session.deploy(NETWORK)
        with pytest.raises(nrt.ConfigError, match="640x480 pixels and the network sees 4x4"):
            await session.run(Script(ticks(3), shape=(2, 480, 640)))


async def test_many_recordings_are_reported_in_order_and_a_failure_stays_with_its_own() -> None:
    sources = [Script(ticks(k + 1)) for k in range(4)]
    sources[2] = Script(ticks(3), nrt.StreamError("torn"))
    done: list[int] = []
    async with nrt.open("null:") as session:
        await session.deploy(NETWORK)
        reports = await session.run_all(sources, done=lambda k, report: done.append(k))
    assert [report.packets for report in reports] == [1, 2, 3, 4]
    assert [report.error for report in reports] == ["", "", "StreamError: torn", ""]
    assert sorted(done) == [0, 1, 2, 3]


async def test_losses_that_a_source_declares_are_in_the_report() -> None:
    lossy = [nrt.Packet(events(), 0, 1_000, 0, lost=7), nrt.Packet(events(), 1_000, 2_000, 0, lost=5)]
    async with nrt.open("null:") as session:
        await session.deploy(NETWORK)
        assert (await session.run(Script(lossy))).lost == 12


async def test_a_report_is_json_with_no_figure_that_was_not_had() -> None:
    import json

    async with nrt.open("null:") as session:
        await session.deploy(NETWORK)
        plain = json.loads((await session.run(Script([]))).to_json())
    assert plain["latency"]["p50"] is None
    assert plain["energy"] == []
    assert plain["network"]["hash"] == NETWORK.hash
