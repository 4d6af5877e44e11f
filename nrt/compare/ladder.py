"""The ladder: where the difference between a float network and a device comes from, rung by rung and layer by layer.

`walk` asks the device for its rungs (`Device.rungs`) and runs all recordings on each. What a rung adds to the loss is
its change; the changes add up to the whole. Rungs that are networks are also taken alone, in the float network, and
layer by layer, on top of the rungs before. `nrt.compare.ladder_result` says what the figures mean.

```python
ladder = await walk(network, "speck+emu:?leak=linear", [Case(s.name, s.source, s.label) for s in data.samples])
print(ladder)
```
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from nrt import registry
from nrt.compare.ladder_climb import Climb
from nrt.compare.ladder_findings import advice, findings
from nrt.compare.ladder_measure import Floats, changes
from nrt.compare.ladder_result import Change, Ladder, Measure, Part, Step
from nrt.compare.ladder_run import Case, Cases
from nrt.errors import ConfigError
from nrt.network import Network

__all__ = ["Case", "walk"]


async def walk(
    network: Network,
    on: str,
    cases: Sequence[Case],
    *,
    measure: Measure | None = None,
    layers: bool = True,
    software: str = "cpu:",
    limit_us: int | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Ladder:
    """Walks from `network` in float to the device `on`, over all cases.

    measure:  accuracy, or the distance of spike counts ("rates"); None: accuracy where every case has a label and the
              network one output. The distance sees differences that change no answer
    layers:   whether rungs are also taken alone and layer by layer: one more run for each
    software: the device that runs rungs which are networks · limit_us: how much of each recording is taken
    progress: called with what is run next, in a few words

    Raises ConfigError without cases, and for an accuracy without labels; StreamError where none can be read;
    DeployError where the network does not fit the device at all; DeviceError where not even the float network runs, or
    no recording runs on every rung.
    """
    if not cases:
        raise ConfigError("the ladder needs at least one recording")
    labelled = len(network.outputs) == 1 and all(case.label is not None for case in cases)
    if measure == "accuracy" and not labelled:
        raise ConfigError(
            "accuracy needs a label for every recording, and one output; choose the measure 'rates'"
        )
    rungs = await asyncio.to_thread(registry.device(on).rungs, network)
    taken = Cases(cases, limit_us)
    progress("reading the recordings")
    await taken.read()
    climb = Climb(taken, measure or ("accuracy" if labelled else "rates"), progress)
    for rung in rungs:
        await climb.climb(dataclasses.replace(rung, on=software) if rung.on == "cpu:" else rung)
    climb.settle(network.name, on)
    if layers:
        await climb.take_apart()
    return _ladder(network.name, on, climb, await climb.bounded())


def _ladder(name: str, on: str, climb: Climb, bounded: Mapping[str, float]) -> Ladder:
    losses = {k: climb.losses(k) for k in climb.ran}
    (whole,) = changes([losses[climb.ran[-1]] - losses[0]])
    steps = _steps(climb, losses, whole)
    found = findings(climb.rungs, climb.walked, climb.used.tolist(), bounded)
    return Ladder(
        network=name,
        device=on,
        measure=climb.measure,
        recordings=len(climb.used),
        steps=steps,
        whole=whole,
        interaction=_interaction(steps, whole),
        failed=(*climb.cases.unreadable, *climb.failed()),
        findings=found,
        advice=advice(climb.rungs, steps, found),
        notes=_notes(climb, whole),
    )


def _steps(climb: Climb, losses: Mapping[int, Floats], whole: Change) -> tuple[Step, ...]:
    ran, base = climb.ran, losses[climb.base]
    below = {k: losses[before] for before, k in itertools.pairwise(ran)}
    added = dict(zip(below, changes([losses[k] - below[k] for k in below]), strict=True))
    alone = dict(zip(climb.alone, changes([each - base for each in climb.alone.values()]), strict=True))
    steps: list[Step] = []
    for k, rung in enumerate(climb.rungs):
        if k not in losses:
            steps.append(Step(rung.name, rung.what, rung.on, math.nan, error=climb.walked[k].error))
            continue
        change = added.get(k)
        parts = _parts({layer: each - below[k] for layer, each in climb.parts.get(k, {}).items()})
        steps.append(
            Step(
                rung.name,
                rung.what,
                rung.on,
                float(losses[k].mean()),
                change,
                share=change.value / whole.value if change and whole.sure and whole.value else None,
                alone=alone.get(k),
                layers=parts,
                parts_interaction=math.fsum(p.change.value for p in parts) - change.value
                if change and parts
                else None,
            )
        )
    return tuple(steps)


def _parts(differences: Mapping[str, Floats]) -> tuple[Part, ...]:
    """Layers by what they cost, the costliest first."""
    parts = [
        Part(layer, change)
        for layer, change in zip(differences, changes([*differences.values()]), strict=True)
    ]
    return tuple(sorted(parts, key=lambda part: part.change.value, reverse=True))


def _interaction(steps: Sequence[Step], whole: Change) -> float | None:
    """Of rungs that cannot be had alone, what they change on top of the others stands in the sum."""
    if not any(step.alone for step in steps):
        return None
    each = [step.alone or step.change for step in steps]
    return math.fsum(change.value for change in each if change is not None) - whole.value


def _notes(climb: Climb, whole: Change) -> tuple[str, ...]:
    notes = list(climb.omitted)
    last = climb.ran[-1]
    if last != len(climb.rungs) - 1:
        notes.append(
            f"the whole ends at the rung '{climb.rungs[last].name}': the device itself could not be run"
        )
    if not whole.sure:
        notes.append(
            "the whole difference cannot be told from zero, so no share of it is given; more recordings, or the "
            "distance of spike counts (measure 'rates'), see smaller differences"
        )
    if climb.alone:
        notes.append(
            "rungs of the chip itself (order, link, device) cannot be had in the float network: they are measured on "
            "top of all others"
        )
    for k in climb.ran:
        doubts: Counter[str] = Counter()
        for index in climb.used.tolist():
            doubts.update(climb.walked[k].outcomes[index].doubts)
        notes += [f"{climb.rungs[k].name}: {count} times {what}" for what, count in doubts.items()]
    return tuple(notes)
