"""The Joulescope behind a package of our own that has the calls of its vendor's (joulescope 1.5.0)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from nrt.errors import ConfigError, DeviceError, DeviceTimeout, MissingDependency, NotFound
from nrt.profile.meters import Meter
from nrt.uri import Uri
from nrt_drivers import joulescope
from nrt_drivers.joulescope import JoulescopeMeter
from tests.unit.profile.meters import Clock


class Device:
    """Hands on the statistics that a test has made up, one as soon as it is looked at, from a thread of its own."""

    def __init__(self, name: str, energies: list[float]) -> None:
        self._name, self._energies = name, energies
        self._callback: Callable[..., None] | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._send, daemon=True)
        self.set: dict[str, object] = {}

    def __str__(self) -> str:
        return self._name

    def statistics_callback_register(self, cbk: Callable[..., None], source: str | None = None) -> None:
        assert source == "sensor"
        self._callback = cbk

    def parameter_set(self, name: str, value: object) -> None:
        self.set[name] = value

    def open(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()

    def _send(self) -> None:
        energies = iter(self._energies)
        while not self._stop.wait(0.01):
            joules = next(energies, None)
            if joules is not None and self._callback is not None:
                self._callback({"accumulators": {"energy": {"value": joules, "units": "J"}}})


class Package:
    """What `import joulescope` gives."""

    def __init__(self, *devices: Device) -> None:
        self._devices = devices

    def scan(self, name: str | None = None, config: str | None = None) -> list[Device]:
        return list(self._devices)


def meter(*devices: Device, place: str = "", clock: Clock | None = None) -> JoulescopeMeter:
    return JoulescopeMeter(Uri("joulescope", place=place), lambda: Package(*devices), clock or Clock())


async def test_what_was_taken_is_the_difference_of_the_instruments_own_sum() -> None:
    clock = Clock()
    device = Device("JS220-000123", [10.0 + k for k in range(1000)])
    found = meter(device, clock=clock)
    async with asyncio.timeout(30):
        await found.open()
        try:
            clock.now = 5.0
            (lap,) = await found.lap()
            (other,) = await found.lap()
        finally:
            await found.close()
            await found.close()
    assert lap.joules >= 1.0
    assert lap.joules == lap.samples
    assert (lap.seconds, other.seconds) == (5.0, 0.0)
    assert device.set == {"i_range": "auto", "v_range": "15V"}
    assert found.notes == ("this driver was never tried on a Joulescope",)
    assert isinstance(found, Meter)


async def test_a_sum_that_goes_back_gives_no_figure() -> None:
    found = meter(Device("JS220-1", [5.0, 1.0]))
    async with asyncio.timeout(30):
        await found.open()
        try:
            with pytest.raises(DeviceError, match="went back from 5 J to 1 J"):
                await found.lap()
        finally:
            await found.close()


async def test_an_instrument_that_falls_silent_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joulescope, "_PATIENCE_S", 0.3)
    found = meter(Device("JS220-1", []))
    with pytest.raises(DeviceTimeout, match=r"no statistic came in 0\.3 s"):
        await found.open()
    await found.close()


async def test_one_of_several_is_named_by_its_serial_number() -> None:
    def two() -> tuple[Device, Device]:
        return Device("JS220-1", [1.0]), Device("JS220-2", [1.0])

    with pytest.raises(
        NotFound, match="means 2 of the Joulescopes that are plugged in; there is JS220-1, JS220-2"
    ):
        await meter(*two()).open()
    with pytest.raises(NotFound, match="means 0"):
        await meter(*two(), place="3").open()
    chosen = meter(*two(), place="2")
    async with asyncio.timeout(30):
        await chosen.open()
        await chosen.close()
    assert JoulescopeMeter.availability(lambda: Package(*two())) == "ready: JS220-1, JS220-2"
    assert JoulescopeMeter.availability(lambda: Package()) == "no Joulescope is plugged in"


async def test_without_its_package_the_extra_is_named() -> None:
    def missing() -> Any:
        raise MissingDependency("a Joulescope", "joulescope", "meters")

    assert "pip install 'nrt-runtime[meters]'" in JoulescopeMeter.availability(missing)
    with pytest.raises(MissingDependency, match="joulescope"):
        await JoulescopeMeter(Uri("joulescope"), missing).open()


async def test_a_meter_is_opened_before_it_is_asked() -> None:
    with pytest.raises(ConfigError, match="a meter is opened before it is asked"):
        await meter(Device("JS220-1", [])).lap()
