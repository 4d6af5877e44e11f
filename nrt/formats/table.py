"""The table of formats: how each is recognised by its first bytes, and the classes that read and write it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from nrt.errors import BadRecording, ConfigError, NotFound
from nrt.formats.base import Recording, Writer
from nrt.formats.prophesee import is_dat, is_evt2, is_evt3, is_evt21
from nrt.formats.sniff import is_aedat2, is_aedat3, is_aedat4, is_csv, is_es, is_hdf5, is_nmnist

HEAD = 1 << 16


@dataclass(frozen=True, slots=True)
class Format:
    """One row: `name` for `nrt record --format`, the usual file ending, what recognises and handles it."""

    name: str
    suffix: str
    recognise: Callable[[bytes, int], bool]
    """(first 64 KiB of the file, its size) -> whether it is of this format."""
    reader: str
    """"module:Class"; called with the path."""
    writer: str
    """"module:Class"; called with the path, the shape and the writer's own options."""


FORMATS: Final = (
    Format(
        "aedat4",
        ".aedat4",
        is_aedat4,
        "nrt.formats.aedat4:Aedat4Recording",
        "nrt.formats.aedat4:Aedat4Writer",
    ),
    Format(
        "aedat3", ".aedat", is_aedat3, "nrt.formats.aedat3:Aedat3Recording", "nrt.formats.aedat3:Aedat3Writer"
    ),
    Format(
        "aedat2", ".aedat", is_aedat2, "nrt.formats.aedat2:Aedat2Recording", "nrt.formats.aedat2:Aedat2Writer"
    ),
    Format("es", ".es", is_es, "nrt.formats.es:EsRecording", "nrt.formats.es:EsWriter"),
    Format("hdf5", ".h5", is_hdf5, "nrt.formats.hdf5:open_hdf5", "nrt.formats.hdf5:Hdf5Writer"),
    Format(
        "prophesee-hdf5",
        ".hdf5",
        lambda head, size: False,
        "nrt.formats.hdf5:open_hdf5",
        "nrt.formats.hdf5:PropheseeHdf5Writer",
    ),
    Format("dat", ".dat", is_dat, "nrt.formats.dat:DatRecording", "nrt.formats.dat:DatWriter"),
    Format("evt3", ".raw", is_evt3, "nrt.formats.evt3:Evt3Recording", "nrt.formats.evt3:Evt3Writer"),
    Format("evt21", ".raw", is_evt21, "nrt.formats.evt21:Evt21Recording", "nrt.formats.evt21:Evt21Writer"),
    Format("evt2", ".raw", is_evt2, "nrt.formats.evt2:Evt2Recording", "nrt.formats.evt2:Evt2Writer"),
    Format("csv", ".csv", is_csv, "nrt.formats.text:CsvRecording", "nrt.formats.text:CsvWriter"),
    Format(
        "nmnist", ".bin", is_nmnist, "nrt.formats.nmnist:NmnistRecording", "nrt.formats.nmnist:NmnistWriter"
    ),
)
"""In the order they are tried: formats with a magic number first, those recognised by plausibility last."""


def _load(where: str) -> Any:
    module, _, name = where.partition(":")
    return getattr(importlib.import_module(module), name)


def identify(path: str | Path) -> Format:
    """The format of a file, by its content. Raises NotFound (no such file) or BadRecording (no known format)."""
    path = Path(path)
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError as error:
        raise NotFound(str(path), f"cannot read {path}: {error.strerror or error}") from error
    if not size:
        raise BadRecording(path, 0, "the file is empty")
    for row in FORMATS:
        if row.recognise(head, size):
            return row
    known = ", ".join(row.name for row in FORMATS)
    raise BadRecording(path, 0, f"none of the known formats ({known})")


def open(path: str | Path) -> Recording:
    """Opens a recording of any known format. Raises NotFound or BadRecording."""
    recording: Recording = _load(identify(path).reader)(Path(path))
    return recording


def create(path: str | Path, format: str, shape: tuple[int, int, int], **options: Any) -> Writer:
    """Creates a recording. Raises NotFound for an unknown format, ConfigError for an unknown option."""
    row = next((row for row in FORMATS if row.name == format), None)
    if row is None:
        names = [row.name for row in FORMATS]
        raise NotFound(format, f"no format '{format}'; there is {', '.join(names)}", names)
    try:
        writer: Writer = _load(row.writer)(Path(path), shape, **options)
    except TypeError as error:
        raise ConfigError(f"{format}: {error}") from error
    return writer
