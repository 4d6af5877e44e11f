"""Fits a network of ten neurons that reads digits, small enough for a tinyODIN: 128 inputs and no hidden layer.

    pip install '.[train]'
    python examples/train_small.py               # writes examples/small_digits.nir

Each output neuron integrates and fires; its weights are those of a ridge regression on the events that each of 2x8x8
inputs gets while a simulated camera looks at a digit. One common number is added to all weights, which changes no
order of the classes and lets every neuron fire. Fitted on digits 180 to 359 of the data set `digits` under three seeds
of the sensor; digits 0 to 179 are left to be read.
"""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

import nir
import numpy as np
from numpy.typing import NDArray

from nrt import dataset, registry
from nrt.compare.recorded import Recorded
from nrt.compare.train import Train
from nrt.network import Encoding, Population

FITTED = range(180, 360)
SEEDS = (1, 2, 3)
INPUT = Population("input", (2, 8, 8))
ENCODING = Encoding(pool=4)
RIDGE = 3e5
WINNER = 16.0
"""Spikes that the right neuron should fire for a digit, about."""
TARGET = Path(__file__).parent / "small_digits.nir"


async def counts(seed: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Events of every input for every fitted digit, and the digits."""
    samples = [dataset.load(f"digits?seed={seed}").samples[k] for k in FITTED]
    rows = [await Recorded.take(registry.source(sample.source)) for sample in samples]
    trains = [
        Train.encoded(packet.data, INPUT, ENCODING, 0, 160, 1_000) for row in rows for packet in row.packets
    ]
    seen = np.array([train.per_neuron() for train in trains], np.float64)
    packets = np.repeat(np.arange(len(rows)), [len(row.packets) for row in rows])
    summed = np.zeros((len(rows), INPUT.size))
    np.add.at(summed, packets, seen)
    return summed, np.array([sample.label for sample in samples])


def fit(x: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Weights of 10 outputs, scaled so that a neuron whose threshold is 1 fires about WINNER spikes for its digit."""
    targets = np.where(labels[:, None] == np.arange(10), 1.0, -1.0)
    weights = np.linalg.solve(x.T @ x + RIDGE * np.eye(x.shape[1]), x.T @ targets).T
    weights += 1.0 / x.sum(axis=1).mean()
    scores = x @ weights.T
    return np.asarray(weights * WINNER / float(np.median(scores[np.arange(len(x)), labels])), np.float64)


def main() -> None:
    """Fits and writes the network."""
    parts = [asyncio.run(counts(seed)) for seed in SEEDS]
    x, labels = np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])
    weights = fit(x, labels)
    print(f"fitted: {np.mean((x @ weights.T).argmax(axis=1) == labels):.1%} of {len(x)} rows right")
    nodes = {
        "input": nir.Input({"input": np.array(INPUT.shape)}),
        "flat": nir.Flatten({"input": np.array(INPUT.shape)}, start_dim=0, end_dim=-1),
        "weights": nir.Linear(weights.astype(np.float32)),
        "digit": nir.IF(r=np.ones(10, np.float32), v_threshold=np.ones(10, np.float32)),
        "output": nir.Output({"output": np.array([10])}),
    }
    names = list(nodes)
    nir.write(TARGET, nir.NIRGraph(nodes, list(itertools.pairwise(names))))
    print(f"wrote {TARGET.name}")


if __name__ == "__main__":
    main()
