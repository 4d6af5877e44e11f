"""Trains the network that `nrt demo` runs: handwritten digits, seen by a simulated event camera.

    pip install '.[train]'
    python examples/train_digits.py              # writes sim/nrt_sim/models/digits.nir and held_out.npz
    python examples/train_digits.py --evaluate   # accuracy of that file on the held-out digits, through cpu:

The data are scikit-learn's 1797 digits of 8x8 pixels. Training pictures are bent a little, put in rows, and read by
the same scene and sensor model as in the demo, each row by a sensor with other thresholds in other light, so that
the network does not depend on one sensor. The network is two convolutions and a readout of leaky neurons that fire,
with the update that nrt's plain reading of NIR has (forward Euler, spike where v > θ, reset to zero), trained by
back-propagation through time with a surrogate gradient (E. Neftci, H. Mostafa, F. Zenke, "Surrogate Gradient
Learning in Spiking Neural Networks", IEEE Signal Processing Magazine 36(6), 2019).
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import hashlib
import itertools
import math
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nir
import numpy as np
import torch
from numpy.typing import NDArray

import nrt
from nrt.jit import jit
from nrt.network import Network
from nrt.packet import Records, join
from nrt_sim.models import digits, held_out
from nrt_sim.models.reading import SENSOR, SIZE, Reading, decide, votes
from nrt_sim.scenes.digits import EPISODE, SWEEP, Digits
from nrt_sim.sensors import PRESETS, Sensor

HELD_OUT = 360
"""How many pictures of the data set are held out, drawn at random from SEED: see the model card."""
DT = 1_000
"""µs of a step of the sensor and of the network."""
BURN_IN = 20_000
"""µs at the start of an episode that training leaves out; the sweep has the rest to settle the state."""
LENGTH = EPISODE - BURN_IN
COARSE, FINE = 20, 3
"""Epochs with steps of 2 ms, which take half the time, and then with DT."""
TAU = {"conv1": 0.008, "conv2": 0.016, "digit": 0.032}
ROW = 24
"""Digits that one random sensor reads."""
SEED = 20
EVALUATION_SEEDS = (1001, 1002, 1003)
"""Seeds of the sensor: none of them in training, which draws its own from SEED."""
LOOKS = 6
"""Sets of looks; epochs take turns."""
BATCH = 16
THREADS = 1

Images = NDArray[np.float32]
Floats = NDArray[np.float32]
Codes = NDArray[np.uint32]


def load() -> tuple[tuple[Images, NDArray[np.int64]], tuple[Images, NDArray[np.int64]]]:
    """(images, labels) to train on, and those held out."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    images, labels = images.reshape(-1, 8, 8).astype(np.float32), labels.astype(np.int64)
    kept = np.zeros(len(labels), np.bool_)
    kept[np.random.default_rng(SEED).permutation(len(labels))[:HELD_OUT]] = True
    return (images[~kept], labels[~kept]), (images[kept], labels[kept])


def bend(images: Images, rng: np.random.Generator) -> Images:
    """Each picture rotated, sheared, scaled and shifted a little, at random; bilinear."""
    n = len(images)
    angle, shear = rng.uniform(-0.18, 0.18, n), rng.uniform(-0.15, 0.15, n)
    wide, high = rng.uniform(0.9, 1.1, (2, n))
    y, x = np.meshgrid(np.arange(8) - 3.5, np.arange(8) - 3.5, indexing="ij")
    c, s = np.cos(angle), np.sin(angle)
    u = ((c + shear * s) * wide)[:, None, None] * x + ((shear * c - s) * wide)[:, None, None] * y
    v = (s * high)[:, None, None] * x + (c * high)[:, None, None] * y
    shift = rng.uniform(-0.5, 0.5, (2, n, 1, 1))
    u, v = np.clip(u + 4.5 + shift[0], 0, 8.999), np.clip(v + 4.5 + shift[1], 0, 8.999)
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)))
    i, j, k = v.astype(int), u.astype(int), np.arange(n)[:, None, None]
    fy, fx = v - i, u - j
    upper = padded[k, i, j] * (1 - fx) + padded[k, i, j + 1] * fx
    lower = padded[k, i + 1, j] * (1 - fx) + padded[k, i + 1, j + 1] * fx
    return np.clip(upper * (1 - fy) + lower * fy, 0, 16).astype(np.float32)


def random_sensor(rng: np.random.Generator) -> Sensor:
    """A DAVIS346 with other thresholds, noise and bandwidth."""
    usual = PRESETS[SENSOR]
    on, off = rng.uniform(0.15, 0.28, 2)
    parameters = dataclasses.replace(
        usual,
        on=on,
        off=off,
        leak=usual.leak * rng.uniform(0.2, 2),
        noise_bright=rng.uniform(0, 0.5),
        noise_dark=usual.noise_dark * rng.uniform(0, 2),
        bandwidth=usual.bandwidth * rng.uniform(0.3, 2),
        hot=0.002,
    )
    return Sensor(parameters, shape=(SIZE, SIZE), seed=int(rng.integers(2**31)))


def watch(scene: Digits, sensor: Sensor, episodes: int) -> Iterator[Codes]:
    """The events of each episode after BURN_IN, as step << 11 | input neuron, uint32[n]."""
    light = np.empty(scene.shape, np.float32)
    scene.frame(0, light)
    sensor.step(light, 0)
    for begin in range(0, episodes * EPISODE, EPISODE):
        codes: list[Codes] = []
        for start in range(-BURN_IN, LENGTH, DT):
            t = begin + BURN_IN + start + DT
            scene.frame(t, light)
            events = sensor.step(light, t)
            if start >= 0:
                neuron = (events["p"].astype(np.uint32) * SIZE + events["y"]) * SIZE + events["x"]
                codes.append(neuron | np.uint32(start // DT << 11))
        yield np.concatenate(codes)


def record(images: Images, labels: NDArray[np.int64], rng: np.random.Generator) -> list[Codes]:
    """One new look at every image, each bent anew, in rows of new order; in the order of `images`."""
    looks: list[Codes] = [np.empty(0, np.uint32)] * len(images)
    order = rng.permutation(len(images))
    for row in np.array_split(order, math.ceil(len(order) / ROW)):
        light, contrast = 10 ** rng.uniform(2, 3.3), rng.uniform(7, 16)
        scene = Digits((SIZE, SIZE), bend(images[row], rng), labels[row], light=light, contrast=contrast)
        for index, codes in zip(row, watch(scene, random_sensor(rng), len(row)), strict=True):
            looks[index] = codes
    return looks


@jit
def charge(x: Floats, decay: np.float32, membranes: Floats, spikes: Floats) -> None:
    """v <- decay * v + x, spike where v > 1, then v = 0, for each column of x (steps, neurons)."""
    steps, neurons = x.shape
    for step in range(steps):
        for i in range(neurons):
            v = x[step, i]
            if step > 0:
                v += decay * membranes[step - 1, i] * (np.float32(1) - spikes[step - 1, i])
            membranes[step, i] = v
            spikes[step, i] = v > np.float32(1)


@jit
def blame(membranes: Floats, spikes: Floats, decay: np.float32, grad: Floats, out: Floats) -> None:
    """The gradient for x of the one for the spikes: a spike's derivative is 1/(1 + 4|v - 1|)^2, a reset's is 0."""
    steps, neurons = grad.shape
    for step in range(steps - 1, -1, -1):
        for i in range(neurons):
            width = np.float32(1) + np.float32(4) * abs(membranes[step, i] - np.float32(1))
            out[step, i] = grad[step, i] / (width * width)
            if step < steps - 1:
                out[step, i] += decay * (np.float32(1) - spikes[step, i]) * out[step + 1, i]


class Lif(torch.autograd.Function):
    """Leaky neurons that fire; x and the spikes are (steps, ...)."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, decay: float) -> torch.Tensor:
        membranes, spikes = torch.empty_like(x), torch.empty_like(x)
        charge(columns(x), np.float32(decay), columns(membranes), columns(spikes))
        ctx.save_for_backward(membranes, spikes)
        ctx.decay = np.float32(decay)
        return spikes

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None]:
        membranes, spikes = ctx.saved_tensors
        out = torch.empty_like(membranes)
        blame(columns(membranes), columns(spikes), ctx.decay, columns(grads[0]), columns(out))
        return out, None


def columns(x: torch.Tensor) -> Floats:
    """(steps, neurons), the same memory where it is contiguous."""
    return x.detach().contiguous().flatten(1).numpy()


class Net(torch.nn.Module):
    """Two convolutions of stride 2 and a readout, each followed by leaky neurons."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = torch.nn.Conv2d(2, 12, 5, stride=2, padding=2, bias=False)
        self.conv2 = torch.nn.Conv2d(12, 32, 3, stride=2, padding=1, bias=False)
        self.digit = torch.nn.Linear(32 * 8 * 8, 10, bias=False)
        for weight, std in ((self.conv1.weight, 0.3), (self.conv2.weight, 0.2), (self.digit.weight, 0.03)):
            torch.nn.init.normal_(weight, 0.2 * std, std)

    def forward(self, x: torch.Tensor, dt: int, drop: float = 0.0) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Output spikes (steps, batch, 10) for input (steps, batch, 2, 32, 32), and the rates of the layers."""

        def fire(name: str, charge: torch.Tensor) -> torch.Tensor:
            """Channels stay last in memory, with which convolutions are twice as fast."""
            charge = charge.movedim(1, -1).unflatten(0, x.shape[:2])
            spikes: torch.Tensor = Lif.apply(charge, 1 - dt * 1e-6 / TAU[name])  # type: ignore[no-untyped-call]
            return spikes.flatten(0, 1).movedim(-1, 1)

        first = fire("conv1", self.conv1(x.flatten(0, 1).contiguous(memory_format=torch.channels_last)))
        second = fire("conv2", self.conv2(first))
        seen = second.flatten(1)
        if drop:
            mask = (torch.rand(x.shape[1], seen.shape[1]) >= drop) / (1 - drop)
            seen = seen * mask.repeat(x.shape[0], 1)
        return fire("digit", self.digit(seen)).unflatten(0, x.shape[:2]), [first.mean(), second.mean()]


def dense(looks: list[Codes], dt: int) -> torch.Tensor:
    """Event counts (steps, batch, 2, 32, 32) in steps of dt."""
    batch, steps = len(looks), LENGTH // dt
    lengths = [len(codes) for codes in looks]
    codes = torch.from_numpy(np.concatenate(looks).astype(np.int64))
    which = torch.repeat_interleave(torch.arange(batch), torch.tensor(lengths))
    index = (((codes >> 11) * DT // dt * batch + which) << 11) | (codes & 2047)
    counts = torch.bincount(index, minlength=steps * batch * 2048).to(torch.float32)
    return counts.view(steps, batch, 2, SIZE, SIZE)


def counted(spikes: torch.Tensor, dt: int) -> torch.Tensor:
    """Output spikes of each digit after the sweep, (batch, 10)."""
    return spikes[(SWEEP - BURN_IN) // dt :].sum(0)


def train(images: Images, labels: NDArray[np.int64], folder: Path, coarse: int, fine: int) -> Net:
    """One look at every image in each epoch; looks are kept in `folder`."""
    net = Net()
    optimiser = torch.optim.Adam(net.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, 4e-3, total_steps=(coarse + fine) * math.ceil(len(images) / BATCH), pct_start=0.2
    )
    for number in range(coarse + fine):
        begin = time.perf_counter()
        looks = cached(folder, number % LOOKS, images, labels)
        right, loss = epoch(net, looks, labels, 2 * DT if number < coarse else DT, optimiser, schedule)
        print(
            f"epoch {number + 1} of {coarse + fine}: loss {loss:.3f}, {100 * right:.1f} % right, "
            f"{time.perf_counter() - begin:.0f} s",
            flush=True,
        )
    return net


def epoch(
    net: Net, looks: list[Codes], labels: NDArray[np.int64], dt: int, optimiser: Any, schedule: Any
) -> tuple[float, float]:
    """(fraction right, mean loss) over all looks in random order, learning from each batch."""
    targets = torch.from_numpy(labels)
    right, total = 0, 0.0
    for batch in torch.randperm(len(looks)).split(BATCH):
        spikes, rates = net(dense([looks[i] for i in batch.tolist()], dt), dt, drop=0.15)
        counts = counted(spikes, dt)
        scale = 0.2 * dt / DT  # half as many steps have about half as many spikes
        loss = torch.nn.functional.cross_entropy(scale * counts, targets[batch], label_smoothing=0.05)
        loss = loss + 1.0 * DT / dt * (rates[0] + rates[1])  # spikes cost energy
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        right += int((counts.argmax(1) == targets[batch]).sum())
        total += float(loss.detach()) * len(batch)
    return right / len(looks), total / len(looks)


def cached(folder: Path, number: int, images: Images, labels: NDArray[np.int64]) -> list[Codes]:
    """One set of looks, from disk if an earlier epoch made it."""
    path = folder / f"looks-{number}.npz"
    if not path.exists():
        looks = record(images, labels, np.random.default_rng([SEED, number]))
        np.savez(path, codes=np.concatenate(looks), ends=np.cumsum([len(look) for look in looks]))
    with np.load(path) as file:
        return np.split(file["codes"], file["ends"][:-1])


def export(net: Net, path: Path) -> None:
    """Writes NIR: gain 1 per input, threshold 1, reset to zero."""
    weights = {name: value.detach().numpy() for name, value in net.state_dict().items()}

    def neurons(name: str, shape: tuple[int, ...]) -> nir.LIF:
        tau = np.full(shape, TAU[name], np.float32)
        ones, zeros = np.ones(shape, np.float32), np.zeros(shape, np.float32)
        return nir.LIF(tau=tau, r=tau / np.float32(DT / 1e6), v_leak=zeros, v_threshold=ones, v_reset=zeros)

    def convolution(name: str, size: int, padding: int) -> nir.Conv2d:
        weight = weights[f"{name}.weight"]
        return nir.Conv2d(
            (size, size), weight, stride=2, padding=padding, dilation=1, groups=1,
            bias=np.zeros(len(weight), np.float32),
        )  # fmt: skip

    nodes = {
        "input": nir.Input({"input": np.array([2, SIZE, SIZE])}),
        "conv1": convolution("conv1", 32, 2),
        "lif1": neurons("conv1", (12, 16, 16)),
        "conv2": convolution("conv2", 16, 1),
        "lif2": neurons("conv2", (32, 8, 8)),
        "flatten": nir.Flatten({"input": np.array([32, 8, 8])}, start_dim=0, end_dim=-1),
        "dense": nir.Linear(weights["digit.weight"]),
        "digit": neurons("digit", (10,)),
        "output": nir.Output({"output": np.array([10])}),
    }
    names = list(nodes)
    nir.write(path, nir.NIRGraph(nodes=nodes, edges=list(itertools.pairwise(names))))


async def evaluate(path: Path, images: Images, labels: NDArray[np.int64], seed: int) -> int:
    """How many digits the network gets right through cpu:, in one row, without a reset between them."""
    source = Reading(len(labels), seed=seed, speed=0, row=Digits((SIZE, SIZE), images, labels))
    spikes: list[Records] = []
    async with nrt.open("cpu:") as device:
        await device.deploy(path)
        async with device.stream(source) as run:
            async for packet in run:
                spikes.append(packet.data)
    print(run.report)
    return int((decide(votes(join(spikes), len(labels))) == labels).sum())


def interval(right: int, total: int) -> tuple[float, float]:
    """Wilson's 95 % confidence interval of a proportion."""
    z = 1.959964
    p, zz = right / total, z * z / total
    half = z * math.sqrt(p * (1 - p) / total + zz / (4 * total))
    return (p + zz / 2 - half) / (1 + zz), (p + zz / 2 + half) / (1 + zz)


def main() -> None:
    """Trains and exports, or evaluates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--evaluate", action="store_true", help="only evaluate a trained network")
    parser.add_argument("--network", type=Path, default=digits(), help="the NIR file")
    parser.add_argument("--epochs", type=int, nargs=2, default=(COARSE, FINE), metavar=("COARSE", "FINE"))
    arguments = parser.parse_args()
    if arguments.evaluate:
        images, labels = (kept.astype(kind) for kept, kind in zip(held_out(), ("f4", "i8"), strict=True))
    else:
        torch.manual_seed(SEED)
        torch.set_num_threads(THREADS)
        seen, (images, labels) = load()
        keep(images, labels)
        with tempfile.TemporaryDirectory(prefix="nrt-digits-") as folder:
            export(train(*seen, Path(folder), *arguments.epochs), arguments.network)
    for seed in EVALUATION_SEEDS:
        right, total = asyncio.run(evaluate(arguments.network, images, labels, seed)), len(labels)
        low, high = interval(right, total)
        print(
            f"seed {seed}: {right} of {total} held-out digits right: {100 * right / total:.2f} % "
            f"(95 % confidence {100 * low:.1f} to {100 * high:.1f} %)\n"
        )
    print("SHA-256", hashlib.sha256(arguments.network.read_bytes()).hexdigest())
    print("network hash", Network.load(arguments.network).hash)


def keep(images: Images, labels: NDArray[np.int64]) -> None:
    """Writes the held-out digits, which the demo shows."""
    path = digits().with_name("held_out.npz")
    np.savez_compressed(path, images=images.astype(np.uint8), labels=labels.astype(np.uint8))


if __name__ == "__main__":
    main()
