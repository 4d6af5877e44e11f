"""`nrt meters`, and a run measured by an emulated Power Profiler Kit."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import nrt
from nrt import formats, registry
from nrt.cli.app import app
from nrt.cli.meters import show_meters
from nrt.errors import ConfigError, NotFound
from nrt.network import Dense, Network, Population, Projection, neuron
from nrt.packet import EVENT

ENDLESS = "synth:uniform?width=2&height=2&velocity=20&seconds=0&light=5000&contrast=20"
KIT = "ppk2+emu:?volts=3.3&amps=0.02"


def network() -> Network:
    return Network(
        (Population("in", (2, 4, 4)), Population("out", (2,), neuron(decay=0.9))),
        (Projection("in", "out", (Dense(np.full((2, 32), 0.5)),)),),
        ("in",),
        ("out",),
    )


MACHINE = r"""P: /devices/virtual/powercap/intel-rapl/intel-rapl:0
E: SUBSYSTEM=powercap
A: name=package-0\n
A: energy_uj=41000000\n
A: max_energy_range_uj=262143328850\n

P: /devices/platform/ina3221/hwmon/hwmon0
E: SUBSYSTEM=hwmon
A: name=ina3221\n
A: in1_label=VDD_IN\n
A: in1_input=5000\n
A: curr1_input=800\n
"""
"""A processor and a power monitor, as umockdev puts them under /sys."""


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "recording.es"
    events = np.zeros(50, EVENT)
    events["t"], events["x"], events["p"] = np.arange(50) * 200, np.arange(50) % 4, 1
    with formats.create(path, "es", (2, 4, 4)) as writer:
        writer.write(events)
    return path


def test_every_kind_of_meter_is_listed_with_what_it_still_needs(capsys: pytest.CaptureFixture[str]) -> None:
    show_meters(json=True)
    rows = {row["scheme"]: row for row in json.loads(capsys.readouterr().out)["meters"]}
    assert list(rows) == sorted(rows)
    assert {"rapl:", "nvml:", "hwmon:", "ppk2:", "joulescope:"} <= set(rows)
    assert all(row["status"] for row in rows.values())
    assert "never tried" in rows["ppk2:"]["summary"]
    assert "never tried" in rows["joulescope:"]["summary"]
    show_meters(json=False)
    assert "--meter" in capsys.readouterr().out


async def test_a_run_is_measured_and_keeps_its_models_beside(recording: Path) -> None:
    async with nrt.open("cpu:") as session:
        await session.deploy(network())
        report = await session.measure(recording, [registry.meter(KIT)], windows=2)
    measured, *models = report.energy
    assert measured.boundary == "board on the kit's supply"
    assert measured.windows == 2
    assert measured.idle_watts is not None
    assert measured.net is not None
    assert [figure.boundary for figure in models] == ["arithmetic only", "arithmetic and memory traffic"]
    assert report.events == 50


async def test_a_source_without_an_end_is_measured_for_as_long_as_a_window() -> None:
    async with nrt.open("cpu:") as session:
        await session.deploy(network())
        with pytest.raises(ConfigError, match="say how long a window is"):
            await session.measure(ENDLESS, [registry.meter(KIT)])
        report = await session.measure(ENDLESS, [registry.meter(KIT)], windows=2, seconds=0.4)
    assert report.error == "its window of 0.4 s is over"
    assert (report.energy[0].kind, report.energy[0].windows) == ("modelled", 2)  # the kit is emulated
    assert report.events > 0


def test_an_unknown_meter_lists_those_that_there_are() -> None:
    with pytest.raises(NotFound, match="no meter 'volt:'; there is hwmon:, joulescope:, nvml:, ppk2:, rapl:"):
        registry.meter("volt:")


def test_many_recordings_are_not_measured_at_once(recording: Path) -> None:
    asked = ["run", "net.nir", "--from", str(recording), "--from", str(recording), "--meter", KIT]
    result = CliRunner().invoke(app, asked)
    assert result.exit_code == 2
    assert "repeats one recording" in result.output.replace("\n", " ")


@pytest.mark.skipif(
    shutil.which("umockdev-run") is None, reason="umockdev-run is not installed (apt install umockdev)"
)
def test_meters_are_found_where_the_kernel_has_them(tmp_path: Path) -> None:
    machine = tmp_path / "machine.umockdev"
    machine.write_text(MACHINE)
    root = Path(nrt.__file__).parents[1]
    paths = os.pathsep.join(str(root / part) for part in ("", "drivers", "sim"))
    found = subprocess.run(
        ["umockdev-run", "-d", str(machine), "--", sys.executable, "-m", "nrt", "meters", "--json"],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert found.returncode == 0, found.stderr
    status = {row["scheme"]: row["status"] for row in json.loads(found.stdout)["meters"]}
    assert status["rapl:"] == "ready: package-0"
    assert status["hwmon:"] == "ready: hwmon:ina3221"
