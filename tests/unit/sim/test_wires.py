"""Simulated wires: what an unmodified driver reads at the far end is what the source saw, byte for byte."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import serial  # type: ignore[import-untyped]
import usb.core  # type: ignore[import-untyped]
import usb.util  # type: ignore[import-untyped]

from nrt.clock import now
from nrt.errors import ConfigError, StreamError
from nrt.formats.base import Decoder
from nrt.formats.davis import DavisDecoder
from nrt.formats.edvs import EdvsDecoder
from nrt.formats.evt3 import Evt3Decoder
from nrt.packet import Packet, Records
from nrt.record import Totals, Transfer
from nrt_sim.wires import Emitter, FilePort, PtyPort, UdpPort, UsbPort, emitter
from tests.fakes import Script, events, ticks
from tests.unit.formats.streams import decoded, random_events, rows
from tests.unit.test_record import cut

SHAPE = (2, 120, 120)
DECODERS: dict[str, Callable[[], Decoder]] = {
    "evt3": Evt3Decoder,
    "davis": DavisDecoder,
    "edvs": lambda: EdvsDecoder(4),
}


def stream(count: int = 3_000) -> Records:
    found = random_events(4, count, SHAPE, 300)
    found["t"] -= found["t"][0]
    return found


async def emit(found: Records, sink: Emitter, *, scheduled: bool = False) -> Totals:
    source = Script(cut(found, 1_000), shape=SHAPE, scheduled=scheduled)
    return await asyncio.wait_for(Transfer(source, sink).run(), 60)


class Reader:
    """A thread at the far end: calls `read` until it returns nothing."""

    def __init__(self, read: Callable[[], bytes]) -> None:
        self.raw = b""
        self._read = read
        self._thread = threading.Thread(target=self._main)
        self._thread.start()

    def _main(self) -> None:
        while part := self._read():
            self.raw += part

    def join(self) -> bytes:
        self._thread.join(60)
        return self.raw


@pytest.mark.parametrize("wire", DECODERS)
async def test_a_file_holds_the_bare_bytes(tmp_path: Path, wire: str) -> None:
    found = stream()
    sink = emitter(wire, f"file:{tmp_path}/wire")
    totals = await emit(found, sink)
    raw = np.fromfile(sink.address, np.uint8).tobytes()
    assert decoded(DECODERS[wire](), [raw]) == rows(found)
    assert totals.bytes == len(raw)


@pytest.mark.parametrize("wire", DECODERS)
async def test_a_serial_driver_reads_the_stream_from_a_pseudo_terminal(wire: str) -> None:
    found = stream()
    sink = emitter(wire, "pty")
    with serial.Serial(sink.address, 12_000_000, timeout=60, rtscts=True) as line:
        line.write(b"E+\n")
        reader = Reader(lambda: _serial_read(line))
        await emit(found, sink)
        raw = reader.join()
    assert decoded(DECODERS[wire](), [raw]) == rows(found)


def _serial_read(line: serial.Serial) -> bytes:
    """pyserial's own error is how it says that the other end hung up."""
    with contextlib.suppress(serial.SerialException):
        return bytes(line.read(max(line.in_waiting, 1)))
    return b""


@pytest.mark.parametrize("wire", DECODERS)
async def test_datagrams_hold_whole_words_and_all_of_them(wire: str) -> None:
    found = stream(2_000)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        receiver.bind(("127.0.0.1", 0))
        sink = emitter(wire, f"udp://127.0.0.1:{receiver.getsockname()[1]}")
        totals = await emit(found, sink)
        receiver.setblocking(False)
        datagrams = list(_datagrams(receiver))
    assert decoded(DECODERS[wire](), datagrams) == rows(found)
    assert max(map(len, datagrams)) <= 1024
    assert {len(each) % (6 if wire == "edvs" else 2) for each in datagrams} == {0}
    assert totals.bytes == sum(map(len, datagrams))


def _datagrams(receiver: socket.socket) -> Iterator[bytes]:
    with contextlib.suppress(BlockingIOError):
        while True:
            yield receiver.recv(1 << 16)


@pytest.mark.parametrize("wire", ["evt3", "davis"])
async def test_unmodified_pyusb_finds_the_camera_and_reads_its_stream(wire: str) -> None:
    found = stream()
    sink = emitter(wire, "usb")
    port = sink.port
    assert isinstance(port, UsbPort)
    device: Any = usb.core.find(backend=port.backend, idVendor=port.vendor, idProduct=port.product)
    device.set_configuration()
    assert (device.product, device.serial_number) == ("simulated camera", "NRT00001")
    reader = Reader(lambda: _usb_read(device, port.endpoint))
    await emit(found, sink)
    assert decoded(DECODERS[wire](), [reader.join()]) == rows(found)
    usb.util.dispose_resources(device)


def _usb_read(device: Any, endpoint: int) -> bytes:
    try:
        return bytes(device.read(endpoint, 8192, 60_000))
    except usb.core.USBError as error:
        if error.errno != errno.ENODEV:
            raise
        return b""


def test_a_usb_camera_answers_as_one_without_events_and_then_as_one_unplugged() -> None:
    port = UsbPort(0x152A, 0x841A, 0x82)
    device: Any = usb.core.find(backend=port.backend)
    device.set_configuration()
    with pytest.raises(usb.core.USBTimeoutError):
        device.read(0x82, 64, 1)
    assert device.ctrl_transfer(0x40, 0xBF, 5, 3, b"\x00\x00\x00\x01") == 4
    assert bytes(device.ctrl_transfer(0xC0, 0xBF, 5, 3, 4)) == b"\x00\x00\x00\x01"
    assert bytes(device.ctrl_transfer(0xC0, 0xBF, 5, 4, 4)) == bytes(4)
    with pytest.raises(usb.core.USBError, match="Pipe"):
        device.ctrl_transfer(0x80, 0, 0, 0, 2)
    port.close()
    with pytest.raises(usb.core.USBError, match="No such device"):
        device.read(0x82, 64, 1)
    with pytest.raises(usb.core.USBError, match="No such device"):
        device.ctrl_transfer(0xC0, 0xBF, 5, 3, 4)
    assert usb.core.find(backend=port.backend) is None
    usb.util.dispose_resources(device)


async def test_what_finds_the_queue_full_is_counted_and_the_rest_arrives() -> None:
    """Nobody reads the terminal until the source has ended: a real camera's FIFO overflows."""
    found = stream(60_000)
    sink = emitter("davis", "pty")
    sink.queue = 100_000
    ended = asyncio.Event()

    class Ending(Script):
        async def packets(self) -> AsyncIterator[Packet]:
            for packet in self._packets:
                yield packet
            ended.set()

    source = Ending(cut(found, 1_000), shape=SHAPE, scheduled=True)
    with serial.Serial(sink.address, timeout=60) as line:  # first: opening discards what waits
        task = asyncio.create_task(Transfer(source, sink).run())
        await asyncio.wait_for(ended.wait(), 60)
        reader = Reader(lambda: _serial_read(line))
        totals = await asyncio.wait_for(task, 60)
        raw = reader.join()
    arrived = decoded(DavisDecoder(), [raw])
    assert totals.dropped > 0
    assert len(arrived) == totals.events == len(found) - totals.dropped
    assert set(arrived) <= set(rows(found))
    assert totals.counters == {}


@pytest.mark.parametrize("to", ["pty", "usb"])
async def test_stopping_does_not_wait_for_somebody_to_read(to: str) -> None:
    sink = emitter("davis", to)
    begun = asyncio.Event()

    class Staying(Script):
        async def packets(self) -> AsyncIterator[Packet]:
            for packet in self._packets:
                yield packet
            begun.set()
            await asyncio.Event().wait()

    source = Staying(cut(stream(60_000), 1_000), shape=SHAPE, scheduled=True)
    transfer = Transfer(source, sink)
    task = asyncio.create_task(transfer.run())
    await asyncio.wait_for(begun.wait(), 60)
    transfer.stop()
    totals = await asyncio.wait_for(task, 60)
    assert totals.counters["bytes not sent"] > 0
    assert totals.error == "stopped by the user"


async def test_the_clock_on_the_wire_starts_at_zero(tmp_path: Path) -> None:
    found = stream(500)
    found["t"] += 1_700_000_000_000_123
    sink = emitter("evt3", f"file:{tmp_path}/wire")
    await emit(found, sink)
    found["t"] -= sink.origin
    assert decoded(Evt3Decoder(), [np.fromfile(sink.address, np.uint8).tobytes()]) == rows(found)


async def test_a_sensor_too_large_for_the_wire_is_refused() -> None:
    with pytest.raises(ConfigError, match="346 x 260 pixels; this wire has addresses for 128 x 128"):
        await Transfer(Script(ticks(1), shape=(2, 260, 346)), emitter("edvs", "pty")).run()


async def test_a_disk_that_fills_up_ends_the_stream_in_one_sentence() -> None:
    with pytest.raises(StreamError, match="/dev/full: No space left on device"):
        await emit(stream(100), emitter("davis", "file:/dev/full"))


def test_a_file_that_exists_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"precious")
    with pytest.raises(ConfigError, match="exists already"):
        FilePort(tmp_path / "a")


@pytest.mark.parametrize(
    ("wire", "to", "reason"),
    [
        ("evt4", "pty", "no wire 'evt4'; there is evt3, davis, edvs"),
        ("edvs", "usb", "no camera sends edvs over USB"),
        ("davis", "tty", "cannot send to 'tty'"),
        ("davis", "udp://127.0.0.1", "cannot send to"),
        ("davis", "udp://127.0.0.1:99999", "cannot send to"),
        ("davis", "file:", "cannot send to"),
    ],
)
def test_other_names_are_refused_with_what_there_is(wire: str, to: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        emitter(wire, to)


def test_a_port_can_be_closed_twice_and_cancelled_after_that() -> None:
    for port in (PtyPort(), UdpPort("127.0.0.1", 9), UsbPort(1, 2, 0x81)):
        port.close()
        port.close()
        port.cancel()


async def test_bytes_go_out_when_they_are_due(tmp_path: Path) -> None:
    packets = [Packet(events((k * 10_000, 1, 1, 1)), k * 10_000, (k + 1) * 10_000, 0) for k in (0, 1)]
    begin = now()
    totals = await Transfer(
        Script(packets, shape=SHAPE), emitter("davis", f"file:{tmp_path}/a"), speed=1.0
    ).run()
    assert now() - begin >= 20_000_000  # a pause is never shorter than asked for
    assert totals.late_ms is not None
    assert np.fromfile(tmp_path / "a", "<u2")[-1] == 0x8000 | 20_000
