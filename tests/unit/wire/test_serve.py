"""Boards served at a door: to drivers that come, go and come back, at a line's speed, by another process."""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nrt import registry
from nrt.cli.app import app
from nrt.clock import now
from nrt.errors import ConfigError, DeviceBusy, DeviceLost, NrtError
from nrt.registry import Uri
from nrt.wire import wire
from nrt_sim.serve import Door, PtyDoor, Server, TcpDoor
from nrt_sim.serve.line import Line
from tests.e2e.conftest import ROOT, environment
from tests.unit.wire.far import Echo, soon, take, until


@pytest.fixture(params=["pty", "tcp"])
def door(request: pytest.FixtureRequest) -> Door:
    return PtyDoor() if request.param == "pty" else TcpDoor()


async def test_drivers_come_and_go_and_what_passed_is_counted(door: Door) -> None:
    board = Echo()
    with Server(board, door) as served:
        line = wire(Uri.parse(f"test{served.address}"))
        for _ in range(3):
            await line.open()
            await line.write(b"abc")
            assert await take(line, 3) == b"abc"
            await line.close()
    assert board.links == 3
    assert served.counters() == {"links": 3, "bytes in": 9, "bytes out": 9}


async def test_a_board_may_speak_first() -> None:
    """Over TCP; a serial line discards what comes before it is quite open."""
    with Server(Echo(greeting=b"hello"), TcpDoor()) as served:
        line = wire(Uri.parse(f"test{served.address}"))
        await line.open()
        assert await take(line, 5) == b"hello"
        await line.close()


async def test_a_driver_that_leaves_without_reading_is_counted_and_forgotten(door: Door) -> None:
    board = Echo()
    with Server(board, door) as served:
        line = wire(Uri.parse(f"test{served.address}"))
        await line.open()
        writing = asyncio.create_task(line.write(bytes(40_000_000)))
        await until(lambda: board.received > 1_000_000)
        await line.close()
        with pytest.raises(DeviceLost):
            await soon(writing)
        await line.open()
        await line.write(b"fresh")
        got = bytearray()
        while not got.endswith(b"fresh"):  # a terminal may still hand over what was on its way
            got += (await soon(line.read())).data
        assert set(got[:-5]) <= {0}
        assert len(got) < 1_000_000
        await line.close()
    counts = served.counters()
    assert counts["bytes in"] == counts["bytes out"] + counts.get("bytes not sent", 0)


def test_a_server_stops_before_it_started_and_twice(door: Door) -> None:
    server = Server(Echo(), door)
    server.stop()
    server.stop()


def test_what_a_board_fails_with_is_raised_where_it_is_stopped() -> None:
    class Broken(Echo):
        def receive(self, data: bytes, now: int) -> None:
            raise ZeroDivisionError

    async def poke(address: str) -> None:
        line = wire(Uri.parse(f"test{address}"))
        await line.open()
        await line.write(b"x")
        with pytest.raises(DeviceLost):
            await soon(line.read())
        await line.close()

    server = Server(Broken(), PtyDoor()).start()
    asyncio.run(poke(server.address))
    with pytest.raises(ZeroDivisionError):
        server.stop()


async def test_a_second_tcp_client_from_elsewhere_is_hung_up_on() -> None:
    with Server(Echo(), TcpDoor()) as served:
        line = wire(Uri.parse(f"test{served.address}"))
        await line.open()
        await line.write(b"1")
        assert await take(line, 1) == b"1"
        host, _, port = served.address.removeprefix("+tcp://").rpartition(":")
        with pytest.raises(ConnectionResetError):  # at the latest when it reads
            await soon(_read_all(host, int(port)))
        await line.write(b"2")
        assert await take(line, 1) == b"2"
        await line.close()


async def _read_all(host: str, port: int) -> bytes:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        return await reader.read()
    finally:
        writer.close()


def test_a_port_that_is_taken_is_busy() -> None:
    door = TcpDoor()
    with pytest.raises(DeviceBusy, match="cannot listen"):
        TcpDoor(int(door.address.rpartition(":")[2]))
    door.close()


def test_a_link_replaces_a_link_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/nowhere")
    door = PtyDoor(tmp_path / "link")
    assert os.readlink(tmp_path / "link").startswith("/dev/pts/")
    door.close()
    assert not (tmp_path / "link").is_symlink()
    (tmp_path / "file").write_bytes(b"precious")
    with pytest.raises(ConfigError, match="exists already"):
        PtyDoor(tmp_path / "file")


async def test_a_line_with_a_speed_takes_its_time_each_way() -> None:
    """2000 bytes of ten bits at 100 kbaud are 200 ms: first in, then out, in full duplex a batch apart."""
    with Server(Echo(), PtyDoor(), baud=100_000) as served:
        line = wire(Uri.parse(f"test{served.address}"))
        await line.open()
        begin = now()
        writing = asyncio.create_task(line.write(bytes(range(250)) * 8))
        assert await take(line, 2000) == bytes(range(250)) * 8
        assert now() - begin >= 200_000_000  # never faster than the line; slower only as the machine is
        await soon(writing)
        await line.close()


def test_a_byte_has_passed_when_its_ten_bits_have() -> None:
    line = Line(baud=1_000_000)  # 10 µs a byte
    line.push(b"abc", now=1_000)
    assert line.pop(10_999) == b""
    assert line.pop(11_000) == b"a"
    line.push(b"d", now=12_000)
    assert line.due() == 41_001
    assert line.pop(40_999) == b"bc"
    assert line.pop(41_000) == b"d"
    assert line.due() is None
    line.push(b"e", now=100_000)
    assert line.pop(109_999) == b""
    assert line.drain() == b"e"


def test_a_line_without_a_speed_passes_everything_at_once() -> None:
    line = Line()
    line.push(b"abc", now=5)
    assert line.pop(5) == b"abc"


# nrt emulate


@contextmanager
def emulating(*arguments: str) -> Generator[tuple[subprocess.Popen[str], str]]:
    """The process and the address that it printed."""
    command = [sys.executable, "-m", "tests.unit.wire.emulating", "emulate", *arguments]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            ready, _, _ = select.select([process.stdout], [], [], 60)
            assert ready, "no address within a minute"
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


@pytest.mark.parametrize("arguments", [["--pty"], ["--tcp", "0"], ["--link", "LINK", "--baud", "1000000"]])
async def test_a_board_in_another_process_is_opened_by_the_address_it_prints(
    arguments: list[str], tmp_path: Path
) -> None:
    arguments = [each.replace("LINK", str(tmp_path / "tty")) for each in arguments]
    with emulating("echo", *arguments) as (process, address):
        line = wire(Uri.parse(address))
        await line.open()
        await line.write(b"over there")
        assert await take(line, 10) == b"over there"
        await line.close()
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert out == "links: 1\nbytes in: 10\nbytes out: 10\n"


async def test_a_process_that_is_killed_takes_its_board_with_it() -> None:
    with emulating("echo", "--json") as (process, printed):
        line = wire(Uri.parse(json.loads(printed)["address"]))
        await line.open()
        reading = asyncio.create_task(line.read())
        await asyncio.sleep(0.01)
        process.kill()
        with pytest.raises(DeviceLost):
            await soon(reading)
        await line.close()


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (["nothing"], 1, "no emulated board 'nothing'; there is"),
        (["echo", "--set", "colour=red"], 1, "the emulated board has no option 'colour'; there is greeting"),
        (["echo", "--set", "red"], 1, "--set red: write name=value"),
        (["echo", "--skew-ppm", "20"], 1, "has no option 'skew_ppm'"),
        (["echo", "--tcp", "x"], 1, "--tcp x: write PORT or HOST:PORT"),
        (["echo", "--pty", "--tcp", "0"], 2, "exclude each other"),
        (["echo", "--tcp", "0", "--link", "a"], 2, "--link points to a terminal"),
        (["echo", "file"], 2, "FILES are for --check"),
        (["echo", "--check"], 1, "name the recordings to replay"),
        (["echo", "--check", "file"], 1, "no device 'echo:'"),
        (["speck"], 1, "stands behind a vendor's calls"),
    ],
)
def test_what_cannot_be_emulated_is_said_in_one_sentence(
    arguments: list[str], code: int, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    echo = registry.Entry("tests.unit.wire.far:Echo", "a board of the tests")
    monkeypatch.setattr(registry, "BOARDS", {**registry.BOARDS, "echo": echo})
    done = CliRunner().invoke(app, ["emulate", *arguments], env={"COLUMNS": "120", "NO_COLOR": "1"})
    if code == 1:
        assert isinstance(done.exception, NrtError)
        assert reason in str(done.exception)
    else:
        assert done.exit_code == code
        assert reason in " ".join(done.output.replace("│", " ").split())
