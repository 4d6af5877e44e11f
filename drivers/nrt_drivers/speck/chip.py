"""What a Speck2f has, from firmware_specs/speck2f.toml, and what one layer takes of it."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import nrt.spec
from nrt.network.rounding import Widths
from nrt.spec import Spec

Int = NDArray[np.int64]


@functools.cache
def spec() -> Spec:
    """The definition of the chip."""
    return nrt.spec.load("speck2f")


def widths() -> Widths:
    """Bits of its weights and membranes."""
    return Widths(spec().arithmetic["weight"].width, spec().arithmetic["membrane"].width)


@dataclass(frozen=True, slots=True)
class Core:
    """Memories of one core, in words."""

    index: int
    kernel: int
    neurons: int
    leak: int

    @property
    def bytes(self) -> int:
        """Its size: 8 bits for a kernel word, 16 for the others."""
        return self.kernel + 2 * (self.neurons + self.leak)


@functools.cache
def cores() -> tuple[Core, ...]:
    """The nine cores."""
    tables = spec().tables
    columns = zip(
        tables["kernel_words"].values, tables["neuron_words"].values, tables["leak_words"].values, strict=True
    )
    return tuple(Core(k, *words) for k, words in enumerate(columns))


@dataclass(frozen=True, slots=True)
class Link:
    """Where spikes go: a layer, their address divided by `pooling`, their feature raised by `shift`."""

    target: str
    pooling: int = 1
    shift: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """What one core computes: a convolution, its neurons, and where their spikes go.

    inputs, outputs: (features, height, width); kernel: int64 [f, c, k, k]; stride, padding: (y, x);
    bias: int64 [f] per tick of the slow clock, or None
    """

    name: str
    inputs: tuple[int, int, int]
    outputs: tuple[int, int, int]
    kernel: Int
    stride: tuple[int, int]
    padding: tuple[int, int]
    bias: Int | None
    threshold: int
    floor: int
    to_zero: bool
    initial: int
    links: tuple[Link, ...]

    @property
    def kernel_words(self) -> int:
        """Kernel memory: c · 2^(⌈log2(kx·ky)⌉ + ⌈log2 f⌉)."""
        f, c, ky, kx = self.kernel.shape
        return int(c) << bits(ky * kx) + bits(f)

    @property
    def neuron_words(self) -> int:
        """Neuron memory: f · 2^(⌈log2 fy⌉ + ⌈log2 fx⌉)."""
        f, y, x = self.outputs
        return f << bits(y) + bits(x)

    @property
    def leak_words(self) -> int:
        """Leak memory: one word for each feature of a layer with biases."""
        return 0 if self.bias is None else self.outputs[0]

    @property
    def addresses(self) -> int:
        """More than any address of its neurons, in whatever order an address is composed of feature, x and y."""
        f, y, x = self.outputs
        return 1 << bits(f) + bits(y) + bits(x)

    def fits(self, core: Core) -> bool:
        """Whether that core's memories hold it."""
        return (
            self.kernel_words <= core.kernel
            and self.neuron_words <= core.neurons
            and self.leak_words <= core.leak
        )


def bits(count: int) -> int:
    """⌈log2 count⌉."""
    return (count - 1).bit_length()
