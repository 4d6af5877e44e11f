"""What a sweep is made of: Items to run, and the Row that each becomes."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nrt.dataset import Dataset, Sample
from nrt.errors import ConfigError
from nrt.file import fingerprint
from nrt.network import Network
from nrt.profile.energy import Energy
from nrt.report import Report
from nrt.uri import Uri

_ID: Final = 20
"""Hexadecimal digits of an id: two of 10^9 items share one with a probability of 10^-7."""


@dataclass(frozen=True, slots=True)
class Item:
    """One recording through one network on one device.

    id:     hash of network, recording, name and device: the same work has the same id, today and elsewhere
    model:  what the network is called · network: its hash · device: as it was asked for
    """

    id: str
    model: str
    network: str
    device: str
    recording: str
    source: str
    label: int | None


@dataclass(frozen=True, slots=True)
class Row:
    """What became of one item: the summary of its report, or why there is none.

    winner: the output neuron that fired most, None on a tie · lost: events that never reached the device
    latency_*_ms: counted from `latency_since`, see `nrt.report.Latency`; None where no packet came
    energy: figures of the run, each of something else · host: the machine it ran on
    attempts: how often it was begun, where the device failed under it · error: what ended it early, or ""
    """

    id: str
    model: str
    network: str
    device: str
    recording: str
    source: str
    label: int | None
    winner: int | None = None
    events: int = 0
    lost: int = 0
    steps: int = 0
    spikes: int = 0
    synops: int = 0
    stream_s: float = 0.0
    wall_s: float = 0.0
    latency_since: str = ""
    latency_p50_ms: float | None = None
    latency_p99_ms: float | None = None
    energy: tuple[Energy, ...] = ()
    started: str = ""
    host: str = ""
    attempts: int = 1
    error: str = ""

    @property
    def right(self) -> bool | None:
        """Whether the answer was right; None where the label is not known or the run failed."""
        return None if self.label is None or self.error else self.winner == self.label

    @classmethod
    def of(cls, item: Item, report: Report, host: str, attempts: int, error: str) -> Row:
        """The summary of a run."""
        latency = report.latency
        return cls(
            item.id, item.model, item.network, item.device, item.recording, item.source, item.label,
            winner=report.winner,
            events=report.events,
            lost=report.lost,
            steps=report.counters.steps,
            spikes=sum(report.counters.spikes.values()),
            synops=sum(report.counters.synops.values()),
            stream_s=report.stream_s,
            wall_s=report.wall_s,
            latency_since=latency.since,
            latency_p50_ms=latency.p50 if latency.packets else None,
            latency_p99_ms=latency.p99 if latency.packets else None,
            energy=report.energy,
            started=report.started,
            host=host,
            attempts=attempts,
            error=error or report.error,
        )  # fmt: skip

    @classmethod
    def failed(cls, item: Item, host: str, attempts: int, error: str) -> Row:
        """Of an item that never streamed."""
        return cls(
            item.id, item.model, item.network, item.device, item.recording, item.source, item.label,
            host=host, attempts=attempts, error=error,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Plan:
    """A sweep: every model on every device with every recording. models: by the name they have in tables.

    Raises ConfigError for a device or a network that is there twice.
    """

    models: Mapping[str, Network]
    dataset: Dataset
    devices: tuple[str, ...]

    def __post_init__(self) -> None:
        twice = [device for device, count in Counter(self.devices).items() if count > 1]
        if twice:
            raise ConfigError(
                f"{twice[0]} is asked for twice; a sweep runs each device once, with --jobs side by side"
            )
        known: dict[str, str] = {}
        for name, network in self.models.items():
            other = known.setdefault(network.hash, name)
            if other != name:
                raise ConfigError(f"{other} and {name} are the same network")

    def items(self) -> list[Item]:
        """All there is to do, device by device and model by model."""
        recordings = [(sample, _content(sample)) for sample in self.dataset.samples]
        hashes = {name: network.hash for name, network in self.models.items()}
        return [
            _item(model, hashes[model], device, sample, content)
            for device in self.devices
            for model in self.models
            for sample, content in recordings
        ]


def names(paths: Iterable[str]) -> dict[str, str]:
    """Path → the name of a model in tables: the file's, with as much of the path as tells it from the others."""
    paths = list(paths)
    stems = Counter(Path(path).name for path in paths)
    return {path: Path(path).name if stems[Path(path).name] == 1 else path for path in paths}


def _item(model: str, network: str, device: str, sample: Sample, content: str) -> Item:
    key = json.dumps([network, device, sample.name, content])
    digest = hashlib.sha256(key.encode()).hexdigest()[:_ID]
    return Item(digest, model, network, device, sample.name, sample.source, sample.label)


def _content(sample: Sample) -> str:
    """What is in a recording: of a file its fingerprint and options, of anything else its URI."""
    path, options = _file(sample.source)
    try:
        return f"{fingerprint(path)['fingerprint']}?{options}" if path.is_file() else sample.source
    except OSError:
        return sample.source  # its row will say why it cannot be read


def _file(source: str) -> tuple[Path, str]:
    """The path in a source's URI, which need not be a file, and its options."""
    if Path(source).is_file():
        return Path(source), ""
    try:
        uri = Uri.parse(source)
    except ConfigError:
        path, _, options = source.partition("?")
        return Path(path), options
    return Path(uri.place), json.dumps(sorted(uri.options.items())) if uri.options else ""
