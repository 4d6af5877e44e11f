"""The daemon's configuration: what may stand in its TOML file, and what must hold before anything is started.

```toml
[node]
name = "edge"

[[pipeline]]
name = "digits"
source = "synth:digits?seconds=0&width=32&height=32"
network = "digits.nir"
device = "cpu:"
decide = "200ms"
```

`load` tells every mistake at once, each with file and line. Tables of services (`SERVICES`) and of what extends the
daemon stand in the same file; a module that has such a table says with a frozen dataclass what may be in it.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal, TypeVar, cast
from urllib.parse import quote

from nrt import registry
from nrt.daemon.table import Document, Place, Size
from nrt.errors import ConfigError, MissingDependency, NotFound, NrtError
from nrt.filters import parse
from nrt.network import Network
from nrt.reading import Reading
from nrt.registry import Duration, Uri
from nrt.source import Source

S = TypeVar("S")

SERVICES: Final[Mapping[str, str]] = {
    "broker": "nrt.daemon.mqtt:Broker",
    "mqtt": "nrt.daemon.mqtt:Link",
    "web": "nrt.daemon.web:Server",
}
"""Table → the `Service` that it configures; its class attribute `settings` is the dataclass of the table."""
EXTENSIONS: Final[Mapping[str, str]] = {"models": "nrt.daemon.models.settings:ModelsConfig"}
"""Table → the dataclass of it, of what is no service."""

SETTABLE: Final = ("filter", "speed", "decide", "deadline", "labels", "silence", "stall")
"""Options of a pipeline that a command can change."""

_NAMED: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_URI: Final = re.compile(r"[a-z][a-z0-9]+(\+[a-z0-9]+)?:")
_SHORTEST: Final = 1_000
"""µs of the shortest decision window: a thousand decisions a second are more than anybody is sent."""


def _require_name(what: str, name: str) -> None:
    if not _NAMED.fullmatch(name):
        raise ConfigError(
            f"{what} '{name[:80]}' must be 1 to 63 of a-z, 0-9, - and _, and begin with a letter or a digit"
        )


def _hostname() -> str:
    name = re.sub(r"[^a-z0-9_-]", "-", platform.node().partition(".")[0].lower()).strip("-_")
    return name[:63] or "edge"


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """[node]. data: the folder of reports, spools, models and recordings; by default systemd's, or the user's.

    reports: how many are kept of each pipeline
    """

    name: str = field(default_factory=_hostname)
    data: Path | None = None
    reports: int = 50

    def __post_init__(self) -> None:
        """Raises ConfigError."""
        _require_name("name", self.name)
        if self.reports < 1:
            raise ConfigError(f"reports is {self.reports}; at least 1 is kept")

    @property
    def folder(self) -> Path:
        """The data folder."""
        if self.data is not None:
            return self.data
        if given := os.environ.get("STATE_DIRECTORY"):  # systemd's, for StateDirectory=
            return Path(given.partition(":")[0])
        state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
        return Path(state) / "nrt" / self.name


@dataclass(frozen=True, slots=True)
class LogConfig:
    """[log]. format: lines for people, or one JSON object a line."""

    format: Literal["text", "json"] = "text"
    level: Literal["debug", "info", "warning", "error"] = "info"


@dataclass(frozen=True, slots=True)
class RecordConfig:
    """[[pipeline.record]]: the input's events into files, one after the other.

    folder: where; by default `recordings/<pipeline>` in the data folder · rotate, size: when the next file begins
    most: bytes of all files; the oldest go · spare: bytes of the disk that are left free
    """

    folder: Path | None = None
    format: str = "aedat4"
    rotate: Duration = Duration(600_000_000)
    size: Size = Size(1_000_000_000)
    most: Size = Size(10_000_000_000)
    spare: Size = Size(500_000_000)

    def __post_init__(self) -> None:
        """Raises ConfigError."""
        from nrt import formats

        known = {row.name for row in formats.FORMATS if row.suffix}
        if self.format not in known:
            raise ConfigError(f"format is '{self.format}'; there is {', '.join(sorted(known))}")
        if self.rotate < 1_000_000:
            raise ConfigError("rotate must be at least 1s")
        if not 0 < self.size <= self.most:
            raise ConfigError("size, of one file, must be more than 0 and at most `most`, of all of them")


@dataclass(frozen=True, slots=True)
class SendConfig:
    """[[pipeline.send]]: an output's spikes as address events over UDP, such as to="spif://192.168.1.9:3333".

    output: of which population; by default of every one that the network has
    """

    to: str
    output: str = ""

    def __post_init__(self) -> None:
        """Raises ConfigError."""
        if Uri.parse(self.to).scheme != "spif":
            raise ConfigError(f"to is '{self.to}'; spikes are sent to spif://host:port")


@dataclass(frozen=True, slots=True)
class PipelineConfig:
    """[[pipeline]]: what streams, through what, on which device, and what is made of the outcome.

    source, filter, network, reading, device, taps: as in `nrt run` · speed: of recordings and scenes
    decide: length of a decision window; without it no decisions · labels: names of the output's neurons
    deadline: an output that is later than this is counted and, when many are, an alarm
    at_end: what follows the end of a recording
    silence: the source is lost when it sends no packet for so long · stall: the device has stalled when what
    went in has not come out for so long; either is an alarm and a restart
    """

    name: str
    source: str
    network: Path
    device: str = "cpu:"
    filter: str = ""
    speed: float | None = None
    reading: Reading = field(default_factory=Reading)
    taps: tuple[str, ...] = ()
    decide: Duration | None = None
    labels: tuple[str, ...] = ()
    deadline: Duration | None = None
    start: bool = True
    at_end: Literal["stop", "repeat"] = "stop"
    silence: Duration = Duration(10_000_000)
    stall: Duration = Duration(5_000_000)
    record: tuple[RecordConfig, ...] = ()
    send: tuple[SendConfig, ...] = ()
    folder: Path = field(default_factory=Path)
    """That a source's relative path begins at."""

    def __post_init__(self) -> None:
        """Raises ConfigError for what needs no file and no device to be seen."""
        _require_name("name", self.name)
        if self.filter:
            parse(self.filter)
        if self.decide is not None and self.decide < _SHORTEST:
            raise ConfigError("decide must be at least 1ms")
        if self.labels and self.decide is None:
            raise ConfigError("labels name decisions, and without decide there are none")
        for name in ("deadline", "silence", "stall"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name} must be longer than 0")

    @property
    def uri(self) -> str:
        """The source with its filter, as the registry takes it."""
        text = self.source if self.recording is None else self._placed()
        if self.speed is not None:
            text += f"{'&' if '?' in text else '?'}speed={self.speed:g}"
        if self.filter:
            text += f"{'&' if '?' in text else '?'}filter={quote(self.filter, safe=':,=')}"
        return text

    @property
    def recording(self) -> Path | None:
        """The file that the source names; None for any other source."""
        plain, _, _ = self.source.removeprefix("file:").partition("?")
        if self.source.startswith("file:") or not _URI.match(self.source) or (self.folder / plain).exists():
            return self.folder / plain
        return None

    def _placed(self) -> str:
        """The recording's whole path, with the options."""
        _, mark, options = self.source.partition("?")
        path = str(self.recording)
        return f"{quote(path)}?{options}" if mark else path

    def changed(self, options: Mapping[str, str]) -> PipelineConfig:
        """With other options, each as text. Raises ConfigError."""
        values: dict[str, Any] = {}
        for name, text in options.items():
            if name not in SETTABLE:
                raise ConfigError(f"'{name[:80]}' cannot be set; there is {', '.join(SETTABLE)}")
            if name == "filter":
                values[name] = text
            elif name == "labels":
                values[name] = tuple(each.strip() for each in text.split(",")) if text else ()
            elif name == "speed":
                values[name] = registry.convert(name, text, float)
            else:
                off = not text and name in ("decide", "deadline")
                values[name] = None if off else registry.convert(name, text, Duration)
        return replace(self, **values)

    def open_source(self) -> Source:
        """The source, not yet open. Raises what the registry raises."""
        return registry.source(self.uri)

    def load_network(self) -> Network:
        """The network, read as chosen. Raises NotFound, ConfigError, Unsupported."""
        return self.reading.load(self.network)


@dataclass(frozen=True, slots=True)
class DeviceConfig:
    """[[device]]: a device without a source, for sessions from elsewhere."""

    name: str
    device: str

    def __post_init__(self) -> None:
        """Raises ConfigError."""
        _require_name("name", self.name)
        registry.device(self.device)


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that a file says. tables: those of services and extensions, by name, as their dataclasses."""

    path: Path
    node: NodeConfig
    log: LogConfig
    pipelines: tuple[PipelineConfig, ...]
    devices: tuple[DeviceConfig, ...] = ()
    tables: Mapping[str, object] = field(default_factory=dict[str, object])

    def table(self, kind: type[S]) -> S | None:
        """The table of that dataclass; None where the file has none."""
        return next((each for each in self.tables.values() if isinstance(each, kind)), None)


def load(path: str | Path, extra: Mapping[str, Mapping[str, Any]] | None = None) -> Config:
    """The configuration in a file. extra: tables that the command line adds where the file has none.

    Nothing is opened but files. Raises ConfigError with every mistake, one a line: file:line: sentence.
    """
    document = Document.open(Path(path))
    document.root = {**(extra or {}), **document.root}
    known = ("node", "log", "pipeline", "device", *SERVICES, *EXTENSIONS)
    for key in document.root:
        if key not in known:
            document.wrong((key,), f"there is no table '{key}'; there is {', '.join(known)}")
    node = _optional(document, "node", NodeConfig)
    log = _optional(document, "log", LogConfig)
    pipelines = _pipelines(document)
    devices = document.tables("device", DeviceConfig)
    tables = {name: _table(document, name) for name in (*SERVICES, *EXTENSIONS) if name in document.root}
    _require_different(
        document,
        [
            *(("pipeline", k) for k in range(_count(document, "pipeline"))),
            *(("device", k) for k in range(_count(document, "device"))),
        ],
    )
    if not _count(document, "pipeline") and not _count(document, "device"):
        document.wrong((), "there is no [[pipeline]] and no [[device]]: nothing to do")
    if document.mistakes:
        ordered = sorted(document.mistakes, key=lambda each: each.line)
        raise ConfigError("\n".join(map(str, ordered)))
    assert node is not None
    assert log is not None
    return Config(document.path, node, log, pipelines, devices, tables)


def _optional(document: Document, name: str, kind: type[S]) -> S | None:
    return document.table((name,), kind) if name in document.root else kind()


def _count(document: Document, name: str) -> int:
    node = document.root.get(name, [])
    return len(node) if isinstance(node, list) else 0


def _pipelines(document: Document) -> tuple[PipelineConfig, ...]:
    found: list[PipelineConfig] = []
    node = document.root.get("pipeline", [])
    if not isinstance(node, list):
        document.wrong(("pipeline",), "pipeline is written [[pipeline]], once for each")
        return ()
    for index in range(len(node)):
        made = document.table(("pipeline", index), PipelineConfig, folder=document.folder)
        if made is not None:
            found.append(made)
            _check_pipeline(document, ("pipeline", index), made)
    return tuple(found)


def _check_pipeline(document: Document, place: Place, config: PipelineConfig) -> None:
    """Source, network and device are what the registry knows, and fit together as far as can be said beforehand."""
    source: Source | None = None
    network: Network | None = None
    try:
        if config.recording is not None and not config.recording.is_file():
            raise NotFound(str(config.recording), f"there is no recording {config.recording}")
        source = config.open_source()
    except NrtError as error:
        document.wrong((*place, "source"), f"{_label(config)} source: {error}")
    try:
        registry.device(config.device)
    except NrtError as error:
        document.wrong((*place, "device"), f"{_label(config)} device: {error}")
    try:
        network = config.load_network()
    except NrtError as error:
        document.wrong((*place, "network"), f"{_label(config)} network: {error}")
    if network is None:
        return
    if source is not None and source.shape is not None and network.inputs:
        try:
            network.encoding.check(source.shape, network[network.inputs[0]].shape)
        except ConfigError as error:
            document.wrong((*place, "source"), f"{_label(config)}: {error}")
    populations = [each.name for each in network.populations]
    for name in (*config.taps, *(each.output for each in config.send if each.output)):
        if name not in populations:
            document.wrong(
                place, f"{_label(config)}: no population '{name}'; there is {', '.join(populations)}"
            )


def _label(config: PipelineConfig) -> str:
    return f"pipeline '{config.name}'"


def _table(document: Document, name: str) -> object:
    """The table of a service or an extension."""
    try:
        kind = settings_of(name)
    except MissingDependency as error:
        document.wrong((name,), str(error))
        return None
    return document.table((name,), kind)


def settings_of(table: str) -> type[object]:
    """The dataclass of a service's or an extension's table. Raises MissingDependency."""
    where = {**SERVICES, **EXTENSIONS}[table]
    made = load_class(where)
    return cast(type[object], getattr(made, "settings", made))


def load_class(where: str) -> type[Any]:
    """The class that "module:Class" names. Raises MissingDependency for a package that is not installed."""
    entry = registry.Entry(where, "the daemon", extra="daemon")
    return cast(type[Any], registry.load(entry))


def _require_different(document: Document, places: list[Place]) -> None:
    seen: dict[str, Place] = {}
    for kind, index in places:
        node = document.root[str(kind)][int(index)]
        name = node.get("name") if isinstance(node, dict) else None
        if isinstance(name, str):
            if name in seen:
                document.wrong((kind, index, "name"), f"there is a second '{name}'; names must differ")
            seen[name] = (kind, index)
