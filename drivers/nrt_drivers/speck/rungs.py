"""The way from a network in float to a Speck2f, one change at a time, for the ladder of a comparison.

The networks come from the functions that `nrt_drivers.speck.lower` lowers with, so the last of them is what the cores
compute but for the order of events. The chip itself is taken in two steps: first the emulated one without anything that
costs time, where only the order of events and the 16 bits of a membrane differ from a clocked simulation; then with its
speed and queues.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from nrt.device import Rung
from nrt.network import Network
from nrt.network.quantise import at_tick, folded, in_units, leaky, linear_leak, without_leak
from nrt.network.rounding import Rounding
from nrt.uri import Uri
from nrt_drivers.speck import planning
from nrt_drivers.speck.chip import spec, widths
from nrt_drivers.speck.lower import Lowered
from nrt_drivers.speck.settings import Settings

_ARITHMETIC: Final = ("leak", "slow_clock", "input", "mirror", "swap_xy", "lead", "settle")
"""Options of the device that say what it computes; the others say how fast, or what it may drop."""
_DRIVERS: Final = (*_ARITHMETIC, "balancer", "decimate")
_TIMELESS: Final = {"synop_ns": "0.001", "fifo": "4096", "power": "0"}
"""An emulated chip that is never busy: the least time per synaptic operation and the longest queues that it takes."""


def rungs(uri: Uri, network: Network, settings: Settings) -> tuple[Rung, ...]:
    """Raises Unsupported, DoesNotFit."""
    plan = planning.plan(network, leak=settings.leak, tick=settings.tick, spare=settings.dvs)
    return (*_software(network, plan.lowered, settings), *_chip(uri, network, _capacity(uri, plan)))


def _software(network: Network, lowered: Lowered, settings: Settings) -> Iterator[Rung]:
    scales = {layer.layer: layer.scale for layer in lowered.rounding}
    yield Rung("float", network, "cpu:", "the network as it is, in float")
    units = in_units(folded(network), scales)
    yield Rung(
        "folding", units, "cpu:", "factors, gains and biases folded into weights and drives; the chip's units"
    )
    if leak := leaky(network):
        linear = settings.leak == "linear"
        units = in_units(folded((linear_leak if linear else without_leak)(network)), scales)
        what = "a constant leak per tick" if linear else "no leak"
        yield Rung(
            "leak",
            units,
            "cpu:",
            f"{what} instead of an exponential one in {', '.join(leak)}",
            hints=_leak(linear),
        )
    rounded = dataclasses.replace(units, projections=_timed(lowered, network).projections)
    yield Rung(
        "weights", rounded, "cpu:", f"weights of {widths().weight} bits", hints=_weights(lowered.rounding)
    )
    yield Rung(
        "state",
        _timed(lowered, network),
        "cpu:",
        f"thresholds, biases and leaks whole; membranes of {widths().state} bits",
        bounds=widths().states,
        hints=_state(lowered.rounding),
    )


def _timed(lowered: Lowered, network: Network) -> Network:
    """What the cores compute, in time steps: a bias per tick becomes its share of a step."""
    return at_tick(lowered.network, network.semantics.dt) if lowered.tick else lowered.network


def _chip(uri: Uri, network: Network, capacity: Mapping[str, float]) -> Iterator[Rung]:
    emulated = dataclasses.replace(uri, wire="emu", place="")
    yield Rung(
        "order",
        network,
        str(dataclasses.replace(emulated, options=_only(uri, _ARITHMETIC) | _TIMELESS)),
        "event by event in order of arrival, biases at the slow clock; an emulated chip that is never busy",
        hints={
            "": "train event by event (one spike per event and a threshold test after each, as sinabs can), or lower "
            "the input's rate (crop, pool, a filter) so that fewer events share a step"
        },
    )
    busy = "what the chip's speed, queues, congestion balancer and decimators delay or drop"
    hints = {
        "": "balancer=no keeps every event; fewer synapses per event (smaller kernels, a stride, more pooling), a "
        "crop, or a lower input rate keep cores from being busy"
    }
    if uri.wire != "emu":
        own = str(dataclasses.replace(emulated, options=_only(uri, _DRIVERS)))
        text = f"{busy}; emulated, its speed an estimate"
        yield Rung("link", network, own, text, hints=hints, capacity=capacity)
        yield Rung("device", network, str(uri), "the board itself: whatever the emulated one does not know")
    else:
        text = f"{busy}: the emulated board as its URI has it"
        yield Rung("link", network, str(uri), text, hints=hints, capacity=capacity)


def _capacity(uri: Uri, plan: planning.Plan) -> dict[str, float]:
    """Synaptic operations per second of each layer's core: an estimate, as the definition says, or the URI's."""
    each = {name: spec().timing[name].value for name in ("synaptic_operation", "synaptic_operation_parallel")}
    faster = each["synaptic_operation"] / each["synaptic_operation_parallel"]
    rate = 1e9 / float(uri.options.get("synop_ns", each["synaptic_operation"]))
    parallel = spec().tables["parallel_cores"].values
    return {name: rate * (faster if core in parallel else 1) for name, core in plan.core_of.items()}


def _only(uri: Uri, names: Sequence[str]) -> dict[str, str]:
    return {name: value for name, value in uri.options.items() if name in names}


def _leak(linear: bool) -> Mapping[str, str]:
    if linear:
        return {
            "": "train with the chip's own leak, or without any (IF neurons); slow_clock=100 makes the amount per tick "
            "larger, which rounds better"
        }
    return {"": "leak=linear keeps a constant leak; or train without any (IF neurons)"}


def _weights(rounding: Sequence[Rounding]) -> dict[str, str]:
    hints = {
        "": f"train on with weights of {widths().weight} bits (quantisation-aware), and keep single large weights, "
        "which set a layer's scale, small"
    }
    for layer in rounding:
        told = [f"its weights are off by {layer.weight_rms:.1%} rms", *layer.warnings]
        if layer.unused:
            told.append(
                f"{layer.unused} of {widths().weight} bits are unused: its threshold or bias is large beside its "
                "weights, so lower that, or scale the weights up and the threshold with less"
            )
        hints[layer.layer] = f"{'; '.join(told)}. {hints['']}"
    return hints


def _state(rounding: Sequence[Rounding]) -> dict[str, str]:
    hints = {"": "slow_clock=100 makes biases and leaks per tick larger, which rounds better"}
    for layer in rounding:
        told = [f"threshold off by {layer.threshold:.1%}, bias or leak by {layer.drive:.1%}", *layer.warnings]
        hints[layer.layer] = f"{'; '.join(told)}. {hints['']}"
    return hints
