"""What a time step costs on the CPU engine, next to specialised C++ on the same input in the same run.

Net (a): 2x128x128 events at 1 ms, conv16 3x3 stride 2, conv32, sum pool, conv32, sum pool, dense 256, dense 11, LIF
throughout. Net (b): recurrent 700-256-256-20. Both with decay 0.95, threshold 1, hard reset.

With a folder of yardsticks (its `gen.py`, `ev2.cpp`, `b_ev.cpp`, see `nrt_sim.yardstick`) each repetition runs C++ and
nrt one after the other, each twice, of which the second counts; the ratio is the median of the repetitions' own ratios.
The C++ is handed its input decoded and cut into steps, nrt takes event records as they come. Without a folder, nets of
the same architecture are drawn here, and there is no ratio. Single layers follow, see `nrt_sim.bench_layers`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nrt.network import Conv, Dense, Network, Neuron, Operator, Pool, Population, Projection, neuron
from nrt.packet import EVENT, SPIKE, Records
from nrt_sim.bench_layers import LayerRow, layer_table, layers
from nrt_sim.cpu.engine import CpuEngine, warm
from nrt_sim.yardstick import Yardstick

Weights = dict[str, NDArray[Any]]
Timed = tuple[float, NDArray[np.int64]]

RATES: Final = (500, 2000, 10000)
"""Events per ms of net (a)."""
DT: Final = 1000


@dataclass(frozen=True, slots=True)
class Row:
    """One net at one rate. Times are medians in ms per step.

    whole: all steps in one call · single: one call per step · cpp: the C++ engine, or None
    ratio: whole to cpp, median of the repetitions' own ratios · equal: whether the output counts are the same
    synops: per step · shared, own: bytes of weights and tables, and of one engine's state
    """

    net: str
    rate: float
    whole: float
    single: float
    cpp: float | None
    ratio: float | None
    equal: bool | None
    synops: float
    shared: int
    own: int

    @property
    def giga_synops(self) -> float:
        """Synaptic operations, 10^9 per second."""
        return self.synops / self.whole / 1e6


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A network and its input of `steps` steps; `bounds`: where each step's records begin, and the end."""

    net: str
    rate: float
    network: Network
    records: Records
    steps: int

    @property
    def bounds(self) -> NDArray[np.intp]:
        return np.searchsorted(self.records["t"], np.arange(self.steps + 1) * DT)


def engine(
    against: Path | None = None, repeat: int = 15, scratch: Path | None = None
) -> list[Row | LayerRow]:
    """Measures both nets and the layers, `repeat` times each, on one core.

    against: folder with the C++ engines and their generator, which needs torch and g++; scratch: where to build
    them, kept for the next time (a temporary folder otherwise). Raises ConfigError where they do not build.
    """
    warm()
    with one_core():
        if against is None:
            return [*(_measure(case, None, repeat) for case in cases(None)), *layers(repeat)]
        with Yardstick.built(against, scratch) as yardstick:
            nets = [
                _measure(case, yardstick, repeat if case.net == "a" else 10 * repeat)
                for case in cases(yardstick)
            ]
            return [*nets, *layers(repeat)]


def cases(yardstick: Yardstick | None) -> Iterator[Case]:
    """Nets (a) and (b) with their input: as the yardsticks' generator wrote them, or drawn here without one."""
    return _drawn() if yardstick is None else _given(yardstick)


def table(rows: Sequence[Row | LayerRow]) -> str:
    """The rows as text: nets with what the ratio is to, then layers."""
    layer_rows = [row for row in rows if isinstance(row, LayerRow)]
    nets = _net_table([row for row in rows if isinstance(row, Row)])
    return f"{nets}\n\n{layer_table(layer_rows)}" if layer_rows else nets


def _net_table(rows: Sequence[Row]) -> str:
    lines = [
        "net   rate  ms/step  one by one     C++  nrt/C++  equal  synops/step  GSynop/s  shared MB  own MB"
    ]
    for r in rows:
        cpp = (
            f"{r.cpp:7.4f}  {r.ratio:7.2f}  {'yes' if r.equal else 'NO':>5}"
            if r.cpp is not None
            else f"{'-':>7}  {'-':>7}  {'-':>5}"
        )
        lines.append(
            f"{r.net:3} {r.rate:6.0f}  {r.whole:7.4f}  {r.single:10.4f}  {cpp}  {r.synops:11.0f}"
            f"  {r.giga_synops:8.2f}  {r.shared / 1e6:9.2f}  {r.own / 1e6:6.2f}"
        )
    if any(r.cpp is None for r in rows):
        lines.append(
            "Drawn nets of the same architecture; there is no ratio without --against a folder of yardsticks."
        )
    return "\n".join(lines)


def _measure(case: Case, yardstick: Yardstick | None, repeat: int) -> Row:
    whole, single = (CpuEngine(case.network, case.network.outputs) for _ in range(2))
    ours, theirs, one_by_one = [], [], []
    counts = expected = np.zeros(0, np.int64)
    for _ in range(repeat):
        if yardstick is not None:
            seconds, expected = _second(partial(yardstick.run, case.net, case.records, case.bounds))
            theirs.append(seconds)
        seconds, counts = _second(partial(_together, whole, case))
        ours.append(seconds)
        one_by_one.append(_one_by_one(single, case))
    counted = whole.counters()
    scale = 1e3 / case.steps
    return Row(
        case.net,
        case.rate,
        median(ours) * scale,
        median(one_by_one) * scale,
        median(theirs) * scale if theirs else None,
        median(a / b for a, b in zip(ours, theirs, strict=True)) if theirs else None,
        bool(np.array_equal(counts, expected)) if theirs else None,
        sum(counted.synops.values()) / case.steps,
        *whole.memory,
    )


def _second(run: Callable[[], Timed]) -> Timed:
    """What the second of two runs gives: caches hold its own weights, as they do in a stream."""
    run()
    return run()


def _together(engine: CpuEngine, case: Case) -> Timed:
    """Seconds for all steps in one call, and how often each output fired."""
    output = case.network.outputs[0]
    engine.reset()
    begin = perf_counter()
    spikes = engine.run(case.records, 0, case.steps)[output]
    seconds = perf_counter() - begin
    return seconds, np.bincount(spikes["n"], minlength=case.network[output].size)


def _one_by_one(engine: CpuEngine, case: Case) -> float:
    """Seconds for the steps in calls of one step each."""
    engine.reset()
    bounds = case.bounds.tolist()
    parts = [case.records[a:b] for a, b in pairwise(bounds)]
    begin = perf_counter()
    for k, part in enumerate(parts):
        engine.run(part, k * DT, 1)
    return perf_counter() - begin


@contextmanager
def one_core() -> Generator[None]:
    """Keeps this thread on one core, where the system lets it."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def _lif() -> Neuron:
    return neuron(decay=0.95, threshold=1.0, fire=">=", reset="hard")


def net_a(w: Weights) -> Network:
    """Net (a) of weights w1 … w5; as many layers as there are weights."""
    pool = Pool((2, 2), (2, 2))
    layers: Sequence[tuple[str, tuple[int, ...], Callable[[], tuple[Operator, ...]]]] = [
        ("conv1", (16, 64, 64), lambda: (Conv(w["w1"], (2, 2), (1, 1)),)),
        ("conv2", (32, 64, 64), lambda: (Conv(w["w2"], (1, 1), (1, 1)),)),
        ("conv3", (32, 32, 32), lambda: (pool, Conv(w["w3"], (1, 1), (1, 1)))),
        ("dense4", (256,), lambda: (pool, Dense(w["w4"]))),
        ("dense5", (11,), lambda: (Dense(w["w5"]),)),
    ][: len(w)]
    names = ["input", *(name for name, _, _ in layers)]
    return Network(
        (Population("input", (2, 128, 128)), *(Population(name, shape, _lif()) for name, shape, _ in layers)),
        tuple(Projection(a, b, make()) for a, (b, _, make) in zip(names, layers, strict=False)),
        ("input",),
        (names[-1],),
        name="net a",
    )


def net_b(w: Weights) -> Network:
    """Net (b): recurrent input first, one step late, as the C++ has it."""
    sizes = {"input": 700, "hidden1": 256, "hidden2": 256, "output": 20}
    wires = [
        ("hidden1", "hidden1", "r1", 1),
        ("input", "hidden1", "w1", 0),
        ("hidden2", "hidden2", "r2", 1),
        ("hidden1", "hidden2", "w2", 0),
        ("hidden2", "output", "w3", 0),
    ]
    return Network(
        tuple(Population(name, (size,), None if name == "input" else _lif()) for name, size in sizes.items()),
        tuple(Projection(a, b, (Dense(w[key]),), delay) for a, b, key, delay in wires),
        ("input",),
        ("output",),
        name="net b",
    )


def _given(yardstick: Yardstick) -> Iterator[Case]:
    """The nets and events that the yardsticks' generator wrote."""
    network = net_a(yardstick.weights("a"))
    for rate in RATES:
        events, steps = yardstick.events(rate)
        records = np.zeros(len(events), EVENT)
        records["t"], records["p"], records["y"], records["x"] = events.T
        yield Case("a", rate, network, records, steps)
    spikes, steps = yardstick.spikes()
    records = np.zeros(len(spikes), SPIKE)
    records["t"], records["n"], records["v"] = spikes[:, 0], spikes[:, 1], 1
    yield Case("b", len(spikes) / steps, net_b(yardstick.weights("b")), records, steps)


def _drawn() -> Iterator[Case]:
    """Nets of the same architecture, layers scaled one by one to fire at 2 % (dense: 5 %) at 2000 events/ms."""
    random = np.random.default_rng(0)
    middle = _blobs(2000)
    shapes = ((16, 2, 3, 3), (32, 16, 3, 3), (32, 32, 3, 3), (256, 8192), (11, 256))
    weights: Weights = {}
    for k, shape in enumerate(shapes):
        drawn = (random.standard_normal(shape) + 0.15) / np.sqrt(np.prod(shape[1:]))
        target = 0.02 if len(shape) == 4 else 0.05
        low, high = 1e-2, 1e2
        for _ in range(10):
            scale = float(np.sqrt(low * high))
            network = net_a({**weights, f"w{k + 1}": drawn * scale})
            low, high = (low, scale) if _rate(network, middle) > target else (scale, high)
        weights[f"w{k + 1}"] = drawn * np.sqrt(low * high)
    network = net_a(weights)
    for rate in RATES:
        yield Case("a", rate, network, _blobs(rate), 200)
    scales = {"w1": (256, 700, 5.0), "r1": (256, 256, 1.0), "w2": (256, 256, 3.2), "r2": (256, 256, 1.0)}
    scales["w3"] = (20, 256, 2.0)
    recurrent = {k: random.standard_normal((o, i)) * s / np.sqrt(i) for k, (o, i, s) in scales.items()}
    step, channel = np.nonzero(random.random((100, 700)) < 0.02)
    records = np.zeros(len(step), SPIKE)
    records["t"], records["n"], records["v"] = step * DT, channel, 1
    yield Case("b", len(step) / 100, net_b(recurrent), records, 100)


def _rate(network: Network, records: Records, steps: int = 40) -> float:
    """Share of the last layer's neurons that fire in a step."""
    last = network.populations[-1]
    cpu = CpuEngine(network, ())
    cpu.run(records[: int(np.searchsorted(records["t"], steps * DT))], 0, steps)
    return cpu.counters().spikes[last.name] / steps / last.size


def _blobs(rate: int, steps: int = 200) -> Records:
    """Four spots that go round, and 15 % noise: `rate` events per ms on 128 x 128 pixels."""
    random = np.random.default_rng(1)
    records = np.zeros(rate * steps, EVENT)
    step = np.repeat(np.arange(steps), rate)
    spot = random.integers(0, 4, len(step))
    angle = spot * 1.7 + (spot - 1.5) * 0.02 * step
    noise = random.random(len(step)) < 0.15
    for axis, centre in (("x", np.cos(angle)), ("y", np.sin(angle))):
        near = 64 + (25 + 5 * spot) * centre + random.normal(0, 7, len(step))
        records[axis] = np.clip(np.where(noise, random.uniform(0, 128, len(step)), near), 0, 127)
    records["p"] = random.integers(0, 2, len(step))
    records["t"] = step * DT
    return records
