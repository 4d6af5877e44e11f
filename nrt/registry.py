"""What a URI names: two tables, scheme → class, and how a URI is read.

`scheme[+wire]:[//place][?option=value&…]`: `cpu:`, `cuda:0`, `tinyodin+serial:///dev/ttyACM0?baud=2000000`,
`file:wave.aedat4?speed=1`. Options are the class's keyword arguments; unknown ones are refused by name.
Built-ins stand in the tables; other distributions add theirs by the entry points `nrt.devices`,
`nrt.sources`, `nrt.boards`, `nrt.datasets` and `nrt.meters`.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.metadata
import inspect
import sys
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, Union, Unpack, get_args, get_origin, get_type_hints

from nrt.clock import microseconds
from nrt.device import Device
from nrt.errors import ConfigError, MissingDependency, NotFound
from nrt.filters import Chain, Filtered
from nrt.profile.meters.base import Meter
from nrt.source import Source
from nrt.uri import URI
from nrt.uri import Uri as Uri


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of a table: where the class is, what it is for, and what must be installed for it."""

    where: str
    summary: str
    package: str = ""
    extra: str = ""


DEVICES: Final[Mapping[str, Entry]] = {
    "cpu": Entry(
        "nrt_sim.cpu.device:CpuDevice", "event-driven engine on the CPU; work proportional to spikes"
    ),
    "loihi2": Entry(
        "nrt_sim.chips.loihi2.device:Loihi2Device", "Loihi 2's fixed-point arithmetic, simulated"
    ),
    "cuda": Entry(
        "nrt_sim.gpu.cuda_device:CudaDevice", "GPU simulator: CUDA kernels and torch; never tried on a GPU"
    ),
    "null": Entry(
        "nrt_sim.null:NullDevice", "takes packets and answers with empty ones; measures the pipeline"
    ),
    "reference": Entry(
        "nrt_sim.reference_device:ReferenceDevice", "slow, obvious, float64: the definition of right"
    ),
    "torch": Entry(
        "nrt_sim.gpu.device:TorchDevice", "GPU simulator on torch operators: torch:cpu", "torch", "torch"
    ),
    "mqtt": Entry(
        "nrt.remote.device:MqttDevice",
        "a device of a daemon elsewhere: mqtt://host/node/device",
        extra="daemon",
    ),
    "mqtts": Entry(
        "nrt.remote.device:MqttDevice", "the same with TLS: mqtts://host/node/device", extra="daemon"
    ),
    "speck": Entry(
        "nrt_drivers.speck.device:SpeckDevice",
        "SynSense Speck2f: +samna: a board, +emu: an emulated one (never tried on silicon)",
    ),
    "tinyodin": Entry(
        "nrt_drivers.tinyodin.device:TinyOdinDevice", "tinyODIN, 256 neurons, behind an AER bridge"
    ),
}

_LIBRARY: Final = "through neuromorphic-drivers (never tried on a camera)"

SOURCES: Final[Mapping[str, Entry]] = {
    "davis240": Entry(
        "nrt_drivers.cameras.davis240:Davis240Camera", "DAVIS240 on USB (never tried on a camera)"
    ),
    "dvs128": Entry("nrt_drivers.cameras.dvs128:Dvs128Camera", "DVS128 on USB (never tried on a camera)"),
    "davis346": Entry("nrt_drivers.cameras.vendors:Davis346Camera", f"iniVation DAVIS346 {_LIBRARY}"),
    "dvxplorer": Entry("nrt_drivers.cameras.vendors:DvxplorerCamera", f"iniVation DVXplorer {_LIBRARY}"),
    "evk3": Entry("nrt_drivers.cameras.vendors:Evk3Camera", f"Prophesee EVK3 HD {_LIBRARY}"),
    "evk4": Entry("nrt_drivers.cameras.vendors:Evk4Camera", f"Prophesee EVK4 {_LIBRARY}"),
    "edvs": Entry("nrt_drivers.cameras.edvs:EdvsCamera", "eDVS on a serial line (never tried on a camera)"),
    "file": Entry("nrt.file:FileSource", "a recording of any format; a plain path means the same"),
    "merge": Entry("nrt.live.merge:merge_uri", "two sources side by side, on one clock: merge:?a=URI&b=URI"),
    "raw": Entry(
        "nrt.record.raw_source:RawSource", "a camera's bytes as recorded; a plain path means the same"
    ),
    "spif": Entry("nrt_drivers.cameras.spif:SpifSource", "address events over UDP: SPIF, AEStream, nrt play"),
    "digit": Entry(
        "nrt_sim.models.samples:DigitSource", "one held-out digit before a simulated event camera"
    ),
    "synth": Entry("nrt_sim.sensors.source:SynthSource", "a scene seen by a simulated event camera"),
    "tcp": Entry("nrt_drivers.cameras.stream:StreamSource", "a recording's or camera's bytes over TCP"),
}

DATASETS: Final[Mapping[str, Entry]] = {
    "digits": Entry("nrt_sim.models.samples:digits", "held-out digits, each before a simulated event camera"),
    "tonic": Entry(
        "nrt.dataset.tonic:tonic",
        "a data set of tonic that is on disk: tonic:NMNIST?split=test",
        "tonic",
        "tonic",
    ),
}

WIRES: Final[Mapping[str, Entry]] = {
    "emu": Entry("nrt.wire.memory:MemoryWire", "an emulated board in this process"),
    "samna": Entry(
        "nrt_drivers.speck.vendor:samna", "the vendor's package for SynSense boards: +samna: or +samna:SERIAL"
    ),
    "serial": Entry("nrt.wire.serial:SerialWire", "a serial line or pseudo-terminal: +serial:///dev/ttyACM0"),
    "tcp": Entry("nrt.wire.sockets:TcpWire", "a TCP connection: +tcp://host:port"),
    "udp": Entry("nrt.wire.sockets:UdpWire", "datagrams: +udp://host:port"),
    "usb": Entry("nrt.wire.usb:UsbWire", "bulk endpoints of a USB device: +usb: or +usb:SERIAL"),
}
"""What a URI's +wire names; a device lists those that it speaks over in its class attribute `wires`."""

BOARDS: Final[Mapping[str, Entry]] = {
    "davis240": Entry(
        "nrt_sim.cameras.davis240:Davis240Board", "a DAVIS240 that plays a scene or a recording"
    ),
    "dvs128": Entry("nrt_sim.cameras.dvs128:Dvs128Board", "a DVS128 that plays a scene or a recording"),
    "edvs": Entry("nrt_sim.cameras.edvs:EdvsBoard", "an eDVS that plays a scene or a recording"),
    "ppk2": Entry(
        "nrt_sim.instruments.ppk2:Ppk2Board", "a Power Profiler Kit II that feeds a made-up current"
    ),
    "tinyodin": Entry("nrt_sim.chips.tinyodin.board:TinyOdinBoard", "a tinyODIN behind an AER bridge"),
    "davis346": Entry("nrt_sim.cameras.vendors:davis346", "a DAVIS346 behind the calls of its library"),
    "dvxplorer": Entry("nrt_sim.cameras.vendors:dvxplorer", "a DVXplorer behind the calls of its library"),
    "evk3": Entry("nrt_sim.cameras.vendors:evk3", "an EVK3 HD behind the calls of its library"),
    "evk4": Entry("nrt_sim.cameras.vendors:evk4", "an EVK4 behind the calls of its library"),
    "speck": Entry("nrt_sim.chips.speck.double:samna", "a Speck2f kit behind the calls of samna"),
}
"""Emulated boards: what stands behind `scheme+emu:`, and what `nrt emulate` serves to other processes."""


METERS: Final[Mapping[str, Entry]] = {
    "hwmon": Entry(
        "nrt.profile.meters.hwmon:HwmonMeter",
        "a board's power monitor, such as hwmon:ina3221 (INA226, Jetson)",
    ),
    "joulescope": Entry(
        "nrt_drivers.joulescope:JoulescopeMeter",
        "Joulescope JS110 or JS220 on USB (never tried on one)",
        "joulescope",
        "meters",
    ),
    "nvml": Entry("nrt.profile.meters.nvml:NvmlMeter", "the energy counter of NVIDIA GPU N: nvml:0"),
    "ppk2": Entry(
        "nrt_drivers.ppk2.meter:Ppk2Meter",
        "Nordic Power Profiler Kit II on a serial line (never tried on one)",
    ),
    "rapl": Entry(
        "nrt.profile.meters.rapl:RaplMeter", "energy counters of the processor: packages, DRAM, platform"
    ),
}
"""Meters for `nrt run --meter`; `nrt meters` says which are there."""

RAW: Final = b"NRTRAW1\n"
"""How a raw recording begins (`nrt.record.raw`)."""
_RECONNECTOR: Final = Entry("nrt.live:Reconnector", "a camera that may be unplugged")


Kind = Literal["devices", "sources", "boards", "datasets", "meters"]


def table(kind: Kind) -> dict[str, Entry]:
    """The built-in table and what other distributions add to it, sorted by scheme."""
    tables = {
        "devices": DEVICES,
        "sources": SOURCES,
        "boards": BOARDS,
        "datasets": DATASETS,
        "meters": METERS,
    }
    rows = {**_added(kind, tuple(sys.path)), **tables[kind]}
    return dict(sorted(rows.items()))


@functools.cache
def _added(kind: Kind, path: tuple[str, ...]) -> dict[str, Entry]:
    """What other distributions add; looking through all that is installed on `path` takes some 10 ms."""
    return {
        point.name: Entry(point.value, f"from {point.dist.name if point.dist else '?'}")
        for point in importlib.metadata.entry_points(group=f"nrt.{kind}")
    }


def load(entry: Entry) -> Any:
    """The class of an entry. Raises MissingDependency if its package is not installed."""
    module, _, name = entry.where.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in ("", "nrt", "nrt_sim", "nrt_drivers"):
            raise
        raise MissingDependency(entry.summary, missing, entry.extra or "all") from error


def device(text: str) -> Device:
    """The device that a URI names, not yet open. Raises NotFound, ConfigError, MissingDependency."""
    made: Device = make(Uri.parse(text), "devices")
    made.uri = text
    return made


def meter(text: str) -> Meter:
    """The meter that a URI names, not yet open. Raises NotFound, ConfigError, MissingDependency."""
    made: Meter = make(Uri.parse(text), "meters")
    return made


def source(text: str | Path) -> Source:
    """The source that a URI or a path names, not yet open. Raises NotFound, ConfigError, MissingDependency.

    Every source has the option `filter`, a chain of filters (`nrt.filters`); every camera has `reconnect`, for how
    long it may be away when it was unplugged (`nrt.live.Reconnector`).
    """
    uri = _source_uri(text)
    options = dict(uri.options)
    chain, patience = options.pop("filter", None), options.pop("reconnect", None)
    bare = replace(uri, options=options)
    made: Source = make(bare, "sources")
    made.uri = str(bare)
    if patience is not None:
        reconnector: Callable[..., Source] = load(_RECONNECTOR)
        made = reconnector(made, convert(f"{uri.scheme}: option reconnect", patience, Duration))
        made.uri = str(replace(uri, options={**options, "reconnect": patience}))
    if chain is None:
        return made
    filtered = Filtered(made, Chain(chain))
    filtered.uri = str(uri)
    return filtered


def _source_uri(text: str | Path) -> Uri:
    """A path stands for `file:path`; a URI is recognised by a known scheme, since paths may hold colons."""
    text = str(text)
    match = URI.fullmatch(text)
    if match and (match["scheme"] in table("sources") or not Path(text).exists()):
        return Uri.parse(text)
    if Path(text).exists() or "?" not in text:
        return Uri(file_scheme(Path(text)), place=text)
    uri = Uri.parse(f"file:{text}")
    return replace(uri, scheme=file_scheme(Path(uri.place)))


def file_scheme(path: Path) -> str:
    """The scheme for a file, by how it begins."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        if file.read(len(RAW)) == RAW:
            return "raw"
    return "file"


def make(uri: Uri, kind: Literal["devices", "sources", "datasets", "meters"]) -> Any:
    """What a row of `kind` makes of `uri`. Raises NotFound, ConfigError, MissingDependency."""
    rows = table(kind)
    if uri.scheme not in rows:
        known = ", ".join(f"{name}:" for name in rows)
        raise NotFound(uri.scheme, f"no {kind[:-1]} '{uri.scheme}:'; there is {known}", list(rows))
    made = load(rows[uri.scheme])
    return made(uri, **_options(made, uri))


def _options(made: Callable[..., Any], uri: Uri) -> dict[str, Any]:
    """The URI's options as the keyword arguments of `made`; those of its wire are checked and left out."""
    line = _line_options(made, uri)
    known = [*option_names(made), *line]
    for name in uri.options:
        if name not in known:
            raise ConfigError(f"{uri.scheme}: has no option '{name}'; there is {', '.join(known) or 'none'}")
    return options_for(made, uri)


def _line_options(made: Callable[..., Any], uri: Uri) -> list[str]:
    """The options of the wire, or of the emulated board, that a device with `wires` is behind."""
    wires: tuple[str, ...] = getattr(made, "wires", ())
    if not wires:
        return []
    if uri.wire not in wires:
        known = " or ".join(f"{uri.scheme}{'+' + each if each else ''}:" for each in wires)
        raise ConfigError(f"{uri}: write {known}")
    if not uri.wire:
        return []
    far = board(uri.scheme) if uri.wire == "emu" else load(WIRES[uri.wire])
    carries_bytes = hasattr(far, "receive") or hasattr(far, "read")
    return [*option_names(far), *(["faults"] if carries_bytes else [])]


def board(scheme: str) -> Any:
    """The class of the emulated board of `scheme`. Raises NotFound, MissingDependency."""
    rows = table("boards")
    if scheme not in rows:
        raise NotFound(
            scheme, f"no emulated board '{scheme}'; there is {', '.join(rows) or 'none'}", list(rows)
        )
    return load(rows[scheme])


def option_types(made: Callable[..., Any]) -> dict[str, Any]:
    """The keyword arguments of a class or function, which are its options in a URI, and their types.

    Those that it only passes on are the keys of the TypedDict that its `**rest: Unpack[…]` names.
    """
    hints = get_type_hints(made.__init__ if inspect.isclass(made) else made)
    found: dict[str, Any] = {}
    for each in inspect.signature(made).parameters.values():
        hint = hints.get(each.name, str)
        if each.kind is each.KEYWORD_ONLY:
            found[each.name] = hint
        elif each.kind is each.VAR_KEYWORD and get_origin(hint) is Unpack:
            found |= get_type_hints(get_args(hint)[0])
    return found


def option_names(made: Callable[..., Any]) -> list[str]:
    """The options of a class or function."""
    return list(option_types(made))


def options_for(made: Callable[..., Any], uri: Uri) -> dict[str, Any]:
    """Those of the URI's options that `made` has, converted by its annotations. Raises ConfigError."""
    return {
        name: convert(f"{uri.scheme}: option {name}", uri.options[name], hint)
        for name, hint in option_types(made).items()
        if name in uri.options
    }


TRUTH: Final = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
"""How yes and no may be written."""


def convert(what: str, value: str, hint: Any) -> Any:
    """`value` as the type `hint` asks for. Raises ConfigError naming `what`."""
    if get_origin(hint) in (Union, types.UnionType):
        hint = next(h for h in get_args(hint) if h is not type(None))
    if get_origin(hint) is Literal:
        if value in get_args(hint):
            return value
        raise ConfigError(f"{what}: '{value}' is none of {', '.join(map(str, get_args(hint)))}")
    try:
        if hint is bool:
            return TRUTH[value.lower()]
        if hint is Duration:
            return microseconds(value)
        return hint(value)
    except (KeyError, ValueError) as error:
        kind = {bool: "yes or no", int: "a whole number", float: "a number"}.get(hint, str(hint))
        raise ConfigError(f"{what}: '{value}' is not {kind}") from error


class Duration(int):
    """Annotation of an option that is a duration: written with a unit ("1ms"), kept in µs."""
