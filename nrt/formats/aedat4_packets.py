"""The packets of an AEDAT 4 file, read through one buffer and checked against the length of the file."""

from __future__ import annotations

import os
import struct
from io import FileIO
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nrt.errors import BadRecording
from nrt.formats.aedat4_flatbuffer import clean_events, find_events, walk_plain
from nrt.formats.words import Events

_HEAD: Final = struct.Struct("<ii")
_BUFFER: Final = 1 << 18
_LITTLE: Final = 1 << 12
_LEAST: Final = 64


class PacketFile:
    """Packets one after the other, from the header to the data table or the end of the file.

    The buffer grows to the largest packet, never beyond what is left of the file.
    """

    def __init__(self, path: Path, file: FileIO, body: int, table: int) -> None:
        """body: offset of the first packet; table: that of the data table, or -1. Closes the file in the end."""
        self._path, self._file = path, file
        size = os.fstat(file.fileno()).st_size
        self._closed_properly = body <= table <= size
        self._lost_table = table > size
        self._stop = table if self._closed_properly else size
        self._read_to = body
        self._buffer = np.empty(min(_BUFFER, max(self._stop - body, 8)), np.uint8)
        self._view = self._buffer.data
        self._at = self._end = 0
        self._ahead = _BUFFER

    def next(self) -> tuple[int, int, memoryview] | None:
        """(offset in the file, stream, content) of the next packet, valid until the next call; None at the end.

        Raises BadRecording where no whole packet follows.
        """
        if not self._have(_HEAD.size):
            self._check_end("inside the head of a packet")
            return None
        stream, size = _HEAD.unpack_from(self._view, self._at)
        offset = self._read_to - (self._end - self._at)
        if stream < 0 or size < 0 or size > self._stop - offset - _HEAD.size:
            where = "the data table begins" if self._closed_properly else "the file ends"
            raise BadRecording(
                self._path, offset, f"a packet of {size} bytes of stream {stream}, but {where} before"
            )
        if not self._have(_HEAD.size + size):
            self._check_end("inside a packet")
            return None
        begin = self._at + _HEAD.size
        self._at = begin + size
        return offset, stream, self._view[begin : self._at]

    def walk(self, stream: int, others: NDArray[np.int64], out: Events, filled: int) -> int:
        """Copies events of whole uncompressed packets in the buffer to out[filled:]; returns the events in out.

        It stops before whatever is not plain sailing, for `next` to look at.
        """
        if self._end - self._at < _HEAD.size:
            self._have(_HEAD.size)
        before = self._at
        self._at, filled = walk_plain(self._buffer, self._at, self._end, stream, others, out, filled)
        if self._at > before:
            self._ahead = _BUFFER
        return filled

    def direct(self, stream: int, out: Events, filled: int) -> int:
        """Reads a large uncompressed packet straight to out[filled:]; returns the events in out.

        Does nothing if the next packet is of another stream, wholly in the buffer, unsound, or does not fit.
        """
        if not self._have(_LEAST):
            return filled
        source, size = _HEAD.unpack_from(self._view, self._at)
        begin, left = self._at + _HEAD.size, self._stop - self._read_to + self._end - self._at
        if source != stream or begin + size <= self._end or size > left - _HEAD.size:
            return filled
        data, count = find_events(self._buffer, begin, begin + size, self._end)
        here = self._end - data
        if data < 0 or count > len(out) - filled or here > 16 * count:
            return filled
        events = out[filled : filled + count]
        target = events.reshape(-1).view(np.uint8)
        target[:here] = self._buffer[data : self._end]
        self._at = self._end = 0
        while here < len(target):
            got = self._file.readinto(target[here:].data)
            if not got:  # the file has shrunk since it was opened
                self._stop, self._lost_table = self._read_to, True
                return filled
            here += got
            self._read_to += got
        rest = begin + size - data - 16 * count
        self._file.seek(rest, os.SEEK_CUR)
        self._read_to += rest
        self._ahead = _LITTLE
        clean_events(events)
        return filled + count

    def _have(self, wanted: int) -> bool:
        """Makes `wanted` bytes contiguous in the buffer, as far as the file goes."""
        rest = self._end - self._at
        if rest >= wanted:
            return True
        kept = self._buffer[self._at : self._end].copy()
        if wanted > len(self._buffer):
            self._buffer = np.empty(wanted, np.uint8)
            self._view = self._buffer.data
        self._buffer[:rest] = kept
        self._at, self._end = 0, rest
        while self._end < wanted:
            room = min(max(self._ahead, wanted), len(self._buffer)) - self._end
            room = min(room, self._stop - self._read_to)
            got = self._file.readinto(self._view[self._end : self._end + room]) if room else 0
            if not got:
                return False
            self._end += got
            self._read_to += got
        return True

    def _check_end(self, where: str) -> None:
        """Nothing more to read: fine between two packets of a file that was not closed, else damage."""
        if self._end > self._at:
            raise BadRecording(self._path, self._read_to, f"the file ends {where}")
        if self._lost_table:
            raise BadRecording(self._path, self._read_to, "the file ends before its data table")

    def close(self) -> None:
        """Closes the file."""
        self._file.close()
