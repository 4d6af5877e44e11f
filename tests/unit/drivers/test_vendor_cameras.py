"""evk4:, evk3:, davis346: and dvxplorer: against a double of neuromorphic_drivers with that library's own types."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import importlib.util
import inspect
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest

from nrt import formats, registry
from nrt.errors import ConfigError, DeviceBusy, DeviceError, DeviceLost, MissingDependency, NotFound
from nrt.packet import EVENT, Records, join
from nrt_drivers.cameras.vendors import VendorCamera
from tests.unit.drivers.cameras import received

LIBRARY = "neuromorphic_drivers"
KINDS = ["davis346", "dvxplorer", "evk3", "evk4"]

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec(LIBRARY) is None,
    reason="neuromorphic-drivers is not installed: pip install 'nrt-runtime[cameras]'",
)


@contextlib.asynccontextmanager
async def opened(uri: str) -> AsyncGenerator[VendorCamera]:
    source = registry.source(uri)
    assert isinstance(source, VendorCamera)
    async with asyncio.timeout(60):
        try:
            await source.open()
            yield source
        finally:
            await source.close()


@pytest.fixture
def recording(tmp_path: Path) -> tuple[str, Records]:
    """A recording's URI as an option's value, and what is in it."""
    rng = np.random.default_rng(7)
    events = np.zeros(4_000, EVENT)
    events["t"] = np.sort(rng.integers(0, 200_000, len(events)))
    events["t"] -= events["t"][0]
    events["x"], events["y"] = rng.integers(0, 320, len(events)), rng.integers(0, 240, len(events))
    events["p"] = rng.integers(0, 2, len(events))
    path = tmp_path / "some.es"
    with formats.create(path, "es", (2, 240, 320)) as writer:
        writer.write(events)
    return quote(f"file:{path}", safe=""), events


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("raw", ["no", "yes"])
async def test_every_event_arrives_as_it_was_seen(
    kind: str, raw: str, recording: tuple[str, Records]
) -> None:
    if kind == "dvxplorer" and raw == "yes":
        pytest.skip("its bytes can only be decoded by the library")
    plays, events = recording
    async with opened(f"{kind}+emu:?plays={plays}&raw={raw}&queue=1h") as source:
        found = join([p.data for p in await received(source, len(events))])
        properties: Any = importlib.import_module(LIBRARY)
        size = getattr(properties, source.module).Properties()
        assert source.shape == (2, size.height, size.width)
    order = ["t", "y", "x", "p"]
    assert np.array_equal(np.sort(found, order=order), np.sort(events, order=order))


async def test_transfers_that_the_library_dropped_are_counted_and_their_events_estimated(
    tmp_path: Path,
) -> None:
    """50,000 events at one instant, and a ring that holds one transfer: the newest of them come."""
    events = np.zeros(50_000, EVENT)
    path = tmp_path / "burst.es"
    with formats.create(path, "es", (2, 240, 320)) as writer:
        writer.write(events)
    async with opened(f"evk4+emu:?ring=1&queue=1h&plays={quote(f'file:{path}', safe='')}") as source:
        taken = await received(source, 1)
        assert source.counters() == {"transfers dropped": 12, "overflows": 1}
    assert sum(map(len, taken)) == 4096
    assert sum(p.lost for p in taken) == 12 * 4096


async def test_a_camera_that_is_pulled_out_is_lost_and_can_be_opened_again() -> None:
    async with opened("davis346+emu:?unplug=0.2") as source:
        with pytest.raises(DeviceLost, match="the camera is gone"):
            await received(source, 1 << 40)
        await source.close()
        await source.open()
        assert sum(map(len, await received(source, 1)))


async def test_two_runs_on_one_camera_are_refused() -> None:
    async with opened("evk4+emu:"):
        with pytest.raises(DeviceBusy, match="has it"):
            async with opened("evk4+emu:"):
                pass


async def test_another_serial_number_is_not_found() -> None:
    with pytest.raises(NotFound, match="`nrt devices` lists"):
        async with opened("evk4+emu:00051234"):
            pass


async def test_identity_and_temperature_are_told() -> None:
    async with opened(
        "evk4+emu:?configure=clock:external,rate_limiter.reference_period_us:200,"
        "rate_limiter.maximum_events_per_period:4000&biases=pr:-7"
    ) as source:
        identity = source.identity()
        assert identity["serial"] == "emulated"
        assert "pr=-7" in identity["configuration"]
        assert "Clock.EXTERNAL" in identity["configuration"]
        assert "maximum_events_per_period=4000" in identity["configuration"]
        assert source.temperature == 41.5
    async with opened("dvxplorer+emu:") as other:
        assert other.temperature is None


@pytest.mark.parametrize(
    ("uri", "sentence"),
    [
        ("evk4+emu:?biases=prr:1", "no setting biases.prr; there is pr, fo, hpf"),
        ("evk4+emu:?biases=pr", "'pr' is no setting; write NAME:VALUE"),
        ("evk4+emu:?biases=pr:many", "biases.pr is 'many'; it is a whole number"),
        ("evk4+emu:?biases=pr:101", "pr is 101, from -100 to 100 is possible"),
        ("evk4+emu:?biases=fo:99999", "too large or too small"),
        ("evk4+emu:?configure=clock:sundial", "clock is 'sundial'; it is one of INTERNAL"),
        ("evk4+emu:?configure=enable_output:maybe", "enable_output is 'maybe'; write yes or no"),
        ("evk4+emu:?configure=rate_limiter.reference_period_us:9", "needs maximum_events_per_period as well"),
        ("evk4+emu:?configure=biases:1", "biases has settings of its own: biases.pr"),
        ("evk4+emu:?configure=clock.x:1", "clock is one value"),
        ("evk4+emu:?configure=x_mask:1", "cannot be written in a URI"),
        ("dvxplorer+emu:?raw=yes", "can only be decoded by its library"),
        ("evk4+usb:", r"write evk4: or evk4\+emu:"),
        ("evk4:?plays=synth:bar", "has no option 'plays'"),
    ],
)
async def test_a_wrong_setting_is_one_sentence(uri: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        async with opened(uri):
            pass


async def test_a_machine_without_a_camera_says_so() -> None:
    """The library itself, not the double: here it finds no camera, or no USB at all."""
    with pytest.raises((DeviceError, NotFound)):
        async with opened("evk4:no-camera-has-this-serial-number"):
            pass


async def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, LIBRARY, None)
    with pytest.raises(MissingDependency, match=r"nrt-runtime\[cameras\]"):
        async with opened("evk4:"):
            pass


@pytest.mark.parametrize(
    ("said", "kind", "sentence"),
    [
        ("Access denied (insufficient permissions)", DeviceError, "sudo nrt udev --install"),
        ("Resource busy", DeviceBusy, "another process"),
        ("device not found", NotFound, "nrt devices"),
        ("Other error", DeviceError, "cannot be opened"),
    ],
)
async def test_the_librarys_no_becomes_an_error_with_a_remedy(
    said: str, kind: type[Exception], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> object:
        raise RuntimeError(said)

    monkeypatch.setattr(importlib.import_module(LIBRARY), "open", refuse)
    with pytest.raises(kind, match=sentence):
        async with opened("davis346:"):
            pass


def test_the_double_takes_the_arguments_that_the_library_takes() -> None:
    library: Any = importlib.import_module(LIBRARY)
    double = registry.board("evk4")()
    real = inspect.signature(library.open).parameters
    assert set(inspect.signature(double.open).parameters) <= set(real)
    for name in ("close", "serial", "properties", "connection", "biases_bounds", "__next__"):
        assert hasattr(library.device.Device, name)
    fields = {each.name for each in dataclasses.fields(library.status.RingStatus)}
    assert {"raw_packets", "dropped_packets"} <= fields
