"""What Prophesee's formats share: the `% key value` header, recognition by content, the frame of their decoders.

A file opens with text lines that start with "% "; the words follow at the first line that does not, or after
"% end" (files of 2020 have none). The header names the format in one of several ways, old ones only as
`% evt 3.0`; where it says nothing the words themselves decide: the types in use, and times that advance.
Source: OpenEB, psee_raw_file_header.cpp and dat_tools.py.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

import numpy as np
from numpy.typing import NDArray

from nrt.errors import BadRecording, ConfigError
from nrt.formats.base import ByteRecording, Bytes, Decoder, Writer
from nrt.formats.edges import Edges
from nrt.packet import Records, events_from_array

ByteOrder = Literal["little", "legacy"]
"""How EVT2.1 stores its words: as little-endian u64, or the high half first and each half little-endian."""

HEAD: Final = 1 << 16
"""Bytes that a header may take."""

_SENSORS: Final = {
    "gen31": (640, 480),
    "gen3": (640, 480),
    "gen41": (1280, 720),
    "gen4": (1280, 720),
    "imx636": (1280, 720),
    "genx320": (320, 320),
}
"""Width and height of the sensor that a plugin name mentions, for headers without a geometry."""


@dataclass(frozen=True, slots=True)
class Header:
    """The text before the words. fields: values by lower-case key; length: bytes up to the first word."""

    fields: Mapping[str, str]
    length: int

    @classmethod
    def parse(cls, head: bytes) -> Header:
        """The header at the start of `head`; an empty one where there is none."""
        fields: dict[str, str] = {}
        at = 0
        while head.startswith(b"% ", at):
            end = head.find(b"\n", at)
            line = head[at + 2 : end].decode("latin-1").rstrip("\r")
            if end < 0 or not line.isprintable():
                break
            at = end + 1
            key, _, value = line.strip().partition(" ")
            if key == "end" and not value:
                break
            fields[key.lower()] = value.strip()
        return cls(fields, at)

    @property
    def options(self) -> dict[str, str]:
        """What the line `% format EVT3;height=720;width=1280` says besides the name."""
        parts = self.fields.get("format", "").split(";")[1:]
        return {key: value for key, _, value in (part.partition("=") for part in parts)}

    @property
    def encoding(self) -> str | None:
        """ "EVT2", "EVT2.1" or "EVT3" (other names as they stand) if the header says, else None."""
        name = self.fields.get("format", "").split(";")[0].upper()
        if not name and "evt" in self.fields:
            name = "EVT" + self.fields["evt"].removesuffix(".0")
        return {"EVT21": "EVT2.1", "EVT2.0": "EVT2", "EVT3.0": "EVT3"}.get(name, name) or None

    @property
    def is_dat(self) -> bool:
        """Whether these are the lines of a DAT file: no event encoding, but a version or a size."""
        return self.encoding is None and bool(self.fields.keys() & {"version", "width", "height"})

    @property
    def shape(self) -> tuple[int, int, int] | None:
        """(2, height, width), if the header gives the geometry or names the sensor."""
        size = re.fullmatch(r"(\d+)x(\d+)", self.fields.get("geometry", ""))
        width, height = size.groups() if size else (self._size("width"), self._size("height"))
        if width.isdecimal() and height.isdecimal() and int(width) and int(height):
            return 2, int(height), int(width)
        plugin = self.fields.get("plugin_name", "")
        found = next((size for name, size in _SENSORS.items() if f"_{name}_" in plugin), None)
        return (2, found[1], found[0]) if found else None

    def _size(self, key: str) -> str:
        return self.options.get(key, self.fields.get(key, ""))

    def byte_order(self, body: bytes) -> ByteOrder:
        """ "little" or "legacy" (high half first) for EVT2.1.

        What the header says; else the one order in which the words make sense; else what OpenEB assumes:
        legacy for Prophesee's own cameras with a system_ID below 0x37.
        """
        orders: tuple[ByteOrder, ...] = ("little", "legacy")
        said = self.options.get("endianness", self.fields.get("endianness", ""))
        fitting: list[ByteOrder] = [order for order in orders if order == said]
        fitting = fitting or [order for order in orders if _plausible_evt21(body, order)]
        if len(fitting) == 1:
            return fitting[0]
        makers = {self.fields.get(key, "Prophesee") for key in ("integrator_name", "camera_integrator_name")}
        system = self.fields.get("system_id", "")
        own = makers == {"Prophesee"} and system.isdecimal() and 0 < int(system) < 0x37
        return "legacy" if own else "little"


def _plausible(kinds: NDArray[np.uint8], known: str, high: NDArray[np.int64], turn: int) -> bool:
    """Whether words of these types, with these TIME_HIGH values, can be a recording.

    All types are known, there is a time, and times advance by less than a second or so each.
    """
    allowed = [int(digit, 16) for digit in known]
    if not len(high) or not bool(np.isin(kinds, allowed).all()):
        return False
    steps = np.diff(high) % turn
    return bool((steps < 1 << 14).all())


def _plausible_evt3(body: bytes) -> bool:
    words = np.frombuffer(body[: len(body) & ~1], "<u2")
    words = words[words != 0x9999]  # Lucid's cameras pad with it
    kinds = (words >> 12).astype(np.uint8)
    high = (words[kinds == 8] & 0xFFF).astype(np.int64)
    steps = np.diff(high) % 4096
    return _plausible(kinds, "02345678AEF", high, 4096) and bool((kinds == 6).any() and (steps < 512).all())


def _plausible_evt2(body: bytes) -> bool:
    words = np.frombuffer(body[: len(body) & ~3], "<u4")
    kinds = (words >> 28).astype(np.uint8)
    high = (words[kinds == 8] & 0xFFFFFFF).astype(np.int64)
    return _plausible(kinds, "018ADEF", high, 1 << 28)


def _plausible_evt21(body: bytes, order: str, *, strict: bool = False) -> bool:
    """strict: every vector starts at a multiple of 32, as cameras do; pairs of EVT2 words hardly ever do."""
    halves = np.frombuffer(body[: len(body) & ~7], "<u4").reshape(-1, 2)
    top, low = (halves[:, 1], halves[:, 0]) if order == "little" else (halves[:, 0], halves[:, 1])
    kinds = (top >> 28).astype(np.uint8)
    is_cd = kinds < 2
    high = (top[kinds == 8] & 0xFFFFFFF).astype(np.int64)
    if strict and bool((top[is_cd] >> 11 & 31).any()):
        return False
    # a CD word without an event makes no sense
    return _plausible(kinds, "018AEF", high, 1 << 28) and bool(is_cd.any() and low[is_cd].all())


def _recognise(head: bytes, encoding: str) -> bool:
    header = Header.parse(head)
    if header.encoding is not None:
        return header.encoding == encoding
    if header.is_dat:
        return False
    return _guess(head[header.length :]) == encoding


def _guess(body: bytes) -> str | None:
    """The encoding of words without a header."""
    evt2 = _plausible_evt2(body)
    # either can pass for the other: EVT2 words in pairs for EVT2.1, and bit masks of EVT2.1 for EVT2 events
    if any(_plausible_evt21(body, order, strict=evt2) for order in ("little", "legacy")):
        return "EVT2.1"
    if evt2:
        return "EVT2"
    return "EVT3" if _plausible_evt3(body) else None


def is_evt2(head: bytes, size: int) -> bool:
    """Whether a file that begins with `head` holds EVT2 words."""
    return _recognise(head, "EVT2")


def is_evt21(head: bytes, size: int) -> bool:
    """Whether a file that begins with `head` holds EVT2.1 words, in either byte order."""
    return _recognise(head, "EVT2.1")


def is_evt3(head: bytes, size: int) -> bool:
    """Whether a file that begins with `head` holds EVT3 words."""
    return _recognise(head, "EVT3")


def is_dat(head: bytes, size: int) -> bool:
    """Whether a file that begins with `head` has the header of a DAT file."""
    return Header.parse(head).is_dat


class EvtDecoder(Decoder):
    """The frame of the EVT decoders: words in, the kernel called until they are used up, triggers kept.

    A subclass names its word and calls its kernel. `_state` is the kernel's own; places 0 and 1 are common:
    whether a TIME_HIGH was seen, and how many triggers the kernel left in `_edges`.
    """

    reserve: ClassVar[int] = 64
    words: ClassVar[np.dtype[Any]]
    """Type of the array that the kernel takes."""

    UNTIMED: ClassVar[int] = 1 << 16
    """Words without any TIME_HIGH after which a file is given up; cameras send one every 16 or 64 µs."""

    def __init__(self) -> None:
        self._state = np.zeros(8, np.int64)
        self._edges = Edges(self._state, 1, 1024)
        self._skipped = 0

    @abstractmethod
    def _run(self, raw: NDArray[Any], out: NDArray[np.int64]) -> tuple[int, int]:
        """Calls the kernel: (elements of `raw` used, events written). Stops early when the triggers fill up."""

    def decode(self, raw: Bytes, events: Records) -> tuple[int, int]:
        whole = raw[: len(raw) - len(raw) % self.word].view(self.words)
        if not whole.flags.aligned:
            whole = whole.copy()
        out = events.view(np.int64).reshape(len(events), 2)
        used = written = 0
        while True:
            took, put = self._run(whole[used:], out[written:])
            used += took
            written += put
            if self._edges.free:
                break
            self._edges.keep()
        if not self._state[0]:
            self._skipped += used * self.words.itemsize
        return used * self.words.itemsize, written

    def triggers(self) -> NDArray[np.void]:
        return self._edges.take()

    @property
    def skipped(self) -> int:
        """Bytes dropped because no TIME_HIGH has come yet; 0 once there is a time."""
        return 0 if self._state[0] else self._skipped

    def complaint(self) -> tuple[int, str] | None:
        if self.skipped >= self.UNTIMED * self.word:
            return (
                0,
                f"no TIME_HIGH in the first {self.skipped // self.word} words: these are not event words",
            )
        return None


class EvtRecording(ByteRecording):
    """A file of EVT words; the header is read here, the subclass chooses the decoder."""

    has_triggers: ClassVar[bool] = True

    def __init__(self, path: Path, decoder: EvtDecoder, format: str, header: Header) -> None:
        file = path.open("rb", buffering=0)
        file.seek(header.length)
        super().__init__(path, file, decoder, format, header.shape, header.fields)
        self._words = decoder

    def read(self, events: Records) -> int:
        count = super().read(events)
        if not count and self._words.skipped:
            raise BadRecording(
                self.path,
                self._body,
                f"{self._words.skipped} bytes and not one TIME_HIGH: no event has a time",
            )
        return count


def read_header(path: Path) -> tuple[Header, bytes]:
    """The header of a file, and the bytes behind it as far as `HEAD`."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    header = Header.parse(head)
    return header, head[header.length :]


class EvtWriter(Writer):
    """The frame of the writers of Prophesee's formats: header, checks, words in bounded pieces.

    Time of the first event must be below `first_limit`, and no gap may reach `gap_limit` µs: what the format's clock
    can tell apart. Nothing of a refused array is written.
    """

    first_limit: ClassVar[int] = 1 << 34
    gap_limit: ClassVar[int] = 1 << 34
    side_limit: ClassVar[int] = 1 << 11
    piece: ClassVar[int] = 1 << 16
    """Events encoded at a time."""

    def __init__(
        self, path: Path, shape: tuple[int, int, int], name: str, header: bytes, words: NDArray[Any]
    ) -> None:
        """words: the reused array that the kernel fills."""
        polarities, height, width = shape
        if polarities not in (1, 2) or not 0 < width <= self.side_limit or not 0 < height <= self.side_limit:
            raise ConfigError(
                f"{name} holds sensors up to {self.side_limit} x {self.side_limit} with polarity, "
                f"not (polarities, height, width) = {shape}"
            )
        self._name, self._width, self._height = name, width, height
        self._words = words
        self._state = np.zeros(8, np.int64)
        self._last = 0
        self._file = path.open("wb")
        self._file.write(header)
        self._file.flush()

    @abstractmethod
    def _run(self, events: NDArray[np.int64]) -> tuple[int, int]:
        """Calls the kernel: (events used, elements of `_words` filled)."""

    def write(self, events: Records) -> None:
        if not len(events):
            return
        pairs = np.ascontiguousarray(events_from_array(events)).view(np.int64).reshape(len(events), 2)
        self._check(pairs)
        at = 0
        while at < len(pairs):
            used, filled = self._run(pairs[at : at + self.piece])
            self._file.write(self._words[:filled].data)
            at += used
        self.events += len(pairs)
        self._last = int(pairs[-1, 0])

    def _check(self, events: NDArray[np.int64]) -> None:
        """Raises ConfigError, naming the first event that the format cannot hold."""
        from nrt.formats.words import first_refused  # kernels load when something is written, not before

        first = not self.events
        gap = self.first_limit if first else self.gap_limit
        bad = first_refused(events[:1], self._width, self._height, self._last, gap)
        if bad:
            bad = 1 + first_refused(events[1:], self._width, self._height, int(events[0, 0]), self.gap_limit)
        if bad == len(events):
            return
        t, word = int(events[bad, 0]), int(events[bad, 1])
        x, y = word & 0xFFFF, word >> 16 & 0xFFFF
        before = int(events[bad - 1, 0]) if bad else self._last
        if x >= self._width or y >= self._height:
            reason = f"x={x}, y={y} lies outside the {self._width} x {self._height} sensor"
        elif t < before:
            reason = f"t={t} µs comes after t={before} µs; sort the events by time"
        elif first and not bad:
            reason = (
                f"a first time of {t} µs; it holds times below {gap} µs, so subtract the first time from all"
            )
        else:
            reason = f"t={t} µs, {t - before} µs after its predecessor; its clock bridges less than {self.gap_limit} µs"
        raise ConfigError(f"{self._name} cannot hold event {self.events + bad}: {reason}")

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def evt_header(version: str, format: str, shape: tuple[int, int, int], extra: Mapping[str, str]) -> bytes:
    """The header of an EVT file, as OpenEB reads it."""
    _, height, width = shape
    fields = {"camera_integrator_name": "Prophesee", **extra, "evt": version}
    fields["format"] = ";".join(
        [format, *(f"{k}={v}" for k, v in extra.items()), f"height={height}", f"width={width}"]
    )
    fields["geometry"] = f"{width}x{height}"
    return "".join(f"% {key} {value}\n" for key, value in fields.items()).encode() + b"% end\n"
