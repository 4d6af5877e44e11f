"""RAPL through files laid out as the kernel documents them (docs.kernel.org/power/powercap/powercap.html)."""

from __future__ import annotations

from pathlib import Path

import pytest

from nrt.errors import DeviceError, DeviceLost, NotFound
from nrt.profile.meters import measure
from nrt.profile.meters.rapl import RaplMeter
from nrt.uri import Uri
from tests.unit.profile.meters import Clock, tree

RANGE = 262143328850
"""max_energy_range_uj of an Intel desktop processor, as in the kernel's documentation."""


def machine(root: Path) -> Path:
    """One package with its core and DRAM, and the platform."""
    zones = {
        "intel-rapl:0": "package-0",
        "intel-rapl:0:0": "core",
        "intel-rapl:0:1": "dram",
        "intel-rapl:1": "psys",
        "intel-rapl-mmio:0": "package-0",
    }
    files: dict[str, object] = {"class/powercap/intel-rapl/enabled": 1}
    for zone, name in zones.items():
        files |= {
            f"class/powercap/{zone}/name": name,
            f"class/powercap/{zone}/energy_uj": 1_000_000,
            f"class/powercap/{zone}/max_energy_range_uj": RANGE,
        }
    return tree(root, files)


def show(root: Path, zone: str, microjoules: int) -> None:
    """At once, as the kernel does: nobody who reads sees half of it."""
    file = root / "class/powercap" / zone / "energy_uj"
    fresh = file.with_suffix(".new")
    fresh.write_text(f"{microjoules}\n")
    fresh.replace(file)


async def test_package_dram_and_platform_are_channels_of_their_own_and_parts_are_left_out(
    tmp_path: Path,
) -> None:
    meter = RaplMeter(Uri("rapl"), machine(tmp_path))
    await meter.open()
    await meter.close()
    assert [(c.name, c.boundary) for c in meter.channels] == [
        ("package-0", "CPU package (package-0)"),
        ("package-0 dram", "DRAM (package-0 dram)"),
        ("psys", "platform (psys)"),
    ]
    assert RaplMeter.availability(tmp_path) == "ready: package-0, package-0 dram, psys"


async def test_one_zone_can_be_asked_for_and_an_unknown_one_lists_those_that_there_are(
    tmp_path: Path,
) -> None:
    meter = RaplMeter(Uri("rapl", place="core"), machine(tmp_path))
    await meter.open()
    await meter.close()
    assert [c.name for c in meter.channels] == ["package-0 core"]
    with pytest.raises(NotFound, match="no RAPL zone 'gpu'; there is core, dram, package-0, psys"):
        await RaplMeter(Uri("rapl", place="gpu"), tmp_path).open()


async def test_what_was_taken_is_the_difference_also_where_the_counter_began_anew(tmp_path: Path) -> None:
    clock = Clock()
    meter = RaplMeter(Uri("rapl", place="package-0"), machine(tmp_path), clock)
    await meter.open()
    try:
        clock.now = 2.0
        show(tmp_path, "intel-rapl:0", 41_000_000)
        (lap,) = await meter.lap()
        assert lap.joules == pytest.approx(40.0)
        assert (lap.seconds, lap.wraps) == (2.0, 0)
        show(tmp_path, "intel-rapl:0", RANGE - 1_000_000)
        await meter.lap()
        show(tmp_path, "intel-rapl:0", 3_000_000)
        (lap,) = await meter.lap()
        assert lap.joules == pytest.approx(4.0)
        assert lap.wraps == 1
    finally:
        await meter.close()


async def test_a_figure_says_that_the_counter_began_anew(tmp_path: Path) -> None:
    clock = Clock()
    meter = RaplMeter(Uri("rapl", place="package-0"), machine(tmp_path), clock)
    shown = RANGE - 25_000_000

    async def spend(seconds: float) -> None:
        nonlocal shown
        clock.now += seconds
        shown = (shown + 10_000_000) % RANGE
        show(tmp_path, "intel-rapl:0", shown)

    show(tmp_path, "intel-rapl:0", shown)
    (energy,) = await measure(
        [meter], lambda: spend(1.0), windows=3, seconds=1.0, warm_up=0, sleep=spend, clock=clock
    )
    assert energy.joules == pytest.approx(10.0)
    assert energy.idle_watts == pytest.approx(10.0)
    assert energy.net == pytest.approx(0.0, abs=1e-9)
    assert "the counter began anew at 0 once; that is made up for" in energy.notes


async def test_a_counter_that_stands_still_is_refused(tmp_path: Path) -> None:
    clock = Clock()
    meter = RaplMeter(Uri("rapl", place="psys"), machine(tmp_path), clock)

    async def work() -> None:
        clock.now += 1.0

    with pytest.raises(DeviceError, match="nothing new was read in 1 s: the meter has stalled"):
        await measure([meter], work, sleep=clock.sleep, clock=clock)


async def test_a_counter_without_permission_says_how_to_change_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for a user, whoever runs the tests: the kernel's answer to them is EACCES."""
    machine(tmp_path)

    def refuse(path: Path, *_: object, **__: object) -> str:
        if path.name == "name":
            return "package-0\n"
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_text", refuse)
    sentence = r"no permission to read .*energy_uj; only root may since Linux 5.10: sudo chmod a\+r"
    with pytest.raises(DeviceError, match=sentence):
        await RaplMeter(Uri("rapl"), tmp_path).open()
    assert "no permission" in RaplMeter.availability(tmp_path)


async def test_a_machine_without_counters_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"no RAPL counters in .*virtual machines"):
        await RaplMeter(Uri("rapl"), tmp_path).open()


@pytest.mark.parametrize(
    ("content", "message"), [("", "holds '', which is no number"), ("12x", "holds '12x'")]
)
async def test_a_counter_with_nonsense_in_it_is_refused(tmp_path: Path, content: str, message: str) -> None:
    machine(tmp_path)
    (tmp_path / "class/powercap/intel-rapl:0/energy_uj").write_text(content)
    with pytest.raises(DeviceError, match=message):
        await RaplMeter(Uri("rapl"), tmp_path).open()


async def test_a_counter_that_vanishes_is_lost(tmp_path: Path) -> None:
    meter = RaplMeter(Uri("rapl", place="psys"), machine(tmp_path))
    await meter.open()
    try:
        (tmp_path / "class/powercap/intel-rapl:1/energy_uj").unlink()
        with pytest.raises(DeviceLost, match="energy_uj is gone"):
            await meter.lap()
    finally:
        await meter.close()
        await meter.close()
