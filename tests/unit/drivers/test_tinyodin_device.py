"""The tinyODIN driver on the emulated board: time, packets, agreement with the reference, and what goes wrong."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import nrt
from nrt import registry
from nrt.bridge import Bridge
from nrt.errors import (
    BadRecording,
    ConfigError,
    DeviceBusy,
    DeviceError,
    DeviceLost,
    DeviceTimeout,
    NotFound,
    ProtocolError,
    Unsupported,
)
from nrt.network import Dense, Encoding, Network, Population, Projection, Semantics, neuron
from nrt.network.operators import array
from nrt.packet import SPIKE, Packet
from nrt.registry import Uri
from nrt.session import Session
from nrt.testing.stimulus import DT, Script, events, small, spaced
from nrt.wire import board
from nrt.wire.usb import UsbWire
from nrt_drivers.tinyodin.device import TinyOdinDevice
from nrt_drivers.tinyodin.replay import replay
from nrt_sim.serve import PtyDoor, Server, TcpDoor
from nrt_sim.serve.usb import UsbBoard
from tests.e2e.conftest import environment

Spikes = list[tuple[int, int, int]]


@contextlib.asynccontextmanager
async def session(uri: str, network: Network, taps: Sequence[str] = ()) -> AsyncGenerator[Session]:
    async with asyncio.timeout(60), nrt.open(uri) as opened:
        await opened.deploy(network, taps=taps)
        yield opened


async def play(opened: Session, packets: Sequence[Packet]) -> list[Packet]:
    async with opened.stream(Script(packets)) as run:
        return [packet async for packet in run]


async def spikes(
    uri: str, network: Network, packets: Sequence[Packet], taps: Sequence[str] = ()
) -> dict[str, Spikes]:
    """By population: (t, n, v)."""
    out: dict[str, Spikes] = {}
    async with session(uri, network, taps) as opened:
        for packet in await play(opened, packets):
            out.setdefault(packet.origin, []).extend(packet.data.tolist())
    return out


def layers(
    weights: Sequence[NDArray[np.float64]],
    *,
    values: str = "count",
    **cell: float,
) -> Network:
    """A chain of dense layers of the same neurons."""
    sizes = [weights[0].shape[1], *(w.shape[0] for w in weights)]
    names = ["input", *(f"l{k}" for k in range(1, len(sizes)))]
    populations = [Population("input", (1, 1, sizes[0]))]
    populations += [Population(n, (s,), neuron(**cell)) for n, s in zip(names[1:], sizes[1:], strict=True)]  # type: ignore[arg-type]
    chain = zip(names, names[1:], weights, strict=False)
    return Network(
        tuple(populations),
        tuple(Projection(a, b, (Dense(array(w)),)) for a, b, w in chain),
        ("input",),
        (names[-1],),
        Semantics(dt=DT),
        Encoding(polarity="merge", values="binary" if values == "binary" else "count"),
    )


def at(*rows: tuple[int, int], end: int) -> Packet:
    """One packet from 0 to `end` steps with events of (step, pixel)."""
    return Packet(events(*((k * DT + 5, x, 0, 1) for k, x in rows)), 0, end * DT, 0)


# ------------------------------------------------------------------------------------------- against the reference


@settings(max_examples=6)
@given(st.integers(0, 2**32), st.integers(0, 3))
async def test_layers_without_inhibition_are_the_reference_step_by_step(seed: int, leak: int) -> None:
    """One event a step, one spike a layer: then event by event and step by step are the same."""
    chance = np.random.default_rng(seed)
    first = chance.integers(0, 8, (5, 6)).astype(np.float64)
    second = np.zeros((4, 5))
    second[np.arange(4), chance.integers(0, 5, 4)] = chance.integers(
        1, 8, 4
    )  # one source each: no simultaneity
    network = layers([first, second], threshold=float(chance.integers(3, 30)), drive=-float(leak), v_min=0.0)
    packets = spaced(80, 6, every=int(chance.integers(1, 4)), seed=seed % 1000)
    expected = await spikes("reference:", network, packets, ["l1"])
    assert await spikes("tinyodin+emu:", network, packets, ["l1"]) == expected


async def test_a_leak_is_the_references_over_silences_of_any_length() -> None:
    network = layers([np.array([[7.0, 3.0]])], threshold=20.0, drive=-1.0, v_min=0.0)
    times = [0, 1, 2, 3, 9, 30, 31, 32, 3000, 3001, 3002, 3003, 3004, 9000]
    packet = at(*((k, 0) for k in times), end=10_000)
    expected = await spikes("reference:", network, [packet])
    assert len(expected["l1"]) == 2
    assert await spikes("tinyodin+emu:", network, [packet]) == expected


async def test_biases_act_in_every_step() -> None:
    network = layers([np.array([[2.0], [0.0]])], threshold=10.0, drive=3.0)
    packets = spaced(40, 1, every=3)
    expected = await spikes("reference:", network, packets)
    assert await spikes("tinyodin+emu:", network, packets) == expected


async def test_taps_show_inputs_and_hidden_layers() -> None:
    packets = spaced(40)
    found = await spikes("tinyodin+emu:", small(), packets, ["input", "hidden"])
    assert found == await spikes("reference:", small(), packets, ["input", "hidden"])
    assert len(found["input"]) == 40


async def test_binary_input_counts_once_in_a_step() -> None:
    network = layers([np.array([[4.0]])], values="binary", threshold=10.0)
    packet = at((0, 0), (0, 0), (0, 0), (1, 0), (2, 0), end=4)
    assert await spikes("tinyodin+emu:", network, [packet]) == {"l1": [(3 * DT - 1, 0, 1)]}


async def test_several_events_in_a_step_are_tested_one_after_the_other() -> None:
    """Where the chip differs: the reference adds 4 x 4 and fires once, the chip fires at the third and keeps 4."""
    network = layers([np.array([[4.0]])], threshold=10.0)
    packet = at(*[(0, 0)] * 7, end=1)
    assert await spikes("tinyodin+emu:", network, [packet]) == {"l1": [(DT - 1, 0, 2)]}
    assert await spikes("reference:", network, [packet]) == {"l1": [(DT - 1, 0, 1)]}


async def test_spike_records_drive_inputs_as_often_as_they_say() -> None:
    network = layers([np.array([[4.0, 1.0]])], threshold=10.0)
    data = np.zeros(2, SPIKE)
    data["t"], data["n"], data["v"] = [5, 1005], [0, 0], [2, 1]
    packet = Packet(data, 0, 3 * DT, 0)
    assert await spikes("tinyodin+emu:", network, [packet]) == {"l1": [(2 * DT - 1, 0, 1)]}
    data["v"] = -1
    with pytest.raises(ConfigError, match="negative"):
        await spikes("tinyodin+emu:", network, [packet])


async def test_counters_are_those_of_the_reference() -> None:
    reports = []
    for uri in ("reference:", "tinyodin+emu:"):
        async with session(uri, small()) as opened:
            reports.append((await opened.run(Script(spaced(60)))).counters)
    assert reports[0] == reports[1]


async def test_a_cascade_beyond_the_chips_queue_is_a_doubt_in_the_report() -> None:
    """One event fires 130 neurons of a closed loop: the scheduler holds 128."""
    network = layers([np.ones((130, 1)), np.ones((1, 130)) * 0.5], threshold=1.0)
    async with session("tinyodin+emu:", network) as opened:
        report = await opened.run(Script([at((0, 0), end=1)]))
    assert list(report.counters.doubts.values()) == [1]
    assert "the chip may have lost some" in str(report)


async def test_a_loop_that_never_rests_ends_and_is_a_doubt() -> None:
    network = layers([np.array([[7.0]])], threshold=5.0)
    loop = Projection("l1", "l1", (Dense(array(np.array([[7.0]]))),), delay=1)
    network = Network(network.populations, (*network.projections, loop), ("input",), ("l1",), network.semantics,
                      network.encoding)  # fmt: skip
    async with session("tinyodin+emu:?clock=1000000", network) as opened:
        report = await opened.run(Script([at((0, 0), end=2)]))
    assert any("kept each other going" in what for what in report.counters.doubts)


async def test_energy_is_that_of_the_boards_meter_and_never_measured_on_an_emulator() -> None:
    async with session("tinyodin+emu:?power=0.001", small()) as opened:
        report = await opened.run(Script(spaced(20)))
        assert [figure.kind for figure in report.energy if figure.boundary == "board"] == ["modelled"]
    async with session("tinyodin+emu:", small()) as opened:
        report = await opened.run(Script(spaced(20)))
        assert not [figure for figure in report.energy if figure.boundary == "board"]


async def test_the_boards_clock_is_followed_and_reported() -> None:
    device = registry.device("tinyodin+emu:?offset=7000000&skew_ppm=50")
    assert isinstance(device, TinyOdinDevice)
    async with asyncio.timeout(60), nrt.open(device) as opened:
        text = str(await opened.deploy(small()))
        assert "device clock: offset +" in text
        for _ in range(3):
            await play(opened, spaced(20))
        clock = device.clock
        assert clock is not None
        assert clock.bursts >= 4
        elapsed = clock.host / 1e3 * 50e-6
        assert abs(clock.offset_us - 7_000_000 - elapsed) <= clock.uncertainty_ns / 1e3 + 2


async def test_a_report_tells_offset_and_drift_of_the_boards_clock_within_the_bounds_it_states() -> None:
    async with session("tinyodin+emu:?offset=7000000&skew_ppm=500", small()) as opened:
        first = (await opened.run(Script(spaced(20)))).clock
        assert first is not None
        assert first.bursts == 2  # at deployment, and when the run had ended
        while True:
            report = await opened.run(Script(spaced(20)))
            assert report.clock is not None
            assert abs(report.clock.drift_ppm - 500) <= report.clock.drift_bound_ppm
            if report.clock.drift_bound_ppm < 400:
                break
            await asyncio.sleep(0.1)
    told = report.to_dict()["clock"]
    assert told["drift_ppm"] > 100
    elapsed = told["host"] / 1e3 * 500e-6
    assert abs(told["offset_us"] - 7_000_000 - elapsed) <= told["uncertainty_ns"] / 1e3 + 2
    assert "device clock" in str(report)


# ------------------------------------------------------------------------------------------- placing without a board


async def test_planning_needs_no_board() -> None:
    device = registry.device("tinyodin+serial:///dev/nowhere")
    assert "addresses 10 to 17" in str(await device.plan(small()))


async def test_membranes_are_refused_and_unknown_taps_named() -> None:
    device = registry.device("tinyodin+emu:")
    with pytest.raises(Unsupported, match="membranes only while it stands still"):
        await device.plan(small(), membranes=["output"])
    with pytest.raises(ConfigError, match="no population 'nobody'"):
        await device.plan(small(), taps=["nobody"])


def test_it_speaks_over_no_other_wire() -> None:
    with pytest.raises(ConfigError, match=r"tinyodin\+serial"):
        registry.device("tinyodin+udp://localhost:1")


# ------------------------------------------------------------------------------------------- what goes wrong


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ("chip=odin", DeviceError, "holds a chip 'odin', not tinyodin"),
        ("definition=17", ProtocolError, "definition 0x[0-9a-f]{8} of tinyodin, got 0x00000011"),
    ],
)
async def test_another_chip_or_another_definition_is_refused(
    options: str, error: type[DeviceError], sentence: str
) -> None:
    device = registry.device(f"tinyodin+emu:?{options}")
    async with asyncio.timeout(30):
        with pytest.raises(error, match=sentence):
            await device.open()
        with pytest.raises(DeviceLost):
            await device.deploy(small())
        await device.close()


@pytest.mark.parametrize("side", ["in", "out"])
async def test_unplugged_while_deploying_it_is_lost_and_opens_again(side: str) -> None:
    device = registry.device(f"tinyodin+emu:?faults={side}.unplug:1500")
    async with asyncio.timeout(60):
        with pytest.raises(DeviceLost):
            async with nrt.open(device) as opened:
                await opened.deploy(small())
        async with nrt.open(device) as opened:
            await opened.deploy(small())
            assert sum(map(len, await play(opened, spaced(60)))) > 10


async def test_unplugged_while_streaming_it_is_lost_and_opens_again() -> None:
    device = registry.device("tinyodin+emu:?faults=in.unplug:9000")
    packets = spaced(3000)
    async with asyncio.timeout(60):
        with pytest.raises(DeviceLost):
            async with nrt.open(device) as opened:
                await opened.deploy(small())
                await play(opened, packets)
        async with nrt.open(device) as opened:
            await opened.deploy(small())
            assert len(await play(opened, spaced(60))) == 60


async def test_a_board_that_falls_silent_times_out() -> None:
    with pytest.raises(DeviceTimeout, match="stopped answering"):
        async with session("tinyodin+emu:?timeout=0.3&faults=in.stall:9000", small()) as opened:
            await play(opened, spaced(3000))


async def test_a_chip_that_stalls_times_out() -> None:
    with pytest.raises(DeviceTimeout, match="chip stalled"):
        async with session("tinyodin+emu:?dies_after=25", small()) as opened:
            await play(opened, spaced(60))


async def test_memories_that_read_back_wrong_are_refused() -> None:
    with pytest.raises(DeviceError, match=r"read back wrong.*quarter of the chip's clock"):
        async with session("tinyodin+emu:?misread=4", small()):
            pass


async def test_a_second_driver_finds_the_board_busy_and_a_second_process_too() -> None:
    with Server(board(Uri.parse("tinyodin+emu:")), PtyDoor()) as server:
        uri = f"tinyodin{server.address}"
        async with session(uri, small()):
            with pytest.raises(DeviceBusy):
                async with nrt.open(uri):
                    pass
            code = (
                "import asyncio, nrt\nfrom nrt.errors import DeviceBusy\n"
                f"try:\n asyncio.run(nrt.open({uri!r}).__aenter__())\nexcept DeviceBusy: print('busy')"
            )
            other = await asyncio.create_subprocess_exec(
                sys.executable, "-c", code, env=environment(), stdout=subprocess.PIPE
            )
            said, _ = await other.communicate()
        assert said.strip() == b"busy"


async def test_a_run_that_is_stopped_delivers_what_was_sent_and_ends() -> None:
    """Even in the middle of a packet that is far larger than the board's credit."""
    network = layers([np.array([[4.0]])], threshold=10.0)
    packet = at(*((k, 0) for k in range(20_000)), end=20_000)
    async with session("tinyodin+emu:?fifo=64", network) as opened:
        async with opened.stream(Script([packet, packet])) as run:
            await asyncio.sleep(0.05)
            run.stop()
            came = [len(p) async for p in run]
        assert sum(came) in (0, 6666, 13333)
        assert sum(map(len, await play(opened, [at(*((k, 0) for k in range(30)), end=30)]))) == 10


async def test_a_network_must_be_deployed_first() -> None:
    device = registry.device("tinyodin+emu:")
    async with asyncio.timeout(30):
        await device.open()
        with pytest.raises(ConfigError, match="no network is deployed"):
            await device.reset()
        await device.close()
        await device.close()


# ------------------------------------------------------------------------------------------- recordings of the chip


async def replayed(path: Path, uri: str = "tinyodin+emu:") -> str:
    device = registry.device(uri)
    assert isinstance(device, TinyOdinDevice)
    async with asyncio.timeout(60):
        await device.open()
        try:
            return await device.replay(path)
        finally:
            await device.close()


@pytest.mark.parametrize("number", range(6))
async def test_recordings_of_the_rtl_come_out_the_same_over_any_wire(data: Path, number: int) -> None:
    path = data / "tinyodin" / f"rtl_{number:02}.npz"
    assert await replayed(path) == ""
    assert await replayed(path, f"tinyodin+emu:?faults=corrupt:1e-4,lose:1e-4,seed:{number}") == ""


async def test_a_recording_comes_out_the_same_over_tcp(data: Path) -> None:
    with Server(board(Uri.parse("tinyodin+emu:")), TcpDoor(0)) as server:
        assert await replayed(data / "tinyodin" / "rtl_04.npz", f"tinyodin{server.address}") == ""


async def test_a_recording_comes_out_the_same_over_usb(data: Path) -> None:
    usb = UsbBoard(board(Uri.parse("tinyodin+emu:")), 0x1209, 0x0001, "A1")
    bridge = Bridge(UsbWire(Uri.parse("tinyodin+usb:A1"), usb.backend, vendor=0x1209, product=0x0001))
    async with asyncio.timeout(60):
        await bridge.open()
        assert await replay(bridge, data / "tinyodin" / "rtl_02.npz") == ""
        await bridge.close()


@pytest.mark.parametrize(
    ("key", "difference"),
    [
        ("aer_out", "output event 0: recorded neuron"),
        ("aer_out_cause", "output event 0: recorded neuron"),
        ("neuron_words_after", "neuron 0 at the end: recorded word"),
    ],
)
async def test_the_first_difference_is_told(data: Path, tmp_path: Path, key: str, difference: str) -> None:
    with np.load(data / "tinyodin" / "rtl_01.npz") as file:
        arrays = dict(file)
    arrays[key] = arrays[key] ^ 1
    np.savez(tmp_path / "changed.npz", **arrays)
    assert difference in await replayed(tmp_path / "changed.npz")


async def test_a_recording_that_ends_early_differs_in_number(data: Path, tmp_path: Path) -> None:
    with np.load(data / "tinyodin" / "rtl_01.npz") as file:
        arrays = dict(file)
    arrays["aer_out"], arrays["aer_out_cause"] = arrays["aer_out"][:-3], arrays["aer_out_cause"][:-3]
    np.savez(tmp_path / "short.npz", **arrays)
    assert "recorded 296 in all, now 299" in await replayed(tmp_path / "short.npz")


@pytest.mark.parametrize(
    ("pairs", "sentence"),
    [
        (None, "it has no 'synapse_bytes'"),
        (np.zeros(5, np.uint8), "holds 5 numbers"),
        (np.zeros((8192, 4)), "not whole numbers"),
        (np.full((8192, 4), 300), "outside of 0 to 255"),
    ],
)
async def test_files_that_are_no_recordings_are_refused(
    tmp_path: Path, pairs: NDArray[np.float64] | None, sentence: str
) -> None:
    if pairs is None:
        np.savez(tmp_path / "bad.npz")
    else:
        np.savez(tmp_path / "bad.npz", synapse_bytes=pairs)
    with pytest.raises(BadRecording, match=sentence):
        await replayed(tmp_path / "bad.npz")


async def test_damaged_and_missing_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "damaged.npz").write_bytes(b"PK\x03\x04 and nothing else")
    with pytest.raises(BadRecording):
        await replayed(tmp_path / "damaged.npz")
    with pytest.raises(NotFound):
        await replayed(tmp_path / "missing.npz")


async def test_files_of_another_kind_are_no_recordings(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("nothing of numpy")
    np.save(tmp_path / "array.npy", np.arange(4))  # numpy's, but one array and no archive
    for name in ("text.npz", "array.npy"):
        with pytest.raises(BadRecording, match=f"{name}: byte 0: .* no .npz archive"):
            await replayed(tmp_path / name)


async def test_the_command_prints_equal_or_the_first_difference(data: Path) -> None:
    ran = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "nrt", "emulate", "tinyodin", "--pty", "--check"),
        *map(str, sorted((data / "tinyodin").glob("*.npz"))[:2]),
        env=environment(),
        stdout=subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        said, _ = await ran.communicate()
    assert [line.rpartition(": ")[2] for line in said.decode().splitlines()] == ["equal", "equal"]
    assert ran.returncode == 0
