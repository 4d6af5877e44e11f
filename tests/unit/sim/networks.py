"""Random networks and event streams for the property tests: every operator, every neuron, any wiring."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from nrt.network import Conv, Dense, Encoding, Network, Neuron, Operator, Pool, Population, Projection, Scale
from nrt.network.neuron import neuron
from nrt.network.semantics import Semantics
from nrt.packet import EVENT, SPIKE, Records

DT = 100
DYADIC_DECAYS = (0.0, 0.5, 0.75, 1.0)
WHOLE = ("binary", "binary", "signed", "count", "round")


@dataclass(frozen=True, slots=True, eq=False)
class Draw:
    """Numbers of one random network.

    exact: on a grid of 1/16, which float64 adds up without rounding in any order; otherwise anywhere
    short: short chains, halving decays and whole spikes only, so that float32 adds them up without rounding too
    """

    random: np.random.Generator
    exact: bool
    short: bool = False

    def numbers(self, *shape: int, scale: float = 1.0) -> NDArray[Any]:
        values = self.random.normal(0.15, scale, shape)
        return np.round(values * 16) / 16 if self.exact else values

    def decay(self) -> float:
        if self.short:
            return float(self.random.choice([0.0, 0.5, 1.0]))
        return float(self.random.choice(DYADIC_DECAYS) if self.exact else self.random.uniform(0.3, 1.0))

    def maybe_each(self, shape: tuple[int, ...], low: float, high: float) -> NDArray[Any]:
        """One number, or (sometimes) one per neuron, between low and high."""
        size = shape if self.random.random() < 0.3 else ()
        values = self.random.uniform(low, high, size)
        return np.round(values * 8) / 8 if self.exact else values

    def chance(self, probability: float) -> bool:
        return bool(self.random.random() < probability)


def _pair(draw: Draw, low: int, high: int) -> tuple[int, int]:
    a, b = draw.random.integers(low, high, 2)
    return int(a), int(b)


def _conv(draw: Draw, shape: tuple[int, ...]) -> Operator:
    groups = int(draw.random.choice([g for g in (1, 1, 2, shape[0]) if shape[0] % g == 0]))
    outputs = groups * int(draw.random.choice([1, 2, 3, 8, 16 if groups == 1 else 1]))
    kernel = _pair(draw, 1, 4)
    weight = draw.numbers(outputs, shape[0] // groups, *kernel, scale=0.7)
    return Conv(weight, _pair(draw, 1, 4), _pair(draw, 0, 3), _pair(draw, 1, 3), groups)


def _pool(draw: Draw, shape: tuple[int, ...]) -> Operator:
    kernel = (2, 2) if draw.exact else _pair(draw, 1, 4)
    if draw.chance(0.6):
        return Pool(kernel, kernel, kind="average" if draw.chance(0.3) else "sum")
    margin = int(draw.random.integers(0, 2))
    return Pool(kernel, _pair(draw, 1, 3), (margin, margin), "sum")


def _scale(draw: Draw, shape: tuple[int, ...]) -> Operator:
    size = [(), shape, (shape[0], *(1,) * (len(shape) - 1))][draw.random.integers(0, 3)]
    factor = draw.random.choice([0.0, 0.5, 1.0, -1.0, 2.0], size)
    return Scale(np.broadcast_to(factor, shape) if size else np.asarray(factor))


def _chain(draw: Draw, shape: tuple[int, ...]) -> tuple[tuple[Operator, ...], tuple[int, ...]]:
    """Some operators that fit a source of `shape`, and the shape that arrives."""
    chain: list[Operator] = []
    for _ in range(int(draw.random.integers(0, 2 if draw.short else 4))):
        makers = [_scale, _conv, _conv, _pool] if len(shape) == 3 else [_scale]
        made = makers[draw.random.integers(0, len(makers))](draw, shape)
        arriving = made.shape(shape)
        if min(arriving) < 1:
            continue
        chain.append(made)
        shape = arriving
    if draw.chance(0.4):
        outputs = int(draw.random.integers(1, 40))
        chain.append(Dense(draw.numbers(outputs, int(np.prod(shape)), scale=0.4)))
        shape = (outputs,)
    return tuple(chain), shape


def _neuron(draw: Draw, shape: tuple[int, ...]) -> Neuron:
    random = draw.random
    if draw.chance(0.35):  # what the fast kernel takes
        return neuron(
            decay=draw.decay(), threshold=1.0, fire=random.choice([">=", ">"]),
            reset=random.choice(["hard", "soft", "none"]), v_reset=draw.numbers(scale=0.1) if draw.chance(0.2) else 0,
            v_min=-0.5 if draw.chance(0.3) else None,
        )  # fmt: skip
    synapse = draw.chance(0.3)
    return neuron(
        decay=draw.decay(),
        gain=draw.maybe_each(shape, 0.5, 1.5),
        drive=draw.maybe_each(shape, -0.2, 0.3) if draw.chance(0.3) else 0.0,
        threshold=0.5 if draw.exact else draw.maybe_each(shape, 0.5, 1.5),
        v_reset=0.25 if draw.chance(0.2) else 0.0,
        v0=draw.maybe_each(shape, -0.5, 1.5) if draw.chance(0.2) else 0.0,
        synapse_decay=draw.decay() if synapse else None,
        synapse_gain=0.5 if synapse and draw.chance(0.5) else None,
        v_min=-1.0 if draw.chance(0.3) else None,
        fire=random.choice([">=", ">"]),
        spikes=random.choice(WHOLE if draw.short else [*WHOLE, "graded", "none"]),
        reset=random.choice(["hard", "soft", "none"]),
        timing=random.choice(["immediate", "immediate", "delayed", "fire-first"]),
        max_spikes=int(random.integers(1, 5)),
    )


def _encoding(draw: Draw) -> tuple[Encoding, tuple[int, int, int]]:
    """An encoding, and the shape of an input that it fills (or not quite)."""
    polarity = draw.random.choice(["split", "split", "merge", "on", "off"])
    encoding = Encoding(
        values=draw.random.choice(["count", "binary"]),
        polarity=polarity,
        swap=draw.chance(0.3),
        crop=(1, 2, 9, 8) if draw.chance(0.3) else None,
        pool=int(draw.random.integers(1, 3)),
    )
    return encoding, (encoding.channels, int(draw.random.integers(3, 11)), int(draw.random.integers(3, 11)))


def random_network(seed: int, *, exact: bool, short: bool = False) -> Network:
    """A network drawn by `seed`: up to five populations, side branches, delays and loops."""
    draw = Draw(np.random.default_rng(seed), exact, short)
    encoding, seen = _encoding(draw)
    populations = [Population("p0", seen)]
    projections: list[Projection] = []
    for k in range(1, int(draw.random.integers(2, 6))):
        source = populations[draw.random.integers(0, k)] if draw.chance(0.2) else populations[-1]
        operators, arriving = _chain(draw, source.shape)
        flat = draw.chance(0.2)
        shape: tuple[int, ...] = (int(np.prod(arriving)),) if flat else arriving
        if len(shape) == 3 and shape[0] * shape[1] * shape[2] > 6000:
            break
        populations.append(Population(f"p{k}", shape, _neuron(draw, shape)))
        bias = draw.numbers(*shape, scale=0.05) if draw.chance(0.2) else None
        delay = int(draw.random.integers(1, 4)) if draw.chance(0.2) else 0
        projections.append(Projection(source.name, f"p{k}", operators, delay, bias))
    projections += _extra(draw, populations)
    names = [p.name for p in populations]
    return Network(
        tuple(populations),
        tuple(projections),
        ("p0",),
        (names[-1],),
        Semantics(dt=DT),
        encoding,
        name=f"seed {seed}",
    )


def _extra(draw: Draw, populations: list[Population]) -> list[Projection]:
    """Loops and second projections: dense ones, or neuron to neuron."""
    result: list[Projection] = []
    for _ in range(int(draw.random.integers(0, 3))):
        k, m = draw.random.integers(1, len(populations), 2) if len(populations) > 1 else (0, 0)
        source, target = populations[k], populations[m]
        if k == 0 or source.size * target.size > 400_000:
            continue
        operators: tuple[Operator, ...] = (Dense(draw.numbers(target.size, source.size, scale=0.1)),)
        if k == m and draw.chance(0.5):
            operators = (Scale(np.asarray(-0.5)),) if draw.chance(0.5) else ()
        result.append(
            Projection(source.name, target.name, operators, int(draw.random.integers(0 if k < m else 1, 4)))
        )
    return result


def random_events(network: Network, seed: int, steps: int, start: int) -> Records:
    """Events of `steps` steps, some of them outside of the input; or SPIKE records with payloads."""
    random = np.random.default_rng(seed)
    count = int(random.integers(0, 30 * steps))
    t = np.sort(random.integers(start, start + steps * DT, count))
    if random.random() < 0.3:
        records = np.zeros(count, SPIKE)
        records["n"] = random.integers(0, network.populations[0].size + 3, count)
        records["v"] = random.integers(-1, 4, count)
    else:
        records = np.zeros(count, EVENT)
        records["x"], records["y"] = random.integers(0, 14, (2, count))
        records["p"] = random.integers(0, 2, count)
    records["t"] = t
    return records


seeds = st.integers(0, 2**32 - 1)
