"""A comparison as text for people: devices, task, every pair, the first divergence, cost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nrt.compare.figures import Agreement, Divergence, Participant
from nrt.compare.result import Comparison, Pair

SHOWN = 16
"""Input spikes of a divergence that are printed; the JSON has all."""


def printed(comparison: Comparison) -> str:
    """The whole comparison."""
    return "\n".join(_lines(comparison))


def _lines(comparison: Comparison) -> Iterator[str]:
    yield from _head(comparison)
    yield ""
    yield from _devices(comparison)
    for pair in comparison.pairs:
        yield ""
        yield from _pair(comparison, pair)
    if comparison.ladder is not None:
        yield ""
        yield str(comparison.ladder)
    yield from (f"note: {note}" for note in comparison.notes)


def _head(comparison: Comparison) -> Iterator[str]:
    network, options = comparison.network, comparison.options
    good = [r for r in comparison.recordings if not r.error]
    yield f"{network['name']}  {network['hash'][:12]}, {network['neurons']} neurons"
    seconds, events = sum(r.seconds for r in good), sum(r.events for r in good)
    count = f"{len(good)} recording{'s' if len(good) != 1 else ''}"
    yield f"{count}, {events:,} events, {seconds:.3g} s of stream, the same packets from the reset state"
    match = "in the same step" if not options.tolerance else f"up to {options.tolerance} steps apart"
    yield (
        f"spikes match {match}; Victor-Purpura q {options.q:g}/s; van Rossum τ {options.tau_us / 1e3:g} ms"
    )
    for recording in comparison.recordings:
        if recording.error:
            yield f"not read: {recording.name}: {recording.error}"
        for device, failure in zip(comparison.devices, recording.failures, strict=False):
            if failure and not device.error:
                yield f"failed on {device.uri}: {recording.name}: {failure}"


def _devices(comparison: Comparison) -> Iterator[str]:
    yield from table(
        ("device", "accuracy", "latency p50, p99", "synaptic ops", "MACs, ACs per recording", "wall"),
        [_device(each) for each in comparison.devices if not each.error],
    )
    for each in comparison.devices:
        if each.error:
            yield f"{each.uri} did not run: {each.error}"
    yield from _workload(comparison)
    energy = [(each.uri, str(figure)) for each in comparison.devices for figure in each.energy]
    if energy:
        yield ""
        yield from table(("energy of all recordings", ""), energy)
    looks = [
        *(
            (d.uri, f"{name} is not seen: {why}")
            for d in comparison.devices
            for name, why in d.unwatched.items()
        ),
        *((d.uri, f"{c.kind}: {c.layer}: {c.text}") for d in comparison.devices for c in d.concerns),
    ]
    if looks:
        yield ""
        yield from table(("look at", ""), looks)


def _device(device: Participant) -> tuple[str, ...]:
    latency, workload = device.latency, device.workload
    times = "-"
    if latency is not None and latency.packets:
        times = f"{latency.p50:.3g} ms, {latency.p99:.3g} ms since {latency.since}"
    operations = "-"
    if workload is not None and workload.macs is not None and workload.acs is not None:
        operations = f"{workload.macs:,.0f}, {workload.acs:,.0f}{'' if workload.seen else ' of what is seen'}"
    return (
        device.uri,
        str(device.accuracy) if device.accuracy else "-",
        times,
        f"{sum(device.synops.values()):,}" if device.synops else "-",
        operations,
        f"{device.wall_s:.2f} s",
    )


def _workload(comparison: Comparison) -> Iterator[str]:
    workload = next((d.workload for d in comparison.devices if d.workload is not None), None)
    if workload is not None:
        yield (
            f"NeuroBench: footprint {workload.footprint:,} bytes, connection sparsity "
            f"{workload.connection_sparsity:.2%}, dense {workload.dense:,.0f} operations per recording, "
            f"{workload.rate_hz:g} executions per second"
        )


def _pair(comparison: Comparison, pair: Pair) -> Iterator[str]:
    first, second = comparison.devices[pair.first].uri, comparison.devices[pair.second].uri
    yield f"{second} against {first}"
    rows = [_agreement(each) for each in pair.populations]
    if rows:
        yield from _indented(
            table(
                ("population", "delay", "spikes", "matched", "F1", "Victor-Purpura", "van Rossum", "cosine"),
                rows,
            )
        )
    for readout in pair.readouts:
        yield (
            f"  {readout.population} (membranes): differ by {readout.rms:.3g} rms, {readout.largest:.3g} at most, of "
            f"{readout.scale:.3g} rms; delay {readout.delay:+d} steps"
        )
    yield from (f"  {name}: {text}" for name, text in pair.one_sided.items())
    if pair.paired is not None:
        p = pair.paired
        yield (
            f"  answers: {p.both} right on both, {p.only_first} only on the first, {p.only_second} only on the "
            f"second, {p.neither} on neither; {p.same} the same; exact McNemar p {p.p:.3g}"
        )
    if pair.divergence is not None:
        yield from _indented(_divergence(comparison, pair.divergence))
    elif pair.populations:
        yield "  no spike differs"
    yield from (f"  note: {note}" for note in pair.notes)


def _agreement(each: Agreement) -> tuple[str, ...]:
    return (
        each.population,
        str(each.delay),
        f"{each.first:,} / {each.second:,}",
        f"{each.matched:,} ({each.at_zero:,} without the delay)" if each.delay.steps else f"{each.matched:,}",
        _figure(each.f1),
        _figure(each.victor_purpura),
        _figure(each.van_rossum),
        _figure(each.cosine),
    )


def _divergence(comparison: Comparison, d: Divergence) -> Iterator[str]:
    recording = comparison.recordings[d.recording].name
    yield (
        f"first difference: {d.population} neuron {d.neuron} {d.where} in step {d.step} ({d.t / 1e3:g} ms) of "
        f"{recording}: {d.first} spike(s) against {d.second}"
    )
    if d.bias:
        yield f"  bias {d.bias:+.4g} in every step"
    for each in d.inputs[-SHOWN:]:
        counts = "" if each.first == each.second else f", {_count(each.first)} against {_count(each.second)}"
        times = f" x{each.first}" if each.first is not None and each.first > 1 and not counts else ""
        yield f"  {each.t / 1e3:8g} ms  {each.source} {each.neuron}  weight {each.weight:+.4g}{times}{counts}"
    left = len(d.inputs) - min(len(d.inputs), SHOWN) + d.inputs_cut
    if left:
        yield f"  and {left} input spikes before these, from {d.window[0] / 1e3:g} ms on"
    for membrane in d.membranes:
        around = [f"{v:.4g}" for v in membrane.v]
        threshold = "" if membrane.threshold is None else f" (threshold {membrane.threshold:g})"
        yield f"  membrane on {comparison.devices[membrane.device].uri}{threshold}: {', '.join(around)}"
    yield from (f"  note: {note}" for note in d.notes)


def _count(value: int | None) -> str:
    return "not seen" if value is None else str(value)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _indented(lines: Iterator[str]) -> Iterator[str]:
    return (f"  {line}" for line in lines)


def table(head: Sequence[str], rows: Sequence[Sequence[str]], widest: int | None = None) -> Iterator[str]:
    """Columns as wide as their widest cell, two blanks apart. widest: a column is no wider; longer cells stand out."""
    cells = [head, *rows]
    widths = [max(len(row[k]) for row in cells) for k in range(len(head))]
    widths = [width if widest is None else min(width, widest) for width in widths]
    for row in cells:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
