"""What every recording format offers: an opened Recording that fills arrays, a Writer that takes them.

A word format (EVT3, DAT, ES, …) is a `Decoder`: bytes in, events out, state kept, no input or output of
its own, so that the same code decodes a file, a USB end point and a socket. `ByteRecording` joins a
Decoder to a file. Container formats (AEDAT4, HDF5) are Recordings of their own. The word formats of cameras
also have an `Encoder`, the other direction, for simulated cameras.

Decoding is exact: times are unwrapped as the format says and nothing is sorted, clamped or dropped.
Making packets of it (order, watermarks, time-base resets) is the business of `nrt.file`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, BinaryIO, ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray

from nrt.errors import BadRecording
from nrt.packet import Records

TRIGGER: Final = np.dtype(
    {"names": ["t", "id", "value"], "formats": ["<i8", "<i4", "<i4"], "offsets": [0, 8, 12], "itemsize": 16}
)
"""An edge on an external trigger input: t µs, id of the input, value 1 rising or 0 falling."""

Bytes = NDArray[np.uint8]


class Recording(ABC):
    """An opened recording: `read` until it returns 0.

    format: the format's name with its variant, as `nrt info` prints it
    header: what the file says of itself, by name
    shape:  (polarities, height, width) if the file declares it, else None
    """

    format: str
    path: Path
    header: Mapping[str, str] = MappingProxyType({})
    shape: tuple[int, int, int] | None = None
    has_triggers: ClassVar[bool] = False

    @abstractmethod
    def read(self, events: Records) -> int:
        """Fills `events` (EVENT, at least 4096 long) from its start; returns how many; 0 at the end.

        Raises BadRecording, with the byte offset, only after every event before the damage was returned.
        """

    def triggers(self) -> NDArray[np.void]:
        """The triggers (TRIGGER) that lay before the last event read and were not taken yet."""
        return np.empty(0, TRIGGER)

    def spikes(self) -> bool:
        """Whether `read` fills SPIKE records instead of EVENT ones."""
        return False

    @abstractmethod
    def close(self) -> None:
        """Releases the file; may be called twice."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()


class Decoder(ABC):
    """Bytes of one word format in, events out. Keeps its state between calls; does no I/O."""

    word: ClassVar[int]
    """Bytes of the smallest unit; `decode` consumes whole units only."""
    reserve: ClassVar[int] = 64
    """The most events that one unit can yield: `decode` stops when fewer places are left."""

    made_of: tuple[tuple[object, ...], dict[str, object]]
    """The arguments of its constructor, from which a recording of raw bytes makes another one."""

    def __new__(cls, *arguments: Any, **named: Any) -> Self:
        """As usual; keeps the arguments."""
        made = super().__new__(cls)
        made.made_of = (arguments, named)
        return made

    def arrived(self, time: int) -> None:
        """The bytes to come arrived `time` µs after the stream began; for words that carry no time."""
        return

    def ended(self) -> bool:
        """No more bytes come. Whether it waited for more, and makes do with what it left when given that again."""
        return False

    @abstractmethod
    def decode(self, raw: Bytes, events: Records) -> tuple[int, int]:
        """Decodes `raw` into `events` (EVENT); returns (bytes consumed, events written).

        Consumes all whole units unless `events` fills up. Never writes past `events`, whatever the bytes.
        """

    def triggers(self) -> NDArray[np.void]:
        """The triggers decoded since the last call (TRIGGER)."""
        return np.empty(0, TRIGGER)

    def counters(self) -> Mapping[str, int]:
        """What was passed over or made no sense, by name; only what is not zero."""
        return {}

    def complaint(self) -> tuple[int, str] | None:
        """(offset in the bytes consumed so far, reason) once the bytes cannot be of this format, else None."""
        return None


class Encoder(ABC):
    """Events in, bytes of one word format out, as a camera puts them on its wire. Keeps its state; does no I/O."""

    word: int
    """Bytes of the smallest unit: output is cut only between units."""
    side: ClassVar[int]
    """The greatest width and height that its addresses can tell apart."""

    @abstractmethod
    def encode(self, events: Records, until: int) -> Bytes:
        """The bytes of `events` (EVENT, in time order, all before `until`) and what tells a reader of `until`, µs.

        Raises ConfigError where the format cannot hold them; the encoder is then as it was before.
        """


class ByteRecording(Recording):
    """A Decoder over the rest of a file, read through one reused buffer."""

    BUFFER: ClassVar[int] = 1 << 19

    def __init__(
        self,
        path: Path,
        file: BinaryIO,
        decoder: Decoder,
        format: str,
        shape: tuple[int, int, int] | None,
        header: Mapping[str, str] | None = None,
    ) -> None:
        """`file` stands at the first byte after the header; the recording closes it."""
        self.path = path
        self.format = format
        self.shape = shape
        self.header = dict(header or {})
        self._file = file
        self._decoder = decoder
        self._buffer = np.empty(self.BUFFER, np.uint8)
        self._view = self._buffer.data
        self._begin = self._end = 0
        self._offset = file.tell()  # file offset of _begin
        self._body = self._offset
        self._finished = False
        self._damage: BadRecording | None = None

    def read(self, events: Records) -> int:
        while True:
            if self._damage is not None:
                raise self._damage
            consumed, written = self._decoder.decode(self._buffer[self._begin : self._end], events)
            self._begin += consumed
            self._offset += consumed
            complaint = self._decoder.complaint()
            if complaint is not None:
                self._damage = BadRecording(self.path, self._body + complaint[0], complaint[1])
            if written:
                return written
            if self._damage is None and not self._refill():
                return 0

    @property
    def decoder(self) -> Decoder:
        """What decodes the bytes from `body` on; for those who have them from elsewhere."""
        return self._decoder

    @property
    def body(self) -> int:
        """The file offset of the first byte after the header."""
        return self._body

    def _refill(self) -> bool:
        """Moves the undecoded rest to the front and reads on; False at the end of the file."""
        if self._finished:
            return False
        rest = self._end - self._begin
        self._buffer[:rest] = self._buffer[self._begin : self._end]
        self._begin, self._end = 0, rest
        got = self._file.readinto(self._view[rest:])  # type: ignore[attr-defined]
        if not got:
            self._finished = True
            if rest:
                self._damage = BadRecording(
                    self.path,
                    self._offset,
                    f"the file ends inside a {self.format} word ({rest} bytes left over)",
                )
                return True
            return False
        self._end += got
        return True

    def triggers(self) -> NDArray[np.void]:
        return self._decoder.triggers()

    def close(self) -> None:
        self._file.close()


class Writer(ABC):
    """Writes one recording; what `write` returned from is on disk after `flush`, readable even if killed."""

    events: int = 0
    """Events written so far."""
    appends: ClassVar[bool] = True
    """Whether a file only grows, so that it is whole when it is cut back to its size after a `flush`."""

    @abstractmethod
    def write(self, events: Records) -> None:
        """Appends events in time order. Raises ConfigError where the format cannot hold them."""

    @abstractmethod
    def flush(self) -> None:
        """Hands everything so far to the operating system, so that a killed process leaves a readable file."""

    @abstractmethod
    def close(self) -> None:
        """Completes the file; may be called twice."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()
