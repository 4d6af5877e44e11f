"""What is particular to one kind of wire: refusals, datagrams, control requests, URIs."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from pathlib import Path
from typing import Any

import pytest
import serial  # type: ignore[import-untyped]
import usb.core  # type: ignore[import-untyped]

from nrt.errors import ConfigError, DeviceBusy, DeviceError, DeviceLost, NotFound
from nrt.registry import Uri
from nrt.wire import FaultyWire, wire
from nrt.wire.serial import SerialWire
from nrt.wire.sockets import UdpWire
from nrt.wire.usb import UsbWire
from nrt_sim.serve import PtyDoor, Server
from nrt_sim.serve.usb import UsbBoard
from nrt_sim.wires import UsbPort
from tests.unit.wire.far import Echo, soon, take

# serial


async def test_modem_lines_that_a_pseudo_terminal_lacks_are_tolerated() -> None:
    with Server(Echo(), PtyDoor()) as served:
        line = wire(Uri.parse(f"test{served.address}?baud=12000000&rtscts=yes"))
        assert isinstance(line, SerialWire)
        await line.open()
        assert line.modem(rts=True, dtr=False) is False
        await line.write(b"x")
        assert await take(line, 1) == b"x"
        await line.close()


async def test_a_line_that_another_program_has_locked_is_busy() -> None:
    with Server(Echo(), PtyDoor()) as served:
        line = wire(Uri.parse(f"test{served.address}"))
        place = line.name.partition(":")[2]
        with serial.Serial(place, exclusive=True), pytest.raises(DeviceBusy, match="has /dev/pts/"):
            await line.open()
        await line.open()
        await line.close()


async def test_a_file_that_is_no_terminal_is_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DeviceError, match="cannot open"):
        await wire(Uri.parse(f"test+serial://{tmp_path}/file")).open()


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("test+serial:", "name the line"),
        ("test+serial:///dev/null?baud=0", "baud is 0"),
        ("test+serial:///dev/null?baud=fast", "baud: 'fast' is not a whole number"),
        ("test+tcp://localhost", r"write the address as test\+tcp://host:port"),
        ("test+udp://localhost:99999", "write the address"),
        ("test+udp://localhost:9?local=-1", "local is -1"),
        ("test+usb:?vendor=70000", "16 bits"),
        ("test+pigeon:", "no wire 'pigeon'; there is emu, .*serial, tcp, udp, usb"),
    ],
)
def test_addresses_that_make_no_sense_are_refused(uri: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        wire(Uri.parse(uri))


def test_a_scheme_without_an_emulated_board_says_which_there_are() -> None:
    with pytest.raises(NotFound, match="no emulated board 'test'"):
        wire(Uri.parse("test+emu:"))


# TCP


async def test_a_tcp_port_where_nobody_listens_is_not_found() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(NotFound, match="nothing there"):
        await soon(wire(Uri.parse(f"test+tcp://127.0.0.1:{port}")).open())


async def test_a_failed_opening_leaves_the_address_free_for_the_next() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    for _ in range(2):
        with pytest.raises(NotFound):
            await soon(wire(Uri.parse(f"test+tcp://127.0.0.1:{port}")).open())


async def test_everything_that_a_peer_sent_before_it_hung_up_arrives() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        line = wire(Uri.parse(f"test+tcp://127.0.0.1:{server.getsockname()[1]}"))
        await line.open()
        peer, _ = server.accept()
        with peer:
            peer.sendall(bytes(100_000))
        assert await take(line, 100_000) == bytes(100_000)
        with pytest.raises(DeviceLost, match="hung up"):
            await soon(line.read())
        await line.close()


# UDP


@pytest.fixture
def peer() -> Any:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.bind(("127.0.0.1", 0))
        made.settimeout(30)
        yield made


def udp(peer: socket.socket, options: str = "") -> UdpWire | FaultyWire:
    made = wire(Uri.parse(f"test+udp://127.0.0.1:{peer.getsockname()[1]}{options}"))
    assert isinstance(made, UdpWire | FaultyWire)
    return made


async def test_a_write_is_a_datagram_and_a_datagram_is_a_chunk(peer: socket.socket) -> None:
    line = udp(peer)
    await line.open()
    for size in (1, 1000, 65_507):
        await line.write(bytes(size))
        data, address = peer.recvfrom(1 << 16)
        assert len(data) == size
        peer.sendto(b"a" * size, address)
        peer.sendto(b"", address)
        peer.sendto(b"b", address)
        assert (await soon(line.read())).data == b"a" * size
        assert (await soon(line.read())).data == b"b"
    with pytest.raises(DeviceError, match="65508 bytes do not fit a datagram"):
        await line.write(bytes(65_508))
    await line.close()
    counts = line.counters()
    assert (counts["datagrams in"], counts["datagrams out"]) == (9, 3)


async def test_datagrams_that_the_kernel_drops_are_counted(peer: socket.socket) -> None:
    """Nobody reads: the thread stops at its limit, then the kernel's buffer overflows."""
    line = udp(peer)
    await line.open()
    await line.write(b"hello")
    _, address = peer.recvfrom(16)
    for _ in range(10_000):
        peer.sendto(bytes(1_400), address)
    arrived, last = 0, False
    while not last:
        try:
            chunk = await asyncio.wait_for(line.read(), 0.5)
        except TimeoutError:  # all is read: one more datagram carries the kernel's count of what it dropped
            peer.sendto(b"last", address)
            continue
        last = chunk.data == b"last"
        arrived += not last
    await line.close()
    dropped = line.counters().get("datagrams dropped", 0)
    assert dropped > 0
    assert arrived + dropped == 10_000


async def test_two_users_of_one_udp_board_are_kept_apart(peer: socket.socket) -> None:
    first, second = udp(peer), udp(peer)
    await first.open()
    with pytest.raises(DeviceBusy):
        await second.open()
    await first.close()
    await second.open()
    await second.close()


async def test_a_udp_board_that_is_gone_is_lost(peer: socket.socket) -> None:
    line = udp(peer)
    await line.open()
    peer.close()
    with pytest.raises(DeviceLost):  # the first write is answered by the network: nobody there
        async with asyncio.timeout(30):
            while True:
                await line.write(b"x")
                await asyncio.sleep(0.001)
    with pytest.raises(DeviceLost):
        await soon(line.read())
    await line.close()


async def test_a_board_may_send_to_a_port_that_the_uri_names(peer: socket.socket) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    line = udp(peer, f"?local={port}")
    await line.open()
    peer.sendto(b"unasked", ("127.0.0.1", port))
    assert (await soon(line.read())).data == b"unasked"
    await line.close()


async def test_a_faulty_udp_wire_loses_whole_datagrams(peer: socket.socket) -> None:
    line = udp(peer, "?faults=out.lose:0.5,seed:1")
    await line.open()
    for k in range(100):
        await line.write(bytes([k]) * 10)
    await line.close()
    peer.setblocking(False)
    got = []
    while True:
        try:
            got.append(peer.recv(64))
        except BlockingIOError:
            break
    assert {len(each) for each in got} == {10}
    assert len(got) * 10 + line.counters()["out lost"] == 1000


# USB


async def test_control_requests_go_in_order_with_the_writes_and_a_stall_is_an_error() -> None:
    port = UsbPort(0x152A, 0x841A, 0x82)
    line = UsbWire(Uri.parse("test+usb:"), port.backend, vendor=0x152A, interface=0)
    await line.open()
    assert await soon(line.control(0x40, 0xBF, 5, 3, b"\x01\x02")) == b""
    assert await soon(line.control(0xC0, 0xBF, 5, 3, 2)) == b"\x01\x02"
    with pytest.raises(DeviceError, match="refuses"):
        await soon(line.control(0x80, 0, 0, 0, 2))
    port.write(memoryview(b"events"), 2)
    assert await take(line, 6) == b"events"
    port.close()
    with pytest.raises(DeviceLost):
        await soon(line.read())
    with pytest.raises(DeviceLost):
        await soon(line.control(0xC0, 0xBF, 5, 3, 2))
    await line.close()


async def test_a_serial_number_picks_the_device_and_the_others_are_listed() -> None:
    board = UsbBoard(Echo(), 0x1209, 1, "A1")
    with pytest.raises(NotFound, match="no USB device 1209:0001 with serial number B2; there is A1"):
        await UsbWire(Uri.parse("test+usb:B2"), board.backend, vendor=0x1209, product=1).open()
    with pytest.raises(NotFound, match="no USB device 1209:0002; there is none"):
        await UsbWire(Uri.parse("test+usb:"), board.backend, vendor=0x1209, product=2).open()


async def test_a_usb_device_without_an_endpoint_each_way_is_refused() -> None:
    port = UsbPort(0x152A, 0x841A, 0x82)
    with pytest.raises(DeviceError, match="no interface with a bulk endpoint each way"):
        await UsbWire(Uri.parse("test+usb:"), port.backend, vendor=0x152A).open()


async def test_missing_permission_names_the_command_that_gives_it() -> None:
    board = UsbBoard(Echo(), 0x1209, 1)

    def forbidden(dev: object) -> object:
        raise usb.core.USBError("Access denied (insufficient permissions)", -3, errno.EACCES)

    board.backend.open_device = forbidden  # type: ignore[method-assign]
    with pytest.raises(DeviceError, match="sudo nrt udev --install") as caught:
        await UsbWire(Uri.parse("test+usb:"), board.backend, vendor=0x1209).open()
    assert not isinstance(caught.value, DeviceLost)


async def test_a_kernel_driver_is_detached() -> None:
    board = UsbBoard(Echo(), 0x1209, 1)
    detached: list[int] = []

    def active(dev_handle: object, intf: int) -> bool:
        return intf not in detached

    def detach(dev_handle: object, intf: int) -> None:
        detached.append(intf)

    board.backend.is_kernel_driver_active = active  # type: ignore[method-assign]
    board.backend.detach_kernel_driver = detach
    line = UsbWire(Uri.parse("test+usb:"), board.backend, vendor=0x1209)
    await line.open()
    await line.close()
    assert detached == [0]


def test_opening_without_libusb_or_a_bus_is_one_sentence() -> None:
    if os.path.exists("/dev/bus/usb"):
        pytest.skip("this machine has a USB bus")
    with pytest.raises((NotFound, DeviceError), match=r"no USB device|libusb-1\.0 is not installed"):
        asyncio.run(UsbWire(Uri.parse("test+usb:"), vendor=0x1209).open())
