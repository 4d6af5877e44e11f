"""What is wrong with single layers along the ladder, and what to try against the costliest causes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from nrt.clock import readable
from nrt.compare.ladder_load import WINDOW_US
from nrt.compare.ladder_result import Advice, Finding, Step
from nrt.compare.ladder_run import Walked
from nrt.device import Rung

_SILENT: Final = 0.01
"""Share of the float network's spikes below which a layer counts as silent."""
_SATURATING: Final = 0.001
"""Share of membranes at their bounds from which a layer counts as saturating."""
_CAUSES: Final = 3
"""Rungs that are advised about."""

_REMEDIES: Final[Mapping[str, str]] = {
    "silent": "lower its threshold, or train it with a loss on low rates and with the chip's weights",
    "saturating": "scale its weights down (or its threshold, with them), add leak, or bound its membrane in training",
    "overloaded": "fewer synapses per event (smaller kernels, a stride, more pooling before it), a crop of the input, "
    "or a lower rate: regularise the synaptic operations in training",
    "lossy": "a lower rate into the link: crop, pool, or a filter before the network",
}


def findings(
    rungs: Sequence[Rung], walked: Sequence[Walked], used: Sequence[int], bounded: Mapping[str, float]
) -> tuple[Finding, ...]:
    """Silent, saturating and overloaded layers, and losses. used: the recordings that count."""
    return (
        *_silent(rungs, walked, used),
        *_saturating(rungs, bounded),
        *_overloaded(rungs, walked, used),
        *_lossy(rungs, walked, used),
    )


def _spikes(walked: Walked, used: Sequence[int]) -> dict[str, int]:
    """Per population that was seen, over all recordings."""
    total: dict[str, int] = {}
    for index in used if walked.outcomes else ():
        for name, count in walked.outcomes[index].spikes.items():
            total[name] = total.get(name, 0) + count
    return total


def _silent(rungs: Sequence[Rung], walked: Sequence[Walked], used: Sequence[int]) -> Iterator[Finding]:
    counts = [_spikes(each, used) for each in walked]
    for population in rungs[0].network.populations:
        name, neuron = population.name, population.neuron
        if neuron is None or not neuron.fires or name not in counts[0]:
            continue
        before = counts[0][name]
        if not before:
            yield Finding("silent", name, rungs[0].name, "never fires, in the float network already")
            continue
        for rung, seen in zip(rungs[1:], counts[1:], strict=True):
            if seen.get(name, before) < _SILENT * before:
                how = f"fires {seen[name]:,} times at '{rung.name}', and {before:,} times in float"
                yield Finding("silent", name, rung.name, how)
                break


def _saturating(rungs: Sequence[Rung], bounded: Mapping[str, float]) -> Iterator[Finding]:
    rung = next((each for each in reversed(rungs) if each.bounds is not None), None)
    if rung is None or rung.bounds is None:
        return
    low, high = rung.bounds
    for name, share in bounded.items():
        if share >= _SATURATING:
            what = f"{share:.1%} of its membranes are at {low:,.0f} or {high:,.0f}, where the device's end"
            yield Finding("saturating", name, rung.name, what)


def _overloaded(rungs: Sequence[Rung], walked: Sequence[Walked], used: Sequence[int]) -> Iterator[Finding]:
    for rung, each in zip(rungs, walked, strict=True):
        for name, capacity in rung.capacity.items():
            rate = max((each.outcomes[k].busiest.get(name, 0.0) for k in used if each.outcomes), default=0.0)
            if rate > capacity:
                what = (
                    f"{rate / 1e6:,.3g} million synaptic operations per second in its busiest {readable(WINDOW_US)}; "
                    f"its core is taken to do {capacity / 1e6:,.3g} million"
                )
                yield Finding("overloaded", name, rung.name, what)


def _lossy(rungs: Sequence[Rung], walked: Sequence[Walked], used: Sequence[int]) -> Iterator[Finding]:
    for rung, each in zip(rungs, walked, strict=True):
        lost = sum(each.outcomes[k].lost for k in used if each.outcomes)
        if lost:
            yield Finding(
                "lossy", rung.network.name, rung.name, f"{lost:,} spikes lost on the way to the host"
            )


def advice(rungs: Sequence[Rung], steps: Sequence[Step], found: Sequence[Finding]) -> tuple[Advice, ...]:
    """What to try: the costliest rungs that are sure first, then what was found of layers."""
    costly = [
        (step.change.value, step, rung)
        for step, rung in zip(steps, rungs, strict=True)
        if step.change is not None and step.change.sure and step.change.value > 0
    ]
    costly.sort(key=lambda each: each[0], reverse=True)
    causes = [made for _, step, rung in costly[:_CAUSES] if (made := _for(step, rung)) is not None]
    named = dict.fromkeys((each.kind, each.layer) for each in found)
    return (*causes, *(Advice(f"{kind} {layer}", _REMEDIES[kind]) for kind, layer in named))


def _for(step: Step, rung: Rung) -> Advice | None:
    layer = step.layers[0].layer if step.layers and step.layers[0].change.value > 0 else ""
    hint = rung.hints.get(layer) or rung.hints.get("")
    return Advice(f"{step.name} of {layer}" if layer else step.name, hint) if hint else None
