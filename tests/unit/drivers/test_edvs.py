"""The eDVS driver against an emulated camera: on a terminal, over TCP and in this process, clean and faulty."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from nrt.errors import (
    ConfigError,
    DeviceBusy,
    DeviceLost,
    DeviceTimeout,
    NotFound,
    ProtocolError,
    StreamError,
)
from nrt.registry import Uri
from nrt.spec import load
from nrt.wire import MemoryWire, board
from nrt_sim.cameras.edvs import EdvsBoard
from nrt_sim.serve import Door, PtyDoor, Server, TcpDoor
from tests.unit.drivers.cameras import WHOLE, as_far, before, camera, scene, seen
from tests.unit.formats.streams import rows
from tests.unit.wire.far import Echo

SHAPE = (2, 128, 128)


def emulated(uri: str) -> EdvsBoard:
    made = board(Uri.parse(uri))
    assert isinstance(made, EdvsBoard)
    return made


@pytest.mark.parametrize("format", ["E1", "E2", "E3", "E4"])
async def test_what_the_camera_sees_is_what_arrives(format: str, tmp_path: Path) -> None:
    plays, wanted = scene(tmp_path, SHAPE)
    found = await seen(camera(f"edvs+emu:?plays={plays}&format={format}&{WHOLE}"), len(wanted))
    got, scenes = as_far(found, wanted)
    assert got == scenes
    assert len(got) == len(wanted)


async def test_a_format_without_times_has_those_of_arrival(tmp_path: Path) -> None:
    plays, wanted = scene(tmp_path, SHAPE)
    found = await seen(camera(f"edvs+emu:?plays={plays}&format=E0&{WHOLE}"), len(wanted))
    assert [row[1:] for row in rows(found)] == [row[1:] for row in wanted]
    assert bool((found["t"][1:] >= found["t"][:-1]).all())
    assert int(found["t"][-1]) >= wanted[-1][0] - wanted[0][0]


@pytest.mark.parametrize("door", [PtyDoor, TcpDoor])
async def test_over_a_line_it_is_the_same(door: type[Door], tmp_path: Path) -> None:
    plays, wanted = scene(tmp_path, SHAPE)
    with Server(emulated(f"edvs+emu:?plays={plays}"), door()) as server:
        found = await seen(camera(f"edvs{server.address}?{WHOLE}"), len(wanted))
    got, scenes = as_far(found, wanted)
    assert got == scenes


@pytest.mark.parametrize(
    ("generation", "greeting"), [("lpc4337", "EDVS-4337"), ("stm32", "meDVS"), ("lpc2106", "LPC2106")]
)
async def test_each_firmware_is_known_by_its_banner(generation: str, greeting: str, tmp_path: Path) -> None:
    plays, wanted = scene(tmp_path, SHAPE, count=500)
    source = camera(f"edvs+emu:?plays={plays}&generation={generation}&{WHOLE}")
    got, scenes = as_far(await seen(source, len(wanted)), wanted)
    assert got == scenes
    assert greeting in source.identity()["camera"]
    assert source.shape == SHAPE


async def test_an_older_firmware_is_not_asked_for_what_it_does_not_have() -> None:
    source = camera("edvs+emu:?generation=lpc2106&format=E4")
    with pytest.raises(ConfigError, match="no format E4; it has E0, E2"):
        await source.open()
    await source.close()


async def test_the_biases_reach_the_chip_all_at_once() -> None:
    far = emulated("edvs+emu:")
    source = before(far, "edvs+emu:?biases=fast,PR:218")
    await source.open()
    await source.close()
    usual = load("edvs").table("fast_biases")
    assert far.biases == (*usual[:-1], 218)


async def test_biases_can_be_kept() -> None:
    far = emulated("edvs+emu:")
    source = before(far, "edvs+emu:?biases=keep")
    await source.open()
    await source.close()
    assert far.biases == ()


@pytest.mark.parametrize("text", ["slow", "PR:16777216", "PRX:1", "PR:-1", "PR:"])
def test_biases_that_do_not_exist_are_refused_by_name(text: str) -> None:
    with pytest.raises(ConfigError, match="bias"):
        camera(f"edvs+emu:?biases={text}")


@pytest.mark.parametrize("sync", ["master", "slave"])
async def test_clocks_can_be_joined(sync: str, tmp_path: Path) -> None:
    plays, wanted = scene(tmp_path, SHAPE, count=200)
    found = await seen(camera(f"edvs+emu:?plays={plays}&sync={sync}&{WHOLE}"), len(wanted))
    got, scenes = as_far(found, wanted)
    assert got == scenes


async def test_a_port_with_something_else_on_it_is_not_taken_for_a_camera() -> None:
    source = before(Echo(greeting=b"ready>\r\n"), "edvs+emu:")
    with pytest.raises(ProtocolError, match="expected an eDVS that says EDVS-4337 or meDVS or LPC2106"):
        await asyncio.wait_for(source.open(), 20)
    await source.close()


async def test_a_port_with_nothing_on_it_is_given_up() -> None:
    class Mute(Echo):
        def receive(self, data: bytes, now: int) -> None:
            pass

    source = before(Mute(), "edvs+emu:")
    with pytest.raises(DeviceTimeout, match="no eDVS answers"):
        await asyncio.wait_for(source.open(), 20)
    await source.close()


async def test_a_camera_at_another_baud_rate_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The board hears only what comes at 4 Mbaud, the third rate that is tried."""
    tried: list[int] = []
    import nrt_drivers.cameras.edvs as driver

    class Deaf(Echo):
        def receive(self, data: bytes, now: int) -> None:
            pass

    def line(uri: Uri, defaults: dict[str, int]) -> MemoryWire:
        tried.append(defaults["baud"])
        far = emulated("edvs+emu:") if defaults["baud"] == 4_000_000 else Deaf()
        return MemoryWire(far, str(uri))

    source = camera("edvs+serial:///dev/ttyUSB0")
    monkeypatch.setattr(driver, "wire", line)
    await asyncio.wait_for(source.open(), 30)
    await source.close()
    assert tried == [12_000_000, 8_000_000, 4_000_000]


async def test_two_of_us_cannot_have_one_camera() -> None:
    with Server(emulated("edvs+emu:"), PtyDoor()) as server:
        first, second = camera(f"edvs{server.address}"), camera(f"edvs{server.address}")
        await asyncio.wait_for(first.open(), 20)
        with pytest.raises(DeviceBusy):
            await asyncio.wait_for(second.open(), 20)
        await second.close()
        await first.close()


async def test_a_camera_that_is_not_there_is_not_found() -> None:
    with pytest.raises(NotFound, match="no /dev/ttyNRT9"):
        await camera("edvs+serial:///dev/ttyNRT9").open()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open every terminal")
async def test_missing_permission_says_what_to_do() -> None:
    with Server(emulated("edvs+emu:"), PtyDoor()) as server:
        os.chmod(server.address.partition("//")[2], 0)
        with pytest.raises(Exception, match="no permission"):
            await camera(f"edvs{server.address}").open()


async def test_a_camera_that_is_unplugged_is_lost_after_its_last_event(tmp_path: Path) -> None:
    plays, wanted = scene(tmp_path, SHAPE)
    server = Server(emulated(f"edvs+emu:?plays={plays}"), PtyDoor()).start()
    source = camera(f"edvs{server.address}?packet=0us")
    count = 0
    await asyncio.wait_for(source.open(), 20)
    with pytest.raises(DeviceLost):
        async with asyncio.timeout(40):
            async for packet in source.packets():
                count += len(packet)
                if count > len(wanted) // 2:
                    await asyncio.to_thread(server.stop)
    await source.close()
    assert len(wanted) // 2 < count <= len(wanted)


@pytest.mark.parametrize(
    "faults", ["piece:1", "in.corrupt:1e-3", "in.lose:1e-3", "in.repeat:1e-3", "in.corrupt:1e-2,in.lose:1e-2"]
)
async def test_over_a_bad_line_most_events_arrive_and_the_rest_is_counted(
    faults: str, tmp_path: Path
) -> None:
    """Where bytes are lost, some events are misread until one shows it; a damaged one is passed over."""
    plays, wanted = scene(tmp_path, SHAPE, count=800 if faults == "piece:1" else 3_000, lone=True)
    cut = WHOLE if faults == "piece:1" else "packet=0us"
    source = camera(f"edvs+emu:?plays={plays}&{cut}&faults={faults},seed:5")
    found = await seen(source, len(wanted) if faults == "piece:1" else len(wanted) // 2)
    if faults == "piece:1":
        assert as_far(found, wanted)[0] == wanted
        return
    known = {row[1:] for row in wanted}
    share = sum(row[1:] in known for row in rows(found)) / len(found)
    assert share > (0.8 if "2" in faults else 0.97)
    assert source.counters()["bytes skipped"] > 0


async def test_a_stream_of_garbage_ends_in_one_sentence() -> None:
    class Garbage(EdvsBoard):
        def transmit(self, now: int) -> bytes:
            out = super().transmit(now)
            return b"no camera " * 2_000 if self.streams else out

    source = before(Garbage(), "edvs+emu:?packet=0us")
    with pytest.raises(StreamError, match="no eDVS that sends E3"):
        await seen(source, 1)


async def test_a_still_scene_is_no_error_and_its_silence_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nrt.live.silence.PATIENCE", 50_000_000)
    plays, wanted = scene(tmp_path, SHAPE, count=50)
    source = camera(f"edvs+emu:?plays={plays}")
    await asyncio.wait_for(source.open(), 20)
    end = 0
    async with asyncio.timeout(40):
        packets = source.packets()
        async for packet in packets:
            end = packet.end
            if end > wanted[-1][0] + 400_000:
                break
        await packets.aclose()  # type: ignore[attr-defined]
    await source.close()
    assert end > wanted[-1][0] + 400_000  # time passed although nothing came
    assert source.counters()["silent ms"] >= 50


def test_the_emulated_line_is_as_fast_as_its_baud_rate() -> None:
    """At 100 kbaud ten thousand bytes a second pass, at any time; what the buffer cannot keep is counted."""
    far = EdvsBoard(plays="synth:bar?sensor=dvs128&seconds=0.5", baud=100_000)
    far.connect()
    now = 10_000_000_000
    far.receive(b"!U0\n!E4\nE+\n", now)
    sent, began, deadline = 0, now, time.monotonic() + 30
    while sent < 5_000 and time.monotonic() < deadline:
        now += 1_000_000
        sent += len(far.transmit(now))
        assert sent <= (now - began) // 100_000 + 10
        if sent < 100:
            time.sleep(0.001)  # the scene is computed in a thread
    far.disconnect()
    assert sent >= 5_000
    assert (now - began) // 100_000 >= 5_000


def test_the_emulated_firmware_answers_as_the_real_one() -> None:
    """From the firmware's source: echo of all, "-B" for a bias, "?" for what it does not know."""
    far = EdvsBoard()
    far.connect()
    far.receive(b"!B3=77\nX\n?B3\n", 0)
    assert far.transmit(1_000_000_000) == b"!B3=77\n-B3=77\nX\n?\n?B3\n-B3=77\n"
    far.receive(b"!U0\n", 1_000_000_000)
    far.transmit(2_000_000_000)
    far.receive(b"!B3=78\n?B3\n", 2_000_000_000)
    assert far.transmit(3_000_000_000) == b"-B3=78\n"
    far.receive(b"R\n", 3_000_000_000)
    assert far.transmit(4_000_000_000).startswith(b"\nEDVS-4337")


def test_a_line_that_is_too_long_begins_anew() -> None:
    far = EdvsBoard()
    far.connect()
    far.receive(b"!U0\n", 0)
    far.transmit(1_000_000_000)
    far.receive(b"x" * 127 + b"?B1\n", 1_000_000_000)
    assert far.transmit(2_000_000_000) == b"-B1=0\n"
