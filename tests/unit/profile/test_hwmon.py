"""Power monitors through files laid out as the kernel documents them (docs.kernel.org/hwmon)."""

from __future__ import annotations

from pathlib import Path

import pytest

from nrt.errors import ConfigError, DeviceError, NotFound
from nrt.profile.meters.hwmon import HwmonMeter
from nrt.uri import Uri
from tests.unit.profile.meters import Clock, tree


def jetson(root: Path) -> Path:
    """An INA3221 as on a Jetson Orin: three rails, one of them off, and the sum channel that the driver adds."""
    return tree(
        root,
        {
            "class/hwmon/hwmon0/name": "coretemp",
            "class/hwmon/hwmon0/temp1_input": 41000,
            "class/hwmon/hwmon1/name": "ina3221",
            "class/hwmon/hwmon1/update_interval": 50,
            "class/hwmon/hwmon1/in1_label": "VDD_IN",
            "class/hwmon/hwmon1/in1_input": 5000,
            "class/hwmon/hwmon1/in1_enable": 1,
            "class/hwmon/hwmon1/curr1_input": 800,
            "class/hwmon/hwmon1/in2_label": "VDD_CPU_GPU_CV",
            "class/hwmon/hwmon1/in2_input": 4992,
            "class/hwmon/hwmon1/in2_enable": 1,
            "class/hwmon/hwmon1/curr2_input": 152,
            "class/hwmon/hwmon1/in3_label": "VDD_SOC",
            "class/hwmon/hwmon1/in3_input": 0,
            "class/hwmon/hwmon1/in3_enable": 0,
            "class/hwmon/hwmon1/curr3_input": 0,
            "class/hwmon/hwmon1/in7_label": "sum of shunt voltages",
            "class/hwmon/hwmon1/in7_input": 4,
            "class/hwmon/hwmon1/curr4_input": 952,
        },
    )


def chip(place: str) -> Uri:
    return Uri("hwmon", place=place)


async def test_rails_are_voltage_times_current_integrated_over_time(tmp_path: Path) -> None:
    clock = Clock()
    meter = HwmonMeter(chip("ina3221"), jetson(tmp_path), clock)
    await meter.open()
    try:
        assert [c.boundary for c in meter.channels] == ["rail VDD_IN", "rail VDD_CPU_GPU_CV"]
        assert meter.rate_hz == 20.0
        clock.now = 2.0
        (tmp_path / "class/hwmon/hwmon1/curr1_input").write_text("1000\n")
        rail, other = await meter.lap()
    finally:
        await meter.close()
    assert rail.joules == pytest.approx((4.0 + 5.0) / 2 * 2.0)
    assert other.joules == pytest.approx(4.992 * 0.152 * 2.0)


async def test_an_ina226_shows_its_power_itself(tmp_path: Path) -> None:
    files = {"name": "ina226", "in0_input": 2, "in1_input": 3300, "curr1_input": 100, "power1_input": 325000}
    tree(tmp_path, {f"class/hwmon/hwmon4/{name}": value for name, value in files.items()})
    clock = Clock()
    meter = HwmonMeter(chip("hwmon4"), tmp_path, clock)
    await meter.open()
    try:
        clock.now = 4.0
        (lap,) = await meter.lap()
    finally:
        await meter.close()
    assert lap.joules == pytest.approx(0.325 * 4)
    assert [c.name for c in meter.channels] == ["channel 1"]


async def test_one_rail_can_be_chosen_and_an_unknown_one_lists_those_that_there_are(tmp_path: Path) -> None:
    jetson(tmp_path)
    meter = HwmonMeter(chip("ina3221"), tmp_path, rail="VDD_IN")
    await meter.open()
    await meter.close()
    assert [c.name for c in meter.channels] == ["VDD_IN"]
    with pytest.raises(NotFound, match="no rail 'VDD_DDR'; there is VDD_IN, VDD_CPU_GPU_CV"):
        await HwmonMeter(chip("ina3221"), tmp_path, rail="VDD_DDR").open()


async def test_the_list_names_only_chips_that_show_power(tmp_path: Path) -> None:
    assert HwmonMeter.availability(tmp_path).startswith("no chip on this machine shows power")
    assert HwmonMeter.availability(jetson(tmp_path)) == "ready: hwmon:ina3221"


async def test_chips_that_do_not_exist_or_exist_twice_are_refused(tmp_path: Path) -> None:
    jetson(tmp_path)
    with pytest.raises(NotFound, match=r"no such chip in .*; there is coretemp, ina3221"):
        await HwmonMeter(chip("ina226"), tmp_path).open()
    with pytest.raises(NotFound, match="hwmon:coretemp shows no voltage, current or power"):
        await HwmonMeter(chip("coretemp"), tmp_path).open()
    tree(tmp_path, {"class/hwmon/hwmon2/name": "ina3221"})
    with pytest.raises(ConfigError, match="2 chips are called so; write one of hwmon:hwmon1, hwmon:hwmon2"):
        await HwmonMeter(chip("ina3221"), tmp_path).open()
    with pytest.raises(ConfigError, match="name the chip"):
        HwmonMeter(Uri("hwmon"), tmp_path)


async def test_a_current_that_flows_backwards_is_refused(tmp_path: Path) -> None:
    jetson(tmp_path)
    (tmp_path / "class/hwmon/hwmon1/curr1_input").write_text("-20\n")
    with pytest.raises(DeviceError, match=r"VDD_IN shows -0.1 W: the current flows backwards"):
        await HwmonMeter(chip("ina3221"), tmp_path).open()


async def test_a_rail_that_vanishes_is_lost(tmp_path: Path) -> None:
    meter = HwmonMeter(chip("ina3221"), jetson(tmp_path))
    await meter.open()
    try:
        (tmp_path / "class/hwmon/hwmon1/curr1_input").unlink()
        with pytest.raises(DeviceError, match="curr1_input is gone"):
            await meter.lap()
    finally:
        await meter.close()
