"""Two runs that were kept as JSON, side by side, or why they cannot be compared."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from nrt import plain
from nrt.compare.text import table
from nrt.errors import ConfigError
from nrt.report import Report


@dataclass(frozen=True, slots=True)
class StoredPair:
    """Two reports of runs of the same network, read the same way, on the same recording.

    equal: whether every output fired the same spikes at the same times, None where a report does not say
    rows:  (what, in the first, in the second) for people
    cosine: per output, 1 - cosine of the two vectors of spike counts (or mean membranes); None where one is all zero
    """

    first: str
    second: str
    equal: bool | None
    cosine: Mapping[str, float | None]
    rows: tuple[tuple[str, str, str], ...]

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        result: dict[str, Any] = plain.encode(self)
        return result

    def __str__(self) -> str:
        verdict = {True: "the outputs are equal, spike for spike", False: "the outputs differ", None: ""}[
            self.equal
        ]
        return "\n".join([*table(("", self.first, self.second), self.rows), verdict]).rstrip()


def compare_stored(first: Report, second: Report) -> StoredPair:
    """Two reports side by side. Raises ConfigError with every reason where they are not of the same thing."""
    reasons = list(_refusals(first, second))
    if reasons:
        raise ConfigError("these two runs cannot be compared: " + "; ".join(reasons))
    names = [name for name in first.digests if name in second.digests]
    equal = all(first.digests[name] == second.digests[name] for name in names) if names else None
    cosine = {
        name: _cosine(first.counts[name], second.counts[name])
        for name in first.counts
        if len(first.counts[name]) == len(second.counts.get(name, ()))
    }
    left, right = dict(first.rows()), dict(second.rows())
    shown = [name for name in left if name in right and name not in ("network", "source", "semantics")]
    rows = [(name, left[name], right[name]) for name in shown]
    rows += [
        (f"1 - cosine of {name}", "", "-" if value is None else f"{value:.4g}")
        for name, value in cosine.items()
    ]
    return StoredPair(first.device, second.device, equal, cosine, tuple(rows))


def read_report(path: str | Path) -> Report:
    """The report in a JSON file. Raises NotFound, ConfigError."""
    document = plain.read(path)
    try:
        return Report.from_dict(document)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def _refusals(first: Report, second: Report) -> Sequence[str]:
    reasons: list[str] = []
    for what, ours, theirs in (
        ("semantics", first.semantics, second.semantics),
        ("input encodings", first.encoding, second.encoding),
    ):
        different = [
            f"{name} {ours.get(name)} and {theirs.get(name)}"
            for name in sorted({*ours, *theirs})
            if ours.get(name) != theirs.get(name)
        ]
        if different:
            reasons.append(f"they have different {what} ({', '.join(different)})")
    if not reasons and first.network.get("hash") != second.network.get("hash"):
        hashes = [str(r.network.get("hash", ""))[:12] for r in (first, second)]
        reasons.append(f"they ran different networks ({hashes[0]} and {hashes[1]})")
    reasons += _recordings(first, second)
    for report, which in ((first, "first"), (second, "second")):
        if report.error:
            reasons.append(f"the {which} did not run to its end ({report.error})")
    return reasons


def _recordings(first: Report, second: Report) -> list[str]:
    """Why the two are not of one recording: by what each says of its source, and by how much came of it."""
    ours, theirs = first.source, second.source
    if "fingerprint" in ours and "fingerprint" in theirs:
        if ours["fingerprint"] != theirs["fingerprint"]:
            return [f"they are of different recordings ({ours.get('uri')} and {theirs.get('uri')})"]
    elif _seen(ours.get("uri", "")) != _seen(theirs.get("uri", "")):
        return [f"they are of different sources ({ours.get('uri')} and {theirs.get('uri')})"]
    if (first.events, first.stream_s) != (second.events, second.stream_s):
        return [
            f"they saw different parts of it ({first.events:,} events in {first.stream_s:g} s and "
            f"{second.events:,} in {second.stream_s:g} s)"
        ]
    return []


def _seen(uri: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """A source's URI without what does not change its events: how fast it is played."""
    place, _, options = uri.partition("?")
    kept = [(name, value) for name, value in parse_qsl(options, keep_blank_values=True) if name != "speed"]
    return place, tuple(sorted(kept))


def _cosine(first: Sequence[float], second: Sequence[float]) -> float | None:
    norm = math.sqrt(sum(a * a for a in first) * sum(b * b for b in second))
    return 1 - sum(a * b for a, b in zip(first, second, strict=True)) / norm if norm else None
