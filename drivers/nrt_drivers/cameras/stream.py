"""`tcp://host:port`: the bytes of a recording, or of a camera, over a TCP connection.

What the stream holds is found by its first bytes, as of a file, or said by `format`: any recording format whose bytes
can be read as they come, with its header, or the bare words of a camera. The sender's end ends the source; a reset
connection is DeviceLost.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar, Final, Unpack

from nrt import formats
from nrt.clock import now
from nrt.errors import BadRecording, ConfigError, StreamError
from nrt.formats.base import ByteRecording, Bytes, Decoder
from nrt.formats.davis import DavisDecoder
from nrt.formats.edvs import EdvsDecoder
from nrt.formats.evt2 import Evt2Decoder
from nrt.formats.evt3 import Evt3Decoder
from nrt.formats.evt21 import Evt21Decoder
from nrt.formats.table import HEAD
from nrt.formats.text import CsvDecoder
from nrt.live import Intake
from nrt.packet import Records
from nrt.registry import Uri
from nrt.wire import Wire
from nrt.wire.listen import TcpListener, address
from nrt.wire.sockets import TcpWire
from nrt_drivers.cameras.network import NetworkOptions, NetworkSource

BARE: Final[Mapping[str, Callable[[], Decoder]]] = {
    "davis": DavisDecoder,
    "edvs": lambda: EdvsDecoder(4, joined=True),
    "evt2": Evt2Decoder,
    "evt21": lambda: Evt21Decoder("little"),
    "evt3": Evt3Decoder,
}
"""Words without a header, as a camera sends them."""

FIRST: Final = 200_000
"""µs after the first byte at which a stream that is still shorter than `HEAD` is looked at."""
GIVE_UP: Final = 2_000_000
"""µs after the first byte at which a stream must have been recognised."""


class StreamSource(NetworkSource):
    """Connects to host:port, or waits there for a sender with `listen=yes` (the host may be left out).

    format: what the bytes are (see `BARE`, `nrt.formats.FORMATS`); by default it is found by their beginning
    width, height: of the sensor, for streams that do not say
    """

    finite: bool = True

    def __init__(
        self,
        uri: Uri,
        *,
        format: str = "",
        listen: bool = False,
        width: int = 0,
        height: int = 0,
        **network: Unpack[NetworkOptions],
    ) -> None:
        self._listens = listen
        super().__init__(uri, **network)
        known = sorted({*BARE, *(row.name for row in formats.FORMATS)})
        if format and format not in known:
            raise ConfigError(f"{uri}: no format '{format}'; there is {', '.join(known)}")
        if (width > 0) != (height > 0) or min(width, height) < 0:
            raise ConfigError(f"{uri}: give width and height, both positive, or neither")
        self._format = format
        self.shape = (2, height, width) if width else None
        self._opening: Opening | None = None

    def _line(self, uri: Uri) -> Wire:
        wanted = address(uri, listens=self._listens)
        return TcpListener(wanted) if self._listens else TcpWire(wanted)

    def _decoder(self) -> Decoder:
        self._opening = Opening(self.uri, self._format)
        return self._opening

    def _take(self, intake: Intake, data: bytes, stamp: int) -> None:
        assert self._opening is not None
        if data or self._opening.waits:
            intake.bytes(data, stamp)
        self.shape = self.shape or self._opening.shape
        if not data:
            intake.quiet(stamp)

    def _last(self, intake: Intake) -> None:
        assert self._opening is not None
        self._opening.ended()
        intake.bytes(b"", now())
        if intake.rest and self._opening.lines:
            intake.bytes(b"\n", now())  # the last line need not have an end
        rest = intake.rest
        if rest:
            raise StreamError(f"{self.uri}: the stream ends inside a word ({rest} bytes left over)")


class Opening(Decoder):
    """A decoder that first finds out what the bytes are, and then is the decoder of that.

    Until then it consumes nothing: it is given the beginning again, with what came since.
    """

    word: ClassVar[int] = 1

    def __init__(self, name: str, format: str) -> None:
        self._name, self._format = name, format
        self._found: Decoder | None = None
        self._now = 0
        self._since: int | None = None
        self._complete = False
        self.shape: tuple[int, int, int] | None = None

    @property
    def lines(self) -> bool:
        """Whether the bytes are lines of text."""
        return isinstance(self._found, CsvDecoder)

    @property
    def waits(self) -> bool:
        """Whether bytes have come, but too few to say what they are."""
        return self._found is None and self._since is not None

    def decode(self, raw: Bytes, events: Records) -> tuple[int, int]:
        """As `Decoder.decode`. Raises StreamError for bytes of no known format, or of another than was said."""
        if self._found is not None:
            return self._found.decode(raw, events)
        if not len(raw):
            return 0, 0
        if self._since is None:
            self._since = self._now
        used, found = self._open(raw[:HEAD].tobytes())
        if found is None:
            return 0, 0
        more, written = found.decode(raw[used:], events)
        return used + more, written

    def _open(self, head: bytes) -> tuple[int, Decoder | None]:
        """The length of the header and what decodes the rest, once they are there; else (0, None)."""
        made = BARE.get(self._format)
        if made is not None and not b"% ".startswith(head[:2]):
            self._found = made()
            return 0, self._found
        waited = self._now - (self._since or 0)
        if not (self._complete or len(head) >= HEAD or waited >= FIRST):
            return 0, None
        try:
            return self._recognise(head)
        except BadRecording as error:
            if self._complete or len(head) >= HEAD or waited >= GIVE_UP:
                reason = f"{error.reason} (at byte {error.offset} of the stream)"
                raise StreamError(f"{self._name}: {reason}") from error
            return 0, None

    def _recognise(self, head: bytes) -> tuple[int, Decoder]:
        with tempfile.TemporaryDirectory(prefix="nrt-") as folder:
            path = Path(folder, "head")
            path.write_bytes(head)
            row = formats.identify(path)
            if self._format and row.name != self._format:
                raise StreamError(f"{self._name}: this is {row.name}, not {self._format}")
            recording = formats.open(path)
            recording.close()
            if not isinstance(recording, ByteRecording) or recording.spikes():
                raise StreamError(f"{self._name}: {row.name} can only be read from a file")
            self._found, self.shape = recording.decoder, recording.shape
            return recording.body, recording.decoder

    def ended(self) -> bool:
        self._complete = True
        return self.waits

    def arrived(self, time: int) -> None:
        self._now = time
        if self._found is not None:
            self._found.arrived(time)

    def counters(self) -> Mapping[str, int]:
        return {} if self._found is None else self._found.counters()

    def complaint(self) -> tuple[int, str] | None:
        return None if self._found is None else self._found.complaint()
