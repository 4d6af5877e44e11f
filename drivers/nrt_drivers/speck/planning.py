"""A network's plan: layers, cores and the printed Placement, without any hardware."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nrt.device import Placement, Row
from nrt.errors import DoesNotFit, Unsupported
from nrt.network.network import Network
from nrt_drivers.speck import limits, placement
from nrt_drivers.speck.chip import Layer, cores
from nrt_drivers.speck.lower import Leak, Lowered, lower


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What goes where. marker: the core that answers markers, where pixel events go through the DVS layer."""

    lowered: Lowered
    core_of: Mapping[str, int]
    marker: int | None

    def layer(self, name: str) -> Layer:
        """A layer by its population's name."""
        return next(layer for layer in self.lowered.layers if layer.name == name)


def plan(network: Network, *, leak: Leak, tick: int, spare: bool) -> Plan:
    """Where `network` goes. spare: one core must stay free. Raises Unsupported, DoesNotFit with every violation."""
    lowered = lower(network, leak=leak, tick=tick)
    found = [
        *lowered.violations,
        *limits.violations(lowered.layers, lowered.entries, network.inputs[0], lowered.tick),
    ]
    first = [link.target for link in lowered.entries]
    core_of = placement.place(lowered.layers, first)
    if not core_of and not found:
        found = placement.crowded(lowered.layers)
    if found:
        raise DoesNotFit(found)
    free = [
        core.index for core in sorted(cores(), key=lambda c: c.bytes) if core.index not in core_of.values()
    ]
    if spare and not free:
        raise Unsupported("input=dvs", "needs a core for its markers, and all are taken; use input=spikes")
    return Plan(lowered, core_of, free[0] if spare else None)


def printed(plan: Plan, device: str, network: Network, notes: Sequence[str]) -> Placement:
    """The plan for people: each layer's core, why, and what rounding cost."""
    lowered = plan.lowered
    first = {link.target for link in lowered.entries}
    rounding = {r.layer: r for r in lowered.rounding}
    entries = " and ".join(f"core {plan.core_of[link.target]}" for link in lowered.entries)
    way = "events, encoded by the driver" if plan.marker is None else "pixel events through the DVS layer"
    rows = [Row(network.inputs[0], "x".join(map(str, lowered.input)), f"→ {entries}", way)]
    remarks: list[str] = []
    for layer in lowered.layers:
        core = plan.core_of[layer.name]
        note = f"{placement.reason(layer, core, layer.name in first)}; {rounding[layer.name]}"
        rows.append(Row(layer.name, _what(layer), f"core {core}", note))
        remarks += [f"{layer.name}: {warning}" for warning in rounding[layer.name].warnings]
        if unused := rounding[layer.name].unused:
            remarks.append(
                f"{layer.name}: its threshold or bias is so large beside its weights that {unused} of their 8 bits "
                "are unused"
            )
    if plan.marker is not None:
        rows.append(Row("(markers)", "answers the driver", f"core {plan.marker}"))
    silicon = "this driver has never met a real board: see docs/speck.md"
    return Placement(device, network.name, tuple(rows), (*lowered.notes, *remarks, *notes, silicon))


def _what(layer: Layer) -> str:
    f, c, k, _ = layer.kernel.shape
    stride = f"/{max(layer.stride)}" if max(layer.stride) > 1 else ""
    shape = "x".join(map(str, layer.outputs))
    pools = "".join(f" → pool {link.pooling}" for link in layer.links if link.pooling > 1)
    return f"{shape}: {f}@{k}x{k}x{c}{stride}{pools}"
