"""iniVation AEDAT 4: compressed packets of flatbuffers, several streams in one file.

Source: docs.inivation.com, AEDAT 4.0. The version line `#!AER-DAT4.0`, an IOHE flatbuffer (compression,
position of the data table, XML that names the streams), then packets: stream i32, size i32, and a size-prefixed
flatbuffer, compressed as a whole. A table of all packets ends a file that was closed; one that was not has
position -1, and is read to its last whole packet.

The first stream of events is read, or the one that `stream` names. Frames, inertial measurements and other
streams are passed over and counted in `skipped`. Of a trigger stream of the same camera, edges and pulses on the
external input are id 0 (a pulse counts as rising), those of the generator id 1. Times are Unix µs, the origin
is at the upper left.
"""

from __future__ import annotations

from io import FileIO
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nrt.errors import BadRecording, ConfigError
from nrt.formats import aedat4_flatbuffer as flatbuffer
from nrt.formats.aedat4_ahead import Ahead, Content
from nrt.formats.aedat4_codec import NAMES, Undecodable
from nrt.formats.aedat4_flatbuffer import Malformed
from nrt.formats.aedat4_header import Header, Stream, parse_header
from nrt.formats.aedat4_packets import PacketFile
from nrt.formats.aedat4_writer import Aedat4Writer
from nrt.formats.base import TRIGGER, Recording
from nrt.formats.words import Events, event_words
from nrt.packet import Records

__all__ = ["Aedat4Recording", "Aedat4Writer"]

VERSION: Final = b"#!AER-DAT4.0\r\n"
_LONGEST_HEADER: Final = 1 << 24
_EDGES: Final = {1: (0, 1), 2: (0, 0), 3: (0, 1), 4: (1, 1), 5: (1, 0)}
"""Trigger type of dv-processing's trigger.fbs -> (id, value)."""


class Aedat4Recording(Recording):
    """One stream of events of an AEDAT 4 file, and the triggers of its camera.

    skipped: packets of other streams passed over so far
    streams: all streams that the file declares
    """

    has_triggers = True

    def __init__(self, path: Path, stream: int | None = None) -> None:
        """stream: number of the stream to read; the first of events by default. Raises ConfigError, BadRecording."""
        self.path = path
        file = path.open("rb", buffering=0)
        try:
            header, body = _read_header(path, file.read(len(VERSION) + 4), file)
            self._stream = _choose(path, header.streams, stream)
        except (BadRecording, ConfigError):
            file.close()
            raise
        self.streams = header.streams
        self.shape = self._stream.shape
        self.skipped = 0
        self.format = "AEDAT4"
        self.header = {
            "compression": NAMES[header.compression],
            "streams": ", ".join(f"{s.id} {s.type} {s.source}" for s in header.streams),
        }
        self._trigger_streams = {
            s.id for s in header.streams if (s.type, s.source) == ("TRIG", self._stream.source)
        }
        others = {s.id for s in header.streams} - self._trigger_streams - {self._stream.id}
        self._others = np.array(sorted(others), np.int64)
        self._packets = PacketFile(path, file, body, header.table)
        wanted = frozenset({self._stream.id, *self._trigger_streams})
        self._ahead = Ahead(self._packets, header.compression, wanted) if header.compression else None
        self._payload: NDArray[np.uint8] = np.empty(0, np.uint8)
        self._data = self._left = 0  # of the current packet: offset and number of events not yet taken
        self._triggers: list[tuple[int, int, int]] = []
        self._damage: BadRecording | None = None

    def read(self, events: Records) -> int:
        out = event_words(events)
        filled = self._take_rest(out)
        while filled < len(out) and self._damage is None:
            try:
                if self._ahead is None:
                    filled = self._packets.walk(self._stream.id, self._others, out, filled)
                    before, filled = filled, self._packets.direct(self._stream.id, out, filled)
                    if filled > before:
                        continue
                packet = self._next() if filled < len(out) else None
                if packet is None:
                    break
                filled = self._enter(packet, out, filled)
            except BadRecording as damage:
                self._damage = damage
        if not filled and self._damage is not None:
            raise self._damage
        return filled

    def _take_rest(self, out: Events) -> int:
        taken = min(self._left, len(out))
        if taken:
            flatbuffer.copy_events(self._payload, self._data, out, 0, taken)
            self._data += 16 * taken
            self._left -= taken
        return taken

    def _next(self) -> tuple[int, int, Content | None] | None:
        """(offset in the file, stream, content) of the next packet; no content for a stream that is passed over."""
        if self._ahead is None:
            return self._packets.next()
        packet = self._ahead.next()
        if packet is None:
            return None
        offset, stream, raw = packet
        if isinstance(raw, Undecodable):
            raise BadRecording(self.path, offset, str(raw)) from raw
        return offset, stream, raw

    def _enter(self, packet: tuple[int, int, Content | None], out: Events, filled: int) -> int:
        """Takes what fits of a packet; returns the events in `out`."""
        offset, stream, raw = packet
        if raw is None or (stream != self._stream.id and stream not in self._trigger_streams):
            self.skipped += 1
            return filled
        try:
            if stream != self._stream.id:
                self._triggers += [
                    (t, *_EDGES[kind]) for t, kind in flatbuffer.triggers(memoryview(raw)) if kind in _EDGES
                ]
                return filled
        except Malformed as error:
            raise BadRecording(self.path, offset, str(error)) from error
        payload = np.frombuffer(raw, np.uint8)
        data, count, taken = flatbuffer.unpack_events(payload, 0, len(payload), out, filled)
        if data < 0:
            raise BadRecording(self.path, offset, "a packet of events that is no sound EVTS flatbuffer")
        if count > taken:
            self._payload = payload.copy() if self._ahead is None else payload
            self._data, self._left = data + 16 * taken, count - taken
        return filled + taken

    def triggers(self) -> NDArray[np.void]:
        taken = np.array(self._triggers, TRIGGER)
        self._triggers.clear()
        return taken

    def close(self) -> None:
        if self._ahead is not None:
            self._ahead.close()
        self._packets.close()


def _read_header(path: Path, head: bytes, file: FileIO) -> tuple[Header, int]:
    """(header, offset of the first packet). Raises BadRecording."""
    if not head.startswith(VERSION) or len(head) < len(VERSION) + 4:
        raise BadRecording(path, 0, "no AEDAT 4 header")
    size = int.from_bytes(head[len(VERSION) :], "little")
    if size > _LONGEST_HEADER:
        raise BadRecording(
            path, len(VERSION), f"a header of {size} bytes; at most {_LONGEST_HEADER} are read"
        )
    raw = head[len(VERSION) :] + file.read(size)
    if len(raw) < 4 + size:
        raise BadRecording(path, len(VERSION) + len(raw), "the file ends inside its header")
    try:
        return parse_header(memoryview(raw)), len(VERSION) + len(raw)
    except Malformed as error:
        raise BadRecording(path, len(VERSION), f"the header is damaged: {error}") from error


def _choose(path: Path, streams: tuple[Stream, ...], wanted: int | None) -> Stream:
    of_events = [stream for stream in streams if stream.type == "EVTS"]
    if wanted is None:
        if not of_events:
            kinds = ", ".join(sorted({s.type for s in streams})) or "none"
            raise BadRecording(path, len(VERSION), f"no stream of events in it (its streams: {kinds})")
        return of_events[0]
    found = next((stream for stream in of_events if stream.id == wanted), None)
    if found is None:
        there = ", ".join(f"{s.id} ({s.source})" for s in of_events) or "none"
        raise ConfigError(f"{path}: no stream of events {wanted}; there is {there}")
    return found
