"""How fast the simulated sensor is: a moving texture on one core, held against v2e in the same run.

The texture is of square blocks that move by one pixel per step, with everything switched on (thresholds' mismatch,
low-pass, leak, shot noise, hot pixels, refractory period, readout). 10 to 18 % of the pixels fire per step, most of
them once: the load under which other simulators have been measured (a C kernel: 0.11 to 0.13 events per pixel). Time
is the thread's own (`thread_time`), the median of `REPEATS`.
"""

from __future__ import annotations

import dataclasses
import json
import statistics
import subprocess
import sys
import time
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nrt_sim.sensors.noise import keys
from nrt_sim.sensors.parameters import Parameters
from nrt_sim.sensors.presets import PRESETS
from nrt_sim.sensors.sensor import Sensor

REPEATS: Final = 9
PICTURES: Final = 16
STEPS: Final = 48


@dataclasses.dataclass(frozen=True, slots=True)
class Case:
    """One measurement: a preset at a frame rate, over blocks of `block` pixels with `spread` in ln(light)."""

    preset: str
    shape: tuple[int, int]
    rate: int
    block: int
    spread: float


CASES: Final = (
    Case("davis346", (260, 346), 1_000, 4, 0.3),
    Case("dvxplorer", (480, 640), 500, 4, 0.3),
    Case("gen4", (720, 1280), 200, 4, 0.375),
)


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    firing: part of the pixels that fire per step · steps_per_s: what one core reaches · load: part of a core that
    the case's rate takes; least: in the fastest repeat, which other processes disturbed least · events_per_s: made
    per second of computing
    """

    simulator: str
    width: int
    height: int
    rate: int
    firing: float
    steps_per_s: float
    load: float
    least: float
    events_per_s: float

    def __str__(self) -> str:
        return (
            f"{self.simulator:<22} {self.width:>4}x{self.height:<4} {self.rate:>5} steps/s  "
            f"{self.firing:6.1%} fire  {self.steps_per_s:8.1f} steps/s possible  "
            f"{self.load:6.1%} of a core (least {self.least:.1%})  {self.events_per_s / 1e6:6.2f} million events/s"
        )


def pictures(case: Case) -> list[NDArray[np.float32]]:
    """The texture at `PICTURES` successive steps, lux; block values are random, from a fixed seed."""
    height, width = case.shape
    rng = np.random.default_rng(int(keys(7)[0]))
    rows, columns = -(-height // case.block), -(-(width + PICTURES) // case.block)
    blocks = 300 * np.exp(rng.uniform(-case.spread, case.spread, (rows, columns)))
    whole = np.kron(blocks, np.ones((case.block, case.block)))[:height].astype(np.float32)
    return [np.ascontiguousarray(whole[:, k : k + width]) for k in range(PICTURES)]


def order() -> list[int]:
    """Forth and back through the pictures, so that every step moves by one pixel."""
    return [*range(PICTURES), *range(PICTURES - 2, 0, -1)]


def measure(case: Case, *, readout: bool = True) -> Row:
    """One case on this thread."""
    parameters = PRESETS[case.preset]
    if not readout:
        parameters = dataclasses.replace(parameters, readout=None)
    sensor = Sensor(parameters, shape=case.shape, seed=1)
    frames, turn, span = pictures(case), order(), round(1e6 / case.rate)
    firing = _firing(dataclasses.replace(parameters, readout=None), case, frames, turn, span)
    t, seconds, events = 0, list[float](), 0
    sensor.step(frames[0], t)
    for repeat in range(REPEATS + 1):
        events, begin = 0, time.thread_time()
        for k in range(STEPS):
            t += span
            events += len(sensor.step(frames[turn[(k + 1) % len(turn)]], t))
        if repeat:
            seconds.append(time.thread_time() - begin)
    taken = statistics.median(seconds) / STEPS
    name = f"nrt {case.preset}" + ("" if readout else " pixels")
    return Row(
        name,
        case.shape[1],
        case.shape[0],
        case.rate,
        firing,
        1 / taken,
        taken * case.rate,
        min(seconds) / STEPS * case.rate,
        events / STEPS / taken,
    )


def _firing(
    parameters: Parameters, case: Case, frames: list[NDArray[np.float32]], turn: list[int], span: int
) -> float:
    """Part of the pixels that fire per step, before the readout drops any."""
    sensor = Sensor(parameters, shape=case.shape, seed=1)
    sensor.step(frames[0], 0)
    parts = []
    for k in range(1, len(turn)):
        events = sensor.step(frames[turn[k]], k * span)
        parts.append(len(np.unique(events["y"].astype(np.int64) * case.shape[1] + events["x"])))
    return statistics.mean(parts) / (case.shape[0] * case.shape[1])


_V2E: Final = """
import json, statistics, sys, time
import numpy as np, torch
torch.set_num_threads(1)
from v2ecore.emulator import EventEmulator
path, rate, noisy, repeats, steps = sys.argv[1], float(sys.argv[2]), sys.argv[3] == "1", 3, int(sys.argv[4])
frames = list(np.load(path))
turn = [*range(len(frames)), *range(len(frames) - 2, 0, -1)]
options = dict(pos_thres=0.2, neg_thres=0.2, sigma_thres=0.03, device="cpu", seed=1)
options |= dict(cutoff_hz=200, leak_rate_hz=0.1, shot_noise_rate_hz=5, refractory_period_s=0.0005) if noisy else dict(
    cutoff_hz=0, leak_rate_hz=0, shot_noise_rate_hz=0, refractory_period_s=0)
emulator = EventEmulator(**options)
emulator.generate_events(frames[0], 0.0)
k, taken, events = 0, [], 0
for repeat in range(repeats + 1):
    events, begin = 0, time.thread_time()
    for _ in range(steps):
        k += 1
        found = emulator.generate_events(frames[turn[k % len(turn)]], k / rate)
        events += 0 if found is None else len(found)
    if repeat:
        taken.append((time.thread_time() - begin) / steps)
print(json.dumps([statistics.median(taken), min(taken), events / steps]))
"""


def measure_v2e(python: str, case: Case, *, noisy: bool, steps: int = 6) -> Row | None:
    """v2e on one thread of the interpreter `python`, on the same pictures; None where it cannot be imported.

    v2e takes 8-bit grey values: the light is scaled so that the brightest is 255.
    """
    import tempfile
    from pathlib import Path

    frames = np.stack(pictures(case))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pictures.npy"
        np.save(path, frames * np.float32(255 / frames.max()))
        command = [python, "-c", _V2E, str(path), str(case.rate), str(int(noisy)), str(steps)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    if done.returncode:
        print(f"v2e did not run: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return None
    taken, least, events = json.loads(done.stdout.strip().splitlines()[-1])
    firing = float("nan")
    name = "v2e noisy" if noisy else "v2e clean"
    return Row(
        name,
        case.shape[1],
        case.shape[0],
        case.rate,
        firing,
        1 / taken,
        taken * case.rate,
        least * case.rate,
        events / taken,
    )


def run(peers: str | None = None) -> list[Row]:
    """All cases, with and without readout; v2e on the first and second where `peers` names an interpreter with it."""
    rows = [measure(case) for case in CASES]
    rows += [measure(case, readout=False) for case in CASES]
    if peers is not None:
        for case in CASES[:2]:
            rows += [
                row for noisy in (False, True) if (row := measure_v2e(peers, case, noisy=noisy)) is not None
            ]
    return rows


def main(peers: str | None = None) -> None:
    """Prints the table; without a peer, the published figures that it can be held against."""
    for row in run(peers):
        print(row)
    if peers is None:
        print("v2e was not measured in this run; `peers` takes the path of an interpreter that has it")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
