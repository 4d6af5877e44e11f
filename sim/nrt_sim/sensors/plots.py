"""The plots of docs/sensors.md: `python -m nrt_sim.sensors.plots docs/img` draws them anew.

Points are measured on the simulated sensor, lines are what was published or what the parameters say; the same
functions serve the tests (`statistics`). Needs matplotlib, from the extra `report`.
"""

from __future__ import annotations

import dataclasses
import importlib
import math
import sys
from pathlib import Path
from typing import Any, Final

import numpy as np

from nrt.errors import MissingDependency
from nrt_sim.sensors.parameters import Parameters
from nrt_sim.sensors.presets import PRESETS
from nrt_sim.sensors.sensor import Sensor
from nrt_sim.sensors.statistics import contrast_curve, noise_rate, response

SIZE: Final = (64, 64)


def _pyplot() -> Any:
    try:
        importlib.import_module("matplotlib").use("Agg")
        return importlib.import_module("matplotlib.pyplot")
    except ModuleNotFoundError as error:
        raise MissingDependency("drawing plots", "matplotlib", "report") from error


def _figure(plt: Any, title: str, x: str, y: str) -> tuple[Any, Any]:
    figure, axes = plt.subplots(figsize=(6, 3.8), layout="constrained")
    axes.set_title(title)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.3)
    return figure, axes


def noise(plt: Any) -> Any:
    """Events per pixel in constant light, for every preset."""
    figure, axes = _figure(
        plt,
        "Noise in constant light, without hot pixels",
        "illuminance of the pixels (lux)",
        "events per pixel (Hz)",
    )
    lux = np.logspace(-2, 4, 13)
    for name in ("dvs128", "davis346", "dvxplorer", "gen4", "speck"):
        parameters = dataclasses.replace(PRESETS[name], readout=None, hot=0.0)
        axes.loglog(
            lux, [noise_rate(parameters, v, 1.0, seed=1, shape=SIZE) for v in lux.tolist()], "o-", label=name
        )
    axes.plot([0.1, 1_000], [10, 0.2], "k*", markersize=12, label="DND21: shot, leak (DAVIS346)")
    axes.legend(fontsize=8)
    return figure


def sensitivity(plt: Any) -> Any:
    """The S-curve of event probability against contrast."""
    figure, axes = _figure(
        plt, "Contrast sensitivity (DAVIS346)", "step of ln(light)", "part of pixels that fire"
    )
    parameters = Parameters(SIZE, on=0.2, off=0.2, mismatch=0.03)
    contrast = np.linspace(0.08, 0.32, 25)
    for sign, label in ((1, "ON"), (-1, "OFF")):
        axes.plot(
            contrast, contrast_curve(parameters, sign * contrast, seed=2), "o", label=f"{label}, measured"
        )
    normal = [0.5 * (1 + math.erf((c - 0.2) / 0.03 / math.sqrt(2))) for c in contrast.tolist()]
    axes.plot(contrast, normal, "k-", label="Φ((contrast - 0.2)/0.03)")
    axes.legend()
    return figure


def counting(plt: Any) -> Any:
    """Events per pixel against the size of a step."""
    figure, axes = _figure(plt, "Events of one step of light", "step of ln(light)", "events per pixel")
    steps = np.linspace(0.02, 2.0, 60)
    cases = {
        "ideal": Parameters(SIZE),
        "mismatch 0.03": Parameters(SIZE, mismatch=0.03),
        "refractory 0.1 ms (step within 1 ms)": Parameters(SIZE, refractory=100),
    }
    for label, parameters in cases.items():
        axes.plot(steps, [_count(parameters, step) for step in steps.tolist()], ".", label=label)
    axes.plot(steps, np.floor(steps / 0.2), "k-", linewidth=0.8, label="floor(step/0.2)")
    axes.legend()
    return figure


def _count(parameters: Parameters, step: float) -> float:
    sensor = Sensor(parameters, seed=1)
    light = np.full(SIZE, 100, np.float32)
    sensor.step(light, 0)
    return len(sensor.step((light * np.exp(step)).astype(np.float32), 1_000)) / light.size


def bandwidth(plt: Any) -> Any:
    """Response to flicker against its frequency, at several illuminances."""
    figure, axes = _figure(plt, "Response to flicker (DAVIS346)", "frequency (Hz)", "amplitude")
    p = PRESETS["davis346"]
    parameters = Parameters((2, 2), on=0.01, off=0.01, bandwidth=p.bandwidth, corner=p.corner, dark=p.dark)
    hertz = np.logspace(0.5, 4, 15)
    for lux, colour in zip((1.0, 10.0, 100.0, 1_000.0), ("C0", "C1", "C2", "C3"), strict=True):
        x = (lux + p.dark) / p.corner
        cut = p.bandwidth * x / (1 + x)
        seen = [response(parameters, lux, f, depth=0.4, periods=4) for f in hertz.tolist() if f < 30 * cut]
        axes.loglog(hertz[: len(seen)], seen, "o", color=colour, label=f"{lux:g} lux: -3 dB at {cut:.0f} Hz")
        axes.plot(hertz, 1 / np.sqrt(1 + (hertz / cut) ** 2), "-", color=colour, linewidth=0.8)
    axes.axhline(1 / math.sqrt(2), color="k", linestyle=":", linewidth=0.8)
    axes.set_ylim(0.01, 1.5)
    axes.legend(fontsize=8)
    return figure


PLOTS: Final = {"noise": noise, "sensitivity": sensitivity, "counting": counting, "bandwidth": bandwidth}


def draw(folder: Path) -> list[Path]:
    """Draws all plots into `folder`; returns their files. Raises MissingDependency."""
    plt = _pyplot()
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, plot in PLOTS.items():
        figure, path = plot(plt), folder / f"sensor_{name}.png"
        figure.savefig(path, dpi=90)
        plt.close(figure)
        paths.append(path)
    return paths


if __name__ == "__main__":
    for drawn in draw(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/img")):
        print(drawn)
