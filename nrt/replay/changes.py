"""What is not as it was when a run or a comparison is made again: one row for each."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nrt.compare import Comparison, Participant
from nrt.profile import Energy, Latency
from nrt.profile.energy import readable_joules
from nrt.profile.spread import milliseconds
from nrt.report import Report


@dataclass(frozen=True, slots=True)
class Change:
    """Something that is not as it was. figure: a measured one, which never is the same twice."""

    what: str
    before: str
    now: str
    figure: bool = False


def of_runs(before: Report, now: Report) -> Iterator[Change]:
    """What is not as it was in a run that was repeated."""
    yield from _depended(before, now)
    yield from _differing("device", {"": before.device}, {"": now.device})
    yield from _differing("recording:", _without_uri(before.source), _without_uri(now.source))
    yield from _differing("", _counted(before), _counted(now))
    yield from _differing("source:", before.source_counts, now.source_counts)
    yield from _differing("spikes of", before.counters.spikes, now.counters.spikes)
    for name, values in before.counts.items():
        yield from _neurons(name, values, now.counts.get(name, ()))
    yield from _differing("SHA-256 of the output", _shortened(before.digests), _shortened(now.digests))
    if before.decisions is not None and now.decisions is not None:
        yield from _answers(before.decisions.answers, now.decisions.answers)
    yield from _times("", before.latency, now.latency)
    yield from _energies("", before.energy, now.energy)


def of_comparisons(before: Comparison, now: Comparison) -> Iterator[Change]:
    """What is not as it was in a comparison that was repeated."""
    yield from _depended(before, now)
    yield from _differing("", *({"recordings": len(each.recordings)} for each in (before, now)))
    # fewer where no device runs any more
    for was, is_ in zip(before.recordings, now.recordings, strict=False):
        name = f"recording {was.name}:"
        yield from _differing(name, {"SHA-256": was.hash}, {"SHA-256": is_.hash})
        answers = {"answers": _listed(was.answers)}, {"answers": _listed(is_.answers)}
        yield from _differing(name, *answers)
        yield from _differing(name, {"error": was.error}, {"error": is_.error})
    for first, second in zip(before.devices, now.devices, strict=True):
        yield from _device(first, second)
    for pair, again in zip(before.pairs, now.pairs, strict=False):
        agreement = [{a.population: f"{a.matched:,}" for a in each.populations} for each in (pair, again)]
        yield from _differing(f"{before.devices[pair.second].uri} matched spikes of", *agreement)
    if before.ladder is not None and now.ladder is not None:
        whole = [{"whole": f"{each.whole.value:+.1%}"} for each in (before.ladder, now.ladder)]
        yield from _differing("ladder:", *whole)


def _device(was: Participant, is_: Participant) -> Iterator[Change]:
    yield from _differing(was.uri, {"error": was.error}, {"error": is_.error})
    spikes = [{a.population: a.spikes for a in each.activity} for each in (was, is_)]
    yield from _differing(f"{was.uri} spikes of", *spikes)
    if was.latency is not None and is_.latency is not None:
        yield from _times(f"{was.uri} ", was.latency, is_.latency)
    yield from _energies(f"{was.uri} ", was.energy, is_.energy)


def _depended(before: Report | Comparison, now: Report | Comparison) -> Iterator[Change]:
    """Network, how it was read, versions and machine."""
    yield from _differing("network", before.network, now.network)
    yield from _differing("network", _path(before.reading), _path(now.reading))
    yield from _differing("semantics:", before.semantics, now.semantics)
    yield from _differing("encoding:", _crop(before.encoding), _crop(now.encoding))
    yield from _differing("version of", before.versions, now.versions)
    yield from _differing("machine:", before.host, now.host)


def _path(reading: Mapping[str, Any]) -> dict[str, Any]:
    return {"path": reading.get("path")}


def _crop(encoding: Mapping[str, Any]) -> dict[str, Any]:
    """JSON has lists where the encoding has a tuple."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in encoding.items()}


def _without_uri(source: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in source.items() if name != "uri"}


def _shortened(digests: Mapping[str, str]) -> dict[str, str]:
    return {name: f"{digest[:16]}…" for name, digest in digests.items()}


def _counted(report: Report) -> dict[str, Any]:
    counters = report.counters
    return {
        "stream": f"{report.stream_s:g} s",
        "packets": report.packets,
        "events": report.events,
        "lost": report.lost,
        "outside": counters.outside,
        "synaptic operations": sum(counters.synops.values()),
        "answer": report.winner,
        "ended by": report.error,
    }


def _differing(what: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Change]:
    """What has another value, or is there only on one side."""
    for name in dict.fromkeys((*before, *now)):
        was, is_ = before.get(name), now.get(name)
        if was != is_:
            yield Change(f"{what} {name}".strip(), _text(was), _text(is_))


def _text(value: Any) -> str:
    if value is None:
        return "none"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _neurons(name: str, before: Sequence[float], now: Sequence[float]) -> Iterator[Change]:
    """How many neurons of an output fired otherwise, and the first of them."""
    if len(before) != len(now):
        yield Change(f"neurons of {name}", f"{len(before):,}", f"{len(now):,}")
        return
    differing = [k for k, (was, is_) in enumerate(zip(before, now, strict=True)) if was != is_]
    if differing:
        k = differing[0]
        yield Change(
            f"{name}: {len(differing):,} of {len(now):,} neurons, first {k}", f"{before[k]:g}", f"{now[k]:g}"
        )


def _answers(before: Sequence[int], now: Sequence[int]) -> Iterator[Change]:
    differing = [k for k, (was, is_) in enumerate(zip(before, now, strict=False)) if was != is_]
    if differing:
        k = differing[0]
        yield Change(
            f"decisions: {len(differing):,} of {len(now):,}, first in window {k + 1}",
            str(before[k]),
            str(now[k]),
        )


def _listed(answers: Sequence[int | None]) -> str:
    return ", ".join("-" if each is None else str(each) for each in answers)


def _times(whose: str, before: Latency, now: Latency) -> Iterator[Change]:
    for name in ("p50", "p99", "maximum"):
        was, is_ = getattr(before, name), getattr(now, name)
        if math.isfinite(was) and math.isfinite(is_):
            yield Change(
                f"{whose}latency {name}",
                f"{milliseconds(was)} ms",
                f"{milliseconds(is_)} ms{_ratio(was, is_)}",
                True,
            )


def _energies(whose: str, before: Sequence[Energy], now: Sequence[Energy]) -> Iterator[Change]:
    """Figures of the same kind, boundary and source; those that only one side has are told as such."""
    found = [{(e.kind, e.boundary, e.source): e.joules for e in each} for each in (before, now)]
    for kind, boundary, source in dict.fromkeys((*found[0], *found[1])):
        was, is_ = (each.get((kind, boundary, source)) for each in found)
        if was == is_:
            continue
        what = f"{whose}energy, {kind}, {boundary}"
        if was is None or is_ is None:
            there = ["none" if each is None else readable_joules(each) for each in (was, is_)]
            yield Change(what, there[0], there[1], True)
        else:
            yield Change(what, readable_joules(was), readable_joules(is_) + _ratio(was, is_), True)


def _ratio(was: float, is_: float) -> str:
    return f" ({is_ / was:.2f} x)" if was else ""
