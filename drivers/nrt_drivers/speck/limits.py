"""Every published limit of a core, checked by the driver itself: all violations at once, each with a way out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from nrt.errors import Violation
from nrt_drivers.speck.chip import Layer, Link, cores, spec


def violations(layers: Sequence[Layer], entries: Sequence[Link], source: str, tick: int) -> list[Violation]:
    """What the layers exceed, each by itself. entries: where the input `source` goes; tick: µs, 0 for none."""
    found = [v for layer in layers for v in _layer(layer)]
    found += _links(source, entries)
    limit = spec().limit("cores")
    if len(layers) > limit:
        found.append(
            Violation(
                source, "cores", len(layers), limit, "merge layers, or split the network over two boards"
            )
        )
    if tick:
        found += _clock(source, tick)
    return found


def _layer(layer: Layer) -> Iterator[Violation]:
    chip, name = spec(), layer.name
    yield from _at_most(
        name,
        ("input height", layer.inputs[1], chip.limit("input_size"), "pool or crop before this layer"),
        ("input width", layer.inputs[2], chip.limit("input_size"), "pool or crop before this layer"),
        (
            "output height",
            layer.outputs[1],
            chip.limit("output_size"),
            "use a stride, or pool before this layer",
        ),
        (
            "output width",
            layer.outputs[2],
            chip.limit("output_size"),
            "use a stride, or pool before this layer",
        ),
        ("input features", layer.inputs[0], chip.limit("features"), "use fewer features in the layer before"),
        ("features", layer.outputs[0], chip.limit("features"), "use fewer features"),
        (
            "kernel size",
            layer.kernel.shape[2],
            chip.limit("kernel_size"),
            "pool before it, or use smaller kernels",
        ),
        ("padding in y", layer.padding[0], chip.limit("padding"), "use less padding"),
        ("padding in x", layer.padding[1], chip.limit("padding"), "use less padding"),
    )
    yield from _one_of(name, "stride in y", layer.stride[0], chip.tables["stride"].values)
    yield from _one_of(name, "stride in x", layer.stride[1], chip.tables["stride"].values)
    yield from _memory(layer)
    yield from _numbers(layer)
    yield from _links(name, layer.links)


def _memory(layer: Layer) -> Iterator[Violation]:
    """Against the largest core; which cores are free is the placement's question."""
    beyond = list(
        _at_most(
            layer.name,
            (
                "kernel words",
                layer.kernel_words,
                max(c.kernel for c in cores()),
                "use fewer features or a smaller kernel, or pool before it; sizes count as the next power of two",
            ),
            (
                "neuron words",
                layer.neuron_words,
                max(c.neurons for c in cores()),
                "use a stride, a smaller map or fewer features; sizes count as the next power of two",
            ),
            (
                "leak words",
                layer.leak_words,
                max(c.leak for c in cores()),
                "drop the bias, or use fewer features",
            ),
        )
    )
    yield from beyond
    if not beyond and not any(layer.fits(core) for core in cores()):
        best = max((c.kernel for c in cores() if layer.neuron_words <= c.neurons), default=0)
        yield Violation(
            layer.name,
            f"kernel words beside {layer.neuron_words} neuron words on one core",
            layer.kernel_words,
            best,
            "cores with much kernel memory have little neuron memory: make one of the two smaller",
        )


def _numbers(layer: Layer) -> Iterator[Violation]:
    formats = spec().arithmetic
    weight, threshold, leak = formats["weight"], formats["threshold"], formats["leak"]
    scale = "quantise with a smaller scale"
    yield from _range(layer.name, "weight", layer.kernel, weight.low, weight.high, scale)
    both = np.array([layer.threshold, layer.floor, layer.initial])
    yield from _range(layer.name, "threshold or state", both, threshold.low, threshold.high, scale)
    if layer.bias is not None:
        yield from _range(layer.name, "bias", layer.bias, leak.low, leak.high, scale)
    if layer.floor == 0:
        yield Violation(layer.name, "lower threshold", 0, -1, "it must not be 0 (erratum); use -1")


def _links(name: str, links: Sequence[Link]) -> Iterator[Violation]:
    fan_out = spec().limit("fan_out")
    yield from _at_most(
        name, ("destinations", len(links), fan_out, "insert a layer that copies, or merge targets")
    )
    for link in links:
        yield from _one_of(
            f"{name} → {link.target}", "pooling", link.pooling, spec().tables["pooling"].values
        )


def _clock(name: str, tick: int) -> Iterator[Violation]:
    low, high = spec().limits["slow_clock_low"], spec().limits["slow_clock_high"]
    rate = 1e6 / tick
    if not low <= rate <= high:
        nearest = min(max(rate, low), high)
        yield Violation(name, "slow clock in Hz", rate, nearest, f"choose slow_clock={nearest:g}")


def _at_most(name: str, *checks: tuple[str, int, int, str]) -> Iterator[Violation]:
    for limit, need, have, hint in checks:
        if need > have:
            yield Violation(name, limit, need, have, hint)


def _one_of(name: str, limit: str, need: int, values: Sequence[int]) -> Iterator[Violation]:
    if need not in values:
        nearest = min(values, key=lambda v: abs(v - need))
        yield Violation(name, limit, need, nearest, f"it can be {', '.join(map(str, values))}")


def _range(
    name: str,
    limit: str,
    values: np.ndarray[tuple[int, ...], np.dtype[np.int64]],
    low: int,
    high: int,
    hint: str,
) -> Iterator[Violation]:
    if values.size and int(values.max()) > high:
        yield Violation(name, f"largest {limit}", int(values.max()), high, hint)
    if values.size and int(values.min()) < low:
        yield Violation(name, f"least {limit}", int(values.min()), low, hint)
