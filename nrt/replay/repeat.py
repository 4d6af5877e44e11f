"""Replay: a run or a comparison that was kept as JSON, made again, and what changed since.

The report says what it depended on: the network file and how it was read, the recording, the device, the choices. All
of it is taken from there; a network or a recording that is not where it was is named in one sentence, one that is there
and has changed is told with everything else that did. What counts in the end is whether the outputs are the same.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import nrt
from nrt import registry
from nrt.compare import Comparison, compare
from nrt.compare.ladder import Case, walk
from nrt.compare.text import table
from nrt.dataset import Sample
from nrt.errors import ConfigError, NotFound
from nrt.network import Network
from nrt.reading import Reading
from nrt.replay.changes import Change, of_comparisons, of_runs
from nrt.report import Report


@dataclass(frozen=True, slots=True)
class Instead:
    """What takes the place of what a report names; None: as it was."""

    network: Path | None = None
    source: str | None = None
    device: str | None = None


@dataclass(frozen=True, slots=True)
class Replay:
    """What a replay found. equal: whether every output fired the same spikes at the same times."""

    equal: bool
    changes: tuple[Change, ...]
    result: Report | Comparison

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        changes = [dataclasses.asdict(each) for each in self.changes]
        return {"equal": self.equal, "changes": changes, "result": self.result.to_dict()}

    def __str__(self) -> str:
        rows = [(each.what, each.before, each.now) for each in self.changes]
        lines = list(table(("", "then", "now"), rows, widest=60))
        if all(change.figure for change in self.changes):
            lines.append("nothing else changed")
        lines.append("the outputs are equal" if self.equal else "the outputs differ")
        return "\n".join(lines)


async def replay_run(before: Report, instead: Instead | None = None) -> Replay:
    """Repeats a run. Raises NotFound for what is gone, ConfigError for what cannot be repeated, and what runs raise."""
    instead = instead or Instead()
    network = _network(before.network, before.reading, instead)
    source = registry.source(instead.source or _source(before))
    if not source.finite:
        uri = before.source.get("uri", "")
        raise ConfigError(f"the run was of {uri}, which is live: what it saw then cannot be had again")
    settings = before.settings
    async with nrt.open(instead.device or before.device) as session:
        await session.deploy(network, taps=settings.taps, membranes=settings.membranes)
        run = session.stream(
            source,
            decide=settings.decide_us,
            label=settings.label,
            deadline=settings.deadline_us,
            excerpt=settings.excerpt,
        )
        async with run:
            async for _ in run:
                pass
    return Replay(_same_outputs(before, run.report), tuple(of_runs(before, run.report)), run.report)


async def replay_comparison(before: Comparison, instead: Instead | None = None) -> Replay:
    """Repeats a comparison, its ladder too if it had one. Raises as `replay_run` does."""
    instead = instead or Instead()
    if instead.source is not None or instead.device is not None:
        raise ConfigError("a comparison has several recordings and devices: only its network can be replaced")
    network = _network(before.network, before.reading, instead)
    samples = [Sample(each.uri, each.label, each.name) for each in before.recordings]
    for sample in samples:
        _require_recording(sample.source)
    result = await compare(network, samples, [each.uri for each in before.devices], before.options)
    result = dataclasses.replace(result, sources=before.sources)
    if before.ladder is not None:
        good = [s for s, r in zip(samples, before.recordings, strict=True) if not r.error]
        cases = [Case(each.name, each.source, each.label) for each in good]
        ladder = await walk(network, before.ladder.device, cases, limit_us=before.options.limit_us)
        result = dataclasses.replace(result, ladder=ladder)
    changes = tuple(of_comparisons(before, result))
    return Replay(_same_spikes(before, result), changes, result)


def _network(about: Mapping[str, str], reading: Mapping[str, Any], instead: Instead) -> Network:
    """The network of a report, read as it was. Raises NotFound, ConfigError."""
    chosen = dict(reading)
    path = chosen.pop("path", None)
    if instead.network is not None:
        path = str(instead.network)
    if path is None:
        name = about.get("name", "the network")
        raise ConfigError(f"{name} was made in memory and is in no file: name one that holds it (--network)")
    if not Path(path).exists():
        raise NotFound(
            str(path), f"the network of this report is gone: there is no {path} (--network names another)"
        )
    return Reading.from_dict(chosen).load(path)


def _source(before: Report) -> str:
    """The URI of the source; by its whole path where a relative one leads nowhere from here."""
    uri, path = before.source.get("uri", ""), before.source.get("path")
    if path is None or (scheme := uri.partition(":")[0]) not in ("file", "raw"):
        return uri
    if not Path(path).exists():
        raise NotFound(
            path, f"the recording of this report is gone: there is no {path} (--from names another)"
        )
    _, mark, options = uri.partition("?")
    return f"{scheme}:{quote(path)}{mark}{options}"


def _require_recording(source: str) -> None:
    """Raises NotFound where `source` names a file that is gone."""
    path = source.removeprefix("file:").partition("?")[0]
    if (path != source or "/" in source) and ":" not in path and not Path(path).exists():
        raise NotFound(source, f"a recording of this comparison is gone: there is no {path}")


def _same_outputs(before: Report, now: Report) -> bool:
    if before.digests and now.digests:
        return before.digests == now.digests
    return before.counts == now.counts


def _same_spikes(before: Comparison, now: Comparison) -> bool:
    """Whether all devices answered alike and fired as often, and agree with each other as they did."""
    return (
        [r.answers for r in before.recordings] == [r.answers for r in now.recordings]
        and [d.activity for d in before.devices] == [d.activity for d in now.devices]
        and [(p.populations, p.readouts) for p in before.pairs]
        == [(p.populations, p.readouts) for p in now.pairs]
    )
