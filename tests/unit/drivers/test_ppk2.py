"""The Power Profiler Kit II: one sample as its vendor's application converts it, and a kit emulated behind a wire."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nrt import registry
from nrt.errors import ConfigError, DeviceError, DeviceLost, DeviceTimeout, ProtocolError
from nrt.profile.meters import Lap, Meter, measure
from nrt.wire import MemoryWire
from nrt_drivers.ppk2 import meter as meter_module
from nrt_drivers.ppk2.calibration import SPEC, Calibration
from nrt_drivers.ppk2.meter import Ppk2Meter
from nrt_drivers.ppk2.samples import BEFORE, MEAN, MEAN_LAST, Decoder
from nrt_drivers.ppk2.window import Edge, Window
from nrt_sim.instruments.ppk2 import Ppk2Board
from nrt_sim.serve import PtyDoor, Server

PATIENCE = 60
UNIT = b"""Calibrated: 0
R0: 1003.3506
R1: 101.5865
R2: 10.3027
R3: 0.9636
R4: 0.0564
GS0: 0.0000
GS1: 112.7890
GS2: 18.0115
GS3: 2.4217
GS4: 0.0729
GI0: 1.0000
GI1: 0.9695
GI2: 0.9609
GI3: 0.9519
GI4: 0.9582
O0: 112.9420
O1: 75.4627
O2: 64.6020
O3: 50.4983
O4: 87.2177
VDD: 3741
HW: 9173
mode: 2
S0: 0.000000048
S1: 0.000000596
S2: 0.000005281
S3: 0.000062577
S4: 0.002940743
I0: -0.000000104
I1: -0.000001443
I2: 0.000036439
I3: -0.000374119
I4: -0.009388455
UG0: 1.00
UG1: 1.00
UG2: 1.00
UG3: 1.00
UG4: 1.00
IA: 56
"""
"""Metadata of a unit, as ppk2-rs quotes it in a test (hdoordt/ppk2-rs, src/measurement.rs)."""


def pack(adc: list[int], ranges: list[int] | None = None, first: int = 0, logic: int = 0) -> bytes:
    """Samples as they are on the line."""
    count = len(adc)
    words = SPEC.word("sample").pack(
        adc=np.array(adc),
        range=np.array(ranges or [0] * count),
        counter=(first + np.arange(count)) % 64,
        logic=np.full(count, logic),
    )
    return words.astype("<u4").tobytes()


def test_a_sample_is_what_the_vendors_application_makes_of_it() -> None:
    """Its JavaScript gives 0.021454880761611544 µA for 108 in range 0 at 3.741 V (ppk2-rs, test_get_adc_result)."""
    decoder = Decoder(Calibration.parse("ppk2:", UNIT), 3.741)
    decoder.state[[MEAN, MEAN_LAST, BEFORE]] = 1.0589385070753649e-7, 9.478947833765696e-8, 0
    (amps,) = decoder.decode(pack([27])).amps
    assert amps * 1e6 == pytest.approx(0.021454880761611544, rel=1e-6)


def test_three_samples_after_a_change_of_range_are_running_means() -> None:
    decoder = Decoder(Calibration.parse("ppk2:", UNIT), 3.741)
    steady = decoder.decode(pack([8000] * 200)).amps[-1]
    raw = Decoder(Calibration.parse("ppk2:", UNIT), 3.741).decode(pack([9000], [1])).amps[0]
    after = decoder.decode(pack([9000] * 5, [1] * 5, first=200)).amps
    assert after[0] == pytest.approx(0.82 * steady + 0.18 * raw)
    assert after[2] == pytest.approx(0.82**3 * steady + (1 - 0.82**3) * raw)
    assert after[3] == pytest.approx(raw)


def test_a_kit_that_does_not_know_its_gains_has_the_usual_ones_but_it_knows_its_shunts() -> None:
    odd = Calibration.parse(
        "ppk2:", UNIT.replace(b"GS1: 112.7890", b"GS1: -nan").replace(b"UG4: 1.00\n", b"")
    )
    assert odd.table[1].tolist() == [0, 1.0, 18.0115, 2.4217, 0.0729]
    assert odd.table[6, 4] == 1.0
    with pytest.raises(ProtocolError, match=r"a shunt above zero for each range, got 1003.35, 101.587, 0, "):
        Calibration.parse("ppk2:", UNIT.replace(b"R2: 10.3027", b"R2: ?"))


def test_gaps_of_the_counter_are_counted_across_pieces() -> None:
    decoder = Decoder(Calibration.parse("ppk2:", UNIT), 3.3)
    first = decoder.decode(pack([50] * 10))
    later = decoder.decode(pack([50] * 10, first=13) + pack([50] * 2, first=24))
    assert first.lost.sum() == 0
    assert later.lost.tolist() == [3, *[0] * 9, 1, 0]


@given(st.lists(st.integers(1, 63), max_size=12), st.integers(0, 2**32 - 1))
@settings(max_examples=50, deadline=None)
def test_samples_do_not_depend_on_the_pieces_that_they_come_in(cuts: list[int], seed: int) -> None:
    data = np.random.default_rng(seed).bytes(64)
    calibration = Calibration.parse("ppk2:", UNIT)
    whole = Decoder(calibration, 3.3).decode(data)
    decoder = Decoder(calibration, 3.3)
    edges = [0, *sorted(set(cuts)), 64]
    parts = [decoder.decode(data[a:b]) for a, b in pairwise(edges)]
    assert np.array_equal(np.concatenate([part.amps for part in parts]), whole.amps)
    assert np.array_equal(np.concatenate([part.lost for part in parts]), whole.lost)


def test_a_lap_ends_at_the_very_sample_in_which_the_marker_changed() -> None:
    decoder = Decoder(Calibration.parse("ppk2:", UNIT), 3.3)
    samples = decoder.decode(pack([50] * 30) + pack([60] * 70, first=30, logic=0b101))
    assert Edge(0, channel=2, high=True).find(samples, 0) == 30
    assert Edge(0, channel=1, high=True).find(samples, 0) is None
    assert Edge(5).find(samples, 4) is None
    assert Edge(5).find(samples, 5) == 100
    window = Window(0, volts=2.0, rate=1e5)
    window.add(samples, 30, 100)
    found = window.lap(700_000)
    assert found.joules == pytest.approx(float(samples.amps[50]) * 2.0 * 70e-5)
    assert (found.samples, found.still) == (70, 7e-4)


def kit(options: str) -> Ppk2Meter:
    found = registry.meter(f"ppk2+emu:?{options}")
    assert isinstance(found, Ppk2Meter)
    return found


async def laps(found: Meter, count: int, pause: float = 0.05) -> list[Lap]:
    async with asyncio.timeout(PATIENCE):
        await found.open()
        try:
            seen: list[Lap] = []
            for _ in range(count):
                await asyncio.sleep(pause)
                seen += await found.lap()
            return seen
        finally:
            await found.close()
            await found.close()


@pytest.mark.parametrize("amps", [2e-6, 50e-6, 500e-6, 5e-3, 0.2])
async def test_the_power_of_a_steady_current_is_found_in_every_range(amps: float) -> None:
    *_, last = await laps(kit(f"volts=3.3&amps={amps}"), 2)
    assert last.joules / last.samples * 1e5 == pytest.approx(3.3 * amps, rel=0.02)


async def test_a_marker_parts_laps_by_what_the_board_drew(tmp_path: Path) -> None:
    """It draws 50 mA while the marker is up and 20 mA while it is down."""
    pin = tmp_path / "value"
    pin.write_text("0")
    meter = kit(f"volts=3.3&amps=0.02&loaded=0.05&pin={pin}&marker={pin}")
    watts = [lap.joules / lap.samples * 1e5 for lap in await laps(meter, 4)]
    assert watts == pytest.approx([0.066, 0.165, 0.066, 0.165], rel=0.02)
    assert any(f"marker {pin} on logic input 0" in note for note in meter.notes)


async def test_a_kit_on_a_serial_line_is_measured_with_and_says_when_it_is_an_emulated_one() -> None:
    board = Ppk2Board(amps=0.01)
    with Server(board, PtyDoor()) as server:
        meter = registry.meter(f"ppk2{server.address}?volts=5")

        async def work() -> None:
            await asyncio.sleep(0.02)

        async with asyncio.timeout(PATIENCE):
            (energy,) = await measure([meter], work, windows=2)
    assert energy.kind == "modelled"
    assert "emulated" in energy.source
    assert energy.rate_hz == 100_000
    assert energy.samples is not None
    assert energy.samples > 1000
    assert "the voltage of 5 V is as given, not measured" in energy.notes


async def test_samples_that_are_lost_are_counted_and_too_many_give_no_figure() -> None:
    *_, last = await laps(kit("volts=3.3&lose=1000"), 2)
    assert last.lost > 0
    meter = kit("volts=3.3&lose=20")

    async def work() -> None:
        await asyncio.sleep(0.02)

    async with asyncio.timeout(PATIENCE):
        with pytest.raises(DeviceError, match="samples were lost in a window; that is no figure"):
            await measure([meter], work, windows=1)


async def test_a_kit_left_sending_by_somebody_else_is_stopped_first() -> None:
    board = Ppk2Board()
    stale = MemoryWire(board)
    await stale.open()
    await stale.write(bytes([SPEC.enum("command").values["start"]]))
    await asyncio.sleep(0.02)
    with Server(board, PtyDoor()) as server:
        found = await laps(registry.meter(f"ppk2{server.address}?volts=3.3"), 2)
    assert found[-1].samples > 0


async def test_a_marker_that_is_not_wired_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meter_module, "_PATIENCE_S", 0.3)
    pin = tmp_path / "value"
    pin.write_text("0")
    with pytest.raises(DeviceTimeout, match=r"logic input 3 never followed marker .*value; is it wired\?"):
        await laps(kit(f"volts=3.3&marker={pin}&channel=3"), 1)


class Mute:
    """A board that says `answer` to whatever it is told, or nothing."""

    def __init__(self, answer: bytes = b"") -> None:
        self._answer, self._out = answer, b""

    def connect(self) -> None:
        pass

    def receive(self, data: bytes, now: int) -> None:
        self._out += self._answer

    def transmit(self, now: int) -> bytes:
        out, self._out = self._out, b""
        return out

    def due(self) -> int | None:
        return None


@pytest.mark.parametrize(
    ("answer", "patience", "error", "sentence"),
    [
        (b"", 0.3, DeviceTimeout, "no metadata in 0.3 s; is this a Power Profiler Kit II"),
        (b"OK\n" * 200_000, 30, ProtocolError, "expected a kit's metadata, got something else"),
        (b"END\n", 30, ProtocolError, "a shunt above zero"),
    ],
)
async def test_something_else_than_a_kit_is_told_apart(
    answer: bytes, patience: float, error: type[DeviceError], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meter_module, "_PATIENCE_S", patience)
    with Server(Mute(answer), PtyDoor()) as server, pytest.raises(error, match=sentence):
        await laps(registry.meter(f"ppk2{server.address}?volts=3.3"), 1)


async def test_a_kit_that_is_unplugged_is_lost() -> None:
    server = Server(Ppk2Board(), PtyDoor()).start()
    meter = registry.meter(f"ppk2{server.address}?volts=3.3")
    async with asyncio.timeout(PATIENCE):
        await meter.open()
        try:
            await meter.lap()
            await asyncio.to_thread(server.stop)
            with pytest.raises(DeviceLost):
                await meter.lap()
        finally:
            await meter.close()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("", r"give the supply's voltage, volts=0.8 to 5; the kit measures current"),
        ("volts=12", "volts=0.8 to 5"),
        ("volts=3.3&channel=8", "channel is 8; the kit has logic inputs 0 to 7"),
        ("volts=3.3&marker=/dev/ttyUSB0:cts", "'cts' is no modem line; write /dev/ttyUSB0:rts or"),
        ("volts=3.3&mode=both", "'both' is none of ampere, source"),
        ("volts=3.3&watts=1", "has no option 'watts'"),
    ],
)
def test_options_that_cannot_be_are_refused(options: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        registry.meter(f"ppk2+emu:?{options}")


def test_a_kit_is_on_a_serial_line() -> None:
    with pytest.raises(ConfigError, match=r"write ppk2\+serial: or ppk2\+emu:"):
        registry.meter("ppk2:?volts=3.3")
