"""The DVS128 and DAVIS240 drivers against emulated cameras: in this process and behind pyusb, clean and faulty."""

from __future__ import annotations

import asyncio
import errno
from dataclasses import dataclass
from pathlib import Path

import pytest
import usb.core  # type: ignore[import-untyped]

from nrt.errors import (
    ConfigError,
    DeviceBusy,
    DeviceError,
    DeviceLost,
    DeviceTimeout,
    NotFound,
    ProtocolError,
    Unsupported,
)
from nrt.registry import Uri
from nrt.spec import load
from nrt.wire import board
from nrt_sim.cameras.davis240 import Davis240Board
from nrt_sim.cameras.dvs128 import Dvs128Board
from tests.unit.drivers.cameras import WHOLE, as_far, before, camera, on_usb, scene, seen
from tests.unit.formats.streams import rows


@dataclass(frozen=True, slots=True)
class Kind:
    """A camera: its scheme, product number, data endpoint and shape."""

    scheme: str
    product: int
    endpoint: int
    shape: tuple[int, int, int]


DVS128 = Kind("dvs128", 0x8400, 0x86, (2, 128, 128))
DAVIS240 = Kind("davis240", 0x841B, 0x82, (2, 180, 240))
KINDS = pytest.mark.parametrize("kind", [DVS128, DAVIS240], ids=lambda kind: kind.scheme)


@KINDS
async def test_what_the_camera_sees_is_what_arrives(kind: Kind, tmp_path: Path) -> None:
    plays, wanted = scene(tmp_path, kind.shape)
    source = camera(f"{kind.scheme}+emu:?plays={plays}&{WHOLE}")
    got, scenes = as_far(await seen(source, len(wanted)), wanted)
    assert got == scenes
    assert source.shape == kind.shape
    assert source.counters() == {}


@KINDS
async def test_behind_pyusb_it_is_the_same(
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plays, wanted = scene(tmp_path, kind.shape)
    on_usb(monkeypatch, f"{kind.scheme}+emu:?plays={plays}", kind.product, kind.endpoint)
    got, scenes = as_far(await seen(camera(f"{kind.scheme}+usb:A1?{WHOLE}"), len(wanted)), wanted)
    assert got == scenes


async def test_a_sensor_that_lies_on_its_side_is_turned(tmp_path: Path) -> None:
    plays, wanted = scene(tmp_path, DAVIS240.shape)
    source = camera(f"davis240+emu:?exchanged=1&plays={plays}&{WHOLE}")
    got, scenes = as_far(await seen(source, len(wanted)), wanted)
    assert got == scenes
    assert source.shape == DAVIS240.shape


@KINDS
async def test_a_camera_that_was_left_running_starts_anew(
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Streams twice; between the two nobody told it to stop."""
    plays, wanted = scene(tmp_path, kind.shape, count=600)
    on_usb(monkeypatch, f"{kind.scheme}+emu:?plays={plays}", kind.product, kind.endpoint)
    first = camera(f"{kind.scheme}+usb:?packet=0us")
    monkeypatch.setattr(first, "_halt", lambda: asyncio.sleep(0))
    await seen(first, 100)
    got, scenes = as_far(await seen(camera(f"{kind.scheme}+usb:?{WHOLE}"), len(wanted)), wanted)
    assert got == scenes


async def test_a_dvs128_gets_its_biases_in_one_request() -> None:
    far = Dvs128Board()
    source = before(far, "dvs128+emu:?biases=fast,DIFFON:7&master=no")
    await source.open()
    await source.close()
    usual = list(load("dvs128").table("fast_biases"))
    usual[8] = 7
    assert far.biases == tuple(usual)
    assert not far.master


async def test_a_davis240_gets_its_biases_and_only_events_are_switched_on() -> None:
    far = Davis240Board()
    source = before(far, "davis240+emu:?biases=usual,ONBN:1")
    await source.open()
    assert (far.register("DIFFBN"), far.register("ONBN"), far.register("SSN")) == (0x427F, 1, 33_808)
    packets = source.packets()
    async with asyncio.timeout(30):
        await anext(packets)
    assert [far.register(name) for name in ("DVS_RUN", "APS_RUN", "IMU_RUN_GYROSCOPE")] == [1, 0, 0]
    await packets.aclose()  # type: ignore[attr-defined]
    assert far.register("DVS_RUN") == far.register("MUX_RUN_CHIP") == 0
    await source.close()


@pytest.mark.parametrize("text", ["slow", "usual,PRX:1", "ONBN:65536"])
def test_biases_that_do_not_exist_are_refused_by_name(text: str) -> None:
    with pytest.raises(ConfigError, match="bias"):
        camera(f"davis240+emu:?biases={text}")


async def test_another_sensor_behind_the_same_number_is_refused() -> None:
    source = camera("davis240+emu:?chip=5")
    with pytest.raises(ProtocolError, match="expected a DAVIS240, chip 0, 1 or 2, got chip 5"):
        await source.open()
    await source.close()


async def test_older_logic_is_refused_with_what_to_do() -> None:
    source = camera("davis240+emu:?logic=16")
    with pytest.raises(Unsupported, match=r"revision 16.*update it to 18"):
        await source.open()
    await source.close()


@KINDS
async def test_two_of_us_cannot_have_one_camera(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    on_usb(monkeypatch, f"{kind.scheme}+emu:", kind.product, kind.endpoint)
    first, second = camera(f"{kind.scheme}+usb:"), camera(f"{kind.scheme}+usb:")
    await asyncio.wait_for(first.open(), 20)
    with pytest.raises(DeviceBusy, match="claimed"):
        await asyncio.wait_for(second.open(), 20)
    await second.close()
    await first.close()


@KINDS
async def test_missing_permission_names_the_command(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    device = on_usb(monkeypatch, f"{kind.scheme}+emu:", kind.product, kind.endpoint)

    def forbidden(dev: object) -> object:
        raise usb.core.USBError("Access denied (insufficient permissions)", -3, errno.EACCES)

    device.backend.open_device = forbidden  # type: ignore[method-assign]
    with pytest.raises(DeviceError, match="udev"):
        await camera(f"{kind.scheme}+usb:").open()


@KINDS
async def test_another_camera_on_the_bus_is_not_taken_for_this_one(
    kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_usb(monkeypatch, f"{kind.scheme}+emu:", 0x8419, kind.endpoint)
    with pytest.raises(NotFound, match=f"no USB device 152a:{kind.product:04x}"):
        await camera(f"{kind.scheme}+usb:").open()


@KINDS
async def test_a_camera_that_is_unplugged_is_lost(
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plays, wanted = scene(tmp_path, kind.shape)
    device = on_usb(monkeypatch, f"{kind.scheme}+emu:?plays={plays}", kind.product, kind.endpoint)
    source = camera(f"{kind.scheme}+usb:?packet=0us")
    count = 0
    await asyncio.wait_for(source.open(), 20)
    with pytest.raises(DeviceLost):
        async with asyncio.timeout(40):
            async for packet in source.packets():
                count += len(packet)
                if count > len(wanted) // 2:
                    device.unplug()
    await source.close()
    assert len(wanted) // 2 < count <= len(wanted)


@KINDS
async def test_a_camera_that_falls_silent_has_failed(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would send a word for every turn of its clock: after the patience there is an error, not a wait."""
    monkeypatch.setattr("nrt.live.silence.PATIENCE", 100_000_000)
    source = camera(f"{kind.scheme}+emu:?faults=in.stall:4000")
    await asyncio.wait_for(source.open(), 20)
    with pytest.raises(DeviceTimeout, match="it sent nothing for"):
        async with asyncio.timeout(40):
            async for _ in source.packets():
                pass
    await source.close()


@KINDS
async def test_a_scene_in_which_nothing_moves_is_no_silence(
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nrt.live.silence.PATIENCE", 1_000_000_000)
    plays, wanted = scene(tmp_path, kind.shape, count=30)
    source = camera(f"{kind.scheme}+emu:?plays={plays}")
    end = 0
    await asyncio.wait_for(source.open(), 20)
    async with asyncio.timeout(40):
        packets = source.packets()
        async for packet in packets:
            end = max(end, packet.end)
            if end > wanted[-1][0] + 1_400_000:
                break
        await packets.aclose()  # type: ignore[attr-defined]
    await source.close()


@KINDS
@pytest.mark.parametrize("faults", ["piece:1", "piece:7,delay:0.01,hold:0.005"])
async def test_a_wire_that_cuts_and_delays_changes_nothing(kind: Kind, faults: str, tmp_path: Path) -> None:
    plays, wanted = scene(tmp_path, kind.shape, count=800)
    source = camera(f"{kind.scheme}+emu:?plays={plays}&{WHOLE}&faults={faults}")
    got, scenes = as_far(await seen(source, len(wanted)), wanted)
    assert got == scenes


@KINDS
async def test_damaged_words_cost_few_events_and_never_one_beyond_the_sensor(
    kind: Kind, tmp_path: Path
) -> None:
    plays, wanted = scene(tmp_path, kind.shape)
    source = camera(f"{kind.scheme}+emu:?plays={plays}&packet=0us&faults=in.corrupt:1e-3,seed:4")
    found = await seen(source, len(wanted) // 2)
    known = {row[1:] for row in wanted}
    assert sum(row[1:] in known for row in rows(found)) > 0.9 * len(found)
    assert int(found["x"].max()) < kind.shape[2]
    assert int(found["y"].max()) < kind.shape[1]


async def test_a_dvs128_finds_its_words_again_after_lost_bytes(tmp_path: Path) -> None:
    plays, wanted = scene(tmp_path, DVS128.shape, lone=True)
    source = camera(f"dvs128+emu:?plays={plays}&packet=0us&faults=in.lose:1e-3,seed:4")
    found = await seen(source, len(wanted) // 2)
    known = {row[1:] for row in wanted}
    assert sum(row[1:] in known for row in rows(found)) > 0.9 * len(found)
    assert source.counters()["bytes skipped"] > 0


def test_unknown_requests_stall() -> None:
    for far in (board(Uri.parse("dvs128+emu:")), board(Uri.parse("davis240+emu:"))):
        assert isinstance(far, Dvs128Board | Davis240Board)
        assert far.control(0x40, 0x99, 0, 0, b"", 0) is None
        assert far.control(0xC0, 0x99, 0, 0, 4, 0) is None
