"""`nrt info`: what a recording or a network is."""

from __future__ import annotations

import dataclasses
import importlib
import json as json_module
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from nrt import formats, registry
from nrt.clock import readable
from nrt.errors import BadRecording, ConfigError, NotFound
from nrt.formats.base import Recording
from nrt.formats.digest import digest as full_digest
from nrt.network import Network
from nrt.network.describe import describe
from nrt.packet import EVENT, SPIKE
from nrt.record.raw_source import RawRecording


def show_info(path: Path, *, digest: bool, like: str | None, dt: str | None, json: bool) -> None:
    """Prints what `path` is. Raises NotFound, BadRecording, ConfigError."""
    if not path.is_file():
        raise NotFound(str(path), f"no file {path}")
    if _is_network(path):
        if digest:
            raise ConfigError(f"{path} is a network; --digest is for recordings")
        _show_network(Network.load(path, like=like, dt=dt), json)
    else:
        _show_recording(path, digest, json)


def _is_network(path: Path) -> bool:
    """Whether an HDF5 file holds a NIR graph or lava-dl's layers rather than events."""
    with path.open("rb") as file:
        if file.read(8) != b"\x89HDF\r\n\x1a\n":
            return path.suffix in (".nir", ".net")
    import h5py

    try:
        with h5py.File(path) as file:
            return "node" in file or "layer" in file
    except OSError:
        return path.suffix in (".nir", ".net")


def _show_recording(path: Path, digest: bool, json: bool) -> None:
    with _open(path) as recording:
        if digest:
            print(json_module.dumps(full_digest(recording), indent=None if json else 2))
            return
        facts = _survey(recording)
    if json:
        print(json_module.dumps(facts, indent=2))
        return
    width = max(map(len, facts))
    for name, value in facts.items():
        print(f"{name:<{width}}  {value}")


def _open(path: Path) -> Recording:
    return RawRecording(path) if registry.file_scheme(path) == "raw" else formats.open(path)


def _survey(recording: Recording) -> dict[str, Any]:
    """Count, span and rate; a damaged recording says how far it goes."""
    kind = SPIKE if recording.spikes() else EVENT
    slab = np.zeros(1 << 16, kind)
    count, on, first, last, damage = 0, 0, None, 0, ""
    try:
        while n := recording.read(slab):
            first = int(slab["t"][0]) if first is None else first
            last = int(slab["t"][n - 1])
            on += int(np.count_nonzero(slab["p"][:n])) if kind == EVENT else 0
            count += n
    except BadRecording as error:
        damage = f"at byte {error.offset}: {error.reason}"
    span = last - (first or 0)
    facts: dict[str, Any] = {"file": str(recording.path), "format": recording.format}
    facts |= {name: value for name, value in recording.header.items() if value and len(value) < 200}
    facts["bytes"] = recording.path.stat().st_size
    if recording.shape is not None:
        facts["size"] = f"{recording.shape[2]}x{recording.shape[1]}"
    facts["spikes" if kind == SPIKE else "events"] = count
    if kind == EVENT:
        facts["on"] = on
    facts |= {"first_us": first, "duration": readable(span), "duration_us": span}
    facts["rate_per_s"] = round(count / span * 1e6) if span > 0 else None
    if recording.has_triggers:
        facts["triggers"] = len(recording.triggers())
    if damage:
        facts["damage"] = damage
    return facts


def _show_network(network: Network, json: bool) -> None:
    description = describe(network)
    if json:
        print(json_module.dumps(dataclasses.asdict(description), indent=2))
        return
    print(f"{network.name}  {network.hash[:12]}")
    print(
        f"{description.neurons:,} neurons, {description.parameters:,} parameters; a step takes at most "
        f"{description.macs:,} multiply-adds, its state {description.state:,} bytes\n"
    )
    table = Table("layer", "shape", "from", "parameters", "one step", box=None)
    for row in description.layers:
        shape = "x".join(map(str, row.shape))
        table.add_row(row.name, shape, "\n".join(row.sources), f"{row.parameters:,}", row.equation)
    Console(markup=False).print(table)
    choices = ", ".join(f"{name} {value}" for name, value in description.choices)
    print(f"\nread as: {choices}")
    for note in description.notes:
        print(f"note: {note}")


def show_synth(json: bool) -> None:
    """Prints the scenes and sensors of `synth:`."""
    source = importlib.import_module("nrt_sim.sensors.source")
    rows: dict[str, dict[str, str]] = {"scenes": source.scenes(), "sensors": source.presets()}
    if json:
        print(json_module.dumps(rows, indent=2))
        return
    print("synth:SCENE?sensor=SENSOR&seconds=4&seed=0&speed=1")
    for kind, entries in rows.items():
        print(f"\n{kind}")
        for name, text in entries.items():
            print(f"  {name:<10} {text}")
